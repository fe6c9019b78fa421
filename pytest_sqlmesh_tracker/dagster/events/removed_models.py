"""Models that were removed or renamed since their assets were made: reports do not list them."""

from __future__ import annotations

from typing import Any

from pytest_sqlmesh_tracker.models.definitions import ModelDefinition
from pytest_sqlmesh_tracker.outcomes.vocabulary import UNREADY_ENVIRONMENT, Reason, Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.sentences import sentence

_UNDECIDED = frozenset({Status.INTERRUPTED, Status.UNKNOWN})


def outcome_of_removed(model: ModelDefinition, report: RunReport) -> ModelOutcome:
    """The outcome of a model that neither the environment nor the project's files have any more.

    Args:
        model: as it was when the assets were made.
        report: the report of an invocation, which does not list the model.
    """
    listed = [outcome for outcome in report.outcomes.values() if outcome.is_counted]
    if listed and all(outcome.status in _UNDECIDED for outcome in listed):
        # The models of the environment are not known, so neither is whether it has this one.
        return _like(model, listed[-1])
    outcome = _outcome(
        model,
        status=Status.SKIPPED,
        reason=Reason.NOT_IN_ENVIRONMENT,
        reasons=(Reason.NOT_IN_ENVIRONMENT,),
        evidence={Reason.NOT_IN_ENVIRONMENT: "observed"},
    )
    message = f"{sentence(outcome)}, nor in the project"
    return outcome.model_copy(update={"message": message})


def _like(model: ModelDefinition, other: ModelOutcome) -> ModelOutcome:
    outcome = _outcome(
        model,
        status=other.status,
        reason=other.reason,
        reasons=other.reasons,
        evidence=other.evidence,
        failed_step=other.failed_step,
        message=other.message,
    )
    if other.status is Status.UNKNOWN or other.reason in UNREADY_ENVIRONMENT:
        return outcome
    # The other model may have been under way when it was interrupted; this one was not.
    return outcome.model_copy(update={"message": sentence(outcome)})


def _outcome(model: ModelDefinition, **facts: Any) -> ModelOutcome:
    return ModelOutcome(name=model.name, fqn=model.fqn, kind=model.kind, cron=model.cron, **facts)
