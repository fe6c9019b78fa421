"""When models start and end, at moments to come: starts and ends can move with the clock."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from sqlmesh.utils.date import (
    is_categorical_relative_expression,
    is_date,
    to_datetime,
    to_timestamp,
)

from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.moments import is_absolute
from pytest_sqlmesh_tracker.tracking.spans import Millis, utc

from .crons import CronTicks
from .units import Unit

_BASES = (
    datetime(2001, 3, 31, 7, 11, 13, 456000, tzinfo=timezone.utc),
    datetime(2012, 2, 29, 13, 47, 59, tzinfo=timezone.utc),
    datetime(2023, 12, 31, 23, 30, tzinfo=timezone.utc),
)
"""Moments between which months and years are of different lengths."""
_MINUTE = 60 * 1000
DAY = 24 * 60 * _MINUTE


@dataclass(frozen=True)
class Start:
    """When a model starts, as SQLMesh's `start_date` determines it (sqlmesh/core/snapshot)."""

    fixed: Millis | None
    """The earliest start that does not move, of the model or of those upstream."""
    relative: frozenset[str] = frozenset()
    """Those that move with the clock, such as "3 days ago"."""
    crons: frozenset[CronTicks] = frozenset()
    """Those of models without a start, which start one tick ago."""

    @property
    def moves(self) -> bool:
        """Whether it moves with the clock."""
        return bool(self.relative or self.crons)

    def at(self, moment: Millis) -> Millis:
        """The start, for a run at a moment."""
        if self.fixed is not None and not self.moves:
            return self.fixed
        starts = [] if self.fixed is None else [self.fixed]
        starts += [relative_to(expression, moment) for expression in self.relative]
        starts += [cron.before_floor(moment) for cron in self.crons]
        return min(starts)


def start_of(node: Any, cron: CronTicks, parents: Iterable[Start]) -> Start:
    """When a model or standalone audit starts, given when its parents do."""
    if node.start:
        if is_absolute(node.start):
            return Start(to_timestamp(node.start))
        return Start(None, relative=frozenset({node.start}))
    upstream = list(parents)
    crons = frozenset[CronTicks]().union(*(each.crons for each in upstream))
    if not upstream or compat.starts_a_tick_ago():
        crons |= {cron}
    return Start(
        fixed=min((each.fixed for each in upstream if each.fixed is not None), default=None),
        relative=frozenset[str]().union(*(each.relative for each in upstream)),
        crons=crons,
    )


@dataclass(frozen=True)
class End:
    """The end of a model's own intervals."""

    value: Any
    """A `TimeLike`."""

    @property
    def moves(self) -> bool:
        """Whether it moves with the clock."""
        return not is_absolute(self.value)

    @property
    def is_day(self) -> bool:
        """Whether it is a date, and that day is included."""
        return _is_day(self.value)

    def at(self, moment: Millis) -> Millis:
        """The end, for a run at a moment; the beginning of the day if it is a date."""
        return relative_to(self.value, moment) if self.moves else _fixed(self.value)

    def exclusive_at(self, moment: Millis) -> Millis:
        """The first moment that it does not include, for a run at a moment."""
        return self.at(moment) + (DAY if self.is_day else 0)

    def passing(self, unit: Unit, begin: Millis, end: Millis) -> Iterator[Millis]:
        """The moments at which an end that moves comes into another interval of a unit.

        SQLMesh then takes this interval as a whole (`Snapshot.missing_intervals`).

        Args:
            begin: after which moment.
            end: up to which moment.
        """
        minutes = range(begin - begin % _MINUTE + _MINUTE, end + 1, _MINUTE)
        limit, place = unit.ceil(self.at(begin)), 0
        while (place := bisect_right(minutes, limit, lo=place, key=self.at)) < len(minutes):
            yield minutes[place]
            limit = unit.ceil(self.at(minutes[place]))


@lru_cache(maxsize=1024)
def _is_day(value: Any) -> bool:
    return bool(is_date(value))


@lru_cache(maxsize=1024)
def _fixed(value: Any) -> Millis:
    return int(to_timestamp(value))


def relative_to(expression: str, moment: Millis) -> Millis:
    """A relative expression in milliseconds since the epoch, for a clock that shows a moment."""
    # SQLMesh counts from the beginning of the minute (sqlmesh/utils/date.py, `now`).
    moment -= moment % _MINUTE
    if is_categorical_relative_expression(expression):
        # SQLMesh takes the beginning of the day, which many moments share.
        return _parsed(expression, moment - moment % DAY)
    distance = _distance(expression)
    return _parsed(expression, moment) if distance is None else moment + distance


# Parsing takes a thousand times longer than looking up.
@lru_cache(maxsize=16384)
def _parsed(expression: str, moment: Millis) -> Millis:
    return int(to_timestamp(to_datetime(expression, relative_base=utc(moment))))


@lru_cache(maxsize=1024)
def _distance(expression: str) -> Millis | None:
    """How far it always is from the present; None if that differs."""
    distances = {to_datetime(expression, relative_base=base) - base for base in _BASES}
    if len(distances) > 1:
        return None
    (distance,) = distances
    return int(distance / timedelta(milliseconds=1))
