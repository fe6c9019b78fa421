"""The properties of a test in a JUnit XML file."""

from __future__ import annotations

from pytest_sqlmesh_tracker.render.junit import other_properties, properties
from tests.builders import executed, failed, run, skipped


def test_each_status_has_its_models_with_their_reasons() -> None:
    night = run(executed("web.views"), failed("sales.orders"), skipped("sales.weekly"))
    day = run(executed("web.views"), executed("sales.orders"), skipped("sales.weekly", "ended"))
    assert properties([night, day]) == [
        ("sqlmesh_invocations", "2"),
        ("sqlmesh_executed", "web.views, sales.orders"),
        ("sqlmesh_failed", "sales.orders (error)"),
        ("sqlmesh_skipped", "sales.weekly (cron_not_due), sales.weekly (ended)"),
    ]


def test_a_test_without_invocations_has_zero_invocations() -> None:
    assert properties([]) == [("sqlmesh_invocations", "0")]


def test_superseded_tries_are_counted() -> None:
    assert properties([run(executed("a.x"))], repeated=2) == [
        ("sqlmesh_invocations", "1"),
        ("sqlmesh_repeated_tries", "2"),
        ("sqlmesh_executed", "a.x"),
    ]


def test_properties_of_other_plugins_are_kept() -> None:
    of_others = [("sqlmesh_version", 1), ("ticket", "A-1")]
    assert other_properties([*of_others, *properties([run(failed("a.x"))], 1)]) == of_others


def test_only_the_first_of_very_many_models_are_named() -> None:
    _, (_, value) = properties([run(*(executed(f"sales.model_{n:03}") for n in range(500)))])
    listed, more = value.split(" and ")
    assert listed.split(", ") == [f"sales.model_{n:03}" for n in range(58)]
    assert more == "442 more"


def test_a_very_long_name_is_shortened_but_not_left_out() -> None:
    _, (_, value) = properties([run(executed("a" * 5000), executed("b"))])
    assert value.startswith("aaa")
    assert len(value) < 1100


def test_names_contain_only_characters_that_xml_allows() -> None:
    _, (_, value) = properties([run(executed("a\x00\x1b[2J\ud800b"))])
    assert value.isprintable()
