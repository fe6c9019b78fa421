"""`run_until`: runs at regular times, or at the ticks of a cron."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import Sandbox, SandboxError
from pytest_sqlmesh_tracker.sandbox.clock import Moment, run_times
from tests.sandbox.building import Sandboxes

SINCE = datetime(2024, 1, 5, 0, 5, tzinfo=timezone.utc)
"""A Friday."""


def times(end: Moment, every: str | timedelta) -> list[str]:
    return [f"{time:%m-%d %H:%M}" for time in run_times(end, every, since=SINCE)]


@pytest.mark.parametrize("every", ["1 day", "+1 day", "24h", "+ 24 hours", timedelta(days=1)])
@pytest.mark.parametrize("end", ["2024-01-07 00:05", datetime(2024, 1, 7, 12), "+2 days", "2d"])
def test_the_last_time_is_the_end_or_before_it(end: Moment, every: str | timedelta) -> None:
    assert times(end, every) == ["01-06 00:05", "01-07 00:05"]


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("@daily", ["01-06 00:00", "01-07 00:00", "01-08 00:00"]),
        ("30 6 * * 1-5", ["01-05 06:30"]),
        ("5 0 * * *", ["01-06 00:05", "01-07 00:05"]),
        ("@weekly", ["01-07 00:00"]),
    ],
)
def test_a_cron_ticks_after_the_time_that_was_set(every: str, expected: list[str]) -> None:
    assert times(date(2024, 1, 8), every) == expected


@pytest.mark.parametrize("every", ["day", "1 month", "", "61 * * * *", "-1h", 5, None, "0h"])
def test_what_is_neither_a_duration_nor_a_cron_is_rejected(every: str) -> None:
    with pytest.raises(SandboxError, match=r"every must be|a relative time must be"):
        times("2024-01-08", every)


@pytest.mark.parametrize("end", ["2024-01-05 23:00", "2024-01-04", "+1h"])
def test_an_end_before_the_first_run_is_rejected(end: str) -> None:
    message = (
        r"makes no run: the first would be at 2024-01-06 00:05:00 UTC, as the sandbox's time was "
        r"last set to 2024-01-05 00:05:00 UTC"
    )
    with pytest.raises(SandboxError, match=message):
        times(end, "1 day")


class TestASandbox:
    @pytest.mark.long
    def test_runs_at_each_time(self, payroll: Path, sandboxes: Sandboxes) -> None:
        with sandboxes(payroll) as sandbox:
            reports = sandbox.run_until("2024-01-08 00:05", every="1 day")
            assert [f"{r.execution_time:%Y-%m-%d %H:%M}" for r in reports] == [
                "2024-01-06 00:05",
                "2024-01-07 00:05",
                "2024-01-08 00:05",
            ]
            assert sandbox.tracker.reports == reports
            for report in reports:
                report.assert_executed("pay.hours", batches=1)

    def test_continues_from_the_time_that_was_set_not_from_what_has_ticked(
        self, payroll: Path, sandboxes: Sandboxes
    ) -> None:
        with sandboxes(payroll) as sandbox:
            for _ in range(2):
                sandbox.run_until("+2h", every="1h")
            assert sandbox.tracker.last.execution_time.replace(microsecond=0) == SINCE + timedelta(
                hours=4
            )

    def test_passes_on_arguments(self, payroll: Path, sandboxes: Sandboxes) -> None:
        with sandboxes(payroll) as sandbox:
            (report,) = sandbox.run_until(
                "+1 day", every="1 day", environment="prod", select_models=["pay.hours"]
            )
            report.assert_executed("pay.hours")
            report.assert_skipped("pay.slips", reason="not_selected")

    @pytest.mark.long
    def test_goes_on_after_a_failure(self, payroll: Path, sandboxes: Sandboxes) -> None:
        def statuses(sandbox: Sandbox) -> list[str]:
            reports = sandbox.run_until("+3 days", every="1 day")
            return [report["pay.hours"].status for report in reports]

        with sandboxes(payroll) as sandbox:
            sandbox.fail("pay.hours", times=1)
            assert statuses(sandbox) == ["failed", "executed", "executed"]
