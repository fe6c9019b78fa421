"""What signals hold back, how that affects downstream models, and what happens afterwards.

Loaded so far: up to 2024-05-10. Charged so far is what was settled: up to 2024-05-08.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from pytest_sqlmesh_tracker import ModelOutcome, Sandbox

pytestmark = pytest.mark.sqlmesh_project(at="2024-05-11 06:00")


def withhold(project: Sandbox, source: str, day: str) -> None:
    project.execute(
        f"DELETE FROM raw.deliveries WHERE source = '{source}' AND delivered_for = '{day}'"
    )


def deliver(project: Sandbox, source: str, day: str) -> None:
    project.execute(f"INSERT INTO raw.deliveries VALUES ('{source}', '{day}')")


def days(outcome: ModelOutcome) -> list[str]:
    """The first and the last day of each batch that was loaded."""
    return [f"{b.start:%d} to {b.end - timedelta(days=1):%d}" for b in outcome.recorded_batches]


def test_days_are_charged_once_they_are_settled(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.run(at="2024-05-12 06:00")

    # Of the days up to yesterday, the last two can still change.
    assert days(report["billing.charges"]) == ["09 to 09"]
    report.assert_outcomes(
        {
            "billing.charges": "signal_not_ready",
            "billing.balances": "upstream_not_ready",
            "reports.margin": "upstream_not_ready",
        }
    )
    ((start, end),) = report["billing.charges"].signals["settled"]
    assert (start.day, end.day) == (10, 12)

    # The signal is asked again in every run, but nothing has changed.
    sqlmesh_project.run(at="+1h").assert_nothing_executed()


def test_a_late_file_holds_back_its_day(sqlmesh_project: Sandbox) -> None:
    withhold(sqlmesh_project, "meters", "2024-05-11")

    report = sqlmesh_project.run(at="2024-05-12 06:00")

    # The two days before have come; they are loaded again.
    report.assert_executed("metering.readings", "metering.consumption")
    assert days(report["metering.readings"]) == ["09 to 10"]
    assert days(report["metering.consumption"]) == ["09 to 10"]
    assert list(report["metering.readings"].signals) == ["delivered"]
    report.assert_outcomes(
        {
            "metering.readings": "signal_not_ready",
            "metering.consumption": "upstream_not_ready",
            "grid.losses": "upstream_not_ready",
        }
    )
    # Without lookback there is nothing left to load.
    report.assert_skipped("metering.meters", "metering.silent_meters", reason="upstream_not_ready")
    assert report["metering.meters"].blocked_by == ("metering.readings",)
    report.assert_executed("grid.feed_in", "grid.peak_load", "market.*")


def test_a_gap_stops_models_that_depend_on_their_past_until_it_closes(
    sqlmesh_project: Sandbox,
) -> None:
    withhold(sqlmesh_project, "meters", "2024-05-11")

    report = sqlmesh_project.run(at="2024-05-15 06:00")

    # A balance needs that of the day before; a charge does not.
    assert days(report["billing.charges"]) == ["09 to 10", "12 to 12"]
    assert days(report["billing.balances"]) == ["09 to 09", "10 to 10"]
    report.assert_outcomes({"billing.balances": "depends_on_past_gap"})
    # Rows that are merged by their key, and views, know no days that could be filled in later.
    report.assert_skipped("metering.meters", "metering.silent_meters", reason="depends_on_past_gap")

    deliver(sqlmesh_project, "meters", "2024-05-11")
    report = sqlmesh_project.run(at="2024-05-15 10:00")

    report.assert_only_executed(
        "metering.*", "grid.losses", "billing.charges", "billing.balances", "reports.margin"
    )
    assert days(report["metering.meters"]) == ["11 to 14"]
    assert days(report["billing.charges"]) == ["11 to 11"]
    assert days(report["billing.balances"]) == ["11 to 11", "12 to 12"]


def test_a_week_without_one_day_is_reported_twice(sqlmesh_project: Sandbox) -> None:
    withhold(sqlmesh_project, "grid", "2024-05-11")

    report = sqlmesh_project.run(at="2024-05-12 06:00")

    report.assert_skipped("grid.feed_in", reason="signal_not_ready")
    report.assert_skipped("grid.peak_load", reason="upstream_not_ready")
    report.assert_executed("reports.capacity")
    assert days(report["reports.capacity"]) == ["05 to 10"]

    deliver(sqlmesh_project, "grid", "2024-05-11")
    report = sqlmesh_project.run(at="2024-05-12 10:00")

    report.assert_only_executed("grid.*", "reports.capacity")
    assert days(report["reports.capacity"]) == ["11 to 11"]


def test_prices_are_held_without_a_signal_of_their_own(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.hold("market.prices")

    report = sqlmesh_project.run(at="2024-05-14 06:00")

    report.assert_skipped("market.prices", reason="signal_not_ready")
    report.assert_skipped("market.price_forecast", reason="upstream_not_ready")
    # The prices of settled days up to the 10th were loaded before.
    assert days(report["billing.charges"]) == ["09 to 11"]
    assert days(report["reports.margin"]) == ["09 to 10"]

    sqlmesh_project.release("market.prices")
    report = sqlmesh_project.run(at="2024-05-14 09:00")

    report.assert_only_executed("market.*", "reports.margin")
    assert days(report["reports.margin"]) == ["11 to 11"]
