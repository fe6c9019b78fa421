"""What of a model is still missing after an invocation, and what left it out.

Missing is what SQLMesh would find missing then, at the invocation's execution time, with what its
state holds once the invocation has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlmesh.core.snapshot import DeployabilityIndex, merge_intervals
from sqlmesh.utils.date import make_exclusive, to_timestamp

from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason
from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.events.recording import (
    FrozenSnapshot,
    Millis,
    PlanFacts,
    Question,
    Recording,
    Span,
)

from .batches import as_intervals, utc
from .intervals import Project, missing, units, within, without
from .runs import Finding, HeldUp, cut_by_window


def project_afterwards(recording: Recording, before: Project) -> Project:
    """The project with the intervals that SQLMesh's state has when the invocation has ended.

    What is recorded counts as loaded, whether or not it was evaluated: SQLMesh also books what a
    plan with `empty_backfill` passes over, and what a forward-only version inherits in dev, and no
    run will evaluate it. Models of which that is not known are left out.

    Args:
        before: with what counted as loaded before.
    """
    plan = recording.plan
    frozen = dict(before.frozen)
    if plan and recording.rounds and compat.restates_state_first():
        for name, span in plan.question.restatements.items():
            frozen[name] = _removing(frozen[name], span)
    for booking in recording.bookings:
        known = frozen.get(booking.name)
        if known and known.snapshot.version == booking.version:
            frozen[booking.name] = _adding(known, booking.intervals, booking.dev_intervals)
    for name in _recorded_unheard(recording):
        frozen.pop(name, None)
    return replace(before, frozen=frozen)


def _recorded_unheard(recording: Recording) -> set[str]:
    """Models of which a batch was recorded, but not heard in which table: by a state sync that is
    not SQLMesh's own."""
    rounds = [round_ for round_ in recording.rounds if not round_.audit_only]
    ended = {name for round_ in rounds for (name, _), end in round_.ends.items() if end.recorded}
    return ended - {booking.name for booking in recording.bookings}


def next_index(after: Project) -> DeployabilityIndex | None:
    """Which tables of the project count for the next run of its environment; None: of all the same.

    In dev, which of a version's two tables counts depends on the start that a plan was given, and a
    run is given none (sqlmesh/core/scheduler.py, `_run_or_audit`).
    """
    if after.deployability_index is None:
        return None
    return DeployabilityIndex.create([snapshot.thawed() for snapshot in after.frozen.values()])


def _adding(
    frozen: FrozenSnapshot, intervals: Iterable[Span], dev_intervals: Iterable[Span]
) -> FrozenSnapshot:
    return replace(
        frozen,
        intervals=tuple(merge_intervals([*frozen.intervals, *intervals])),
        dev_intervals=tuple(merge_intervals([*frozen.dev_intervals, *dev_intervals])),
    )


def _removing(frozen: FrozenSnapshot, span: Span) -> FrozenSnapshot:
    return replace(frozen, intervals=tuple(without(frozen.intervals, [span])))


def loaded_through(after: Project, name: str, at: Any) -> datetime | None:
    """The end of what is loaded without a gap, of what is not older than the model's start at that
    time; None where nothing is loaded, or the model is not known."""
    loaded = merge_intervals(after.loaded(name)) if name in after.frozen else []
    if not loaded:
        return None
    start = to_timestamp(after.start(name, at))
    return utc(next((end for _, end in loaded if end > start), loaded[-1][1]))


def waiting_since(after: Project, name: str, at: Any) -> datetime | None:
    """The end of the earliest complete interval that is missing at a time; None where none is."""
    if name not in after.frozen:
        return None
    left = still_missing(after, name, Question(end=at, execution_time=at, ignore_cron=True))
    if not left:
        return None
    end = after.ticks.next(after.snapshot(name).node.interval_unit, left[0][0])
    return utc(end) if end <= to_timestamp(at) else None


def still_missing(coming: Project, name: str, question: Question) -> list[Span]:
    """What the question finds missing, without what a lookback would load again."""
    return without(missing(question, coming, name), coming.loaded(name))


@dataclass(frozen=True)
class LeftOut:
    """What an invocation left out of the models that it evaluated, and why."""

    recording: Recording
    before: Project
    coming: Project
    """As the next run finds it."""
    held_up: HeldUp

    def of(self, name: str) -> Finding:
        """The reasons that hold for a model that executed; none, if nothing that is due now is
        still missing."""
        decision, plan = self.recording.decision, self.recording.plan
        known = decision or plan
        if known is None or name not in self.coming.frozen:
            # Of a run that was restarted, the environment can have lost the model meanwhile.
            return Finding()
        at = known.question.execution_time
        due = Question(end=at, execution_time=at, ignore_cron=known.question.ignore_cron)
        left = within(still_missing(self.coming, name, due), [(0, self._over(name, at))])
        if not left:
            return Finding()
        finding, held_back = self._by_signals(name, left)
        if decision and name in decision.due:
            cut = within(cut_by_window(self.before, decision, name), left)
            if cut:
                finding.add(Reason.OUTSIDE_WINDOW, "inferred")
            held_back += cut
        elif plan:
            held_back += self._by_plan(plan, name, left, finding)
        if finding.reasons:
            finding.facts["held_back"] = as_intervals(held_back)
        return finding

    def _over(self, name: str, at: Any) -> Millis:
        """Until when intervals are over: some crons let SQLMesh find later ones
        (`crons.is_undetermined`)."""
        snapshot = self.coming.snapshot(name)
        unit = snapshot.node.interval_unit
        return to_timestamp(at) if snapshot.allow_partials else self.coming.ticks.floor(unit, at)

    def _by_signals(self, name: str, left: Sequence[Span]) -> tuple[Finding, list[Span]]:
        held_back = within(self.held_up.spans(name), left)
        return (self.held_up.of(name), held_back) if held_back else (Finding(), [])

    def _by_plan(
        self, plan: PlanFacts, name: str, left: Sequence[Span], finding: Finding
    ) -> list[Span]:
        """What the plan did not look for: for the user's window, or for limits of its own."""
        asked = missing(plan.question, self.before, name)
        cells = units(without(left, asked), self.coming.snapshot(name).node.interval_unit)
        window = _window(plan)
        outside = [cell for cell in cells if not (window[0] <= cell[0] and cell[1] <= window[1])]
        if outside:
            finding.add(Reason.OUTSIDE_WINDOW, "inferred")
        if len(outside) < len(cells):
            finding.add(Reason.PLAN_LIMIT, "inferred")
        return cells


def _window(plan: PlanFacts) -> tuple[float, float]:
    """The start and the end that the user gave."""
    asked, question = plan.asked, plan.question
    start = to_timestamp(question.start) if "start" in asked and question.start else -float("inf")
    end = to_timestamp(make_exclusive(question.end)) if "end" in asked else float("inf")
    return start, end
