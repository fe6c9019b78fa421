"""The intervals that `loaded` returns are those in SQLMesh's state for an environment's tables."""

from __future__ import annotations

import pytest

from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.project.opening import open_context
from pytest_sqlmesh_tracker.tracking.queries.loaded import loaded
from pytest_sqlmesh_tracker.tracking.queries.messages import Loaded, LoadedQuery
from pytest_sqlmesh_tracker.tracking.queries.transport import ask
from tests.projects import Project, at, read_between

DAY, WEEK = {"cron": "'@daily'"}, {"cron": "'@weekly'", "start": "'2023-12-24'"}
TICKS = "SELECT @start_dt::TIMESTAMP AS ts, {amount} AS amount"
MILLIS_OF_DAY = 86_400_000
FIRST = 1_704_067_200_000
"""The 1st of January 2024."""


@pytest.fixture
def shop(project: Project) -> Project:
    """One model of each kind that is loaded differently; planned on the 5th."""
    project.incremental("s.orders", TICKS.format(amount=1), **DAY)
    project.incremental("s.copy", read_between("s.orders"), **DAY)
    project.incremental("s.kept", TICKS.format(amount=1), ", forward_only true", **DAY)
    project.model("s.weekly", "SELECT COUNT(*) AS n FROM s.orders", **WEEK)
    project.model("s.view", "SELECT * FROM s.orders", kind="VIEW", **DAY)
    project.write("seeds/codes.csv", "code\n1\n")
    project.model("s.codes", "", kind="SEED (path '../seeds/codes.csv')")
    project.model("s.part", "SELECT 1 AS n", kind="EMBEDDED")
    project.write("external_models.yaml", "- name: raw.till\n  columns: {n: int}\n")
    project.write(
        "audits/a.sql", "AUDIT (name a, standalone true);\nSELECT * FROM s.view WHERE 1 = 2"
    )
    project.plan_once("2024-01-05 00:05")
    return project


def loaded_in(project: Project, environment: str = "prod") -> Loaded:
    """What is loaded in an environment without an unfinished plan."""
    answer = loaded(project.context, LoadedQuery(environment=environment))
    assert isinstance(answer, Loaded)
    return answer


def days(project: Project, environment: str = "prod") -> dict[str, list[tuple[float, float]]]:
    """Model → its intervals as days of January 2024, from 0; without what is empty."""
    return {
        fqn.split(".", 1)[1].replace('"', ""): [
            ((start - FIRST) / MILLIS_OF_DAY, (end - FIRST) / MILLIS_OF_DAY)
            for start, end in model.intervals
        ]
        for fqn, model in loaded_in(project, environment).models.items()
        if model.intervals
    }


def versions(project: Project, environment: str = "prod") -> dict[str, str]:
    """Model → which table it has."""
    models = loaded_in(project, environment).models
    return {fqn.split(".", 1)[1].replace('"', ""): each.version for fqn, each in models.items()}


def test_intervals_of_a_plan_and_of_a_later_run(shop: Project) -> None:
    assert days(shop)["s.orders"] == [(0, 4)]
    assert days(shop)["s.view"] == [(0, 4)]
    assert days(shop)["s.weekly"] == [(-8, -1)]
    before = versions(shop)
    with at("2024-01-07 00:05"):
        shop.run()
    assert days(shop)["s.orders"] == [(0, 6)]
    assert days(shop)["s.weekly"] == [(-8, 6)]
    # A seed is loaded once.
    assert days(shop)["s.codes"] == [(0, 4)]
    assert versions(shop) == before


def test_audits_and_models_without_tables_are_not_loaded(shop: Project) -> None:
    assert "a" not in loaded_in(shop).models
    assert not {"s.part", "raw.till"} & days(shop).keys()


