"""Arithmetic on the intervals of SQLMesh's interval units, which is the same for each moment.

SQLMesh looks at each interval since a model's start (`compute_missing_intervals` in
sqlmesh/core/snapshot/definition.py). A forecast makes this search for each model at thousands of
moments, so it computes with spans of intervals instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Protocol

from sqlmesh.core.node import IntervalUnit
from sqlmesh.core.snapshot.definition import compute_missing_intervals

from pytest_sqlmesh_tracker.tracking.spans import Millis, Span, merged, utc


class Unit(Protocol):
    """An interval unit. Intervals begin where the unit's cron ticks."""

    shortest: Millis
    """The length of its shortest interval, as SQLMesh has it."""
    longest: Millis
    """The length of its longest interval."""

    def floor(self, at: Millis) -> Millis:
        """The last beginning of an interval at or before a moment."""

    def ceil(self, at: Millis) -> Millis:
        """The first beginning of an interval at or after a moment."""

    def missing(
        self,
        loaded: Sequence[Span],
        begin: Millis,
        end: Millis,
        lookback: int,
        last: Millis | None,
    ) -> Sequence[Span]:
        """What SQLMesh finds missing, merged.

        Args:
            loaded: the intervals that are loaded, disjoint and in order.
            begin: where an interval begins.
            end: not before `begin`; the last interval is cut off there.
            lookback: how many intervals before a missing one are loaded again.
            last: the model's own end, after which no interval begins.
        """


def unit_of(unit: IntervalUnit) -> Unit:
    """The arithmetic of an interval unit."""
    return CalendarUnit(unit) if unit.is_month or unit.is_year else EvenUnit(unit)


class EvenUnit:
    """A unit whose intervals are as long as each other: all but months and years."""

    def __init__(self, unit: IntervalUnit) -> None:
        self.shortest: Millis = unit.milliseconds
        self.longest = self.shortest

    def floor(self, at: Millis) -> Millis:
        """The last beginning of an interval at or before a moment."""
        return at - at % self.shortest

    def ceil(self, at: Millis) -> Millis:
        """The first beginning of an interval at or after a moment."""
        return at + -at % self.shortest

    def missing(
        self,
        loaded: Sequence[Span],
        begin: Millis,
        end: Millis,
        lookback: int,
        last: Millis | None,
    ) -> Sequence[Span]:
        """What SQLMesh finds missing, merged."""
        length = self.shortest
        count = -((begin - end) // length)
        runs = _not_loaded(loaded, begin, end, length, count)
        if not runs:
            return ()
        if last is not None and lookback:
            # SQLMesh counts the intervals between the model's end and this one's.
            lookback = max(0, lookback - max(0, -((last + length - end) // length)))
        if lookback:
            # An interval is loaded again if the one `lookback` later is missing, or there is none.
            again = [(max(0, first - lookback), after - lookback) for first, after in runs]
            again.append((max(0, count - lookback), count))
            runs = merged([*runs, *(run for run in again if run[0] < run[1])])
        if last is not None:
            limit = -((begin - last) // length)
            runs = [(first, min(after, limit)) for first, after in runs if first < limit]
        return [(begin + first * length, min(begin + after * length, end)) for first, after in runs]


def _not_loaded(
    loaded: Sequence[Span], begin: Millis, end: Millis, length: Millis, count: int
) -> list[tuple[int, int]]:
    """The intervals, counted from `begin`, that are not loaded as a whole, as `[first, after)`."""
    runs: list[tuple[int, int]] = []
    place = 0
    for low, high in loaded:
        first = max(place, -((begin - low) // length))
        after = count if high >= end else (high - begin) // length
        if after <= first:
            continue
        if first > place:
            runs.append((place, min(first, count)))
        place = after
        if place >= count:
            return runs
    runs.append((place, count))
    return runs


class CalendarUnit:
    """Months or years."""

    def __init__(self, unit: IntervalUnit) -> None:
        self.shortest: Millis = unit.milliseconds
        self.longest: Millis = (366 if unit.is_year else 31) * 24 * 60 * 60 * 1000
        self._unit = unit

    def floor(self, at: Millis) -> Millis:
        """The last beginning of an interval at or before a moment."""
        moment = utc(at)
        return _beginning(moment.year, 1 if self._unit.is_year else moment.month)

    def ceil(self, at: Millis) -> Millis:
        """The first beginning of an interval at or after a moment."""
        floor = self.floor(at)
        if floor == at:
            return at
        moment = utc(floor)
        if self._unit.is_year or moment.month == 12:
            return _beginning(moment.year + 1, 1)
        return _beginning(moment.year, moment.month + 1)

    def missing(
        self,
        loaded: Sequence[Span],
        begin: Millis,
        end: Millis,
        lookback: int,
        last: Millis | None,
    ) -> Sequence[Span]:
        """What SQLMesh finds missing, merged."""
        return merged(
            compute_missing_intervals(self._unit, tuple(loaded), begin, end, lookback, last)
        )


def _beginning(year: int, month: int) -> Millis:
    return int(datetime(year, month, 1, tzinfo=timezone.utc).timestamp()) * 1000
