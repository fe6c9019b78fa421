"""Faults of earlier runs: status checks that failed, and were not evaluated as passed since."""

from __future__ import annotations

import dagster as dg

from pytest_sqlmesh_tracker.outcomes.expected import unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.types import Frozen, UtcDatetime
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport


class Fault(Frozen):
    """Why a status check failed: what was not loaded then may be missing still."""

    severity: dg.AssetCheckSeverity
    message: str
    environment: str
    """The one that was run: what is loaded in another environment does not mend it."""
    execution_time: UtcDatetime
    ignore_cron: bool = False
    """Whether that invocation ignored cron: what it did not load may not be due yet."""


def may_stand(fault: Fault, outcome: ModelOutcome, report: RunReport) -> bool:
    """Whether something may be missing still, though the latest outcome of the model is expected.

    False where the outcome itself decides: the model was executed, its check fails anyway, or
    SQLMesh looked for missing intervals and there were none.
    """
    if outcome.status is Status.EXECUTED or unexpected_by_default(outcome.status, outcome.reason):
        return False
    nothing_due = outcome.reason is Reason.CRON_NOT_DUE and not fault.ignore_cron
    nothing_missing = nothing_due or outcome.reason is Reason.UP_TO_DATE
    same_environment = report.environment == fault.environment
    return not (
        nothing_missing and same_environment and report.execution_time >= fault.execution_time
    )
