"""Why intervals of a model were evaluated.

Each interval whose batch began has exactly one cause, the first that holds. It follows from what
SQLMesh's state contained for the model before, what the user requested, and what SQLMesh restated
automatically.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.outcomes.outcome import Batch
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.outcomes.vocabulary import Cause, Evidence, Status
from pytest_sqlmesh_tracker.tracking.events.recording import PlanFacts, Recording
from pytest_sqlmesh_tracker.tracking.intervals.loaded import Before
from pytest_sqlmesh_tracker.tracking.intervals.snapshots import Snapshots
from pytest_sqlmesh_tracker.tracking.spans import (
    Millis,
    Span,
    as_intervals,
    merged,
    within,
    without,
)

from .auto_restatements import AutoRestatements


@dataclass(frozen=True)
class ModelCauses:
    """The causes of one model's evaluated intervals, and the facts that they carry."""

    intervals: Mapping[Cause, tuple[Interval, ...]] = field(default_factory=dict)
    """By cause, in order of precedence."""
    evidence: Mapping[Cause, Evidence] = field(default_factory=dict)
    restated_by: tuple[str, ...] = ()
    """Fully qualified names."""
    changed_by: tuple[str, ...] = ()
    """Fully qualified names."""
    change_category: str | None = None

    @property
    def in_order(self) -> tuple[Cause, ...]:
        """The causes in order of precedence."""
        return tuple(self.intervals)


class CauseExplainer:
    """Explains why one invocation evaluated models."""

    def __init__(self, recording: Recording, before: Before) -> None:
        self._recording = recording
        self._compared = before.first_compared
        self._stored = before.stored
        self._auto_restatements = AutoRestatements(recording, self._compared, self._stored)

    def of(self, name: str, batches: Sequence[Batch]) -> ModelCauses:
        """Why the model was evaluated or audited in these batches; empty if none began."""
        if not any(name in (round_.batches or ()) for round_ in self._recording.rounds):
            return ModelCauses()
        began = [batch for batch in batches if _began(batch)]
        assignment = _CauseAssignment(
            name=name,
            recording=self._recording,
            compared=self._compared,
            stored=self._stored,
            auto_restatements=self._auto_restatements,
        )
        if self._recording.command == "audit":
            assignment.assign(Cause.REQUESTED, "observed", _spans(began))
            return assignment.result()
        evaluated = _spans(batch for batch in began if not self._repeats_audits(batch))
        audited_alone = without(self._audited_alone(name), evaluated)
        assignment.assign(Cause.AUDITS_CHANGED, "observed", audited_alone)
        if evaluated and name in self._compared.frozen:
            assignment.assign_all(evaluated)
        return assignment.result()

    def _audited_alone(self, name: str) -> list[Span]:
        """What a plan audited because the audits had changed, even if it evaluated it later."""
        return merged(
            span
            for round_ in self._recording.rounds
            for index, span in enumerate((round_.batches or {}).get(name, ()))
            if round_.audit_only and (name, index) in round_.ends
        )

    def _repeats_audits(self, batch: Batch) -> bool:
        return self._recording.rounds[batch.round].audit_only


