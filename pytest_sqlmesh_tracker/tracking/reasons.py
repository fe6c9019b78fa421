"""Why a model was not evaluated, or not all of it: observed where SQLMesh said so, else inferred.

To infer is to ask SQLMesh's own functions again, with the arguments and intervals of the
invocation, relaxing one constraint at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sqlmesh.core.snapshot.definition import expand_range
from sqlmesh.utils.date import make_exclusive, to_datetime, to_timestamp

from ..outcomes import Evidence, Reason, Status
from .batches import as_intervals
from .intervals import Project, Question, next_due, without
from .recording import PlanFacts, Recording, Round, RunDecision, Span


@dataclass
class Finding:
    """The reasons that hold for a model, and the facts they carry."""

    status: Status = Status.SKIPPED
    reasons: dict[Reason, Evidence] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    """Why the tracker can't tell, where the status is `unknown`."""

    def add(self, reason: Reason, evidence: Evidence, **facts: Any) -> Finding:
        """The finding, with one more reason."""
        self.reasons[reason] = evidence
        self.facts.update(facts)
        return self


def cannot_tell(message: str) -> Finding:
    """The finding for what the tracker does not know."""
    return Finding(status=Status.UNKNOWN, message=message)


def held_up(recording: Recording, name: str) -> Finding:
    """Why a model that was due was not scheduled, or not for all that was due.

    `Scheduler.batch_intervals` asks the model's signals, drops what they or an upstream signal
    held back, and for a model that depends on its past all that follows
    (sqlmesh/core/scheduler.py).
    """
    finding = Finding()
    for round_ in recording.rounds:
        if round_.due is None or round_.batches is None or name not in round_.due:
            continue
        unready = _Unready(round_)
        node = round_.snapshots[name].node
        left_out = [
            unit
            for span in without(round_.due[name], round_.batches.get(name, ()))
            for unit in _units(span, node.interval_unit)
        ]
        own, upstream = unready.own(name), unready.upstream(name)
        if any(_overlaps(unit, own) for unit in left_out):
            signals = {
                signal: as_intervals(spans) for signal, spans in unready.by_signal(name).items()
            }
            finding.add(Reason.SIGNAL_NOT_READY, "observed", signals=signals)
        if any(_overlaps(unit, upstream) for unit in left_out):
            blockers = unready.roots(name)
            finding.add(Reason.UPSTREAM_NOT_READY, "observed", blocked_by=blockers)
        if any(not _overlaps(unit, [*own, *upstream]) for unit in left_out):
            if not round_.snapshots[name].depends_on_past:
                return cannot_tell("SQLMesh left out intervals that were due, and did not say why")
            finding.add(Reason.DEPENDS_ON_PAST_GAP, "inferred")
    return finding


def idle_in_run(project: Project, decision: RunDecision, name: str) -> Finding:
    """Why a run that SQLMesh decided on had nothing of this model to evaluate."""
    snapshot = project.snapshot(name)
    if not snapshot.evaluatable:
        return Finding().add(Reason.NOT_EVALUATABLE, "observed")
    finding = Finding()
    selected = decision.selected is None or name in decision.selected
    if not selected:
        finding.add(Reason.NOT_SELECTED, "observed")
    asked = Question(
        start=decision.start,
        end=decision.end,
        execution_time=decision.execution_time,
        ignore_cron=decision.ignore_cron,
    )
    if asked.answer(project, name):
        if selected:
            return cannot_tell("SQLMesh did not schedule it, though by its own rule it was due")
        return finding
    if snapshot.is_seed and project.loaded(name):
        return finding.add(Reason.NO_CHANGES, "inferred")
    lifetime = _outside_lifetime(project, name, decision.execution_time)
    if lifetime:
        if lifetime is Reason.NOT_STARTED:
            finding.facts["next_due"] = next_due(project, name, decision.execution_time)
        return finding.add(lifetime, "inferred")
    if _unbounded(asked, decision).answer(project, name):
        return finding.add(Reason.OUTSIDE_WINDOW, "inferred")
    if decision.ignore_cron:
        return finding.add(Reason.UP_TO_DATE, "inferred")
    held_back = asked.but(ignore_cron=True).answer(project, name) if selected else []
    return finding.add(
        Reason.CRON_NOT_DUE,
        "inferred",
        held_back=as_intervals(held_back),
        next_due=next_due(project, name, decision.execution_time),
    )


def cut_by_window(project: Project, decision: RunDecision, name: str) -> bool:
    """Whether a run that evaluated something of a model left more of it to its window."""
    asked = Question(
        start=decision.start,
        end=decision.end,
        execution_time=decision.execution_time,
        ignore_cron=decision.ignore_cron,
    )
    unbounded = _unbounded(asked, decision)
    if unbounded == asked:
        return False
    return bool(without(unbounded.answer(project, name), asked.answer(project, name)))


