"""Why a plan evaluated nothing of a model, or not all of it.

What a plan evaluates is decided when it is built (sqlmesh/core/plan/builder.py), and once more when
its stages are (sqlmesh/core/plan/stages.py); the questions asked here are those of the latter, if
it came to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sqlmesh.utils.date import validate_date_range

from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.tracking.events.recording import PlanFacts, Question, Recording

from .batches import as_intervals, failed_upstream
from .intervals import Project, missing, missing_or_refused, within, without
from .left_out import project_afterwards
from .runs import Finding, cannot_tell, outside_lifetime, waits_for_cron


@dataclass(frozen=True)
class PlanReasons:
    """The questions that explain what one plan did not evaluate."""

    project: Project
    recording: Recording
    plan: PlanFacts

    @cached_property
    def dates_refused(self) -> bool:
        """Whether SQLMesh refused the plan's dates when its stages looked for what is missing."""
        recording, asked = self.recording, self.plan.question
        if recording.raised_kind != "error" or not recording.applied or recording.rounds:
            return False
        try:
            validate_date_range(asked.start, asked.end)
            for name in self.plan.snapshots:
                missing_or_refused(asked, self.project, name)
        except ValueError:
            return True
        return False

    @cached_property
    def _afterwards(self) -> Project:
        """With what SQLMesh has recorded: an emptied plan also books what cron holds back."""
        return project_afterwards(self.recording, self.project)

    def absent(self) -> Finding:
        """Of a model of the project that the plan does not have."""
        asked = self.plan.asked
        if "select_models" in asked and "restate_models" not in asked:
            return Finding().add(Reason.NOT_SELECTED, "observed")
        # A restatement works on the models of the environment, whatever the project has.
        return Finding().add(Reason.NOT_IN_ENVIRONMENT, "observed")

    def idle(self, name: str) -> Finding:
        """Of a model that the plan has, but did not schedule."""
        plan, finding = self.plan, Finding()
        if not self.project.snapshot(name).evaluatable:
            return finding.add(Reason.NOT_EVALUATABLE, "observed")
        wanted = missing(plan.question, self.project, name)
        to_backfill = bool(wanted) and self._in_backfill(name)
        if self._left_out(name, to_backfill):
            finding.add(Reason.NOT_SELECTED, "observed")
        if name in plan.refused:
            finding.add(Reason.RESTATEMENT_REFUSED, "observed")
        if name in plan.to_audit and self._ended_before_audits():
            return Finding(status=Status.INTERRUPTED)
        if self._emptied(name):
            return finding.add(Reason.BACKFILL_EMPTIED, "observed")
        if to_backfill:
            return self._left_undone(name, finding)
        if wanted and finding.reasons:
            return finding
        lifetime = outside_lifetime(self.project, name, plan.question.execution_time)
        if lifetime:
            return finding.add(lifetime, "inferred")
        if self.cut_by_window(name):
            finding.add(Reason.OUTSIDE_WINDOW, "inferred")
        if name in plan.modified | plan.added:
            return self._changed(name, finding)
        held_back = as_intervals(missing(self._by_now(), self.project, name))
        return finding.add(Reason.NO_CHANGES, "inferred", held_back=held_back)

    def cut_by_window(self, name: str) -> bool:
        """Whether the plan would evaluate more of the model without the user's start and end."""
        if not self.plan.asked & {"start", "end"} or not self._in_backfill(name):
            return False
        found = missing(self.plan.question.but(restatements={}), self.project, name)
        return bool(without(missing(self._windowless(), self.project, name), found))

    def _windowless(self) -> Question:
        """What the plan would look for without the user's start and end."""
        question, given = self.plan.question.but(restatements={}), self.plan.asked
        if given & {"start", "end"}:
            question = question.but(start=None)
        if "end" in given:
            question = question.but(end=question.execution_time, end_override_per_model={})
        return question

    def _in_backfill(self, name: str) -> bool:
        return self.plan.to_backfill is None or name in self.plan.to_backfill

    def _left_out(self, name: str, to_backfill: bool) -> bool:
        """Whether a selection that the user passed is why the model was not evaluated."""
        plan = self.plan
        if "restate_models" in plan.asked:
            # A restatement evaluates also what is missing of the models that it does not restate.
            restated = name in plan.question.restatements or name in plan.refused
            return not restated and not to_backfill
        chosen = plan.asked & {"select_models", "backfill_models"}
        return bool(chosen) and not self._in_backfill(name)

    def _ended_before_audits(self) -> bool:
        recording = self.recording
        ended = recording.applied and recording.raised is not None
        return ended and not recording.audits_decided

    def _emptied(self, name: str) -> bool:
        """Whether SQLMesh has recorded something that was due as loaded without evaluation.

        It does so for the plan's whole window, whatever was missing
        (sqlmesh/core/plan/evaluator.py, `visit_backfill_stage`).
        """
        if not self.plan.empty_backfill:
            return False
        bookings = [each for each in self.recording.bookings if each.name == name]
        booked = [span for b in bookings for span in (*b.intervals, *b.dev_intervals)]
        return bool(within(booked, missing(self._by_now(), self.project, name)))

    def _left_undone(self, name: str, finding: Finding) -> Finding:
        """Why the plan did not get to what it found missing."""
        plan, recording = self.plan, self.recording
        if plan.skip_backfill:
            return finding.add(Reason.BACKFILL_SKIPPED, "observed")
        if not plan.has_work and recording.raised is None:
            # Standalone audits alone, or what is to be emptied, are no work to SQLMesh: it does
            # not apply such a plan (sqlmesh/core/plan/definition.py, `requires_backfill`).
            held_back = as_intervals(missing(self._by_now(), self.project, name))
            return finding.add(Reason.NO_CHANGES, "observed", held_back=held_back)
        if not recording.applied and recording.raised is None:
            return finding.add(Reason.NOT_APPLIED, "observed")
        if recording.raised is not None:
            # A later stage would have waited for it, as its own stage does for what is in that.
            roots = self._failed_upstream(name) if recording.raised_kind == "error" else ()
            if roots:
                return Finding().add(Reason.UPSTREAM_FAILED, "inferred", blocked_by=roots)
            return Finding(status=Status.INTERRUPTED)
        return cannot_tell("the plan found it missing, but did not schedule it")

    def _failed_upstream(self, name: str) -> tuple[str, ...]:
        snapshots = self.plan.snapshots

        def parents(model: str) -> list[str]:
            frozen = snapshots.get(model)
            return [parent.name for parent in frozen.snapshot.parents] if frozen else []

        return failed_upstream(self.recording, parents, name)

    def _changed(self, name: str, finding: Finding) -> Finding:
        """Of a model that is new or changed, and of which nothing is missing."""
        plan, snapshot = self.plan, self.project.snapshot(name)
        index = self.project.deployability_index
        if plan.is_dev and snapshot.is_forward_only and not index.is_representative(snapshot):
            # Its table in dev is not that of prod, and is not loaded for a preview.
            return finding.add(Reason.NO_PREVIEW, "inferred")
        if self.project.loaded(name):
            category = plan.snapshots[name].change_category
            return finding.add(Reason.REUSED, "inferred", change_category=category)
        by_now = missing(self._by_now(), self.project, name)
        if without(by_now, missing(self._windowless(), self.project, name)):
            # Without `run`, a plan loads no further than its environment has got: a window as well.
            finding.add(Reason.OUTSIDE_WINDOW, "inferred").add(Reason.PLAN_LIMIT, "inferred")
        if by_now:
            return finding
        waiting = waits_for_cron(self._afterwards, name, plan.question)
        return finding.add(Reason.CRON_NOT_DUE, "inferred", **waiting.facts)

    def _by_now(self) -> Question:
        """What a run would look for, at the time of the plan."""
        question = self.plan.question
        return Question(end=question.execution_time, execution_time=question.execution_time)