@dataclass
class _CauseAssignment:
    """Assigns a cause to every evaluated span of one model."""

    name: str
    recording: Recording
    compared: Snapshots
    stored: Snapshots
    auto_restatements: AutoRestatements
    spans: dict[Cause, list[Span]] = field(init=False, default_factory=dict)
    evidence: dict[Cause, Evidence] = field(init=False, default_factory=dict)
    restated_by: tuple[str, ...] = field(init=False, default=())
    changed_by: tuple[str, ...] = field(init=False, default=())
    change_category: str | None = field(init=False, default=None)

    def result(self) -> ModelCauses:
        """The causes assigned so far."""
        ordered = sorted(self.spans, key=lambda cause: cause.rank)
        return ModelCauses(
            intervals={cause: as_intervals(self.spans[cause]) for cause in ordered},
            evidence=dict(self.evidence),
            restated_by=self.restated_by,
            changed_by=self.changed_by,
            change_category=self.change_category,
        )

    def assign(self, cause: Cause, evidence: Evidence, spans: Sequence[Span]) -> None:
        """Assign this cause to the spans."""
        if spans:
            self.spans[cause] = list(spans)
            self.evidence[cause] = evidence

    def assign_all(self, evaluated: list[Span]) -> None:
        """Assign a cause to every evaluated span."""
        removed_by_run = self.auto_restatements.removed(self.name)
        remaining = self._restated(evaluated)
        remaining, removed_earlier = self._auto_restated(remaining, removed_by_run)
        loaded = self._loaded()
        recorded_as_removed = self._whole_units(self.recording.removed_intervals.get(self.name, ()))
        removed = without([*removed_earlier, *recorded_as_removed], loaded)
        if not (loaded or removed_by_run or removed):
            self._first_load(remaining)
            return
        remaining = self._take(Cause.REMOVED_BEFORE, "inferred", remaining, removed)
        newest = max(end for _, end in [*loaded, *removed_by_run, *removed])
        not_loaded = without(remaining, loaded)
        self.assign(Cause.FILLED_GAP, "inferred", within(not_loaded, [(0, newest)]))
        newer = without(not_loaded, [(0, newest)])
        due_by_cron = [(newest, self._due_by_cron())]
        self.assign(Cause.NEW_INTERVAL, "inferred", within(newer, due_by_cron))
        self.assign(Cause.AHEAD_OF_CRON, "inferred", without(newer, due_by_cron))
        self.assign(Cause.RELOADED, "inferred", within(remaining, loaded))

    def _restated(self, spans: list[Span]) -> list[Span]:
        """Assign the cause of what the user restates, and return the other spans."""
        plan = self.recording.plan
        restated = plan.search.restatements.get(self.name) if plan and plan.to_restate else None
        if plan is None or restated is None or not within(spans, [restated]):
            return spans
        self.restated_by = self._restated_upstream(plan)
        return self._take(Cause.RESTATED, "observed", spans, [restated])

    def _restated_upstream(self, plan: PlanFacts) -> tuple[str, ...]:
        """The models that the user restates, among the model and the upstream models that pass a
        restatement on to it (sqlmesh/core/plan/builder.py, `_build_restatements`)."""
        seen, queue = {self.name: None}, [self.name]
        while queue:
            parents = set(self.compared.parents(queue.pop(0)))
            new = sorted(parents & plan.search.restatements.keys() - seen.keys())
            seen.update(dict.fromkeys(new))
            queue += new
        return tuple(restated for restated in seen if restated in plan.to_restate)

    def _auto_restated(
        self, spans: list[Span], removed_by_run: list[Span]
    ) -> tuple[list[Span], list[Span]]:
        """Assign the cause of what this run restates automatically.

        Returns:
            The other spans, and what was removed by an earlier run.
        """
        restated = self.auto_restatements.of(self.name) if removed_by_run else None
        if restated is None:
            return spans, removed_by_run
        removed_now = within(removed_by_run, restated.spans)
        if within(spans, removed_now):
            reported = self.auto_restatements.reported_triggers(self.name)
            self.restated_by = restated.triggers if reported is None else reported
            evidence: Evidence = "inferred" if reported is None else "observed"
            spans = self._take(Cause.AUTO_RESTATED, evidence, spans, removed_now)
        return spans, without(removed_by_run, removed_now)

    def _loaded(self) -> list[Span]:
        """What was loaded before, except for what automatic restatements removed."""
        plan = self.recording.plan
        before = self.stored if self.recording.decision is None else self.compared
        overwritten = plan.overwritten.get(self.name, ()) if plan else ()
        return merged([*before.loaded(self.name), *overwritten])

    def _whole_units(self, spans: Iterable[Span]) -> list[Span]:
        """The spans, widened to the model's interval unit.

        If an hour is restated upstream in prod, that hour is removed from a daily model in dev, and
        SQLMesh considers the whole day missing.
        """
        ticks, unit = self.compared.ticks, self.compared.schedule(self.name).contents.unit
        return [
            (ticks.floor(unit, start), ticks.next(unit, ticks.floor(unit, end - 1)))
            for start, end in spans
        ]

    def _first_load(self, spans: list[Span]) -> None:
        plan = self.recording.plan
        created = plan is not None and self.name in plan.created
        self.assign(Cause.FIRST_LOAD, "observed" if created else "inferred", spans)
        self.change_category = self.compared.frozen[self.name].change_category
        if plan:
            self.changed_by = plan.changed_by.get(self.name, ())

    def _due_by_cron(self) -> Millis:
        """The end of what cron lets a run load at the invocation's execution time
        (`Snapshot.missing_intervals`)."""
        decided = self.recording.decision or self.recording.plan
        assert decided is not None
        ticks, snapshot = self.compared.ticks, self.compared.snapshot(self.name)
        bound = ticks.floor(snapshot.node, to_timestamp(decided.search.execution_time))
        return bound if snapshot.allow_partials else ticks.floor(snapshot.node.interval_unit, bound)

    def _take(
        self, cause: Cause, evidence: Evidence, spans: list[Span], limits: Sequence[Span]
    ) -> list[Span]:
        """Assign this cause to the parts of the spans inside the limits, and return the others."""
        self.assign(cause, evidence, within(spans, limits))
        return without(spans, limits)


def _began(batch: Batch) -> bool:
    if batch.start >= batch.end:
        # SQLMesh schedules a new model from its start back to its last tick if the tick comes
        # first, and rejects the batch before it evaluates anything.
        return False
    ran = batch.status in (Status.EXECUTED, Status.AUDITED, Status.FAILED)
    return ran or batch.duration is not None


def _spans(batches: Iterable[Batch]) -> list[Span]:
    spans: list[tuple[Any, Any]] = [
        (to_timestamp(batch.start), to_timestamp(batch.end)) for batch in batches
    ]
    return merged(spans)
