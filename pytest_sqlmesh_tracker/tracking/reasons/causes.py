"""Why intervals of a model were evaluated.

Each interval of which a batch began has one cause, the first that holds: what SQLMesh's state had
of the model before decides, what the user asked for, and what SQLMesh restated by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlmesh.core.snapshot import apply_auto_restatements, merge_intervals
from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.outcomes.outcome import Batch
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.outcomes.vocabulary import Cause, Evidence, Status
from pytest_sqlmesh_tracker.tracking.events.recording import PlanFacts, Recording, Span

from .batches import as_intervals
from .intervals import Project, within, without


@dataclass
class Caused:
    """The causes of what was evaluated of one model, and the facts that they carry."""

    intervals: dict[Cause, tuple[Interval, ...]] = field(default_factory=dict)
    evidence: dict[Cause, Evidence] = field(default_factory=dict)
    restated_by: tuple[str, ...] = ()
    """Fully qualified names, and so in `changed_by`."""
    changed_by: tuple[str, ...] = ()
    change_category: str | None = None

    @property
    def ordered(self) -> tuple[Cause, ...]:
        """The causes, the first one first."""
        return tuple(sorted(self.intervals, key=lambda cause: cause.rank))


@dataclass(frozen=True)
class _AutoRestated:
    """What a run's automatic restatements removed of a model before it decided."""

    spans: tuple[Span, ...]
    triggers: tuple[str, ...]
    """The models whose own `auto_restatement_cron` was due: this one, or some upstream."""


