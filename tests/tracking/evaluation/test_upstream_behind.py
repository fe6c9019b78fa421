"""Models that evaluated intervals before upstream models had loaded them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import RunReport, Sandbox
from tests.projects import WORKERS, Project, at

DAILY = {"cron": "'@daily'"}
TICKS = "SELECT @start_dt AS ts, 1 AS id"


def test_a_child_that_runs_alone_is_ahead(project: Project) -> None:
    project.incremental("s.raw", TICKS, **DAILY)
    project.incremental("s.orders", "SELECT ts, id FROM s.raw", **DAILY)
    with at("2024-01-09 12:00"):
        project.plan()
    with at("2024-01-11 12:00"):
        ahead = project.run(select_models=["s.orders"], no_auto_upstream=True)
        later = project.run()
    assert ahead["s.orders"].upstream_behind == {"s.raw": (day(9, 11),)}
    # What it read then is not read again: raw now loads what orders has passed over.
    assert later["s.raw"].executed_intervals == (day(9, 11),)
    later.assert_skipped("s.orders", reason="cron_not_due")
    assert nobody_is_ahead(later)


def test_a_child_whose_tick_comes_before_its_parents(project: Project) -> None:
    project.incremental("s.raw", TICKS, cron="'0 12 * * *'")
    project.incremental("s.orders", "SELECT ts, id FROM s.raw", **DAILY)
    with at("2024-01-09 13:00"):
        project.plan()
    with at("2024-01-10 01:00"):
        ahead = project.run()
    with at("2024-01-10 13:00"):
        later = project.run()
    ahead.assert_only_executed("s.orders")
    assert ahead["s.orders"].upstream_behind == {"s.raw": (day(9, 10),)}
    later.assert_only_executed("s.raw")


def test_a_parent_that_dev_evaluates_into_a_table_that_is_not_read(project: Project) -> None:
    """SQLMesh does so with a model that has an auto_restatement_cron: the child reads prod's."""
    restated = ", auto_restatement_cron '0 0 1 * *', auto_restatement_intervals 1"
    read = "SELECT ts, {} AS id FROM s.raw WHERE ts BETWEEN @start_dt AND @end_dt"
    project.incremental("s.raw", TICKS, restated, **DAILY)
    project.incremental("s.orders", read.format(1), **DAILY)
    with at("2024-01-09 12:00"):
        project.plan()
        project.incremental("s.orders", read.format(2), **DAILY)
        project.reload()
        project.plan("dev")
    with at("2024-01-11 12:00"):
        report = project.run("dev")
    assert report["s.raw"].executed_intervals == (day(9, 11),)
    assert report["s.orders"].upstream_behind == {"s.raw": (day(9, 11),)}
    new = "SELECT count(*) FROM s__dev.orders WHERE ts >= '2024-01-09'"
    assert project.context.engine_adapter.fetchone(new) == (0,)


@pytest.mark.parametrize("moment", ["2024-03-10", "2024-06-10", "2024-10-30", "2024-11-04"])
@pytest.mark.long
def test_a_day_that_is_longer_or_shorter_by_the_clock_is_a_day(
    project: Project, moment: str
) -> None:
    """A daily model in a time zone with daylight saving is due as often as one in UTC."""
    project.incremental("s.raw", TICKS, cron_tz="'America/Los_Angeles'", **DAILY)
    project.incremental("s.orders", "SELECT ts, id FROM s.raw", **DAILY)
    project.incremental("s.hours", TICKS, cron="'@hourly'", cron_tz="'America/Los_Angeles'")
    project.incremental("s.quarters", "SELECT ts, id FROM s.hours", cron="'*/15 * * * *'")
    with at(f"{moment} 12:00"):
        project.plan()
    night = datetime.fromisoformat(moment) + timedelta(days=1)
    with at(night + timedelta(minutes=30)):
        report = project.run(select_models=["s.orders", "s.quarters"], no_auto_upstream=True)
    before = night - timedelta(days=1)
    since, until = (each.replace(tzinfo=timezone.utc) for each in (before, night))
    assert report["s.orders"].upstream_behind == {"s.raw": ((since, until),)}
    # It is due four times before its parent is.
    assert report["s.quarters"].upstream_behind == {}


