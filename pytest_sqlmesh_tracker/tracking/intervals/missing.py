"""What SQLMesh would find missing under other arguments, computed with SQLMesh's own functions.

The rule is that of `sqlmesh.core.snapshot.missing_intervals`, applied to one snapshot at a time: a
model without a start takes its parents' start, so SQLMesh's function would need the whole project
for each search.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlmesh.utils.date import make_exclusive, to_datetime, to_timestamp

from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason
from pytest_sqlmesh_tracker.tracking.events.recording import IntervalSearch, RunDecision
from pytest_sqlmesh_tracker.tracking.spans import Span, merged, without

from .snapshots import Snapshots


def missing(search: IntervalSearch, snapshots: Snapshots, name: str) -> list[Span]:
    """What SQLMesh finds missing of one model, merged; empty if SQLMesh would reject the dates."""
    try:
        return missing_or_rejected(search, snapshots, name)
    except ValueError:
        return []


def missing_or_rejected(search: IntervalSearch, snapshots: Snapshots, name: str) -> list[Span]:
    """What SQLMesh finds missing of one model, merged.

    Raises:
        ValueError: as in SQLMesh, if the start is not before the end.
    """
    snapshot = snapshots.snapshot(name)
    if not snapshot.evaluatable:
        return []
    start, end = search.start_override_per_model.get(name) or search.start, search.end
    restated = search.restatements.get(name)
    if restated:
        start, end = (to_datetime(moment) for moment in restated)
        snapshot = snapshot.copy()
        snapshot.remove_interval(restated)
    own_end = search.end_override_per_model.get(name)
    if own_end:
        if start and to_datetime(start) >= own_end:
            return []
        end = own_end
    begin = snapshots.start(name, end)
    if start:
        begin = max(to_datetime(start), begin)
    if begin > to_datetime(end):
        return []
    last = snapshot.node.end
    if last and to_datetime(last) < to_datetime(end):
        end = last
    now = search.execution_time
    spans = snapshot.missing_intervals(
        begin,
        end,
        # Only the cron's last tick counts, which SQLMesh would compute again for each model.
        execution_time=now if search.ignore_cron else snapshots.ticks.floor(snapshot.node, now),
        deployability_index=snapshots.deployability_index,
        ignore_cron=True,
        end_bounded=search.end_bounded,
    )
    return merged(spans)


def missing_to_audit(search: IntervalSearch, snapshots: Snapshots, name: str) -> list[Span]:
    """What a plan audits of a model whose audits alone changed, merged.

    SQLMesh has a plan find missing whatever is loaded within its dates
    (sqlmesh/core/scheduler.py, `audit`). The result is empty if SQLMesh would reject the dates.
    """
    snapshot = snapshots.snapshot(name)
    try:
        loaded = snapshot.get_removal_interval(
            search.start, search.end, search.execution_time, is_preview=True
        )
    except ValueError:
        return []
    return missing(replace(search, restatements={name: loaded}), snapshots, name)


def missing_and_not_loaded(search: IntervalSearch, snapshots: Snapshots, name: str) -> list[Span]:
    """What SQLMesh finds missing, except for what it would only reload for a lookback."""
    return without(missing(search, snapshots, name), snapshots.loaded(name))


def cut_by_window(snapshots: Snapshots, decision: RunDecision, name: str) -> list[Span]:
    """What a run did not look for because it lies outside the run's window."""
    search, unbounded = decision.search, _without_window(decision)
    if unbounded == search:
        return []
    return without(missing(unbounded, snapshots, name), missing(search, snapshots, name))


def _without_window(decision: RunDecision) -> IntervalSearch:
    """The run's search without a start, and with the execution time as the end."""
    search = decision.search
    capped = to_datetime(search.execution_time) > to_datetime(search.end)
    if decision.end_given or capped:
        return replace(search, start=None, end=search.execution_time)
    # The default end is the wall clock: a past execution_time alone cuts nothing off.
    return replace(search, start=None)


def outside_lifetime(snapshots: Snapshots, name: str, at: Any) -> Reason | None:
    """`not_started` or `ended`; None if the model may have something to load at that time."""
    node = snapshots.snapshot(name).node
    now = to_datetime(at)
    if snapshots.start(name, at) > now:
        return Reason.NOT_STARTED
    if not node.end or to_datetime(make_exclusive(node.end)) > now:
        return None
    later = to_timestamp(now) + 10 * node.interval_unit.milliseconds
    ever = IntervalSearch(end=later, execution_time=later, ignore_cron=True)
    return None if missing(ever, snapshots, name) else Reason.ENDED
