"""When something of a model will be missing for a run, if nothing else happens before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any

from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.tracking.spans import Millis, utc

from .missing import missing_at
from .schedules import Schedule
from .snapshots import Snapshots

_MAX_TICKS = 1000
"""How many cron ticks are tried; each after the first skips a whole interval unit."""


def next_due(snapshots: Snapshots, name: str, after: Any) -> datetime | None:
    """The first moment after `after` at which a run would find something of the model missing.

    This is a tick of the model's cron, or of a cron by which SQLMesh restates it or a model
    upstream. It lies between two ticks if SQLMesh finds the model's first interval only then.

    Returns:
        A moment in UTC; None if the model's end has passed.
    """
    moment = to_timestamp(after)
    if snapshots.restates:
        restating = _restating(snapshots, name)
        if restating:
            return _next_restated(snapshots, name, restating, moment)
    return snapshots.schedule(name).once(_next_due, moment)


def _next_due(schedule: Schedule, after: Millis) -> datetime | None:
    for tick in _ticks(schedule, after):
        if missing_at(schedule, tick):
            return utc(_first_missing(schedule, after, tick))
    return None


def _first_missing(schedule: Schedule, after: Millis, tick: Millis) -> Millis:
    """The first moment at which something is missing, given the first tick at which it is.

    If a model starts within an interval, SQLMesh finds that interval once its length has passed
    since the start, not when it ends (`Snapshot.missing_intervals`).
    """
    if schedule.terms.loaded or not missing_at(schedule, tick - 1):
        return tick
    too_early, late_enough = after, tick - 1
    while late_enough - too_early > 1:
        moment = (too_early + late_enough) // 2
        if missing_at(schedule, moment):
            late_enough = moment
        else:
            too_early = moment
    return late_enough


def _ticks(schedule: Schedule, after: Millis) -> Iterator[Millis]:
    """The cron ticks at which something can first be missing."""
    terms, ticks, node = schedule.terms, schedule.ticks, schedule.snapshot.node
    unit = schedule.contents.unit
    last = to_timestamp(terms.end) + 2 * unit.milliseconds if terms.end else None
    begin = max(after, to_timestamp(schedule.start(after)) - 1)
    tick = ticks.next(node, begin)
    for _ in range(_MAX_TICKS):
        yield tick
        if last is not None and tick > last:
            return
        # Nothing more can be missing before the tick's interval unit is complete.
        complete = ticks.next(unit, ticks.floor(unit, tick))
        tick = max(ticks.next(node, complete - 1), ticks.next(node, tick))


def _next_restated(
    snapshots: Snapshots, name: str, restating: Sequence[str], after: Millis
) -> datetime | None:
    restatements = [snapshots.frozen[upstream].next_restatement for upstream in restating]
    ticks = merge(_ticks(snapshots.schedule(name), after), sorted(filter(None, restatements)))
    for tick in islice(ticks, _MAX_TICKS):
        restated = snapshots.restated_at(tick, snapshots.lineage(name))
        if missing_at(restated.schedule(name), tick):
            return utc(tick)
    return None


def _restating(snapshots: Snapshots, name: str) -> list[str]:
    """The model and the models upstream, if they have an `auto_restatement_cron`.

    `sqlmesh.core.snapshot.apply_auto_restatements` also removes the intervals of models downstream.
    """
    with_cron = snapshots.restated_by_cron
    if not with_cron:
        return []
    return [upstream for upstream in snapshots.lineage(name) if upstream in with_cron]
