"""Which days are loaded, in which batches, and what a failed batch leaves behind.

Loaded so far: up to 2024-05-10. Charged so far is what was settled: up to 2024-05-08.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pytest_sqlmesh_tracker import ModelOutcome, Sandbox

pytestmark = pytest.mark.sqlmesh_project(at="2024-05-11 06:00")

LATE = "2024-05-14 06:00"
"""After two nights without a run."""


def batches(outcome: ModelOutcome) -> dict[str, str]:
    """The first and the last day of each batch, and what became of it."""
    day = timedelta(days=1)
    return {f"{b.start:%d} to {b.end - day:%d}": b.status for b in outcome.batches}


@pytest.mark.sqlmesh_project(plan=False)
def test_the_first_plan_loads_the_past_in_batches(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.plan()

    report.assert_executed("*")
    assert batches(report["metering.readings"]) == {
        "01 to 03": "executed",
        "04 to 06": "executed",
        "07 to 09": "executed",
        "10 to 10": "executed",
    }
    settled = ("2024-05-01", "2024-05-09")
    report.assert_executed("billing.charges", intervals=settled, batches=2)
    report.assert_executed("billing.balances", intervals=settled, batches=8)
    report.assert_executed("reports.margin", intervals=settled, batches=1)


def test_every_night_loads_two_days_again(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.run(at="2024-05-12 06:00")

    assert batches(report["metering.readings"]) == {"09 to 11": "executed"}
    assert batches(report["metering.consumption"]) == {"09 to 11": "executed"}
    # It has no lookback.
    assert batches(report["metering.meters"]) == {"11 to 11": "executed"}


def test_the_second_batch_fails_and_the_next_run_loads_it(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.fail("metering.readings", batch=1, times=1)

    report = sqlmesh_project.run(at=LATE)

    report.assert_failed("metering.readings")
    assert batches(report["metering.readings"]) == {"09 to 11": "executed", "12 to 13": "failed"}
    report.assert_skipped("metering.consumption", "billing.charges", reason="upstream_failed")
    report.assert_executed("grid.feed_in", "grid.peak_load", "market.*")

    report = sqlmesh_project.run(at="+1h")

    # What was loaded an hour ago is loaded again as far as lookback wants it.
    assert batches(report["metering.readings"]) == {"10 to 12": "executed", "13 to 13": "executed"}
    report.assert_only_executed(
        "metering.*", "grid.losses", "billing.charges", "billing.balances", "reports.margin"
    )


def test_readings_need_no_batch_before_them(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.fail("metering.readings", batch=0)

    report = sqlmesh_project.run(at=LATE)

    assert batches(report["metering.readings"]) == {"09 to 11": "failed", "12 to 13": "executed"}
    assert report["metering.readings"].partial


def test_a_balance_needs_the_previous_balance(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.fail("billing.balances", batch=1, times=1)

    report = sqlmesh_project.run(at=LATE)

    assert batches(report["billing.balances"]) == {
        "09 to 09": "executed",
        "10 to 10": "failed",
        "11 to 11": "skipped",
    }

    report = sqlmesh_project.run(at="+1h")

    report.assert_only_executed("billing.balances")
    report.assert_executed("billing.balances", intervals=("2024-05-10", "2024-05-12"), batches=2)


def test_a_meter_running_backwards_stops_its_batch(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.execute("UPDATE raw.readings SET kwh = -1 WHERE read_at = '2024-05-12'")

    report = sqlmesh_project.run(at=LATE)

    report.assert_failed("metering.readings", reason="audit_failed")
    report.assert_audit_failed("metering.readings", "not_negative")
    assert batches(report["metering.readings"]) == {"09 to 11": "executed", "12 to 13": "failed"}


def test_a_meter_counting_too_much_stops_nothing(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.execute("UPDATE raw.readings SET kwh = 60 WHERE read_at = '2024-05-12'")

    report = sqlmesh_project.run(at=LATE)

    report.assert_audit_failed("metering.readings", "accepted_range")
    report.assert_executed("metering.*", "billing.*")
    assert report.completion == "success"


def test_a_restated_balance_loses_days_that_are_not_charged_yet(sqlmesh_project: Sandbox) -> None:
    lost = "SELECT DISTINCT day FROM billing.charges EXCEPT SELECT day FROM billing.balances"
    restated: dict[str, Any] = {
        "restate_models": ["billing.balances"],
        "start": "2024-05-05",
        "end": "2024-05-05",
    }

    # SQLMesh restates a model that needs its own past up to the present, signals of its parents
    # notwithstanding: these days count as loaded without rows.
    sqlmesh_project.plan(at="2024-05-12 06:00", **restated)
    sqlmesh_project.run(at=LATE)
    assert len(sqlmesh_project.rows(lost)) == 3

    sqlmesh_project.plan(**restated)
    assert sqlmesh_project.rows(lost) == []
