"""Why a model was not evaluated, or not all of it: observed where SQLMesh said so, else inferred.

To infer is to ask SQLMesh's own functions again, with the arguments and intervals of the
invocation, relaxing one constraint at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlmesh.core.scheduler import interval_diff
from sqlmesh.core.snapshot.definition import merge_intervals
from sqlmesh.utils.date import make_exclusive, to_datetime, to_timestamp

from pytest_sqlmesh_tracker.outcomes.vocabulary import Evidence, Reason, Status
from pytest_sqlmesh_tracker.tracking.events.recording import (
    Question,
    Recording,
    Round,
    RunDecision,
    Span,
)

from .batches import as_intervals
from .crons import is_undetermined
from .intervals import Project, missing, next_due, units, without


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


class HeldUp:
    """Why models that were due were not scheduled, or not for all that was due.

    `Scheduler.batch_intervals` asks the model's signals, drops what they or an upstream signal
    held back, and for a model that depends on its past all that follows
    (sqlmesh/core/scheduler.py).
    """

    def __init__(self, recording: Recording) -> None:
        self._rounds = [r for r in recording.latest_rounds if r.batches is not None]
        self._known: dict[int, _Unready] = {}

    def of(self, name: str) -> Finding:
        """The reasons that hold for one model; none, if it was not due or nothing was left out."""
        round_ = self._latest(name)
        return self._left_out(round_, name) if round_ else Finding()

    def spans(self, name: str) -> list[Span]:
        """What was due of one model and was not scheduled."""
        round_ = self._latest(name)
        if round_ is None:
            return []
        return without((round_.due or {})[name], (round_.batches or {})[name])

    def _latest(self, name: str) -> Round | None:
        """The latest round in which it was due."""
        return next((r for r in reversed(self._rounds) if name in (r.due or ())), None)

    def _unready(self, round_: Round) -> _Unready:
        return self._known.setdefault(id(round_), _Unready(round_))

    def _left_out(self, round_: Round, name: str) -> Finding:
        snapshot, unready = round_.snapshots[name], self._unready(round_)
        wanted, scheduled = (round_.due or {})[name], (round_.batches or {})[name]
        if not without(wanted, scheduled) and not without(scheduled, wanted):
            return Finding()
        due = units(wanted, snapshot.node.interval_unit)
        own, upstream = unready.own(name), unready.upstream(name)
        asked = [unit for unit in due if not _overlaps(unit, own)]
        barred = merge_intervals([*own, *upstream])
        kept = interval_diff(asked, barred, uninterrupted=snapshot.depends_on_past)
        if without(kept, scheduled) or without(scheduled, kept):
            return cannot_tell("SQLMesh left out intervals that were due, and did not say why")
        finding = Finding()
        if len(asked) < len(due):
            signals = {signal: as_intervals(held) for signal, held in unready.signals(name).items()}
            finding.add(Reason.SIGNAL_NOT_READY, "observed", signals=signals)
        waiting = [unit for unit in asked if unit not in kept]
        behind = [unit for unit in waiting if not _overlaps(unit, upstream)]
        # Of a coarser model, `interval_diff` can also leave out what follows the unready interval.
        passed_on = len(behind) < len(waiting) or not snapshot.depends_on_past
        if upstream and waiting and passed_on:
            blocked_by = unready.roots(name, waiting)
            finding.add(Reason.UPSTREAM_NOT_READY, "observed", blocked_by=blocked_by)
        if behind and snapshot.depends_on_past:
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
    asked = decision.question
    if missing(asked, project, name):
        if selected:
            return cannot_tell("SQLMesh did not schedule it, though by its own rule it was due")
        return finding
    if snapshot.is_seed and project.loaded(name):
        return finding.add(Reason.NO_CHANGES, "inferred")
    lifetime = outside_lifetime(project, name, asked.execution_time)
    if lifetime:
        if lifetime is Reason.NOT_STARTED:
            finding.facts["next_due"] = next_due(project, name, asked.execution_time)
        return finding.add(lifetime, "inferred")
    if cut_by_window(project, decision, name):
        return finding.add(Reason.OUTSIDE_WINDOW, "inferred")
    if asked.ignore_cron:
        return finding.add(Reason.UP_TO_DATE, "inferred")
    waiting = waits_for_cron(project, name, asked)
    if not selected:
        waiting.facts["held_back"] = ()
    return finding.add(Reason.CRON_NOT_DUE, "inferred", **waiting.facts)


def cut_by_window(project: Project, decision: RunDecision, name: str) -> list[Span]:
    """What a run did not look for, since it lies outside of its window."""
    asked = decision.question
    unbounded = _unbounded(decision)
    if unbounded == asked:
        return []
    return without(missing(unbounded, project, name), missing(asked, project, name))


def idle_in_audit(selected: bool, audits: Sequence[Any], raised: bool) -> Finding:
    """Why `Context.audit` ran no audit of a model; `audits` are those that it has."""
    finding = Finding()
    if not selected:
        finding.add(Reason.NOT_SELECTED, "observed")
    if selected and audits and raised:
        finding.status = Status.INTERRUPTED
    elif selected or not audits:
        finding.add(Reason.NO_AUDITS, "observed")
    return finding


def waits_for_cron(project: Project, name: str, asked: Question) -> Finding:
    """The finding for a model of which time has not made anything missing yet."""
    return Finding().add(
        Reason.CRON_NOT_DUE,
        "inferred",
        held_back=as_intervals(missing(asked.but(ignore_cron=True), project, name)),
        next_due=_next_due(project, name, asked.execution_time),
    )


def _next_due(project: Project, name: str, at: Any) -> datetime | None:
    """When the model is next due, unless that depends on the process that finds it."""
    if is_undetermined(project.snapshot(name).node.cron):
        return None
    return next_due(project, name, at)


def _unbounded(decision: RunDecision) -> Question:
    """The question without the window: neither start nor end but the execution time."""
    asked = decision.question
    capped = to_datetime(asked.execution_time) > to_datetime(asked.end)
    if decision.end_given or capped:
        return asked.but(start=None, end=asked.execution_time)
    # Without an end it is the wall clock: a past execution_time alone cuts nothing off.
    return asked.but(start=None)


def outside_lifetime(project: Project, name: str, at: Any) -> Reason | None:
    """Whether the model has yet to start, or has all it will ever load."""
    node = project.snapshot(name).node
    now = to_datetime(at)
    if project.start(name, at) > now:
        return Reason.NOT_STARTED
    if not node.end or to_datetime(make_exclusive(node.end)) > now:
        return None
    later = to_timestamp(now) + 10 * node.interval_unit.milliseconds
    ever = Question(end=later, execution_time=later, ignore_cron=True)
    return None if missing(ever, project, name) else Reason.ENDED


class _Unready:
    """What signals held back in a round, of each model and of what is upstream of it."""

    def __init__(self, round_: Round) -> None:
        self._round = round_
        self._all: dict[str, list[Span]] = {}

    def signals(self, name: str) -> dict[str, list[Span]]:
        """Of the model's own signals: what each held back; signals that held nothing left out."""
        checks = self._round.signals.get(name, [])
        held = {check.signal: without(check.asked, check.ready) for check in checks}
        return {signal: spans for signal, spans in held.items() if spans}

    def own(self, name: str) -> list[Span]:
        """What the model's own signals held back."""
        return [span for spans in self.signals(name).values() for span in spans]

    def upstream(self, name: str) -> list[Span]:
        """What signals of models upstream held back; only parents that were due pass it on."""
        return [span for parent in self._parents(name) for span in self._of(parent)]

    def roots(self, name: str, waiting: Sequence[Span]) -> list[str]:
        """The models upstream whose own signals held back some of this, nearest first."""
        found: dict[str, None] = {}
        queue, seen = self._parents(name), {name}
        while queue:
            parent = queue.pop(0)
            if parent not in seen:
                seen.add(parent)
                if any(_overlaps(unit, self.own(parent)) for unit in waiting):
                    found[parent] = None
                queue += self._parents(parent)
        return list(found)

    def _of(self, name: str) -> list[Span]:
        if name not in self._all:
            self._all[name] = []
            self._all[name] = merge_intervals(self.own(name) + self.upstream(name))
        return self._all[name]

    def _parents(self, name: str) -> list[str]:
        return [parent for parent in self._round.parents(name) if parent in (self._round.due or ())]


def _overlaps(unit: Span, spans: Sequence[Span]) -> bool:
    # Of a model that did not come to its first tick yet, SQLMesh finds spans that end before they
    # start: such a one overlaps nothing but itself.
    return unit in spans or any(start < unit[1] and unit[0] < end for start, end in spans)
