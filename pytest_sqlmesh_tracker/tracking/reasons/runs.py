"""Why a run did not evaluate a model, or not all of it.

A reason is observed if SQLMesh reported it. Otherwise it is inferred by calling SQLMesh's own
functions again with the invocation's arguments and intervals, relaxing one constraint at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.tracking.events.recording import IntervalSearch, Recording, RunDecision
from pytest_sqlmesh_tracker.tracking.intervals.crons import is_undetermined
from pytest_sqlmesh_tracker.tracking.intervals.missing import (
    cut_by_window,
    missing,
    outside_lifetime,
    without_window,
)
from pytest_sqlmesh_tracker.tracking.intervals.next_due import next_due
from pytest_sqlmesh_tracker.tracking.intervals.schedules import Schedule
from pytest_sqlmesh_tracker.tracking.intervals.snapshots import Snapshots
from pytest_sqlmesh_tracker.tracking.spans import Span, as_intervals, within

from .explaining import interrupted
from .finding import Finding, UnexplainedError
from .left_out import Omission, still_missing_after, why_still_missing
from .signals import Unscheduled


@dataclass(frozen=True)
class RunExplainer:
    """Explains what a run that SQLMesh decided on did not evaluate."""

    recording: Recording
    decision: RunDecision
    snapshots: Snapshots
    """The snapshots as SQLMesh compared them when it decided."""
    unscheduled: Unscheduled
    _known: dict[tuple[Schedule, bool], Finding] = field(init=False, default_factory=dict)
    """Schedule, and whether models with it were selected → why they were not due."""

    def executed(self, name: str, next_run: Snapshots) -> Finding:
        """What signals or the window left out of an executed model."""
        remaining = still_missing_after(self.decision.search, next_run, name)
        if not remaining:
            return Finding(Status.EXECUTED)
        omission = Omission()
        if name in self.decision.due:
            outside = within(self._cut_by_window(name), remaining)
            omission = Omission(outside, [Reason.OUTSIDE_WINDOW] if outside else [])
        return why_still_missing(self.unscheduled, name, remaining, omission)

    def not_scheduled(self, name: str) -> Finding:
        """Why nothing of the model was scheduled."""
        finding = self.unscheduled.finding_if_nothing_scheduled(name)
        if finding is not None:
            return finding
        if name not in self.decision.snapshots:
            return Finding(Status.SKIPPED).because(Reason.NOT_IN_ENVIRONMENT, "observed")
        if name in self.decision.due:
            return interrupted(self.recording)
        selected = self.decision.selected is None or name in self.decision.selected
        if self.snapshots.restates and self.snapshots.restated_by_cron:
            # When it is next due can depend on the models upstream.
            return self._not_due(name, selected)
        # Models with equal schedules are not due for the same reason.
        key = self.snapshots.schedule(name), selected
        if key not in self._known:
            self._known[key] = self._not_due(name, selected)
        return self._known[key]

    def _not_due(self, name: str, selected: bool) -> Finding:
        finding, search = Finding(Status.SKIPPED), self.decision.search
        schedule = self.snapshots.schedule(name)
        if not schedule.traits.evaluatable:
            return finding.because(Reason.NOT_EVALUATABLE, "observed")
        if not selected:
            finding = finding.because(Reason.NOT_SELECTED, "observed")
        if missing(search, self.snapshots, name):
            if selected:
                raise UnexplainedError(
                    "SQLMesh did not schedule it, although it was due by SQLMesh's own rules"
                )
            return finding
        if schedule.contents.is_seed and schedule.terms.loaded:
            return finding.because(Reason.NO_CHANGES, "inferred")
        at = search.execution_time
        lifetime = outside_lifetime(self.snapshots, name, at)
        if lifetime:
            if lifetime is Reason.NOT_STARTED:
                finding = replace(finding, next_due=next_due(self.snapshots, name, at))
            return finding.because(lifetime, "inferred")
        if self._cut_by_window(name):
            return finding.because(Reason.OUTSIDE_WINDOW, "inferred")
        if search.ignore_cron:
            return finding.because(Reason.UP_TO_DATE, "inferred")
        finding = waits_for_cron(finding, self.snapshots, name, search)
        return finding if selected else replace(finding, held_back=())

    def _cut_by_window(self, name: str) -> list[Span]:
        return cut_by_window(self.decision.search, self._unbounded, self.snapshots, name)

    @cached_property
    def _unbounded(self) -> IntervalSearch:
        return without_window(self.decision)


def waits_for_cron(
    finding: Finding, snapshots: Snapshots, name: str, search: IntervalSearch
) -> Finding:
    """The finding for a model that has nothing missing until its cron is due."""
    waiting = replace(
        finding,
        held_back=as_intervals(missing(replace(search, ignore_cron=True), snapshots, name)),
        next_due=_next_due(snapshots, name, search.execution_time),
    )
    return waiting.because(Reason.CRON_NOT_DUE, "inferred")


def _next_due(snapshots: Snapshots, name: str, at: Any) -> datetime | None:
    """When the model is next due; None also if that depends on the process that runs it."""
    if is_undetermined(snapshots.schedule(name).traits.cron):
        return None
    return next_due(snapshots, name, at)
