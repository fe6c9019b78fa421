"""How long a model takes, and since when that has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from .types import DurationChange, Durations, much_longer

MOST = 60
"""How many executions of a model are compared at most, the last ones."""
_FEWEST_BEFORE, _MOST_BEFORE = 5, 30
"""How many executions before a change it is compared with."""
_FEWEST_SINCE = 3
"""How many executions make a change."""


@dataclass(frozen=True)
class Execution:
    """One execution of a model."""

    started_at: datetime
    """When its invocation began, in UTC."""
    duration: timedelta
    """The sum over its batches."""
    evaluated: timedelta
    """The sum of the lengths of the intervals that were evaluated."""


def durations_of(executions: Sequence[Execution]) -> Durations | None:
    """How long a model takes, from its last executions in the order of time; None without any.

    A day takes less long than a month of the same model, so only executions that evaluated as much
    time as most did are compared; of lengths that are equally frequent, the latest one counts.
    """
    if not executions:
        return None
    last = executions[-1]
    lengths = Counter(each.evaluated for each in reversed(executions))
    usual = max(lengths, key=lambda length: lengths[length])
    alike = [each for each in executions if each.evaluated == usual]
    durations = [each.duration for each in alike]
    place = _first_that_differs(durations)
    change = None
    if place is not None:
        before = durations[max(0, place - _MOST_BEFORE) : place]
        durations = durations[place:]
        change = DurationChange(
            since=alike[place].started_at, before=_median(before), after=_median(durations)
        )
    return Durations(
        last=last.duration,
        median=_median(durations),
        executions=len(durations),
        change=change,
        is_slowest=last.evaluated == usual and _is_slowest(durations),
    )


def _is_slowest(durations: Sequence[timedelta]) -> bool:
    *before, last = durations
    return (
        len(before) >= _FEWEST_BEFORE and last > max(before) and much_longer(last, _median(before))
    )


def _first_that_differs(durations: Sequence[timedelta]) -> int | None:
    """The place of the first execution from which on all took much longer than those before, or all
    much less long, and than nine tenths of those before."""
    for place in range(_FEWEST_BEFORE, len(durations) - _FEWEST_SINCE + 1):
        before = sorted(durations[max(0, place - _MOST_BEFORE) : place])
        tenth, usual = len(before) // 10, _median(before)
        least, most = min(durations[place:]), max(durations[place:])
        if much_longer(least, usual) and least > before[-1 - tenth]:
            return place
        if much_longer(usual, most) and most < before[tenth]:
            return place
    return None


def _median(durations: Sequence[timedelta]) -> timedelta:
    return timedelta(seconds=median(each.total_seconds() for each in durations))
