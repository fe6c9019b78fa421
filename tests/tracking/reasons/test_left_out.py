"""What an invocation left out of evaluated models: only what is missing afterwards."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from pytest_sqlmesh_tracker import ModelOutcome
from tests.projects import Project, at

DAILY = {"cron": "'@daily'"}
TICKS = "SELECT @start_dt AS ts, 1 AS id"
THIRD = {"start": "2024-01-03", "end": "2024-01-03"}


@pytest.fixture
def kinds(project: Project) -> Project:
    """raw, and a model of each kind that reads it; planned to prod on January 9th."""
    project.incremental("s.raw", TICKS, **DAILY)
    for name, kind in {
        "full": "FULL",
        "view": "VIEW",
        "by_key": "INCREMENTAL_BY_UNIQUE_KEY (unique_key id)",
        "by_partition": "INCREMENTAL_BY_PARTITION",
        "scd": "SCD_TYPE_2_BY_COLUMN (unique_key id, columns [id], disable_restatement false)",
        "by_time": "INCREMENTAL_BY_TIME_RANGE (time_column ts)",
        "looks_back": "INCREMENTAL_BY_TIME_RANGE (time_column ts, lookback 2)",
    }.items():
        partitioned = {"partitioned_by": "ts"} if name == "by_partition" else {}
        project.model(f"s.{name}", "SELECT ts, id FROM s.raw", kind=kind, **DAILY, **partitioned)
    project.plan_once("2024-01-09 12:00")
    return project


@pytest.mark.long
def test_a_restatement_holds_nothing_back_with_any_window(kinds: Project) -> None:
    """Some kinds are loaded as a whole; of the others, what is outside is loaded already."""
    with at("2024-01-09 13:00"):
        window = kinds.plan(restate_models=["s.raw"], **THIRD)
        whole = kinds.plan(restate_models=["s.raw"])
    for report in (window, whole):
        report.assert_executed("s.*")
        assert {o.name: o.reasons for o in report.outcomes.values() if o.reasons} == {}
        assert all(not o.held_back for o in report.outcomes.values())
    assert window["s.full"].executed_intervals == (days(1, 9),)
    assert window["s.by_time"].executed_intervals == (days(3, 4),)


def test_a_restatement_leaves_intervals_that_became_missing(kinds: Project) -> None:
    with at("2024-01-11 13:00"):
        window = kinds.plan(restate_models=["s.by_time"], **THIRD)
        limit = kinds.plan(restate_models=["s.looks_back"])
        nothing_left = kinds.run()
    by_time, looks_back = window["s.by_time"], limit["s.looks_back"]
    assert (by_time.reasons, by_time.held_back) == (("outside_window",), (days(9, 11),))
    assert (looks_back.reasons, looks_back.held_back) == (("plan_limit",), (days(9, 11),))
    assert nothing_left["s.by_time"].executed_intervals == (days(9, 11),)


def test_a_plan_with_a_preview_loads_a_part_of_a_new_model(kinds: Project) -> None:
    kinds.incremental("s.raw", "SELECT @start_dt AS ts, 2 AS id", ", forward_only TRUE", **DAILY)
    kinds.incremental("s.new", TICKS, **DAILY)
    kinds.reload()
    with at("2024-01-09 13:00"):
        report = kinds.unwitnessed_plan("dev", auto_apply=True, enable_preview=True)
        rest = kinds.run("dev")
    new = report["s.new"]
    assert new.executed_intervals == (days(8, 9),)
    assert (new.reasons, new.held_back) == (("plan_limit",), (days(1, 8),))
    assert new.waiting_since == days(1, 2)[1]
    assert "held back" not in new.message
    assert rest["s.new"].executed_intervals == (days(1, 8),)
    assert rest["s.new"].reasons == ()


def test_a_plan_of_a_stale_environment_loads_no_further_than_it(kinds: Project) -> None:
    kinds.incremental("s.new", TICKS, **DAILY)
    kinds.reload()
    with at("2024-01-12 13:00"):
        report = kinds.plan()
        rest = kinds.run()
    new = report["s.new"]
    assert new.executed_intervals == (days(1, 9),)
    assert (new.reasons, new.held_back) == (("plan_limit",), (days(9, 12),))
    # Of models that did not change, time alone has made something missing.
    assert report["s.raw"].reasons == ("no_changes",)
    assert report["s.raw"].held_back == (days(9, 12),)
    assert report["s.raw"].waiting_since == days(9, 10)[1]
    assert rest["s.new"].executed_intervals == (days(9, 12),)


def test_a_window_and_the_limits_of_a_plan_at_once(kinds: Project) -> None:
    kinds.incremental("s.raw", "SELECT @start_dt AS ts, 2 AS id", **DAILY)
    kinds.reload()
    with at("2024-01-12 13:00"):
        # A kind that keeps its version inherits its intervals.
        report = kinds.unwitnessed_plan("dev", auto_apply=True, start="2024-01-05")
    raw = report["s.raw"]
    assert raw.executed_intervals == (days(5, 9),)
    assert raw.reasons == ("outside_window", "plan_limit")
    assert raw.held_back == (days(1, 5), days(9, 12))


def test_a_plan_with_run_leaves_nothing_out(kinds: Project) -> None:
    kinds.incremental("s.new", TICKS, **DAILY)
    kinds.reload()
    with at("2024-01-12 13:00"):
        report = kinds.plan(run=True)
    assert report["s.new"].executed_intervals == (days(1, 12),)
    assert report["s.new"].reasons == ()
    assert report["s.new"].waiting_since is None


def test_a_window_of_a_run_that_covers_all_due_intervals(kinds: Project) -> None:
    with at("2024-01-12 13:00"):
        part = kinds.run(start="2024-01-11")
        rest = kinds.run(start="2024-01-09")
    assert part["s.by_time"].reasons == ("outside_window",)
    assert part["s.by_time"].held_back == (days(9, 11),)
    assert part["s.by_time"].waiting_since == days(9, 10)[1]
    assert rest["s.by_time"].reasons == ()


@pytest.mark.long
def test_models_that_an_unapplied_restatement_would_also_evaluate_are_not_applied(
    project: Project,
) -> None:
    """Not applied, the plan would load a, which b reads and which has missing intervals."""
    project.incremental("s.a", TICKS, **DAILY)
    project.incremental("s.b", "SELECT ts, id FROM s.a", **DAILY)
    project.incremental("s.c", TICKS, **DAILY)
    with at("2024-01-09 13:00"):
        project.unwitnessed_plan(auto_apply=True, skip_backfill=True, no_gaps=True)
        project.run(select_models=["s.b"], no_auto_upstream=True)
        proposed = project.unwitnessed_plan(restate_models=["s.b"])
        applied = project.plan(restate_models=["s.b"])
    proposed.assert_skipped("s.a", "s.b", reason="not_applied")
    proposed.assert_skipped("s.c", reason="not_selected")
    applied.assert_only_executed("s.a", "s.b")
    assert proposed["s.a"].reasons == ("not_applied",)


def test_intervals_that_an_emptied_plan_records_beyond_cron_are_not_held_back(
    project: Project,
) -> None:
    """A weekly audit on its first Wednesday: SQLMesh books the days since Sunday."""
    project.incremental("s.raw", TICKS, **DAILY)
    project.write(
        "audits/weekly.sql",
        "AUDIT (name weekly, standalone TRUE, cron '@weekly', start '2024-01-07');"
        "SELECT 1 FROM s.raw",
    )
    with at("2024-01-10 13:00"):
        emptied = project.unwitnessed_plan(auto_apply=True, empty_backfill=True)
        early = project.run(ignore_cron=True)
    early.assert_skipped("weekly")
    assert emptied["weekly"].held_back == ()


def test_an_emptied_backfill_counts_as_loaded_and_a_plan_that_did_nothing_does_not(
    kinds: Project,
) -> None:
    """SQLMesh does not apply a plan that has nothing but intervals to empty."""
    with at("2024-01-12 13:00"):
        idle = kinds.unwitnessed_plan(run=True, auto_apply=True, empty_backfill=True)
        kinds.incremental("s.new", TICKS, **DAILY)
        kinds.reload()
        emptied = kinds.unwitnessed_plan("dev", auto_apply=True, empty_backfill=True)
        run = kinds.run("dev")
    assert idle.completion == "nothing_to_do"
    assert {o.reason for o in idle.outcomes.values()} == {"no_changes"}
    assert idle["s.raw"].loaded_through == days(8, 9)[1]
    emptied.assert_skipped("s.new", reason="backfill_emptied")
    assert emptied["s.new"].loaded_through == run["s.new"].loaded_through == days(11, 12)[1]
    run.assert_skipped("s.new", reason="cron_not_due")


def test_intervals_that_a_version_inherits_count_as_loaded(project: Project) -> None:
    """A run reports the same as the plan did, since SQLMesh never evaluates them."""
    project.incremental("s.raw", TICKS, **DAILY)
    project.model("s.view", "SELECT ts, id FROM s.raw", kind="VIEW")
    project.model("s.full", "SELECT ts, id FROM s.raw")
    with at("2024-01-05 15:00"):
        project.plan()
        project.incremental("s.raw", TICKS, stamp="'again'", **DAILY)
        project.reload()
        plan = project.unwitnessed_plan("dev", auto_apply=True, forward_only=True)
        run = project.run("dev")
    for name in ("s.raw", "s.view", "s.full"):
        assert plan[name].loaded_through == run[name].loaded_through == days(4, 5)[1]
    assert {o.status for o in run.outcomes.values()} == {"skipped"}


def test_loaded_through_ends_at_the_first_gap(kinds: Project) -> None:
    with at("2024-01-12 13:00"):
        report = kinds.run(start="2024-01-11")
    assert report["s.by_time"].executed_intervals == (days(11, 12),)
    assert report["s.by_time"].loaded_through == days(8, 9)[1]


def test_intervals_before_a_moving_start_are_not_gaps(project: Project) -> None:
    project.incremental("s.week", TICKS, start="'3 days ago'", **DAILY)
    with at("2024-01-05 13:00"):
        project.plan()
    with at("2024-01-20 13:00"):
        report = project.run()
    assert report["s.week"].executed_intervals == (days(17, 20),)
    assert report["s.week"].loaded_through == days(19, 20)[1]


def test_waiting_starts_when_the_first_missing_interval_is_complete(project: Project) -> None:
    project.incremental("s.hours", TICKS, cron="'@daily'", interval_unit="hour")
    project.incremental("s.partial", TICKS, cron="'@hourly'", allow_partials="true")
    with at("2024-01-09 00:00"):
        project.plan()
    with at("2024-01-09 00:40"):
        nothing = project.run()
    with at("2024-01-09 05:40"):
        some = project.run()
    assert waiting(nothing["s.hours"]) is None
    assert waiting(some["s.hours"]) == "01:00"
    assert waiting(nothing["s.partial"]) is None
    assert waiting(some["s.partial"]) is None


def waiting(outcome: ModelOutcome) -> str | None:
    return f"{outcome.waiting_since:%H:%M}" if outcome.waiting_since else None


def days(first: int, end: int) -> tuple[datetime, datetime]:
    utc = timezone.utc
    return datetime(2024, 1, first, tzinfo=utc), datetime(2024, 1, end, tzinfo=utc)


def test_a_run_from_a_future_start_holds_nothing_back(project: Project) -> None:
    """SQLMesh finds an interval that ends before it starts, where partial ones are allowed."""
    project.incremental("s.part", TICKS, allow_partials="true", **DAILY)
    with at("2024-01-09 12:00"):
        project.plan()
    with at("2024-01-09 13:00"):
        report = project.run(start="2024-01-20", end="2024-01-22")
    assert report["s.part"].reason == "cron_not_due"
    assert report["s.part"].held_back == ()


class _Wrapped:
    """A state sync of the user's own that passes everything on to SQLMesh's."""

    def __init__(self, state_sync: Any) -> None:
        self._wrapped = state_sync

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


def test_intervals_recorded_by_a_custom_state_sync_are_not_reported_as_missing(
    project: Project,
) -> None:
    """Where a state sync records in its own way, what is loaded after the run is not known."""
    project.incremental("s.raw", TICKS, **DAILY)
    with at("2024-01-09 12:00"):
        project.plan()
    project.context._state_sync = _Wrapped(project.context.state_sync)  # type: ignore[assignment]
    with at("2024-01-10 12:00"):
        outcome = project.run()["s.raw"]
    assert outcome.status == "executed"
    assert (outcome.reasons, outcome.waiting_since, outcome.loaded_through) == ((), None, None)
