"""Records calls of SQLMesh's methods: what a run decides, what is scheduled, and what is read from
and written to the state.

Each method is shadowed only on the invocation's own object, and restored when the invocation ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import Parameter, Signature, signature
from typing import Any

from pytest_sqlmesh_tracker.tracking import moments
from pytest_sqlmesh_tracker.tracking.project.removed import removed_intervals
from pytest_sqlmesh_tracker.tracking.reliance import handles, reliance_of, reliances_of
from pytest_sqlmesh_tracker.tracking.spans import Span
from pytest_sqlmesh_tracker.tracking.sqlmesh_objects import AuditReturn, Scheduler, Snapshot

from .facts import as_first_loaded, audit_result, frozen_by_name, spans, spans_by_name
from .journal import Journal, now
from .recording import FrozenSnapshot, IntervalSearch, PlanFacts, RecordedIntervals, RunDecision

logger = logging.getLogger("pytest_sqlmesh_tracker")

OnReturn = Callable[[Any], None]
"""Called with the method's return value."""
Handler = Callable[..., OnReturn | None]
"""Called with the object and with the arguments that it declares (`reliance.handles`)."""


@dataclass
class Taps:
    """The methods that are shadowed during one invocation."""

    journal: Journal
    _shadowed: list[tuple[Any, str]] = field(default_factory=list)

    def add(self, owner: Any, handler: Handler, admit: Callable[[], None] = lambda: None) -> None:
        """Handle the calls of a method on this object only.

        Args:
            admit: called before the method; an exception that it raises replaces the call.
        """
        reliance = reliance_of(handler)
        if reliance.name in vars(owner):
            return
        method = getattr(owner, reliance.name)
        # Looked up once, since this takes longer than handling a call.
        parameters = signature(method)

        def tapped(*args: Any, **kwargs: Any) -> Any:
            admit()
            on_return: OnReturn | None = None
            if self.journal.is_listening:
                with self.journal.guarded():
                    arguments = _by_name(parameters, args, kwargs, reliance.reads)
                    on_return = handler(owner, **reliance.pick(arguments))
            result = method(*args, **kwargs)
            if on_return:
                with self.journal.guarded():
                    on_return(result)
            return result

        setattr(owner, reliance.name, tapped)
        self._shadowed.append((owner, reliance.name))

    def remove(self) -> None:
        """Restore every method."""
        for owner, name in self._shadowed:
            vars(owner).pop(name, None)


def _by_name(
    parameters: Signature, args: tuple[Any, ...], kwargs: dict[str, Any], names: Sequence[str]
) -> dict[str, Any]:
    """The arguments of a call, including defaults, with the method's `**kwargs` flattened.

    Args:
        names: the parameters of a method that receives `*args`, as the methods of the cache in
            front of SQLMesh's state do.
    """
    call = parameters.bind(*args, **kwargs)
    call.apply_defaults()
    arguments = dict(call.arguments)
    for parameter in parameters.parameters.values():
        if parameter.kind is Parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(parameter.name))
        elif parameter.kind is Parameter.VAR_POSITIONAL:
            arguments.update(zip(names, arguments.pop(parameter.name), strict=False))
    return arguments


