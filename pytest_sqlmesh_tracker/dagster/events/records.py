"""Which intervals of a model Dagster has on record."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK, fitting
from pytest_sqlmesh_tracker.outcomes.types import Interval

from .history import latest_evaluation

Span = tuple[int, int]
"""A half-open interval, in milliseconds since the epoch."""
Spans = tuple[Span, ...]
_PAGE = 1000
_EPOCH, _MILLI = datetime(1970, 1, 1, tzinfo=timezone.utc), timedelta(milliseconds=1)
_MINUTE = 60_000
_EVERYTHING = (-sys.maxsize, sys.maxsize)
_SPAN = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?: (?P<time>\d\d:\d\d))?"
    r"(?: \.\.(?: (?P<last>\d{4}-\d\d-\d\d))?(?: (?P<until>\d\d:\d\d) UTC)?)?"
)
"""What `formats.span` says of an interval."""


def without(spans: Iterable[Span], taken: Iterable[Span]) -> Spans:
    """What of the spans is in none of those that are taken."""
    left = list(spans)
    for start, end in taken:
        pieces = (((a, min(b, start)), (max(a, end), b)) for a, b in left)
        left = [piece for pair in pieces for piece in pair if piece[0] < piece[1]]
    return tuple(left)


def by_the_minute(spans: Iterable[Span]) -> Spans:
    """The spans as records have them: without seconds."""
    cut = ((start - start % _MINUTE, end - end % _MINUTE) for start, end in spans)
    return tuple(span for span in cut if span[0] < span[1])


def interval(span: Span) -> Interval:
    """The span as datetimes in UTC."""
    return Interval(*(_EPOCH + moment * _MILLI for moment in span))


def on_record(
    instance: dg.DagsterInstance, key: dg.AssetKey, environment: str, *, after: int
) -> Iterator[Span]:
    """What was told of an asset: as materialized, or in its check, of a failure in the middle.

    A record that can't be read to its end stands for all that there is.

    Args:
        after: the event in Dagster's log since which materializations count.
    """
    told = [found.metadata for found in _materializations(instance, key, after)]
    check = latest_evaluation(instance, dg.AssetCheckKey(key, STATUS_CHECK))
    if check and not check.passed:
        told.append(check.metadata)
    for metadata in told:
        facts = {name: str(value.value) for name, value in metadata.items()}
        if _named(facts.get("sqlmesh/environment", "")) == _named(environment):
            yield from _read(facts.get("sqlmesh/intervals", ""))


def _materializations(
    instance: dg.DagsterInstance, key: dg.AssetKey, after: int
) -> Iterator[dg.AssetMaterialization]:
    since = dg.AssetRecordsFilter(asset_key=key, after_storage_id=after)
    cursor, more = None, True
    while more:
        page = instance.fetch_materializations(since, limit=_PAGE, cursor=cursor)
        yield from filter(None, (record.asset_materialization for record in page.records))
        cursor, more = page.cursor, page.has_more


def _named(environment: str) -> str:
    """As SQLMesh calls it."""
    return fitting(environment).lower()


def _read(text: str) -> Iterator[Span]:
    for said in filter(None, text.split(", ")):
        match = _SPAN.fullmatch(said)
        yield _meant(**match.groupdict()) if match else _EVERYTHING


def _meant(day: str, time: str | None, last: str | None, until: str | None) -> Span:
    start, end = _moment(day, time), _moment(last or day, until)
    return start, end if until else end + 24 * 60 * _MINUTE


def _moment(day: str, time: str | None) -> int:
    return (datetime.fromisoformat(f"{day} {time or '00:00'}+00:00") - _EPOCH) // _MILLI
