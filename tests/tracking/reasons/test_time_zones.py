"""Crons in other time zones, also in nights in which the clocks change."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tests.projects import Project, at

TICKS = "SELECT @start_dt AS ts, 1 AS id"


@pytest.mark.parametrize(
    ("cron", "zone", "due"),
    [
        # Midnight in Los Angeles, two days after summer time began there.
        ("@daily", "America/Los_Angeles", datetime(2024, 3, 12, 7, tzinfo=timezone.utc)),
        # Three o'clock on Monday in Tokyo is still Sunday elsewhere.
        ("0 3 * * 1", "Asia/Tokyo", datetime(2024, 3, 17, 18, tzinfo=timezone.utc)),
        ("@daily", "UTC", datetime(2024, 3, 13, tzinfo=timezone.utc)),
    ],
)
def test_next_due_is_a_tick_in_the_time_zone_of_the_model(
    project: Project, cron: str, zone: str, due: datetime
) -> None:
    project.incremental("t.model", TICKS, cron=f"'{cron}'", cron_tz=f"'{zone}'")
    with at("2024-03-07 12:00"):
        project.plan()
    with at("2024-03-12 01:00"):
        project.run().assert_executed("t.model")
        report = project.run()
    report.assert_skipped("t.model", reason="cron_not_due")
    assert report["t.model"].next_due == due
    with at((due - timedelta(seconds=4)).replace(tzinfo=None)):
        project.run().assert_skipped("t.model", reason="cron_not_due")
    with at(due.replace(tzinfo=None)):
        project.run().assert_executed("t.model")
