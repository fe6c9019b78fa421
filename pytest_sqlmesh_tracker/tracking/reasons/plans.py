"""Why a plan did not evaluate a model, or not all of it.

SQLMesh decides what a plan evaluates when it builds the plan (sqlmesh/core/plan/builder.py), and
again when it builds the plan's stages (sqlmesh/core/plan/stages.py). The searches here are those
of the stages, if SQLMesh reached them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sqlmesh.utils.date import make_exclusive, to_timestamp, validate_date_range

from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.tracking.evaluation.batches import failed_upstream
from pytest_sqlmesh_tracker.tracking.evaluation.root_causes import RootCauses
from pytest_sqlmesh_tracker.tracking.events.recording import IntervalSearch, PlanFacts, Recording
from pytest_sqlmesh_tracker.tracking.intervals.missing import (
    missing,
    missing_or_rejected,
    missing_to_audit,
    outside_lifetime,
)
from pytest_sqlmesh_tracker.tracking.intervals.recorded import RecordedByModel, UpdatedSnapshots
from pytest_sqlmesh_tracker.tracking.intervals.snapshots import Snapshots
from pytest_sqlmesh_tracker.tracking.project.nodes import is_never_evaluated
from pytest_sqlmesh_tracker.tracking.spans import Span, as_intervals, units, within, without

from .explaining import interrupted
from .finding import Finding, UnexplainedError
from .left_out import Omission, still_missing_after, why_still_missing
from .models import Models
from .runs import waits_for_cron
from .signals import Unscheduled


@dataclass(frozen=True)
class PlanExplainer:
    """Explains what a plan did not evaluate."""

    recording: Recording
    plan: PlanFacts
    models: Models
    snapshots: Snapshots
    """The snapshots as SQLMesh compared them when it looked for what is missing."""
    unscheduled: Unscheduled

    def executed(self, name: str, next_run: Snapshots) -> Finding:
        """What signals, the user's window or the plan's own limits left out."""
        remaining = still_missing_after(self.plan.search, next_run, name)
        if not remaining:
            return Finding(Status.EXECUTED)
        return why_still_missing(
            self.unscheduled, name, remaining, self._omission(name, remaining, next_run)
        )

    def not_scheduled(self, name: str) -> Finding:
        """Why nothing of the model was scheduled."""
        finding = self.unscheduled.finding_if_nothing_scheduled(name)
        if finding is not None:
            return finding
        if self._dates_rejected and not is_never_evaluated(self.models.nodes[name]):
            return interrupted(self.recording)
        if name not in self.plan.snapshots:
            return self._not_in_plan()
        return self._in_plan(name)

    def _omission(self, name: str, remaining: Sequence[Span], next_run: Snapshots) -> Omission:
        """What the plan did not look for."""
        compared = missing(self.plan.search, self.snapshots, name)
        unit = next_run.schedule(name).contents.unit
        omitted = units(without(remaining, compared), unit)
        start, end = _window(self.plan)
        outside = [span for span in omitted if not (start <= span[0] and span[1] <= end)]
        reasons = [Reason.OUTSIDE_WINDOW] if outside else []
        if len(outside) < len(omitted):
            reasons.append(Reason.PLAN_LIMIT)
        return Omission(omitted, reasons)

    @cached_property
    def _dates_rejected(self) -> bool:
        """Whether SQLMesh rejected the plan's dates when its stages looked for what is missing."""
        recording, search = self.recording, self.plan.search
        raised = recording.raised is not None and recording.raised.kind == "error"
        if not raised or not recording.applied or recording.rounds:
            return False
        try:
            validate_date_range(search.start, search.end)
            for name in self.plan.snapshots:
                missing_or_rejected(search, self.snapshots, name)
        except ValueError:
            return True
        return False

    @cached_property
    def _recorded(self) -> Snapshots:
        """The snapshots, with what SQLMesh has recorded: a plan with `empty_backfill` also records
        what cron holds back."""
        recorded = RecordedByModel(self.recording)
        return replace(self.snapshots, frozen=UpdatedSnapshots(self.snapshots.frozen, recorded))

    def _not_in_plan(self) -> Finding:
        """Why the plan does not contain a model of the project."""
        arguments = self.plan.user_arguments
        # A restatement works on the environment's models, regardless of the project's.
        selected = "select_models" in arguments and "restate_models" not in arguments
        reason = Reason.NOT_SELECTED if selected else Reason.NOT_IN_ENVIRONMENT
        return Finding(Status.SKIPPED).because(reason, "observed")

    def _in_plan(self, name: str) -> Finding:
        """Why a plan that contains the model did not schedule it."""
        plan, finding = self.plan, Finding(Status.SKIPPED)
        if not self.snapshots.schedule(name).traits.evaluatable:
            return finding.because(Reason.NOT_EVALUATABLE, "observed")
        to_load = missing(plan.search, self.snapshots, name)
        to_backfill = bool(to_load) and self._in_backfill(name)
        if self._not_selected(name, to_backfill):
            finding = finding.because(Reason.NOT_SELECTED, "observed")
        if name in plan.refused:
            finding = finding.because(Reason.RESTATEMENT_REFUSED, "observed")
        if self._audits_are_left_undone(name):
            if self.recording.raised is not None:
                return interrupted(self.recording)
            # No selection and no limit of the backfill applies to these audits.
            return Finding(Status.SKIPPED).because(Reason.NOT_APPLIED, "observed")
        if self._emptied(name):
            return finding.because(Reason.BACKFILL_EMPTIED, "observed")
        if to_backfill:
            return self._left_undone(name, finding)
        if to_load and finding.reasons:
            return finding
        lifetime = outside_lifetime(self.snapshots, name, plan.search.execution_time)
        if lifetime:
            return finding.because(lifetime, "inferred")
        if self._cut_by_window(name):
            finding = finding.because(Reason.OUTSIDE_WINDOW, "inferred")
        if name in plan.modified | plan.added:
            return self._changed(name, finding)
        finding = replace(finding, held_back=as_intervals(self._missing_by_now(name)))
        return finding.because(Reason.NO_CHANGES, "inferred")

    def _cut_by_window(self, name: str) -> bool:
        """Whether the plan would evaluate more of the model without the user's start and end."""
        if not self.plan.user_arguments & {"start", "end"} or not self._in_backfill(name):
            return False
        inside = missing(replace(self.plan.search, restatements={}), self.snapshots, name)
        return bool(without(self._missing_without_window(name), inside))

    def _missing_without_window(self, name: str) -> list[Span]:
        """What the plan would find missing without the user's start and end."""
        search, arguments = replace(self.plan.search, restatements={}), self.plan.user_arguments
        if arguments & {"start", "end"}:
            search = replace(search, start=None)
        if "end" in arguments:
            search = replace(search, end=search.execution_time, end_override_per_model={})
        return missing(search, self.snapshots, name)

    def _missing_by_now(self, name: str) -> list[Span]:
        """What a run would find missing at the time of the plan."""
        at = self.plan.search.execution_time
        return missing(IntervalSearch(end=at, execution_time=at), self.snapshots, name)

    def _in_backfill(self, name: str) -> bool:
        return self.plan.to_backfill is None or name in self.plan.to_backfill

    def _not_selected(self, name: str, to_backfill: bool) -> bool:
        """Whether the user's selection is why the model was not evaluated."""
        plan = self.plan
        if "restate_models" in plan.user_arguments:
            # A restatement also evaluates what is missing of the models that it does not restate.
            restated = name in plan.search.restatements or name in plan.refused
            return not restated and not to_backfill
        selection = plan.user_arguments & {"select_models", "backfill_models"}
        return bool(selection) and not self._in_backfill(name)

    def _audits_are_left_undone(self, name: str) -> bool:
        """Whether the plan ended before it would have run the model's changed audits."""
        if name not in self.plan.to_audit or self.recording.audits_decided:
            return False
        return bool(missing_to_audit(self.plan.search, self.snapshots, name))

    def _emptied(self, name: str) -> bool:
        """Whether SQLMesh recorded something due as loaded without evaluating it.

        It does so for the plan's whole window, whatever was missing
        (sqlmesh/core/plan/evaluator.py, `visit_backfill_stage`): also for intervals of a lookback,
        which are loaded already.
        """
        if not self.plan.empty_backfill:
            return False
        new = without(self._missing_by_now(name), self.snapshots.loaded(name))
        return bool(within(self._emptied_spans.get(name, ()), new))

    @cached_property
    def _emptied_spans(self) -> Mapping[str, list[Span]]:
        """Model → the intervals that SQLMesh recorded."""
        spans: dict[str, list[Span]] = {}
        for recorded in self.recording.recorded:
            intervals = [*recorded.intervals, *recorded.dev_intervals]
            spans.setdefault(recorded.name, []).extend(intervals)
        return spans

    def _left_undone(self, name: str, finding: Finding) -> Finding:
        """Why the plan did not load what it found missing."""
        plan, recording = self.plan, self.recording
        if plan.skip_backfill:
            return finding.because(Reason.BACKFILL_SKIPPED, "observed")
        if not plan.has_work and recording.raised is None:
            # SQLMesh does not apply a plan with nothing but standalone audits or an empty backfill
            # (sqlmesh/core/plan/definition.py, `requires_backfill`).
            finding = replace(finding, held_back=as_intervals(self._missing_by_now(name)))
            return finding.because(Reason.NO_CHANGES, "observed")
        if not recording.applied and recording.raised is None:
            return finding.because(Reason.NOT_APPLIED, "observed")
        if recording.raised is None:
            raise UnexplainedError("the plan found missing intervals, but did not schedule them")
        # A later stage would have waited for a failed model, as its own stage does.
        roots = self._failed_upstream.of(name) if recording.raised.kind == "error" else ()
        if not roots:
            return interrupted(recording)
        failed = Finding(Status.SKIPPED, blocked_by=tuple(roots))
        return failed.because(Reason.UPSTREAM_FAILED, "inferred")

    @cached_property
    def _failed_upstream(self) -> RootCauses:
        snapshots = self.plan.snapshots

        def parents(model: str) -> list[str]:
            frozen = snapshots.get(model)
            return sorted(parent.name for parent in frozen.snapshot.parents) if frozen else []

        return failed_upstream(self.recording, parents)

    def _changed(self, name: str, finding: Finding) -> Finding:
        """Why nothing was loaded for a model that is new or changed."""
        plan, snapshot = self.plan, self.snapshots.snapshot(name)
        index = self.snapshots.deployability_index
        if plan.is_dev and snapshot.is_forward_only and not index.is_representative(snapshot):
            # Its table in dev differs from that of prod, and is not loaded without a preview.
            return finding.because(Reason.NO_PREVIEW, "inferred")
        if self.snapshots.loaded(name):
            finding = replace(finding, change_category=plan.snapshots[name].change_category)
            return finding.because(Reason.REUSED, "inferred")
        by_now = self._missing_by_now(name)
        if without(by_now, self._missing_without_window(name)):
            # Without `run`, a plan loads no further than its environment has: this is a window too.
            finding = finding.because(Reason.OUTSIDE_WINDOW, "inferred")
            finding = finding.because(Reason.PLAN_LIMIT, "inferred")
        if by_now:
            return finding
        return waits_for_cron(finding, self._recorded, name, plan.search)


def _window(plan: PlanFacts) -> tuple[float, float]:
    """The start and the end that the user passed, in milliseconds; infinite if none."""
    arguments, search = plan.user_arguments, plan.search
    has_start = "start" in arguments and search.start
    start = to_timestamp(search.start) if has_start else -float("inf")
    end = to_timestamp(make_exclusive(search.end)) if "end" in arguments else float("inf")
    return start, end
