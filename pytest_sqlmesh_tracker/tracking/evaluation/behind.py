"""Intervals that were evaluated before they were loaded upstream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlmesh.utils.date import make_exclusive, to_timestamp

from pytest_sqlmesh_tracker.outcomes.outcome import Batch
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.tracking.events.recording import Recording
from pytest_sqlmesh_tracker.tracking.intervals.crons import even_ticks
from pytest_sqlmesh_tracker.tracking.intervals.schedules import Ticks
from pytest_sqlmesh_tracker.tracking.intervals.snapshots import Snapshots
from pytest_sqlmesh_tracker.tracking.spans import (
    Millis,
    Span,
    as_intervals,
    within,
    without,
)

_TICKS, _AT_MOST = 12, 3_000
"""The minimum and maximum number of ticks of each cron that are compared."""
_WEEK = 8 * 24 * 60 * 60 * 1000
"""The minimum span of the ticks in milliseconds: a week and a day, so that pauses at night and on
Sundays count."""


class UpstreamBehind:
    """Finds the intervals that one invocation evaluated before they were loaded upstream."""

    def __init__(self, recording: Recording, stored: Snapshots, at: datetime) -> None:
        self._recording = recording
        self._stored = stored
        self._at = to_timestamp(at)

    def of(self, name: str, batches: Sequence[Batch]) -> dict[str, tuple[Interval, ...]]:
        """The intervals of these batches that each upstream model had not loaded when they began.

        Returns:
            Fully qualified name of an upstream model → those intervals; models that had loaded
            everything are left out.
        """
        if not batches or name not in self._stored.frozen:
            return {}
        if not _keeps_rows(self._stored.snapshot(name)):
            return {}
        behind: dict[str, list[Span]] = {}
        upstream = list(self._upstream(name))
        for batch in batches:
            began = self._began(name, batch)
            if batch.status is not Status.EXECUTED or began is None:
                continue
            span = to_timestamp(batch.start), to_timestamp(batch.end)
            for parent in upstream:
                not_loaded = self._not_loaded(parent, span, began)
                behind.setdefault(parent, []).extend(not_loaded)
        return {
            parent: as_intervals(spans)
            for parent, spans in behind.items()
            if spans and self._is_due_as_often(parent, name, spans[0][0])
        }

    def _upstream(self, name: str) -> Iterator[str]:
        """The models whose tables the model reads, directly or through views, embedded and symbolic
        models."""
        seen, queue = {name}, [name]
        while queue:
            for parent in self._stored.frozen[queue.pop(0)].snapshot.parents:
                if parent.name in seen or parent.name not in self._stored.frozen:
                    continue
                seen.add(parent.name)
                snapshot = self._stored.snapshot(parent.name)
                if _is_looked_through(snapshot):
                    queue.append(parent.name)
                elif _keeps_rows(snapshot):
                    yield parent.name

    def _began(self, name: str, batch: Batch) -> datetime | None:
        end = self._recording.rounds[batch.round].ends.get((name, batch.index))
        return end.started_at if end else None

    def _not_loaded(self, parent: str, span: Span, began: datetime) -> list[Span]:
        """The parts of the span that the upstream model has to load and had not loaded at that
        moment."""
        snapshot = self._stored.snapshot(parent)
        start, end = to_timestamp(self._stored.start(parent, self._at)), self._complete(snapshot)
        if snapshot.node.end:
            end = min(end, to_timestamp(make_exclusive(snapshot.node.end)))
        if start >= end:
            return []
        loaded = [*self._stored.loaded(parent), *self._recorded(parent, began)]
        return without(within([span], [(start, end)]), loaded)

    def _complete(self, snapshot: Any) -> Millis:
        """The end of the model's last complete interval at the execution time, whatever its
        cron."""
        if snapshot.allow_partials:
            return self._at
        return self._stored.ticks.floor(snapshot.node.interval_unit, self._at)

    def _recorded(self, name: str, before: datetime) -> Iterator[Span]:
        """What this invocation had recorded by that moment in the table that downstream models
        read."""
        index = self._stored.deployability_index
        snapshot = self._stored.snapshot(name)
        if index and index.is_representative(snapshot) and not index.is_deployable(snapshot):
            # In dev, some models, such as those with an auto_restatement_cron, are evaluated into
            # a separate table, while downstream models read the table of prod
            # (sqlmesh/core/scheduler.py, `evaluate`; sqlmesh/core/snapshot/definition.py,
            # `to_table_mapping`).
            return
        for round_ in self._recording.rounds:
            for number, span in enumerate((round_.batches or {}).get(name, ())):
                end = round_.ends.get((name, number))
                if end and end.recorded and end.finished_at <= before:
                    yield span

    def _is_due_as_often(self, parent: str, name: str, since: Millis) -> bool:
        """Whether the parent's longest pause between ticks is at most as long as the child's."""
        ticks = self._stored.ticks
        of_parent, of_child = (
            _longest_pause(ticks, self._stored.snapshot(each).node, since)
            for each in (parent, name)
        )
        return of_parent <= of_child


def _longest_pause(ticks: Ticks, node: Any, since: Millis) -> Millis:
    even = even_ticks(node.cron) if node.cron_tz is None else None
    if even:
        return even.gap
    longest, tick = 0, ticks.next(node, since)
    for number in range(_AT_MOST):
        if number >= _TICKS and tick >= since + _WEEK:
            break
        following = ticks.next(node, tick)
        longest, tick = max(longest, _pause(node, tick, following)), following
    return longest


def _pause(node: Any, tick: Millis, following: Millis) -> Millis:
    """The time between two ticks; a day that daylight saving time lengthens counts as a day."""
    passed = following - tick
    if node.cron_tz is None:
        return passed
    on_the_clock = _clock_time(node, following) - _clock_time(node, tick)
    return min(passed, round(on_the_clock.total_seconds() * 1000))


def _clock_time(node: Any, moment: Millis) -> datetime:
    return datetime.fromtimestamp(moment / 1000, node.cron_tz).replace(tzinfo=None)


def _is_looked_through(snapshot: Any) -> bool:
    kind = snapshot.model.kind if snapshot.is_model else None
    return kind is not None and (kind.is_view or kind.is_embedded or kind.is_symbolic)


def _keeps_rows(snapshot: Any) -> bool:
    """Whether it has its own table, into which intervals are loaded."""
    if not snapshot.is_model or _is_looked_through(snapshot):
        return False
    return bool(snapshot.evaluatable) and not snapshot.is_seed
