"""Turns a recorded invocation into its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pytest_sqlmesh_tracker.outcomes.invocation import Completion
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.tracking.errors.redaction import redacted
from pytest_sqlmesh_tracker.tracking.events.recording import Recording
from pytest_sqlmesh_tracker.tracking.intervals.loaded import execution_time_of
from pytest_sqlmesh_tracker.tracking.project.names import shown

from .explaining import was_aborted
from .outcomes import Outcomes


def report_of(recording: Recording) -> RunReport:
    """The report on a recorded invocation, with every model in topological order."""
    outcomes = Outcomes(recording)
    present = outcomes.present()
    in_order = [outcomes.of(fqn, present) for fqn in outcomes.models.in_order()]
    removed = recording.plan.removed if recording.plan else ()
    return RunReport(
        id=recording.id,
        command=recording.command,
        environment=recording.environment or "unknown",
        arguments=_readable(recording.arguments, recording),
        execution_time=execution_time_of(recording),
        started_at=recording.started_at,
        finished_at=recording.finished_at,
        completion=_completion(recording, in_order),
        error=_readable(recording.raised and recording.raised.message, recording),
        outcomes={outcome.name: outcome for outcome in in_order},
        removed=tuple(shown(fqn, recording.default_catalog) for fqn in removed),
        environment_state=recording.environment_state,
        project_files=recording.project_files,
        project_files_note=_readable(recording.project_files_note, recording),
    )


def outcomes_so_far(recording: Recording) -> Callable[[str], ModelOutcome]:
    """A function that takes a model's fully qualified name and returns the outcome that the report
    would contain for it at the moment of the call.

    It is valid for the current round: what was loaded before is computed only once.
    """
    outcomes = Outcomes(recording)
    return lambda fqn: outcomes.of(fqn, outcomes.present())


def _completion(recording: Recording, outcomes: Sequence[ModelOutcome]) -> Completion:
    if was_aborted(recording) or _ended_by_environment(recording):
        return "interrupted"
    if any(outcome.status is Status.FAILED for outcome in outcomes):
        return "failure"
    if recording.raised is not None:
        return "raised"
    plan = recording.plan
    idle_plan = plan is not None and not plan.has_work and not recording.applied
    returned = "nothing_to_do" if idle_plan else recording.returned or "success"
    # SQLMesh returns the result of the last round of a run that it restarted.
    evaluated = any(outcome.batches for outcome in outcomes)
    return "success" if returned == "nothing_to_do" and evaluated else returned


def _ended_by_environment(recording: Recording) -> bool:
    rounds = recording.rounds
    return recording.raised is not None and bool(rounds) and rounds[-1].circuit_broken


def _readable(value: Any, recording: Recording) -> Any:
    """The value, with passwords and tokens removed from all its strings."""
    if isinstance(value, dict):
        return {name: _readable(part, recording) for name, part in value.items()}
    if isinstance(value, list):
        return [_readable(part, recording) for part in value]
    return redacted(value, recording.secrets) if isinstance(value, str) else value
