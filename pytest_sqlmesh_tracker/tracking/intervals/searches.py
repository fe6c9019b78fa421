"""Searches for missing intervals with SQLMesh's own function, each made only once.

SQLMesh looks at every interval since a model's start. Where all is loaded up to some time, a search
can begin there, and is then the same for models that start at different times.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlmesh.core.node import IntervalUnit
from sqlmesh.core.snapshot import DeployabilityIndex
from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.tracking.spans import Millis, Span, merged

_ALL_COUNT = DeployabilityIndex.all_deployable()


class Contents(NamedTuple):
    """What the definition of a model says of its intervals, apart from its start and end."""

    unit: IntervalUnit
    lookback: int
    allow_partials: bool
    is_seed: bool


class Search(NamedTuple):
    """Everything on which the result of SQLMesh's `Snapshot.missing_intervals` depends."""

    contents: Contents
    start: datetime | None
    """The model's own."""
    model_end: Any
    loaded: tuple[Span, ...]
    begin: Any
    """A `TimeLike`."""
    end: Any
    """A `TimeLike`: a date is included."""
    bound: Millis
    """Nothing after it counts: the execution time, or the cron's last tick before it."""
    end_bounded: bool


def shortened(search: Search) -> Search:
    """An equivalent search without what is loaded at its beginning, and without its end if that is
    not before the bound."""
    length = fixed_length(search.contents.unit)
    if length is None or search.model_end is not None or not search.loaded:
        return search
    (first, loaded_until), *rest = search.loaded
    begin, end = to_timestamp(search.begin), to_timestamp(search.end)
    # With a lookback, SQLMesh reloads what precedes something that is missing.
    later = loaded_until - loaded_until % length - (search.contents.lookback + 1) * length
    until = min(end, search.bound)
    if not (first <= begin - begin % length and begin < later <= until - length):
        return search
    return search._replace(
        start=None,
        loaded=((later, loaded_until), *rest),
        begin=later,
        end=search.bound if search.bound <= end else search.end,
    )


def fixed_length(unit: IntervalUnit) -> Millis | None:
    """The length of an interval, if all are as long, and begin at a multiple of it since the epoch:
    all but months and years."""
    return None if unit.is_month or unit.is_year else int(unit.milliseconds)


class Searches:
    """The searches of an invocation."""

    def __init__(self) -> None:
        self._results: dict[tuple[Search, type], tuple[Span, ...]] = {}

    def missing(self, search: Search, snapshot: Any) -> tuple[Span, ...]:
        """What SQLMesh finds missing, merged.

        Args:
            search: what to search for.
            snapshot: any whose model has these contents.

        Raises:
            ValueError: as in SQLMesh, if the start is not before the end.
        """
        search = shortened(search)
        # For SQLMesh, equal moments of two types can have different meanings.
        key = search, type(search.end)
        if key not in self._results:
            self._results[key] = _made(search, snapshot)
        return self._results[key]


def _made(search: Search, snapshot: Any) -> tuple[Span, ...]:
    copy = snapshot.copy()
    copy.intervals = list(search.loaded)
    # SQLMesh would parse the start several times.
    copy.node = copy.node.copy(update={"start": search.start, "end": search.model_end})
    spans = copy.missing_intervals(
        search.begin,
        search.end,
        execution_time=search.bound,
        deployability_index=_ALL_COUNT,
        # Of the cron, only the last tick counts, which is the bound.
        ignore_cron=True,
        end_bounded=search.end_bounded,
    )
    return tuple(merged(spans))
