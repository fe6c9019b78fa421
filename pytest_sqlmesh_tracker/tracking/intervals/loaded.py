"""What was loaded before an invocation, and what is loaded after it.

SQLMesh's state also records intervals as loaded that were not evaluated: those that a plan with
`empty_backfill` passes over, and those that a forward-only version inherits in dev. No run
evaluates them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property

from sqlmesh.core import constants as c
from sqlmesh.core.snapshot import DeployabilityIndex
from sqlmesh.utils.date import to_datetime, to_timestamp

from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.events.recording import (
    FrozenSnapshot,
    IntervalSearch,
    PlanFacts,
    Recording,
    RunDecision,
)
from pytest_sqlmesh_tracker.tracking.spans import Span, merged, utc, without

from .missing import missing_and_not_loaded
from .snapshots import Snapshots


class Before:
    """What was loaded before an invocation. It does not change during the invocation."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    @property
    def _decided(self) -> RunDecision | PlanFacts | None:
        return self._recording.decision or self._recording.plan

    @cached_property
    def frozen(self) -> Mapping[str, FrozenSnapshot]:
        """The models of the environment that was run, of the plan, or of `Context.audit`; empty if
        the invocation did not get that far."""
        recording = self._recording
        if recording.command == "audit":
            return recording.snapshots_of_audit or {}
        return self._decided.snapshots if self._decided else recording.snapshots_of_environment

    @cached_property
    def compared(self) -> Snapshots:
        """The snapshots, with the intervals that SQLMesh considered loaded when it decided what is
        missing."""
        recording, plan = self._recording, self._recording.plan
        index = self._decided.deployability_index if self._decided else None
        if plan and plan.is_dev and index is None:
            # As the stages of a plan do (sqlmesh/core/plan/stages.py, `build`).
            thawed = [snapshot.thawed() for snapshot in self.frozen.values()]
            index = DeployabilityIndex.create(thawed, start=plan.search.start)
        return Snapshots(self.frozen, index, restates=recording.environment == c.PROD)

    @cached_property
    def first_compared(self) -> Snapshots:
        """As `compared`, but at the first decision of a run that SQLMesh restarted."""
        return replace(
            self.compared, frozen={**self.frozen, **self._recording.snapshots_at_first_decision}
        )

    @cached_property
    def stored(self) -> Snapshots:
        """The snapshots, with the intervals that the state had, including those that SQLMesh counts
        as missing in order to load them again."""
        return replace(self.compared, frozen={**self.frozen, **self._recording.snapshots_in_state})


class After:
    """What is loaded after an invocation, or at present if it has not ended."""

    def __init__(self, recording: Recording, before: Before) -> None:
        self._recording = recording
        self._before = before

    @cached_property
    def loaded(self) -> Snapshots:
        """The snapshots, with the intervals that the state has now."""
        return recorded_since(self._recording, self._before.stored)

    @cached_property
    def next_run(self) -> Snapshots:
        """The snapshots as the next run finds them: what it must restate counts as missing."""
        before = self._before.compared if self._recording.decision else self._before.stored
        snapshots = recorded_since(self._recording, before)
        return replace(snapshots, deployability_index=self._next_index)

    def loaded_through(self, name: str, at: datetime) -> datetime | None:
        """The end of what is loaded without a gap, ignoring what is older than the model's start at
        that time; None if nothing is loaded or the model is unknown."""
        spans = merged(self.loaded.loaded(name)) if name in self.loaded.frozen else []
        if not spans:
            return None
        start = to_timestamp(self.loaded.start(name, at))
        return utc(next((end for _, end in spans if end > start), spans[-1][1]))

    def waiting_since(self, name: str, at: datetime) -> datetime | None:
        """The end of the earliest complete interval that is missing at a time; None if none is.

        What a run must restate counts as loaded here.
        """
        remaining = self._with_next_index
        if name not in remaining.frozen:
            return None
        search = IntervalSearch(end=at, execution_time=at, ignore_cron=True)
        spans = missing_and_not_loaded(search, remaining, name)
        if not spans:
            return None
        end = remaining.ticks.next(remaining.snapshot(name).node.interval_unit, spans[0][0])
        return utc(end) if end <= to_timestamp(at) else None

    @cached_property
    def _with_next_index(self) -> Snapshots:
        return replace(self.loaded, deployability_index=self._next_index)

    @cached_property
    def _next_index(self) -> DeployabilityIndex | None:
        """Which tables count for the next run of the environment; None if all do.

        In dev, which of a version's two tables counts depends on the start of the plan, and a run
        has no start (sqlmesh/core/scheduler.py, `_run_or_audit`).
        """
        if self.loaded.deployability_index is None:
            return None
        snapshots = self.loaded.frozen.values()
        return DeployabilityIndex.create([snapshot.thawed() for snapshot in snapshots])


def execution_time_of(recording: Recording) -> datetime:
    """The invocation's "now" in UTC, as far as it is known."""
    decided = recording.decision or recording.plan
    passed = recording.arguments.get("execution_time")
    at = decided.search.execution_time if decided else passed or recording.started_at
    try:
        moment: datetime = to_datetime(at, relative_base=recording.started_at)
    except (TypeError, ValueError):
        # SQLMesh rejected it as well.
        return recording.started_at
    return moment


def recorded_since(recording: Recording, before: Snapshots) -> Snapshots:
    """The snapshots, updated with the intervals that SQLMesh has since recorded or removed.

    Models for which these are unknown are left out.
    """
    plan = recording.plan
    frozen = dict(before.frozen)
    if plan and recording.rounds and compat.restates_state_first():
        for name, span in plan.search.restatements.items():
            frozen[name] = _removing(frozen[name], span)
    for recorded in recording.recorded:
        known = frozen.get(recorded.name)
        if known and known.snapshot.version == recorded.version:
            frozen[recorded.name] = _adding(known, recorded.intervals, recorded.dev_intervals)
    for name in _recorded_elsewhere(recording):
        frozen.pop(name, None)
    return replace(before, frozen=frozen)


def _recorded_elsewhere(recording: Recording) -> set[str]:
    """Models with a recorded batch whose intervals bypassed SQLMesh's own state sync, so that the
    table in which they count is unknown."""
    rounds = [round_ for round_ in recording.rounds if not round_.audit_only]
    ended = {name for round_ in rounds for (name, _), end in round_.ends.items() if end.recorded}
    return ended - {recorded.name for recorded in recording.recorded}


def _adding(
    frozen: FrozenSnapshot, intervals: Iterable[Span], dev_intervals: Iterable[Span]
) -> FrozenSnapshot:
    return replace(
        frozen,
        intervals=tuple(merged([*frozen.intervals, *intervals])),
        dev_intervals=tuple(merged([*frozen.dev_intervals, *dev_intervals])),
    )


def _removing(frozen: FrozenSnapshot, span: Span) -> FrozenSnapshot:
    return replace(frozen, intervals=tuple(without(frozen.intervals, [span])))
