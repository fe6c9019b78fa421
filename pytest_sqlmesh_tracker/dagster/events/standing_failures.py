"""Failures of earlier runs that may still stand: a model's latest status check failed."""

from __future__ import annotations

import dagster as dg

from pytest_sqlmesh_tracker.outcomes.types import Frozen, UtcDatetime
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport


class StandingFailure(Frozen):
    """Why a status check failed in an earlier run; what was not loaded may still be missing."""

    severity: dg.AssetCheckSeverity
    message: str
    environment: str
    """The environment that was run: loading another one does not make up for it."""
    execution_time: UtcDatetime
    ignore_cron: bool = False
    """Whether that invocation ignored cron: what it did not load may not be due yet."""


def may_stand(failure: StandingFailure, outcome: ModelOutcome, report: RunReport) -> bool:
    """Whether something may still be missing, though the latest outcome of the model is expected.

    False where the outcome itself decides: the model was executed, or SQLMesh looked for missing
    intervals and there were none.
    """
    if outcome.status is Status.EXECUTED:
        return False
    nothing_due = outcome.reason is Reason.CRON_NOT_DUE and not failure.ignore_cron
    nothing_missing = nothing_due or outcome.reason is Reason.UP_TO_DATE
    same_environment = report.environment == failure.environment
    return not (
        nothing_missing and same_environment and report.execution_time >= failure.execution_time
    )
