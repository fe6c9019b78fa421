"""Why models were evaluated: each interval has one cause, and the facts that led to it."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise

import pytest

from pytest_sqlmesh_tracker import Cause, ModelOutcome, RunReport
from tests.projects import Project, at

DAILY = {"cron": "'@daily'"}
TICKS = "SELECT @start_dt AS ts, 1 AS id"


@pytest.fixture
def shop(project: Project) -> Project:
    """raw → orders → totals, which looks back two days; planned to prod on January 9th."""
    project.incremental("s.raw", TICKS, **DAILY)
    project.incremental("s.orders", "SELECT ts, id FROM s.raw", **DAILY)
    project.incremental("s.totals", "SELECT ts, id FROM s.orders", ", lookback 2", **DAILY)
    project.plan_once("2024-01-09 12:00")
    return project


def test_a_new_model_is_loaded_for_the_first_time(project: Project) -> None:
    project.incremental("s.raw", TICKS, **DAILY)
    with at("2024-01-09 12:00"):
        report = project.plan()
    outcome = report["s.raw"]
    assert causes(outcome) == {"first_load": [("2024-01-01", "2024-01-09")]}
    assert (outcome.cause, outcome.cause_evidence) == ("first_load", {"first_load": "observed"})
    assert outcome.changed_by == ()


def test_due_intervals_are_new_and_a_lookback_reloads(shop: Project) -> None:
    with at("2024-01-10 12:00"):
        report = shop.run()
    assert causes(report["s.orders"]) == {"new_interval": [("2024-01-09", "2024-01-10")]}
    assert causes(report["s.totals"]) == {
        "new_interval": [("2024-01-09", "2024-01-10")],
        "reloaded": [("2024-01-07", "2024-01-09")],
    }


def test_intervals_left_out_by_a_window_are_gaps_later(shop: Project) -> None:
    with at("2024-01-11 12:00"):
        newest = shop.run(start="2024-01-10")
        rest = shop.run()
    assert causes(newest["s.orders"]) == {"new_interval": [("2024-01-10", "2024-01-11")]}
    assert causes(rest["s.orders"]) == {"filled_gap": [("2024-01-09", "2024-01-10")]}


def test_intervals_that_are_not_due_are_ahead_of_cron(project: Project) -> None:
    project.incremental("s.hours", TICKS, cron="'@daily'", interval_unit="hour")
    with at("2024-01-09 12:00"):
        project.plan()
    with at("2024-01-10 03:00"):
        report = project.run(ignore_cron=True)
    assert causes(report["s.hours"]) == {
        "new_interval": [("2024-01-09", "2024-01-10")],
        "ahead_of_cron": [("2024-01-10", "2024-01-10 03:00")],
    }


def test_a_restatement_names_the_models_that_the_user_restated(shop: Project) -> None:
    with at("2024-01-09 13:00"):
        report = shop.plan(
            restate_models=["s.raw", "s.orders"], start="2024-01-03", end="2024-01-04"
        )
    assert causes(report["s.raw"]) == {"restated": [("2024-01-03", "2024-01-05")]}
    assert report["s.raw"].restated_by == ("s.raw",)
    assert report["s.raw"].cause_evidence == {"restated": "observed"}
    assert set(report["s.totals"].restated_by) == {"s.raw", "s.orders"}


def test_a_refused_restatement_restates_nothing_downstream(shop: Project) -> None:
    """ledger is not restated, so below it only what raw passes on by the other way is."""
    shop.incremental("s.ledger", "SELECT ts, id FROM s.raw", ", disable_restatement TRUE", **DAILY)
    shop.incremental(
        "s.sums", "SELECT o.ts, o.id FROM s.orders AS o JOIN s.ledger USING (id)", **DAILY
    )
    shop.reload()
    with at("2024-01-09 13:00"):
        shop.plan()
        report = shop.plan(restate_models=["s.ledger", "s.orders"])
    report.assert_skipped("s.ledger", reason="restatement_refused")
    assert report["s.sums"].restated_by == ("s.orders",)


def test_a_restatement_next_to_a_gap(shop: Project) -> None:
    """What a restatement evaluates of models that it does not restate has its own cause."""
    shop.incremental("s.names", TICKS, **DAILY)
    shop.reload()
    with at("2024-01-09 13:00"):
        shop.unwitnessed_plan(auto_apply=True, skip_backfill=True, no_gaps=True)
        shop.run(select_models=["s.names"], start="2024-01-07")
        report = shop.plan(restate_models=["s.names"], start="2024-01-03", end="2024-01-03")
        rest = shop.run()
    assert causes(report["s.names"]) == {"restated": [("2024-01-03", "2024-01-04")]}
    assert causes(rest["s.names"]) == {
        "filled_gap": [("2024-01-01", "2024-01-03"), ("2024-01-04", "2024-01-07")],
    }


@pytest.mark.parametrize(
    "forward_only", [False, True], ids=["a breaking change", "a forward-only change"]
)
def test_a_changed_version_names_the_changed_models(shop: Project, forward_only: bool) -> None:
    shop.incremental("s.raw", "SELECT @start_dt AS ts, 2 AS id", **DAILY)
    shop.reload()
    with at("2024-01-09 13:00"):
        # A forward-only version inherits its intervals in dev, and previews some of them.
        report = shop.unwitnessed_plan(
            "dev", auto_apply=True, forward_only=forward_only, enable_preview=True
        )
    assert report["s.raw"].cause == "first_load"
    assert report["s.raw"].changed_by == ("s.raw",)
    below = report["s.orders"]
    assert (below.cause, below.changed_by) == ("first_load", ("s.raw",))
    # SQLMesh's first versions have a separate category for forward-only changes.
    assert below.change_category in ("indirect_breaking", "forward_only")


def test_intervals_since_effective_from_are_reloaded(shop: Project) -> None:
    """The same table had these days already, from the version before; they are not due by cron."""
    shop.incremental("s.orders", "SELECT ts, 2 AS id FROM s.raw", **DAILY)
    shop.reload()
    since = "2024-01-05"
    with at("2024-01-09 13:00"):
        dev = shop.unwitnessed_plan("dev", auto_apply=True, forward_only=True, effective_from=since)
        report = shop.plan(forward_only=True, effective_from=since)
        rest = shop.run()
    assert dev["s.orders"].causes == ("first_load",)
    assert causes(report["s.orders"]) == {"reloaded": [("2024-01-05", "2024-01-09")]}
    # A lookback goes further back.
    assert causes(report["s.totals"])["reloaded"][-1][1] == "2024-01-09"
    assert report["s.totals"].causes == ("reloaded",)
    assert rest.executed == set()


def test_a_new_parent_changes_its_readers(shop: Project) -> None:
    shop.incremental("s.rates", TICKS, **DAILY)
    shop.incremental("s.orders", "SELECT r.ts, r.id FROM s.raw AS r, s.rates", **DAILY)
    shop.reload()
    with at("2024-01-09 13:00"):
        report = shop.plan("dev")
    assert report["s.rates"].changed_by == ()
    assert report["s.orders"].changed_by == ("s.orders",)
    assert set(report["s.totals"].changed_by) == {"s.rates", "s.orders"}


def test_a_version_that_a_plan_left_unloaded_is_loaded_by_a_run(shop: Project) -> None:
    shop.incremental("s.names", TICKS, **DAILY)
    shop.reload()
    with at("2024-01-09 13:00"):
        shop.unwitnessed_plan(auto_apply=True, skip_backfill=True, no_gaps=True)
        report = shop.run()
    outcome = report["s.names"]
    assert (outcome.cause, outcome.cause_evidence) == ("first_load", {"first_load": "inferred"})
    assert outcome.changed_by == ()


def test_a_restatement_in_prod_removes_intervals_from_dev(shop: Project) -> None:
    """It takes the restated days from the other versions, and dev loads them again."""
    shop.incremental("s.orders", "SELECT ts, 2 AS id FROM s.raw", **DAILY)
    shop.reload()
    with at("2024-01-09 13:00"):
        shop.plan("dev")
        shop.incremental("s.orders", "SELECT ts, id FROM s.raw", **DAILY)
        shop.reload()
        shop.plan(restate_models=["s.raw"], start="2024-01-03", end="2024-01-03")
    with at("2024-01-10 13:00"):
        report = shop.run("dev")
    assert causes(report["s.orders"]) == {
        "removed_before": [("2024-01-03", "2024-01-04")],
        "new_interval": [("2024-01-09", "2024-01-10")],
    }
    assert report["s.orders"].cause_evidence[Cause.REMOVED_BEFORE] == "inferred"


@pytest.mark.parametrize(
    ("window", "removed"),
    [
        ({"start": "2024-01-03", "end": "2024-01-03"}, ("2024-01-03", "2024-01-04")),
        ({}, ("2024-01-01", "2024-01-09")),
    ],
)
def test_removed_intervals_of_a_table_that_a_metadata_change_reuses(
    shop: Project, window: dict[str, str], removed: tuple[str, str]
) -> None:
    """The plan makes a new version of the model, but it was loaded once, and was removed."""
    two = "SELECT ts, 2 AS id FROM s.raw"
    shop.incremental("s.orders", two, **DAILY)
    shop.reload()
    with at("2024-01-09 13:00"):
        shop.plan("dev")
        shop.incremental("s.orders", "SELECT ts, id FROM s.raw", **DAILY)
        shop.reload()
        shop.plan(restate_models=["s.raw"], **window)
        shop.incremental("s.orders", two, description="'Orders'", **DAILY)
        shop.reload()
        report = shop.plan("dev")
    assert causes(report["s.orders"]) == {"removed_before": [removed]}


def test_a_restatement_in_prod_up_to_now_removes_the_latest_intervals_of_dev(shop: Project) -> None:
    """Of the data it takes over from dev, only what dev had loaded is loaded again."""
    shop.incremental("s.orders", "SELECT ts, 2 AS id FROM s.raw", **DAILY)
    shop.reload()
    with at("2024-01-09 13:00"):
        shop.plan("dev")
        shop.incremental("s.orders", "SELECT ts, id FROM s.raw", **DAILY)
        shop.reload()
    with at("2024-01-11 13:00"):
        shop.run()
        shop.plan(restate_models=["s.raw"], start="2024-01-06")
    with at("2024-01-12 13:00"):
        report = shop.run("dev")
    assert causes(report["s.orders"]) == {
        "removed_before": [("2024-01-06", "2024-01-09")],
        "new_interval": [("2024-01-09", "2024-01-12")],
    }


def test_removing_an_hour_removes_the_whole_day(shop: Project) -> None:
    """A restatement in prod takes an hour from a daily model that only dev has: SQLMesh evaluates
    the day, and no hour of it is a gap that had never been loaded."""
    shop.incremental("s.hours", TICKS, cron="'@hourly'")
    shop.reload()
    with at("2024-01-09 13:00"):
        shop.plan()
    shop.incremental("s.days", "SELECT ts, id FROM s.hours", **DAILY)
    shop.reload()
    with at("2024-01-09 13:10"):
        shop.plan("dev")
        shop.plan(restate_models=["s.hours"], start="2024-01-03 01:00", end="2024-01-03 02:00")
        report = shop.run("dev")
    assert causes(report["s.days"]) == {"removed_before": [("2024-01-03", "2024-01-04")]}


def test_automatic_restatements_name_their_triggers(project: Project) -> None:
    project.incremental(
        "s.raw", TICKS, ", auto_restatement_cron '0 6 * * *', auto_restatement_intervals 3", **DAILY
    )
    project.incremental("s.orders", "SELECT ts, id FROM s.raw", **DAILY)
    project.model("s.names", "SELECT 'a' AS name", **DAILY)
    with at("2024-01-09 12:00"):
        project.plan()
    with at("2024-01-10 12:00"):
        report = project.run()
    for name in ("s.raw", "s.orders"):
        assert causes(report[name]) == {
            "auto_restated": [("2024-01-07", "2024-01-09")],
            "new_interval": [("2024-01-09", "2024-01-10")],
        }
        assert report[name].restated_by == ("s.raw",)
    assert (report["s.names"].cause, report["s.names"].restated_by) == ("new_interval", ())


def test_a_failed_automatic_restatement_is_repeated(project: Project) -> None:
    """The next run loads what was removed, though nothing is to be restated then."""
    project.execute("CREATE SCHEMA raw; CREATE TABLE wh.raw.switch AS SELECT 1 AS value")
    project.incremental(
        "s.raw",
        "SELECT @start_dt AS ts, CASE WHEN value = 0 THEN error('down')::INT ELSE 1 END AS id "
        "FROM wh.raw.switch",
        ", auto_restatement_cron '0 6 * * *', auto_restatement_intervals 3",
        **DAILY,
    )
    project.reload()
    with at("2024-01-09 12:00"):
        project.plan()
    with at("2024-01-10 12:00"):
        project.execute("UPDATE wh.raw.switch SET value = 0")
        failed = project.run()
        project.execute("UPDATE wh.raw.switch SET value = 1")
        report = project.run()
    failed.assert_failed("s.raw")
    assert failed["s.raw"].causes == ("auto_restated", "new_interval")
    assert causes(report["s.raw"]) == {
        "removed_before": [("2024-01-07", "2024-01-09")],
        "new_interval": [("2024-01-09", "2024-01-10")],
    }


def test_audits_have_causes_as_well(shop: Project) -> None:
    audited = "SELECT ts, id FROM s.raw"
    shop.incremental("s.orders", audited, audits="(not_null(columns := (id)))", **DAILY)
    shop.reload()
    with at("2024-01-09 13:00"):
        changed = shop.unwitnessed_plan(auto_apply=True)
        requested = audit(shop)
    assert changed["s.orders"].status == "audited"
    assert changed["s.orders"].causes == ("audits_changed",)
    assert causes(requested["s.orders"]) == {"requested": [("2024-01-03", "2024-01-05")]}
    assert requested["s.raw"].causes == ()


def test_models_that_are_not_evaluated_have_none(shop: Project) -> None:
    with at("2024-01-09 13:00"):
        report = shop.run()
    assert {outcome.cause for outcome in report.outcomes.values()} == {None}


def test_a_failed_model_has_the_cause_of_its_attempted_intervals(project: Project) -> None:
    project.incremental(
        "s.raw", "SELECT @start_dt AS ts, error('down') AS id", ", batch_size 3", **DAILY
    )
    project.incremental("s.orders", "SELECT ts, id FROM s.raw", **DAILY)
    with at("2024-01-09 12:00"):
        report = project.plan()
    report.assert_failed("s.raw")
    assert report["s.raw"].causes == (Cause.FIRST_LOAD,)
    assert report["s.orders"].causes == ()


def test_a_batch_that_ends_before_it_starts_has_no_cause(project: Project) -> None:
    """SQLMesh schedules a new weekly model from its start back to its last tick, and refuses that
    batch before it evaluates anything."""
    project.model("s.weekly", "SELECT 1 AS id", cron="'@weekly'")
    project.model("s.daily", "SELECT 1 AS id", **DAILY)
    with at("2024-01-03 12:00"):
        report = project.plan()
    report.assert_failed("s.weekly", match="can't be greater than end date")
    assert causes(report["s.weekly"]) == {}


def causes(outcome: ModelOutcome) -> dict[str, list[tuple[str, str]]]:
    """Cause → intervals, and no interval twice."""
    by_cause = {str(c): spans(i) for c, i in outcome.intervals_by_cause.items()}
    assert tuple(by_cause) == outcome.causes
    assert outcome.cause_evidence.keys() == outcome.intervals_by_cause.keys()
    evaluated = sorted(i for intervals in outcome.intervals_by_cause.values() for i in intervals)
    assert all(one.end <= other.start for one, other in pairwise(evaluated))
    return by_cause


def spans(intervals: tuple[tuple[datetime, datetime], ...]) -> list[tuple[str, str]]:
    return [(_text(start), _text(end)) for start, end in intervals]


def _text(moment: datetime) -> str:
    assert moment.tzinfo is timezone.utc
    return f"{moment:%Y-%m-%d %H:%M}".removesuffix(" 00:00")


def audit(project: Project) -> RunReport:
    from pytest_sqlmesh_tracker import sqlmesh_run_tracker

    with sqlmesh_run_tracker(project.context) as tracker:
        project.context.audit(start="2024-01-03", end="2024-01-04")
    return tracker.last