class Causes:
    """Finds the causes of one invocation's evaluations."""

    def __init__(self, recording: Recording, before: Project, stored: Project) -> None:
        """
        Args:
            before: with what counted as loaded when the invocation first decided.
            stored: with what the state had when it began, also of what it is to load anew.
        """
        self._recording = recording
        self._before = before
        self._stored = stored

    def of(self, name: str, batches: Sequence[Batch]) -> Caused:
        """Why the model was evaluated or audited in these batches; empty, where none began."""
        began = [batch for batch in batches if _began(batch)]
        caused = Caused()
        if self._recording.command == "audit":
            self._give(caused, Cause.REQUESTED, "observed", _spans(began))
            return caused
        left = _spans(batch for batch in began if not self._repeats_audits(batch))
        audited = without(self._audited_alone(name), left)
        self._give(caused, Cause.AUDITS_CHANGED, "observed", audited)
        if left and name in self._before.frozen:
            self._classify(caused, name, left)
        return caused

    def _audited_alone(self, name: str) -> list[Span]:
        """What a plan audited since the audits had changed, also where an evaluation followed."""
        return merge_intervals(
            [
                span
                for round_ in self._recording.rounds
                for index, span in enumerate((round_.batches or {}).get(name, ()))
                if round_.audit_only and (name, index) in round_.ends
            ]
        )

    def _repeats_audits(self, batch: Batch) -> bool:
        return self._recording.rounds[batch.round].audit_only

    def _classify(self, caused: Caused, name: str, left: list[Span]) -> None:
        left = self._restated(caused, name, left)
        loaded, gone = self._loaded(name), self._removed_by_run(name)
        left, removed = self._auto_restated(caused, name, left, gone)
        recorded = self._whole_units(name, self._recording.removed.get(name, ()))
        removed = without([*removed, *recorded], loaded)
        if not (loaded or gone or removed):
            self._first_load(caused, name, left)
            return
        left = self._take(caused, Cause.REMOVED_BEFORE, "inferred", left, removed)
        newest = max(end for _, end in [*loaded, *gone, *removed])
        missing = without(left, loaded)
        self._give(caused, Cause.FILLED_GAP, "inferred", within(missing, [(0, newest)]))
        newer = without(missing, [(0, newest)])
        due = [(newest, self._due_by_cron(name))]
        self._give(caused, Cause.NEW_INTERVAL, "inferred", within(newer, due))
        self._give(caused, Cause.AHEAD_OF_CRON, "inferred", without(newer, due))
        self._give(caused, Cause.RELOADED, "inferred", within(left, loaded))

    def _restated(self, caused: Caused, name: str, left: list[Span]) -> list[Span]:
        """What the user restates; what is left of the spans is returned."""
        plan = self._recording.plan
        span = plan.question.restatements.get(name) if plan and plan.to_restate else None
        if plan is None or span is None or not within(left, [span]):
            return left
        caused.restated_by = self._restating(plan, name)
        return self._take(caused, Cause.RESTATED, "observed", left, [span])

    def _restating(self, plan: PlanFacts, name: str) -> tuple[str, ...]:
        """What the user asked to restate, of the model and those upstream through which a
        restatement is passed on (sqlmesh/core/plan/builder.py, `_build_restatements`)."""
        seen, queue = {name: None}, [name]
        while queue:
            parents = {parent.name for parent in self._before.frozen[queue.pop(0)].snapshot.parents}
            new = sorted(parents & plan.question.restatements.keys() - seen.keys())
            seen.update(dict.fromkeys(new))
            queue += new
        return tuple(restated for restated in seen if restated in plan.to_restate)

    def _removed_by_run(self, name: str) -> list[Span]:
        """What was loaded and a run takes for missing: SQLMesh restates it by itself, now or since
        an earlier run that did not come to it (`apply_auto_restatements`)."""
        if self._recording.decision is None or name not in self._stored.frozen:
            return []
        return without(self._stored.loaded(name), self._before.loaded(name))

    def _auto_restated(
        self, caused: Caused, name: str, left: list[Span], gone: list[Span]
    ) -> tuple[list[Span], list[Span]]:
        """What this run restates by itself; what is left of the spans, and what had been removed
        before this run."""
        restated = self._auto_restatements.get(name) if gone else None
        if restated is None:
            return left, gone
        spans = within(gone, restated.spans)
        if within(left, spans):
            triggers = self._triggers_named(name)
            caused.restated_by = restated.triggers if triggers is None else triggers
            evidence: Evidence = "inferred" if triggers is None else "observed"
            left = self._take(caused, Cause.AUTO_RESTATED, evidence, left, spans)
        return left, without(gone, spans)

    def _triggers_named(self, name: str) -> tuple[str, ...] | None:
        """What SQLMesh itself names as what triggered the restatement."""
        ends = [end for round_ in self._recording.rounds for end in round_.ends_of(name)]
        triggers = [end.triggers for end in ends if end.triggers]
        return triggers[-1] if triggers else None

    @cached_property
    def _auto_restatements(self) -> Mapping[str, _AutoRestated]:
        """As SQLMesh applied them to what the state had."""
        decision = self._recording.decision
        assert decision is not None
        at = decision.question.execution_time
        thawed = [frozen.thawed() for frozen in self._stored.frozen.values()]
        due: dict[str, bool] = {}
        for snapshot in thawed:
            snapshot.pending_restatement_intervals = []
            due[snapshot.name] = bool(snapshot.get_next_auto_restatement_interval(at))
        apply_auto_restatements({snapshot.snapshot_id: snapshot for snapshot in thawed}, at)
        spans = {snapshot.name: snapshot.pending_restatement_intervals for snapshot in thawed}
        triggers: dict[str, tuple[str, ...]] = {}

        def triggers_of(name: str) -> tuple[str, ...]:
            if name not in triggers:
                parents = [parent.name for parent in self._stored.frozen[name].snapshot.parents]
                above = [t for p in parents if spans.get(p) for t in triggers_of(p)]
                triggers[name] = (name,) if due[name] else tuple(dict.fromkeys(above))
            return triggers[name]

        return {
            name: _AutoRestated(tuple(restated), triggers_of(name))
            for name, restated in spans.items()
            if restated
        }

    def _loaded(self, name: str) -> list[Span]:
        """What was loaded before; what automatic restatements removed does not count."""
        by_run, plan = self._recording.decision is not None, self._recording.plan
        loaded = (self._before if by_run else self._stored).loaded(name)
        overwritten = plan.overwritten.get(name, ()) if plan else ()
        return merge_intervals([*loaded, *overwritten])

    def _whole_units(self, name: str, spans: Iterable[Span]) -> list[Span]:
        """The spans, widened to the model's interval unit.

        A restatement in prod removes of a daily model in dev the hour that is restated upstream,
        and SQLMesh takes the whole day for missing.
        """
        ticks, unit = self._before.ticks, self._before.snapshot(name).node.interval_unit
        return [
            (ticks.floor(unit, start), ticks.next(unit, ticks.floor(unit, end - 1)))
            for start, end in spans
        ]

    def _first_load(self, caused: Caused, name: str, left: list[Span]) -> None:
        plan, frozen = self._recording.plan, self._before.frozen[name]
        created = plan is not None and name in plan.created
        self._give(caused, Cause.FIRST_LOAD, "observed" if created else "inferred", left)
        caused.change_category = frozen.change_category
        if plan:
            caused.changed_by = plan.changed_by.get(name, ())

    def _due_by_cron(self, name: str) -> int:
        """Until when cron lets a run load at the invocation's execution time
        (`Snapshot.missing_intervals`)."""
        known = self._recording.decision or self._recording.plan
        assert known is not None
        ticks, snapshot = self._before.ticks, self._before.snapshot(name)
        bound = ticks.floor(snapshot.node, to_timestamp(known.question.execution_time))
        return bound if snapshot.allow_partials else ticks.floor(snapshot.node.interval_unit, bound)

    def _take(
        self,
        caused: Caused,
        cause: Cause,
        evidence: Evidence,
        spans: list[Span],
        limits: Sequence[Span],
    ) -> list[Span]:
        """Give what of the spans lies in the limits this cause; the others are returned."""
        self._give(caused, cause, evidence, within(spans, limits))
        return without(spans, limits)

    def _give(
        self, caused: Caused, cause: Cause, evidence: Evidence, spans: Sequence[Span]
    ) -> None:
        if spans:
            caused.intervals[cause] = as_intervals(spans)
            caused.evidence[cause] = evidence


def _began(batch: Batch) -> bool:
    if batch.start >= batch.end:
        # SQLMesh schedules a new model from its start back to its last tick if that comes first,
        # and refuses the batch before it evaluates anything.
        return False
    ran = batch.status in (Status.EXECUTED, Status.AUDITED, Status.FAILED)
    return ran or batch.duration is not None


def _spans(batches: Iterable[Batch]) -> list[Span]:
    spans: list[tuple[Any, Any]] = [
        (to_timestamp(batch.start), to_timestamp(batch.end)) for batch in batches
    ]
    return merge_intervals(spans)
