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


def test_a_test_without_invocations_says_so() -> None:
    assert properties([]) == [("sqlmesh_invocations", "0")]


def test_the_tries_that_the_last_one_repeats_are_counted() -> None:
    assert properties([run(executed("a.x"))], repeated=2) == [
        ("sqlmesh_invocations", "1"),
        ("sqlmesh_repeated_tries", "2"),
        ("sqlmesh_executed", "a.x"),
    ]


def test_the_properties_of_others_are_left() -> None:
    of_others = [("sqlmesh_version", 1), ("ticket", "A-1")]
    assert other_properties([*of_others, *properties([run(failed("a.x"))], 1)]) == of_others


def test_of_very_many_models_the_first_are_named() -> None:
    _, (_, value) = properties([run(*(executed(f"sales.model_{n:03}") for n in range(500)))])
    listed, more = value.split(" and ")
    assert listed.split(", ") == [f"sales.model_{n:03}" for n in range(58)]
    assert more == "442 more"


def test_one_name_is_shown_however_long_it_is() -> None:
    _, (_, value) = properties([run(executed("a" * 5000), executed("b"))])
    assert value.startswith("aaa")
    assert len(value) < 1100


def test_names_hold_nothing_that_xml_can_not() -> None:
    _, (_, value) = properties([run(executed("a\x00\x1b[2J\ud800b"))])
    assert value.isprintable()
