"""What SQLMesh would find missing under other arguments, computed with SQLMesh's own functions.

The rule is that of `sqlmesh.core.snapshot.missing_intervals`, applied to one snapshot at a time: a
model without a start takes its parents' start, so SQLMesh's function would need the whole project
for each search.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlmesh.utils.date import make_exclusive, to_datetime, to_timestamp

from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason
from pytest_sqlmesh_tracker.tracking.events.recording import IntervalSearch, RunDecision
from pytest_sqlmesh_tracker.tracking.spans import Span, utc, within, without

from .schedules import Schedule
from .searches import Search
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
    start, end = search.start_override_per_model.get(name) or search.start, search.end
    restated = search.restatements.get(name)
    if restated:
        start, end = (to_datetime(moment) for moment in restated)
        schedule = snapshots.schedule_without(name, restated)
    else:
        schedule = snapshots.schedule(name)
    own_end = search.end_override_per_model.get(name)
    if own_end:
        if start and to_datetime(start) >= own_end:
            return []
        end = own_end
    now, ignore_cron, end_bounded = search.execution_time, search.ignore_cron, search.end_bounded
    return list(schedule.once(_missing, start, end, now, ignore_cron, end_bounded))


def missing_at(schedule: Schedule, moment: Any, ignore_cron: bool = False) -> tuple[Span, ...]:
    """What a run at a moment would find missing, merged; empty if SQLMesh would reject the date."""
    try:
        return schedule.once(_missing, None, moment, moment, ignore_cron, False)
    except ValueError:
        return ()


def _missing(
    schedule: Schedule, start: Any, end: Any, now: Any, ignore_cron: bool, end_bounded: bool
) -> tuple[Span, ...]:
    terms = schedule.terms
    if not schedule.traits.evaluatable:
        return ()
    begin = schedule.start(end)
    if start:
        begin = max(to_datetime(start), begin)
    if begin > to_datetime(end):
        return ()
    if terms.end and to_datetime(terms.end) < to_datetime(end):
        end = terms.end
    contents, ticks, snapshot = schedule.contents, schedule.ticks, schedule.snapshot
    bound = to_timestamp(now) if ignore_cron else ticks.floor(snapshot.node, now)
    if not contents.allow_partials:
        # As SQLMesh does: the search is then the same for more crons.
        bound = ticks.floor(contents.unit, bound)
    search = Search(
        contents=contents,
        start=terms.own_start,
        model_end=terms.end,
        loaded=terms.loaded,
        begin=begin,
        end=end,
        bound=bound,
        end_bounded=end_bounded,
    )
    return schedule.searches.missing(search, snapshot)


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


def complete_and_not_loaded(schedule: Schedule, moment: Any, ignore_cron: bool) -> list[Span]:
    """What a run at a moment would load for the first time: not what it would only reload for a
    lookback, or what is not over yet."""
    spans = without(missing_at(schedule, moment, ignore_cron), schedule.terms.loaded)
    # With some crons, SQLMesh finds intervals that are not over (`crons.is_undetermined`).
    contents, ticks = schedule.contents, schedule.ticks
    over = to_timestamp(moment) if contents.allow_partials else ticks.floor(contents.unit, moment)
    return within(spans, [(0, over)])


def waiting_since(schedule: Schedule, moment: Any) -> datetime | None:
    """The end of the earliest complete interval that is missing at a moment; None if none is."""
    spans = without(missing_at(schedule, moment, ignore_cron=True), schedule.terms.loaded)
    if not spans:
        return None
    end = schedule.ticks.next(schedule.contents.unit, spans[0][0])
    return utc(end) if end <= to_timestamp(moment) else None


def cut_by_window(
    search: IntervalSearch, unbounded: IntervalSearch, snapshots: Snapshots, name: str
) -> list[Span]:
    """What a run did not look for because it lies outside the run's window.

    Args:
        search: what the run looked for.
        unbounded: see `without_window`.
    """
    if unbounded == search:
        return []
    return without(missing(unbounded, snapshots, name), missing(search, snapshots, name))


def without_window(decision: RunDecision) -> IntervalSearch:
    """The run's search without a start, and with the execution time as the end."""
    search = decision.search
    capped = to_datetime(search.execution_time) > to_datetime(search.end)
    if decision.end_given or capped:
        return replace(search, start=None, end=search.execution_time)
    # The default end is the wall clock: a past execution_time alone cuts nothing off.
    return replace(search, start=None)


def outside_lifetime(snapshots: Snapshots, name: str, at: Any) -> Reason | None:
    """`not_started` or `ended`; None if the model may have something to load at that time."""
    return snapshots.schedule(name).once(_outside_lifetime, at)


def _outside_lifetime(schedule: Schedule, at: Any) -> Reason | None:
    now, end = to_datetime(at), schedule.terms.end
    if schedule.start(at) > now:
        return Reason.NOT_STARTED
    if not end or to_datetime(make_exclusive(end)) > now:
        return None
    later = to_timestamp(now) + 10 * schedule.contents.unit.milliseconds
    return None if missing_at(schedule, later, ignore_cron=True) else Reason.ENDED
