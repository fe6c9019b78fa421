"""How long a model takes, and since when that has changed."""

from __future__ import annotations

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
    time as the last one are compared with it.
    """
    if not executions:
        return None
    last = executions[-1]
    alike = [each for each in executions if each.evaluated == last.evaluated]
    durations = [each.duration for each in alike]
    place = _first_that_differs(durations)
    if place is None:
        return Durations(last=last.duration, median=_median(durations), executions=len(alike))
    change = DurationChange(
        since=alike[place].started_at,
        before=_median(durations[max(0, place - _MOST_BEFORE) : place]),
        after=_median(durations[place:]),
    )
    return Durations(
        last=last.duration, median=change.after, executions=len(alike) - place, change=change
    )


def _first_that_differs(durations: Sequence[timedelta]) -> int | None:
    """The place of the first execution from which on all took much longer than those before, or all
    much less long."""
    for place in range(_FEWEST_BEFORE, len(durations) - _FEWEST_SINCE + 1):
        before = _median(durations[max(0, place - _MOST_BEFORE) : place])
        since = durations[place:]
        if much_longer(min(since), before) or much_longer(before, max(since)):
            return place
    return None


def _median(durations: Sequence[timedelta]) -> timedelta:
    return timedelta(seconds=median(each.total_seconds() for each in durations))