def idle_in_plan(
    project: Project, recording: Recording, facts: PlanFacts, name: str
) -> Finding:  # fmt: skip
    """Why a plan evaluated nothing of this model."""
    plan, arguments = facts.plan, recording.arguments
    snapshot = project.snapshot(name)
    if not snapshot.evaluatable:
        return Finding().add(Reason.NOT_EVALUATABLE, "observed")
    if arguments.get("restate_models") and name not in {s.name for s in plan.restatements}:
        return cannot_tell("what a restatement leaves out is not explained by this version")
    finding = Finding()
    in_backfill = facts.models_to_backfill is None or name in facts.models_to_backfill
    if not in_backfill and (arguments.get("select_models") or arguments.get("backfill_models")):
        return finding.add(Reason.NOT_SELECTED, "observed")
    missing = plan_question(plan).answer(project, name) if in_backfill else []
    if missing:
        return _left_undone(recording, plan)
    lifetime = _outside_lifetime(project, name, plan.execution_time)
    if lifetime:
        return finding.add(lifetime, "inferred")
    if name not in facts.modified | facts.added:
        run = plan_question(plan).but(
            end=plan.execution_time, end_override_per_model={}, end_bounded=False
        )
        held_back = run.answer(project, name)
        return finding.add(Reason.NO_CHANGES, "inferred", held_back=as_intervals(held_back))
    if (plan.is_dev and snapshot.is_forward_only) or not project.loaded(name):
        return cannot_tell("why this change was not evaluated is not explained by this version")
    category = facts.snapshots[name].change_category
    return finding.add(Reason.REUSED, "inferred", change_category=category)


def plan_question(plan: Any) -> Question:
    """What a plan looks for as missing (sqlmesh/core/plan/stages.py, `_missing_intervals`)."""
    return Question(
        start=plan.start,
        end=plan.end,
        execution_time=plan.execution_time,
        ignore_cron=getattr(plan, "ignore_cron", False),
        end_bounded=plan.end_bounded,
        start_override_per_model=plan.start_override_per_model or {},
        end_override_per_model=plan.end_override_per_model or {},
    )


def _left_undone(recording: Recording, plan: Any) -> Finding:
    """Why a plan did not get to what it found missing."""
    if plan.skip_backfill:
        return Finding().add(Reason.BACKFILL_SKIPPED, "observed")
    if plan.empty_backfill:
        return Finding().add(Reason.BACKFILL_EMPTIED, "observed")
    if not recording.applied and recording.raised is None:
        return Finding().add(Reason.NOT_APPLIED, "observed")
    if recording.raised is not None and not recording.rounds:
        return Finding(status=Status.INTERRUPTED)
    return cannot_tell("the plan found it missing, but did not schedule it")


def _unbounded(asked: Question, decision: RunDecision) -> Question:
    """The question without the window: neither start nor end but the execution time."""
    capped = to_datetime(decision.execution_time) > to_datetime(decision.end)
    if decision.end_given or capped:
        return asked.but(start=None, end=decision.execution_time)
    # Without an end it is the wall clock: a past execution_time alone cuts nothing off.
    return asked.but(start=None)


def _outside_lifetime(project: Project, name: str, at: Any) -> Reason | None:
    """Whether the model has yet to start, or has all it will ever load."""
    node = project.snapshot(name).node
    now = to_datetime(at)
    if project.start(name, at) > now:
        return Reason.NOT_STARTED
    if not node.end or to_datetime(make_exclusive(node.end)) > now:
        return None
    later = to_timestamp(now) + 10 * node.interval_unit.milliseconds
    ever = Question(end=later, execution_time=later, ignore_cron=True)
    return None if ever.answer(project, name) else Reason.ENDED


class _Unready:
    """What signals held back in a round, of each model and of what is upstream of it."""

    def __init__(self, round_: Round) -> None:
        self._round = round_
        self._all: dict[str, list[Span]] = {}

    def by_signal(self, name: str) -> dict[str, list[Span]]:
        """Of the model's own signals: what each held back; signals that held nothing left out."""
        checks = self._round.signals.get(name, [])
        held = {check.signal: without(check.asked, check.ready) for check in checks}
        return {signal: spans for signal, spans in held.items() if spans}

    def own(self, name: str) -> list[Span]:
        """What the model's own signals held back."""
        return [span for spans in self.by_signal(name).values() for span in spans]

    def upstream(self, name: str) -> list[Span]:
        """What signals of models upstream held back; only parents that were due pass it on."""
        return [span for parent in self._parents(name) for span in self._of(parent)]

    def roots(self, name: str) -> list[str]:
        """The models upstream whose own signals held something back, nearest first."""
        found: dict[str, None] = {}
        queue, seen = self._parents(name), {name}
        while queue:
            parent = queue.pop(0)
            if parent not in seen:
                seen.add(parent)
                if self.own(parent):
                    found[parent] = None
                queue += self._parents(parent)
        return list(found)

    def _of(self, name: str) -> list[Span]:
        if name not in self._all:
            self._all[name] = []
            self._all[name] = self.own(name) + self.upstream(name)
        return self._all[name]

    def _parents(self, name: str) -> list[str]:
        return [parent for parent in self._round.parents(name) if parent in (self._round.due or ())]


def _units(span: Span, unit: Any) -> list[Span]:
    """The span in pieces of the model's interval unit, as the scheduler cuts it."""
    edges = expand_range(span[0], span[1], unit)
    return list(pairwise(edges))


def _overlaps(unit: Span, spans: Sequence[Span]) -> bool:
    return any(start < unit[1] and unit[0] < end for start, end in spans)
