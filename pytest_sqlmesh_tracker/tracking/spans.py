"""Arithmetic on time spans in milliseconds, with SQLMesh's own functions.

Importing this module does not import SQLMesh.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

from pytest_sqlmesh_tracker.outcomes.types import Interval

Millis = int
"""Milliseconds since the epoch, SQLMesh's own unit of time."""
Span = tuple[Millis, Millis]
"""A half-open interval `[start, end)`."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, with those that overlap or touch joined."""
    from sqlmesh.core.snapshot.definition import merge_intervals

    return merge_intervals(list(spans))


def without(spans: Iterable[Span], removed: Iterable[Span]) -> list[Span]:
    """The parts of the spans that lie outside the removed ones, merged."""
    from sqlmesh.core.snapshot.definition import remove_interval

    remaining = merged(spans)
    for start, end in merged(removed):
        remaining = remove_interval(remaining, start, end)
    return remaining


def within(spans: Iterable[Span], limits: Iterable[Span]) -> list[Span]:
    """The parts of the spans that lie inside the limits, merged."""
    spans = list(spans)
    return without(spans, without(spans, limits))


def overlaps(span: Span, others: Iterable[Span]) -> bool:
    """Whether a span has a part in common with any of the others.

    For a model that has not reached its first tick, SQLMesh computes spans that end before they
    start. Such a span overlaps only itself.
    """
    others = list(others)
    return span in others or any(start < span[1] and span[0] < end for start, end in others)


def units(spans: Iterable[Span], interval_unit: Any) -> list[Span]:
    """The spans cut into pieces of SQLMesh's interval unit, as its scheduler cuts them."""
    from sqlmesh.core.snapshot.definition import expand_range

    return [
        piece for start, end in spans for piece in pairwise(expand_range(start, end, interval_unit))
    ]


def utc(millis: Millis) -> datetime:
    """The moment as a timezone-aware datetime in UTC."""
    return datetime.fromtimestamp(millis / 1000, timezone.utc)


def as_intervals(spans: Iterable[Span]) -> tuple[Interval, ...]:
    """The spans as a report has them: in UTC, merged.

    Spans that end before they start are dropped: SQLMesh computes them for a model that allows
    partial intervals if the start of the run is still to come.
    """
    forward = [(start, end) for start, end in spans if start < end]
    return tuple(Interval(utc(start), utc(end)) for start, end in merged(forward))
