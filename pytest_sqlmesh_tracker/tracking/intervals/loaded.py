"""What was loaded before an invocation, and what is loaded after it.

SQLMesh's state also records intervals as loaded that were not evaluated: those that a plan with
`empty_backfill` passes over, and those that a forward-only version inherits in dev. No run
evaluates them.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from datetime import datetime
from functools import cached_property

from sqlmesh.core import constants as c
from sqlmesh.core.snapshot import DeployabilityIndex
from sqlmesh.utils.date import to_datetime, to_timestamp

from pytest_sqlmesh_tracker.tracking.events.recording import (
    FrozenSnapshot,
    PlanFacts,
    Recording,
    RunDecision,
)
from pytest_sqlmesh_tracker.tracking.spans import merged, utc

from .missing import waiting_since
from .recorded import RecordedByModel, UpdatedSnapshots
from .schedules import Schedule
from .snapshots import Snapshots


class Before:
    """What was loaded before an invocation. It does not change during the invocation."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._next_indexes: dict[tuple[frozenset[str], ...], DeployabilityIndex] = {}

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
        in_prod = recording.environment == c.PROD
        index = self._decided.deployability_index if self._decided and not in_prod else None
        if plan and plan.is_dev and index is None:
            # As the stages of a plan do (sqlmesh/core/plan/stages.py, `build`).
            thawed = [snapshot.thawed() for snapshot in self.frozen.values()]
            index = DeployabilityIndex.create(thawed, start=plan.search.start)
        return Snapshots(self.frozen, index, restates=in_prod)

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

    @cached_property
    def recorded(self) -> RecordedByModel:
        """What SQLMesh has recorded by now."""
        return RecordedByModel(self._recording)

    def next_index(self, loaded: Mapping[str, FrozenSnapshot]) -> DeployabilityIndex:
        """Which tables count for the next run of an environment in dev, given what is loaded.

        It is computed anew only if it can differ: only whether anything is loaded of indirectly
        changed models counts (sqlmesh/core/snapshot/definition.py, `DeployabilityIndex.create`).
        """
        left_out = self.recorded.elsewhere()
        empty = frozenset(name for name in self._indirect - left_out if not loaded[name].intervals)
        key = left_out, empty
        if key not in self._next_indexes:
            thawed = [snapshot.thawed() for snapshot in loaded.values()]
            self._next_indexes[key] = DeployabilityIndex.create(thawed)
        return self._next_indexes[key]

    @cached_property
    def _indirect(self) -> Set[str]:
        frozen = self.stored.frozen.items()
        return {name for name, each in frozen if each.snapshot.is_indirect_non_breaking}


class After:
    """What is loaded after an invocation, or at present if it has not ended."""

    def __init__(self, recording: Recording, before: Before) -> None:
        self._recording = recording
        self._before = before

    @cached_property
    def loaded(self) -> Snapshots:
        """The snapshots, with the intervals that the state has now."""
        stored = self._before.stored
        return replace(stored, frozen=UpdatedSnapshots(stored.frozen, self._before.recorded))

    @cached_property
    def next_run(self) -> Snapshots:
        """The snapshots as the next run finds them: what it must restate counts as missing."""
        before = self._before.compared if self._recording.decision else self._before.stored
        updated = UpdatedSnapshots(before.frozen, self._before.recorded)
        return replace(before, frozen=updated, deployability_index=self._next_index)

    def loaded_through(self, name: str, at: datetime) -> datetime | None:
        """The end of what is loaded without a gap, ignoring what is older than the model's start at
        that time; None if nothing is loaded or the model is unknown."""
        if name not in self.loaded.frozen:
            return None
        return self.loaded.schedule(name).once(_loaded_through, at)

    def waiting_since(self, name: str, at: datetime) -> datetime | None:
        """The end of the earliest complete interval that is missing at a time; None if none is.

        What a run must restate counts as loaded here.
        """
        remaining = self._with_next_index
        if name not in remaining.frozen:
            return None
        return remaining.schedule(name).once(waiting_since, at)

    @cached_property
    def _with_next_index(self) -> Snapshots:
        index = self._next_index
        return replace(self.loaded, deployability_index=index) if index else self.loaded

    @cached_property
    def _next_index(self) -> DeployabilityIndex | None:
        """Which tables count for the next run of the environment; None if all do.

        In dev, which of a version's two tables counts depends on the start of the plan, and a run
        has no start (sqlmesh/core/scheduler.py, `_run_or_audit`).
        """
        if self.loaded.deployability_index is None:
            return None
        return self._before.next_index(self.loaded.frozen)


def _loaded_through(schedule: Schedule, at: datetime) -> datetime | None:
    spans = merged(schedule.terms.loaded)
    if not spans:
        return None
    start = to_timestamp(schedule.start(at))
    return utc(next((end for _, end in spans if end > start), spans[-1][1]))


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
