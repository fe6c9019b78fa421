"""The asset checks of an invocation, as data: from outcomes, definitions and earlier failures.

`emission` makes Dagster's events of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK, AuditCall, audit_call
from pytest_sqlmesh_tracker.outcomes.expected import unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.outcome import AuditOutcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.wording.formats import quantity, spans
from pytest_sqlmesh_tracker.wording.sentences import in_short

from .outcome_record import InvocationFacts
from .standing_failures import StandingFailure

_ERROR, _WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
_STILL_MISSING = "what an earlier run did not load is still missing"


@dataclass(frozen=True)
class _Check:
    """The result of an asset check."""

    key: dg.AssetCheckKey
    passed: bool
    severity: dg.AssetCheckSeverity
    """How bad it is if the check failed."""
    description: str


@dataclass(frozen=True)
class StatusCheck(_Check):
    """What SQLMesh did with a model."""

    outcome: ModelOutcome
    invocation: InvocationFacts
    standing_failure: StandingFailure | None = None
    """The failure of an earlier run because of which the check fails though the outcome is
    expected."""


@dataclass(frozen=True)
class UnknownStatusCheck(_Check):
    """A model whose events could not be made, because of an error in this package."""

    invocation: InvocationFacts


@dataclass(frozen=True)
class AuditCheck(_Check):
    """The result of an audit."""

    rows_failed: int


Check = StatusCheck | UnknownStatusCheck | AuditCheck


def status_check(
    outcome: ModelOutcome,
    asset: dg.AssetKey,
    invocation: InvocationFacts,
    standing_failure: StandingFailure | None = None,
) -> StatusCheck:
    """The check of a model's outcome.

    Args:
        standing_failure: the failure of an earlier run that still stands, if there is one.
    """
    key = dg.AssetCheckKey(asset, STATUS_CHECK)
    description = _description(outcome)
    passed = is_expected(outcome)
    severity = _WARN if outcome.status is Status.SKIPPED else _ERROR
    if standing_failure is None or not passed or outcome.status is Status.EXECUTED:
        return StatusCheck(key, passed, severity, description, outcome, invocation)
    description = f"{description}; {_STILL_MISSING} ({standing_failure.message})"
    return StatusCheck(
        key, False, standing_failure.severity, description, outcome, invocation, standing_failure
    )


def is_expected(outcome: ModelOutcome) -> bool:
    """Whether the check of an outcome passes by itself."""
    return not unexpected_by_default(outcome.status, outcome.reason)


def unknown_status_check(
    asset: dg.AssetKey, invocation: InvocationFacts, error: Exception
) -> UnknownStatusCheck:
    """The check of a model whose events could not be made: the check fails, but not the run."""
    description = f"unknown: its Dagster events could not be made: {type(error).__name__}: {error}"
    key = dg.AssetCheckKey(asset, STATUS_CHECK)
    return UnknownStatusCheck(key, False, _ERROR, description, invocation)


def audit_checks(
    outcome: ModelOutcome, asset: dg.AssetKey, names: Mapping[AuditCall, str]
) -> Iterator[AuditCheck]:
    """The checks of the audits that ran for a model, if they are defined.

    Args:
        names: the names of the checks of the model's audits.
    """
    for audit in outcome.audits:
        name = names.get(audit_call(audit))
        if name is not None:
            yield audit_check(outcome, audit, dg.AssetCheckKey(asset, name))


def standalone_audit_checks(outcome: ModelOutcome, key: dg.AssetCheckKey) -> Iterator[AuditCheck]:
    """The check of a standalone audit, if it ran."""
    for audit in outcome.audits:
        yield audit_check(outcome, audit, key)


def audit_check(outcome: ModelOutcome, audit: AuditOutcome, key: dg.AssetCheckKey) -> AuditCheck:
    """The check of one audit of a model, or of a standalone audit."""
    # An audit that could not be run fails its model, also if it is not blocking.
    failed_model = (audit.blocking or audit.error is not None) and outcome.status is Status.FAILED
    severity = _ERROR if failed_model or audit.passed else _WARN
    return AuditCheck(key, audit.passed, severity, _result(audit), audit.rows_failed)


def _description(outcome: ModelOutcome) -> str:
    """The outcome's message, with the intervals that the model's own signals held back."""
    if not outcome.signals:
        return outcome.message
    held = sorted({interval for intervals in outcome.signals.values() for interval in intervals})
    return f"{outcome.message}; held back: {spans(held)}"


def _result(audit: AuditOutcome) -> str:
    if audit.error is not None:
        return f"could not be run: {in_short(audit.error)}"
    return f"found {quantity(audit.rows_failed, 'row')}" if audit.rows_failed else "found no rows"
