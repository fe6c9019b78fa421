"""Forecasts across the hours in which clocks are changed, against real runs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from sqlmesh.core.snapshot.definition import inclusive_exclusive
from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.forecast.forecasting import forecast
from tests.projects import Project, at, rows_every

CRONS = {
    "daily": "@daily",
    "hourly": "@hourly",
    "half_hourly": "*/30 * * * *",
    "at_night": "30 2 * * *",
    "on_weekdays": "0 9 * * 1-5",
}
CHANGES = (
    ("Europe/Berlin", "2024-03-31 01:00"),
    pytest.param("Europe/Berlin", "2024-10-27 01:00", marks=pytest.mark.nightly),
    pytest.param("America/New_York", "2024-03-10 07:00", marks=pytest.mark.nightly),
    pytest.param("America/New_York", "2024-11-03 06:00", marks=pytest.mark.nightly),
    pytest.param("Australia/Lord_Howe", "2024-10-05 15:30", marks=pytest.mark.nightly),
    ("Australia/Lord_Howe", "2024-04-06 15:00"),
)
HOURS = 9


@pytest.mark.long
@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_runs_do_what_was_forecast(project: Project, zone: str, change: str) -> None:
    moment = datetime.fromisoformat(change).replace(tzinfo=timezone.utc)
    began = moment - timedelta(hours=HOURS)
    for name, cron in CRONS.items():
        start = f"'{began - timedelta(days=6):%Y-%m-%d}'"
        options = {"cron": f"'{cron}'", "cron_tz": f"'{zone}'", "start": start}
        project.incremental(f"clock.{name}", rows_every("1 hour"), **options)
    with at(began):
        assert project.plan().completion == "success"
    times = [began + timedelta(minutes=30 * number) for number in range(1, 4 * HOURS)]
    with at(began):
        forecasted = forecast(project.context, "prod", at=began, until=times[-1], times=times)
    foreseen = {
        run.at: {
            name: (to_timestamp(spans[0].start), to_timestamp(spans[-1].end))
            for name, spans in run.executed.items()
        }
        for run in forecasted.runs
    }
    for time in times:
        # Each run has a process of its own.
        inclusive_exclusive.cache_clear()
        with at(time):
            report = project.run()
        observed = {
            name: (
                to_timestamp(min(batch.start for batch in report[name].batches)),
                to_timestamp(max(batch.end for batch in report[name].batches)),
            )
            for name in report.executed
        }
        assert foreseen.get(time, {}) == observed, time
    assert len(foreseen) > HOURS