def test_another_version_is_another_table(shop: Project) -> None:
    before = versions(shop)
    shop.incremental("s.orders", TICKS.format(amount=2), **DAY)
    shop.reload()
    with at("2024-01-05 00:10"):
        shop.plan("dev", include_unmodified=True)
        dev = versions(shop, "dev")
        shop.plan()
    changed = {name for name, version in versions(shop).items() if version != before[name]}
    assert changed == {"s.orders", "s.copy", "s.view", "s.weekly"}
    # In dev it was the same one already.
    assert {name: dev[name] for name in changed} == {name: versions(shop)[name] for name in changed}


def test_a_preview_in_dev_is_a_table_of_its_own(shop: Project) -> None:
    shop.incremental("s.kept", TICKS.format(amount=2), ", forward_only true", **DAY)
    shop.reload()
    with at("2024-01-05 00:10"):
        shop.unwitnessed_plan(
            "dev", auto_apply=True, include_unmodified=True, start="2024-01-04", enable_preview=True
        )
    assert versions(shop, "dev")["s.kept"] != versions(shop)["s.kept"]
    # What lies before the start SQLMesh has booked.
    assert days(shop, "dev")["s.kept"] == [(0, 4)]
    with at("2024-01-06 00:05"):
        shop.run("dev")
    assert days(shop, "dev")["s.kept"] == [(0, 5)]
    assert days(shop)["s.kept"] == [(0, 4)]
    # A table that prod has as well is loaded there as well.
    assert days(shop)["s.orders"] == [(0, 5)]
    assert days(shop, "dev")["s.orders"] == days(shop)["s.orders"]
    # Another spelling is the same environment.
    assert days(shop, "DEV") == days(shop, "dev")


def test_intervals_that_another_context_loaded_meanwhile(shop: Project) -> None:
    with at("2024-01-06 00:05"):
        assert days(shop)["s.orders"] == [(0, 4)]
        other = open_context(ProjectLocation([str(shop.path)]))
        other.run()
        assert days(shop)["s.orders"] == [(0, 5)]
    other.close()


def test_intervals_of_an_emptied_backfill_look_the_same(shop: Project) -> None:
    shop.model("s.booked", "SELECT 1 AS n", **DAY)
    shop.reload()
    with at("2024-01-05 00:10"):
        shop.unwitnessed_plan(empty_backfill=True, auto_apply=True)
    assert days(shop)["s.booked"] == [(0, 4)]


def test_an_interval_that_is_removed(shop: Project) -> None:
    (kept,) = (s for fqn, s in shop.context.snapshots.items() if fqn.endswith('"kept"'))
    day = (FIRST + MILLIS_OF_DAY, FIRST + 2 * MILLIS_OF_DAY)
    shop.context.state_sync.remove_intervals([(kept, day)])
    assert days(shop)["s.kept"] == [(0, 1), (2, 4)]


def test_compaction_changes_nothing(shop: Project) -> None:
    with at("2024-01-06 00:05"):
        shop.run()
        before = loaded_in(shop)
        shop.context.state_sync.compact_intervals()
    assert loaded_in(shop) == before


@pytest.mark.long
@pytest.mark.processes
def test_a_separate_process_returns_the_same(shop: Project) -> None:
    """It has not loaded the project's models."""
    expected = loaded_in(shop)
    before = shop.intervals()
    shop.context.close()
    location = ProjectLocation([str(shop.path)])
    assert ask(location, LoadedQuery(environment="prod"), timeout=60) == expected
    assert shop.intervals() == before


def test_an_environment_that_is_not_planned(project: Project) -> None:
    project.model("s.orders", "SELECT 1 AS n")
    context = open_context(ProjectLocation([str(project.path)]), load=False)
    with pytest.raises(ProjectError, match=r"environment dev of .* has not been planned yet"):
        loaded(context, LoadedQuery(environment="dev"))
    # Nothing is made of a state that is not there.
    assert not context.engine_adapter.fetchall("SELECT * FROM duckdb_tables()")
    context.close()
