"""Arithmetic on what is loaded: spans as SQLMesh's state has them, in a process without SQLMesh."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.tracking.spans import Span

Spans = tuple[Span, ...]
_EPOCH, _MILLI = datetime(1970, 1, 1, tzinfo=timezone.utc), timedelta(milliseconds=1)
_MINUTE = 60_000


def without(spans: Iterable[Span], others: Iterable[Span]) -> Spans:
    """The parts of the spans that are in none of the others."""
    left = list(spans)
    for start, end in others:
        pieces = (((a, min(b, start)), (max(a, end), b)) for a, b in left)
        left = [piece for pair in pieces for piece in pair if piece[0] < piece[1]]
    return tuple(left)


def by_the_minute(spans: Iterable[Span]) -> Spans:
    """The spans without seconds: SQLMesh loads some models up to the very moment."""
    rounded = ((start - start % _MINUTE, end - end % _MINUTE) for start, end in spans)
    return tuple(span for span in rounded if span[0] < span[1])


def interval_of(span: Span) -> Interval:
    """The span as datetimes in UTC."""
    return Interval(*(_EPOCH + moment * _MILLI for moment in span))


def span_of(interval: Interval) -> Span:
    """The interval in milliseconds."""
    return (interval.start - _EPOCH) // _MILLI, (interval.end - _EPOCH) // _MILLI