def test_views_and_embedded_models_are_looked_through(project: Project) -> None:
    project.incremental("s.raw", TICKS, **DAILY)
    project.model("s.seen", "SELECT ts, id FROM s.raw", kind="VIEW", **DAILY)
    project.model("s.within", "SELECT ts, id FROM s.seen", kind="EMBEDDED")
    project.incremental("s.orders", "SELECT ts, id FROM s.within", **DAILY)
    with at("2024-01-09 12:00"):
        project.plan()
    with at("2024-01-10 12:00"):
        report = project.run(select_models=["s.orders"], no_auto_upstream=True)
        view = project.run(select_models=["s.seen"], no_auto_upstream=True)
    assert report["s.orders"].upstream_behind == {"s.raw": (day(9, 10),)}
    # A view reads when it is read.
    assert view["s.seen"].upstream_behind == {}


def test_a_parent_that_is_due_less_often_is_not_behind(project: Project) -> None:
    project.incremental("s.weekly", TICKS, cron="'@weekly'")
    project.incremental("s.orders", "SELECT ts, id FROM s.weekly", **DAILY)
    project.model("s.totals", "SELECT COUNT(*) AS n FROM s.orders", **DAILY)
    with at("2024-01-09 12:00"):
        project.plan()
    for number in (10, 11, 15):
        with at(f"2024-01-{number} 12:00"):
            assert nobody_is_ahead(project.run())


def test_intervals_that_upstream_never_loads_are_not_missing(project: Project) -> None:
    """A model that has ended, one that starts late, a seed and an external table."""
    project.write("seeds/codes.csv", "code\n1\n")
    project.write("external_models.yaml", "- name: wh.src.calls\n  columns: {id: int}\n")
    project.execute("CREATE SCHEMA src")
    project.execute("CREATE TABLE src.calls AS SELECT 1 AS id")
    project.model("s.codes", "", kind="SEED (path '../seeds/codes.csv')")
    project.incremental("s.old", TICKS, end="'2024-01-05'", **DAILY)
    project.incremental("s.young", TICKS, start="'2024-01-08'", **DAILY)
    project.incremental(
        "s.orders",
        "SELECT o.ts, o.id FROM s.old AS o, s.young AS y, s.codes AS c, wh.src.calls AS e",
        **DAILY,
    )
    project.reload()
    with at("2024-01-09 12:00"):
        assert nobody_is_ahead(project.plan())
    with at("2024-01-10 12:00"):
        report = project.run(select_models=["s.orders"], no_auto_upstream=True)
    assert report["s.orders"].upstream_behind == {"s.young": (day(9, 10),)}


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.long
def test_intervals_that_upstream_loads_in_the_same_invocation_are_not_missing(
    tmp_path: Path, workers: int
) -> None:
    project = Project(tmp_path, concurrent_tasks=workers)
    project.incremental("s.raw", TICKS, ", batch_size 1", **DAILY)
    project.incremental("s.orders", "SELECT ts, id FROM s.raw", ", batch_size 1", **DAILY)
    project.model("s.totals", "SELECT COUNT(*) AS n FROM s.orders", **DAILY)
    with at("2024-01-09 12:00"):
        assert nobody_is_ahead(project.plan())
    with at("2024-01-12 12:00"):
        assert nobody_is_ahead(project.run())
        assert nobody_is_ahead(project.plan(restate_models=["s.raw"]))


@pytest.mark.sqlmesh_project("sample_projects/cron_cascade", at="2024-01-09 12:00")
@pytest.mark.long
@pytest.mark.nightly
def test_no_model_is_ahead_in_a_cascade_of_crons(sqlmesh_project: Sandbox) -> None:
    for _ in range(6):
        assert nobody_is_ahead(sqlmesh_project.run(at="+1 day"))
    for _ in range(3):
        assert nobody_is_ahead(sqlmesh_project.run(at="+1h"))


def nobody_is_ahead(report: RunReport) -> bool:
    ahead = {o.name: o.upstream_behind for o in report.outcomes.values() if o.upstream_behind}
    assert not ahead
    return True


def day(first: int, end: int) -> tuple[datetime, datetime]:
    utc = timezone.utc
    return datetime(2024, 1, first, tzinfo=utc), datetime(2024, 1, end, tzinfo=utc)
