"""Turns what happened to a model's batches into the reasons for its status.

Failures, failures upstream and interruptions are explained alike for all commands; the rest by the
command's explainer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.tracking.evaluation.batches import Evaluation
from pytest_sqlmesh_tracker.tracking.events.recording import Recording
from pytest_sqlmesh_tracker.tracking.intervals.loaded import After
from pytest_sqlmesh_tracker.tracking.intervals.snapshots import Snapshots
from pytest_sqlmesh_tracker.tracking.project.nodes import is_never_evaluated

from .finding import Finding, UnexplainedError
from .models import Models
from .signals import Unscheduled


class Explainer(Protocol):
    """Explains what one invocation did not evaluate. Each command has its own explainer.

    Models are passed by their fully qualified names.
    """

    def not_scheduled(self, name: str) -> Finding:
        """Why nothing of the model was scheduled.

        Raises:
            UnexplainedError: the tracker cannot tell.
        """

    def executed(self, name: str, next_run: Snapshots) -> Finding:
        """Why something of an executed model is still missing; without reasons if nothing is.

        Args:
            next_run: the snapshots as the next run finds them.
        """


@dataclass(frozen=True)
class UndecidedExplainer:
    """Explains a run or a plan that ended before SQLMesh had decided what to evaluate."""

    recording: Recording
    models: Models

    def not_scheduled(self, name: str) -> Finding:
        """The end of the invocation is the reason, except for models that are never evaluated."""
        if self.recording.raised is None:
            raise UnexplainedError("the tracker did not see what SQLMesh decided")
        if is_never_evaluated(self.models.nodes[name]):
            return Finding(Status.SKIPPED).because(Reason.NOT_EVALUATABLE, "observed")
        return interrupted(self.recording)

    def executed(self, name: str, next_run: Snapshots) -> Finding:  # noqa: ARG002
        """Without a decision, it is unknown what was left out."""
        return Finding(Status.EXECUTED)


@dataclass(frozen=True)
class Findings:
    """The findings on the models of one invocation, whatever happened to them."""

    recording: Recording
    explainer: Explainer
    unscheduled: Unscheduled

    def of(self, name: str, evaluation: Evaluation, after: After) -> Finding:
        """The model's status, and the reasons for it.

        Raises:
            UnexplainedError: the tracker cannot tell.
        """
        if evaluation.status is None:
            return self.explainer.not_scheduled(name)
        if evaluation.status is Status.EXECUTED:
            return self.explainer.executed(name, after.next_run)
        if evaluation.status is Status.FAILED:
            return _failed(evaluation)
        if any(batch.status is Status.SKIPPED for batch in evaluation.batches):
            return self._cut_by_failure(name, evaluation, evaluation.status)
        if evaluation.status is Status.INTERRUPTED:
            return interrupted(self.recording, by_environment=evaluation.cut_by_environment)
        return Finding(evaluation.status)

    def _cut_by_failure(self, name: str, evaluation: Evaluation, status: Status) -> Finding:
        # Signals may have held back another part of it.
        finding = self.unscheduled.finding_with_status(name, status)
        blocked_by = dict.fromkeys([*evaluation.blocked_by, *finding.blocked_by])
        finding = replace(finding, blocked_by=tuple(blocked_by))
        return finding.because(Reason.UPSTREAM_FAILED, "observed")


def _failed(evaluation: Evaluation) -> Finding:
    finding = Finding(Status.FAILED)
    for failure in evaluation.failures:
        if failure.batch is None:
            finding = replace(finding, failed_step=failure.step)
            finding = finding.because(Reason.CREATION_FAILED, "observed")
        else:
            reason = Reason.ERROR if failure.audits is None else Reason.AUDIT_FAILED
            finding = finding.because(reason, "observed")
    return finding if finding.reasons else finding.because(Reason.ERROR, "observed")


def interrupted(recording: Recording, *, by_environment: bool = False) -> Finding:
    """The finding for a model that the invocation did not reach or did not finish.

    Args:
        by_environment: whether SQLMesh ended the round because the environment had changed.

    Raises:
        UnexplainedError: the invocation did not end early.
    """
    finding = Finding(Status.INTERRUPTED)
    state = recording.environment_state
    if state is not None and recording.command == "run":
        missing = state.unfinished_plan is None
        reason = Reason.ENVIRONMENT_MISSING if missing else Reason.ENVIRONMENT_BUSY
        finding = finding.because(reason, "observed")
    if by_environment:
        return finding.because(Reason.ENVIRONMENT_CHANGED, "observed")
    if was_aborted(recording):
        return finding.because(Reason.ABORTED, "observed")
    if recording.raised is not None:
        finding = replace(finding, failed_step=recording.raised.step)
        return finding.because(Reason.COMMAND_FAILED, "observed")
    raise UnexplainedError("SQLMesh scheduled it, but never reported how it ended")


def was_aborted(recording: Recording) -> bool:
    """Whether the invocation was cancelled, or ended by an exception like KeyboardInterrupt."""
    raised = recording.raised
    return recording.cancelled or (raised is not None and raised.kind == "interrupt")
