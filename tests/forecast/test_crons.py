"""The ticks of a cron that is walked once: the same that SQLMesh computes at each moment."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from sqlmesh.core.dialect import parse
from sqlmesh.core.model import SqlModel, load_sql_based_model
from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.forecast.crons import CronTicks

CRONS = ("@daily", "@hourly", "30 2 * * *", "0 9 * * 1-5", "*/30 * * * *", "@monthly", "15 1 * * 0")
HOUR = 60 * 60 * 1000
HALF_HOURS = sorted({*range(-60, 60, 7), *range(-8, 9)})
"""Around a clock change, and from there to more than a day before and after it."""
ZONES = (None, "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
CLOCK_CHANGES = tuple(
    datetime.fromisoformat(change).replace(tzinfo=timezone.utc)
    for change in ("2024-03-31T01:00", "2024-10-27T01:00", "2024-11-03T06:00", "2024-04-06T15:00")
)


def node(cron: str, zone: str | None) -> Any:
    in_zone = f", cron_tz '{zone}'" if zone else ""
    definition = f"MODEL (name a.b, kind FULL, cron '{cron}'{in_zone}); SELECT 1 AS id"
    model = load_sql_based_model(parse(definition))
    assert isinstance(model, SqlModel)
    return model


@pytest.mark.long
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", CRONS)
def test_ticks_around_clock_changes(cron: str, zone: str | None) -> None:
    model, minutes = node(cron, zone), count()
    for change in CLOCK_CHANGES:
        at = to_timestamp(change)
        ticks = CronTicks(model, at - 30 * HOUR)
        for moment in (at + half_hours * HOUR // 2 for half_hours in HALF_HOURS):
            # SQLMesh remembers conversions for a minute, but not which of two equal times it was.
            with time_machine.travel(datetime(2024, 1, 1) + timedelta(minutes=next(minutes))):
                following = to_timestamp(model.cron_next(moment))
            with time_machine.travel(datetime(2024, 1, 1) + timedelta(minutes=next(minutes))):
                floor = to_timestamp(model.cron_floor(moment))
            with time_machine.travel(datetime(2024, 1, 1) + timedelta(minutes=next(minutes))):
                before = to_timestamp(model.cron_prev(model.cron_floor(moment)))
            assert (ticks.next(moment), ticks.floor(moment)) == (following, floor), moment
            if not shown_twice(floor, zone):
                assert ticks.before_floor(moment) == before, moment


def shown_twice(moment: int, zone: str | None) -> bool:
    """Whether a wall clock shows this time twice, because it is set back."""
    shown = datetime.fromtimestamp(moment / 1000, ZoneInfo(zone or "UTC"))
    return shown.replace(fold=0).utcoffset() != shown.replace(fold=1).utcoffset()


def test_ticks_between_two_moments() -> None:
    ticks = CronTicks(node("0 9 * * 1-5", None), to_timestamp("2024-01-05"))
    between = ticks.between(to_timestamp("2024-01-05 09:00"), to_timestamp("2024-01-09 09:00"))
    assert between == [to_timestamp("2024-01-08 09:00"), to_timestamp("2024-01-09 09:00")]


def test_a_moment_before_the_first_one_is_rejected() -> None:
    ticks = CronTicks(node("0 9 * * 1-5", None), to_timestamp("2024-01-05"))
    with pytest.raises(ValueError, match="where the ticks begin"):
        ticks.next(to_timestamp("2024-01-04"))
