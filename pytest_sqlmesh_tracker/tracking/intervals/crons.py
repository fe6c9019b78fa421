"""Crons that tick evenly, and those that SQLMesh considers due at different times in different
processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import groupby, islice, pairwise
from typing import Any

from croniter import croniter  # type: ignore[import-untyped,unused-ignore]
from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.tracking.spans import Millis

_BEGIN = datetime(2024, 1, 1)
_DAYS = 400
_COMPARED = 5
"""How many gaps SQLMesh compares (sqlmesh/utils/cron.py, `interval_seconds`)."""
_DAY = 24 * 60 * 60
_FIELDS = 6
"""How many fields a cron has at most, apart from the year."""


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
def safe_cron(cron: str) -> str | None:
    """The rarest cron with equal gaps that ticks whenever an undetermined one does, too.

    None if SQLMesh determines this cron, if it ticks in seconds, or if there is none that SQLMesh
    accepts: `IntervalUnit.from_cron` (sqlmesh/core/node.py) rejects gaps of less than five minutes.
    """
    fields = cron.split()
    if not is_undetermined(cron) or len(fields) > _FIELDS - 1:
        return None
    minute, hour = fields[:2]
    candidates = [f"{minute} {hour} * * *", f"{minute} * * * *"]
    candidates += [
        f"{offset or ''}{'-59' if offset else '*'}/{step} * * * *"
        for step in (30, 20, 15, 12, 10, 6, 5)
        for offset in range(step)
    ]
    return next((each for each in candidates if _includes(each, cron)), None)


def _includes(even: str, cron: str) -> bool:
    """Whether a cron has equal gaps and ticks whenever the other one does."""
    ticks = even_ticks(even)
    return ticks is not None and all(
        ticks.floor(at) == at for at in (to_timestamp(_BEGIN) + 1000 * s for s in _ticks(cron))
    )


@dataclass(frozen=True)
class EvenTicks:
    """The ticks of a cron in UTC if the gaps between them are all equal."""

    first: Millis
    """One of the ticks."""
    gap: Millis

    def floor(self, at: Millis) -> Millis:
        """The last tick at or before a moment."""
        return at - (at - self.first) % self.gap

    def next(self, at: Millis) -> Millis:
        """The first tick after a moment."""
        return self.floor(at) + self.gap


@lru_cache(maxsize=16384)
def even_ticks(cron: str) -> EvenTicks | None:
    """The ticks of a cron in UTC; None if the gaps between them differ, or if it ticks rarely, or
    only in some years."""
    fields, number, gap = _fields(cron), 0, 0
    if len(fields) > _FIELDS:
        return None
    ticks = _ticks(cron)
    first = next(ticks)
    for number, tick in enumerate(ticks, 1):
        gap = gap or tick - first
        if tick != first + number * gap:
            return None
    if number < (1 if _is_daily(fields) else _COMPARED):
        return None
    return EvenTicks(to_timestamp(_BEGIN) + first * 1000, gap * 1000)


def _ticks(cron: str) -> Iterator[int]:
    """Ticks in seconds: those of two days if all days are alike, else those of over a year."""
    fields = _fields(cron)
    minutes, hours, seconds = (
        list(range(size)) if field == ["*"] else field
        for field, size in zip((*fields[:2], fields[5]), (60, 24, 60), strict=True)
    )
    times = [
        3600 * hour + 60 * minute + second
        for hour in sorted(hours)
        for minute in sorted(minutes)
        for second in sorted(seconds)
    ]
    for day in range(2) if _is_daily(fields) else _days(cron):
        yield from (_DAY * day + time for time in times)


def _fields(cron: str) -> list[list[Any]]:
    """The values of each field: minutes, hours, days, months, weekdays, seconds."""
    expanded = croniter.expand(cron)[0]
    return expanded if len(expanded) >= _FIELDS else [*expanded, [0]]


def _is_daily(fields: list[list[Any]]) -> bool:
    """Whether all days are alike."""
    return fields[2:5] == [["*"]] * 3


def _days(cron: str) -> Iterator[int]:
    """The days on which a cron ticks, counted from 2024-01-01 as 0."""
    ticks, day = croniter(cron, _BEGIN), -1
    while day < _DAYS:
        ticks.set_current(_BEGIN + timedelta(days=day + 1, seconds=-1), force=True)
        day = (ticks.get_next(datetime) - _BEGIN).days
        yield day
