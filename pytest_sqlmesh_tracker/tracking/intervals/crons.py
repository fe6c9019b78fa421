"""Crons that SQLMesh considers due at different times in different processes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import groupby, islice, pairwise

from croniter import croniter  # type: ignore[import-untyped,unused-ignore]

_BEGIN = datetime(2024, 1, 1)
_DAYS = 400
_COMPARED = 5
"""How many gaps SQLMesh compares (sqlmesh/utils/cron.py, `interval_seconds`)."""
_DAY = 24 * 60


@lru_cache(maxsize=16384)
def is_undetermined(cron: str) -> bool:
    """Whether the time at which SQLMesh considers this cron due depends on the process.

    SQLMesh looks at five gaps between ticks, after the moment at which a process first uses a cron.
    If they are equal, it assumes that all gaps are, and steps back from a later tick by that length
    (`Node.cron_floor`). If gaps are equal at some times and not at others, one process finds
    intervals due that another does not, some of them before they are over.
    """
    gaps, longest = set(), 0
    for _, run in groupby(following - tick for tick, following in pairwise(_ticks(cron))):
        equal = list(islice(run, _COMPARED))
        gaps.add(equal[0])
        longest = max(longest, len(equal))
        if len(gaps) > 1 and longest == _COMPARED:
            return True
    return False


@lru_cache(maxsize=16384)
def even_gap(cron: str) -> int | None:
    """The milliseconds between any two ticks of a cron in UTC; None if they differ or are rare."""
    gaps = [following - tick for tick, following in pairwise(_ticks(cron))]
    enough = 1 if _is_daily(croniter.expand(cron)[0]) else _COMPARED
    return gaps[0] * 60_000 if len(gaps) >= enough and len(set(gaps)) == 1 else None


def _ticks(cron: str) -> Iterator[int]:
    """Ticks in minutes: those of two days if all days are alike, else those of over a year."""
    expanded = croniter.expand(cron)[0]
    minutes, hours = (
        list(range(size)) if field == ["*"] else field
        for field, size in zip(expanded, (60, 24), strict=False)
    )
    times = sorted(60 * hour + minute for hour in hours for minute in minutes)
    for day in range(2) if _is_daily(expanded) else _days(cron):
        yield from (_DAY * day + time for time in times)


def _is_daily(expanded: list[list[str | int]]) -> bool:
    """Whether all days are alike."""
    return expanded[2:5] == [["*"]] * 3


def _days(cron: str) -> Iterator[int]:
    """The days on which a cron ticks, counted from 2024-01-01 as 0."""
    ticks, day = croniter(cron, _BEGIN), -1
    while day < _DAYS:
        ticks.set_current(_BEGIN + timedelta(days=day + 1, seconds=-1), force=True)
        day = (ticks.get_next(datetime) - _BEGIN).days
        yield day