class MethodEvents:
    """Handlers for methods of schedulers, of their evaluators, and of the state."""

    def __init__(self, journal: Journal, taps: Taps) -> None:
        self._journal = journal
        self._recording = journal.recording
        self._taps = taps
        self._adjusted: Collection[Snapshot] | None = None
        """The snapshots whose intervals SQLMesh adjusts for a plan's stages; empty once they are
        recorded, None before SQLMesh has read them."""

    def attach(self, scheduler: Scheduler) -> None:
        """Handle the decisions of a scheduler of this invocation, and the results of its audits."""
        with self._journal.guarded():
            self.take_compared()
            self._recording.default_catalog = scheduler.default_catalog
            if self._recording.command == "run":
                self.attach_state(scheduler.state_sync)
                self._taps.add(scheduler, self.deciding)
            else:
                # In a plan, only the stage for changed audits looks for missing intervals.
                self._taps.add(scheduler, self.deciding_audits)
            self._taps.add(scheduler, self.scheduling)
            # The console gets only the number of audits.
            self._taps.add(scheduler.snapshot_evaluator, self.auditing)

    def attach_state(self, state_sync: Any) -> None:
        """Handle reads of intervals from the state, and writes to it: those of batches, and those
        that SQLMesh records without one, for empty backfills or by inheritance in dev."""
        self._taps.add(state_sync, self.refreshing)
        self._taps.add(state_sync, self.recorded_intervals)

    @handles(
        "core.scheduler:Scheduler.merged_missing_intervals",
        "what a run decided (RunDecision), on which every reason in runs depends",
    )
    def deciding(
        self,
        scheduler: Scheduler,
        *,
        start: Any,
        end: Any,
        execution_time: Any,
        ignore_cron: bool,
        selected_snapshots: Collection[str] | None,
        deployability_index: Any,
    ) -> OnReturn:
        """A run looks for missing intervals."""
        began = now()
        recording = self._recording

        def decided(due: Mapping[Snapshot, Any]) -> None:
            recording.environment_state = None
            snapshots = frozen_by_name(scheduler.snapshots.values(), recording.snapshots_in_state)
            recording.snapshots_at_first_decision = as_first_loaded(
                recording.snapshots_at_first_decision, snapshots
            )
            recording.decision = RunDecision(
                snapshots=snapshots,
                search=IntervalSearch(
                    start=moments.resolved(start),
                    end=moments.resolved(end) or began,
                    execution_time=moments.resolved(execution_time) or began,
                    ignore_cron=bool(ignore_cron),
                ),
                end_given=bool(end),
                selected=None if selected_snapshots is None else frozenset(selected_snapshots),
                deployability_index=deployability_index,
                due=spans_by_name(due),
                rounds_before=len(recording.rounds),
            )

        return decided

    @handles("core.scheduler:Scheduler.merged_missing_intervals", "`audited`, in plans")
    def deciding_audits(self, _: Any) -> OnReturn:
        """A plan looks for the changed audits that it must run."""

        def decided(_: Any) -> None:
            self._recording.audits_decided = True

        return decided

    @handles(
        "core.scheduler:Scheduler.run_merged_intervals",
        "what was due before signals (Round.due): `signal_not_ready`, `upstream_not_ready`",
    )
    def scheduling(self, scheduler: Scheduler, *, merged_intervals: Mapping[Snapshot, Any]) -> None:
        """A round is about to be scheduled."""
        due = spans_by_name(merged_intervals)
        with self._journal.lock:
            self._journal.pending.due = due
            self._journal.pending.snapshots = {s.name: s for s in scheduler.snapshots.values()}
        self.look_for_removed(scheduler.state_sync, due)

    @handles(
        "core.snapshot:SnapshotEvaluator.audit",
        "ModelOutcome.audits, of models that were evaluated",
    )
    def auditing(self, _: Any, *, snapshot: Snapshot, start: Any, end: Any) -> OnReturn:
        """The audits of a batch run."""
        name, audited_span = snapshot.name, moments.span(start, end)

        def audited(results: Collection[AuditReturn]) -> None:
            with self._journal.guarded(name), self._journal.lock:
                ran = tuple(audit_result(result) for result in results if not result.skipped)
                self._journal.round.audits.setdefault(name, {})[audited_span] = ran

        return audited

    @handles(
        "core.state_sync:StateSync.refresh_snapshot_intervals",
        "the intervals from which a run, or a plan's stages, start (PlanFacts, "
        "Recording.snapshots_in_state)",
    )
    def refreshing(self, _: Any, *, snapshots: Collection[Snapshot]) -> OnReturn:
        """Intervals are read from the state, which can be newer than the plan."""
        snapshots = list(snapshots)
        recording = self._recording

        def refreshed(_: Any) -> None:
            if recording.command == "run":
                recording.snapshots_in_state = as_first_loaded(
                    recording.snapshots_in_state, frozen_by_name(snapshots)
                )
            elif self._adjusted is None:
                recording.snapshots_in_state = frozen_by_name(snapshots)
                self._adjusted = snapshots

        return refreshed

    @handles(
        "core.state_sync:StateSync.add_snapshots_intervals",
        "what is loaded afterwards (`recorded`): loaded_through, waiting_since, what was left out",
    )
    def recorded_intervals(self, _: Any, *, snapshots_intervals: Any) -> OnReturn | None:
        """Intervals are recorded in the state."""
        if not isinstance(snapshots_intervals, Sequence):
            return None
        recorded = [
            RecordedIntervals(
                each.name, each.version, spans(each.intervals), spans(each.dev_intervals)
            )
            for each in snapshots_intervals
        ]

        def add(_: Any) -> None:
            with self._journal.lock:
                self._recording.recorded += recorded

        return add

    def take_compared(self) -> None:
        """Record the intervals that a plan's stages have compared, once they have done so."""
        self._recording.plan, self._adjusted = self.compared_plan(), self._adjusted and ()

    def compared_plan(self) -> PlanFacts | None:
        """The plan, with the intervals that its stages compare.

        After reading the state, SQLMesh adjusts them: it removes what is restated or rebuilt, and
        lets forward-only versions inherit (sqlmesh/core/plan/stages.py, `_adjust_intervals`). This
        is complete when SQLMesh creates a scheduler, or when the plan ends without one.
        """
        plan = self._recording.plan
        if plan is None or not self._adjusted:
            return plan
        return replace(plan, snapshots={**plan.snapshots, **frozen_by_name(self._adjusted)})

    def look_for_removed(self, state_sync: Any, due: Mapping[str, Sequence[Span]]) -> None:
        """Record the removed intervals of the models that have missing ones."""
        versions = dict(self._can_have_been_removed(due))
        if not versions:
            return
        try:
            removed = removed_intervals(state_sync, versions)
        except Exception:
            # Only a cause is lost: removed intervals look as if they had never been loaded.
            logger.warning("pytest-sqlmesh-tracker could not read what was removed", exc_info=True)
        else:
            self._recording.removed_intervals = {**self._recording.removed_intervals, **removed}

    def _can_have_been_removed(
        self, due: Mapping[str, Sequence[Span]]
    ) -> Iterator[tuple[str, str]]:
        """The models from which intervals may have been removed, and their versions.

        A restatement removes nothing from the versions of prod (sqlmesh/core/plan/common.py), so an
        ordinary run of prod, which finds only newer intervals, skips the query. What was removed
        before a version came to prod is gone by then: the janitor has compacted the state. A
        version that a plan creates can share the table of an earlier one.
        """
        from sqlmesh.core import constants as c

        stored = self._recording.snapshots_in_state
        in_prod = self._recording.plan is None and self._recording.environment == c.PROD
        for name, missing in due.items():
            if name in stored and not (in_prod and _is_new(stored[name], missing)):
                yield name, stored[name].snapshot.version


def _is_new(stored: FrozenSnapshot, missing: Sequence[Span]) -> bool:
    """Whether all missing intervals are newer than the loaded ones."""
    newest = max((end for _, end in stored.intervals), default=None)
    return newest is not None and all(start >= newest for start, _ in missing)


METHOD_EVENTS = reliances_of(MethodEvents)
