"""The asset checks of an invocation, as data: from outcomes, definitions and earlier failures.

`emission` makes Dagster's events of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK, AuditCall, audit_call
from pytest_sqlmesh_tracker.gate import GateFinding, GatePolicy
from pytest_sqlmesh_tracker.outcomes.expected import UNEXPECTED_STATUSES, unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.outcome import AuditOutcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.formats import quantity, spans
from pytest_sqlmesh_tracker.wording.remarks import Fact
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


@dataclass(frozen=True)
class Judgement:
    """What the gate's policy says about a model in an invocation that has ended."""

    findings: tuple[GateFinding, ...] = ()
    tolerated: GateFinding | None = None

    @property
    def on_outcome(self) -> str:
        """The outcome in one line, with what a rule says about it; empty if no rule does."""
        on_outcome = (finding for finding in self.findings if not _is_beside(finding))
        finding = next(on_outcome, self.tolerated)
        return finding.predicate.removeprefix("was ") if finding and finding.rule else ""

    @property
    def beside(self) -> tuple[str, ...]:
        """What else is wrong with the model, whatever its status."""
        return tuple(finding.predicate for finding in self.findings if _is_beside(finding))


def _is_beside(finding: GateFinding) -> bool:
    return isinstance(finding.kind, Fact) or finding.kind == "stale_model"


class Judgements:
    """What the gate's policy says about the models of a report."""

    def __init__(self, policy: GatePolicy, report: RunReport) -> None:
        self._policy = policy
        self._report = report

    def of(self, outcome: ModelOutcome) -> Judgement:
        """The judgement on one of the report's models. Warnings are not part of it."""
        return self._by_model.get(outcome.name, Judgement())

    @cached_property
    def _by_model(self) -> Mapping[str, Judgement]:
        result = self._policy.evaluate(self._report)
        findings: dict[str, list[GateFinding]] = defaultdict(list)
        for finding in result.on_reports:
            findings[finding.model or ""].append(finding)
        tolerated = {finding.model or "": finding for finding in result.tolerated}
        return {
            name: Judgement(tuple(findings[name]), tolerated.get(name))
            for name in {*findings, *tolerated}
        }


def status_check(
    outcome: ModelOutcome,
    asset: dg.AssetKey,
    invocation: InvocationFacts,
    standing_failure: StandingFailure | None = None,
    judgement: Judgement | None = None,
) -> StatusCheck:
    """The check of a model's outcome.

    Args:
        standing_failure: the failure of an earlier run that still stands, if there is one.
        judgement: what the gate's policy says; None while the invocation goes on.
    """
    key = dg.AssetCheckKey(asset, STATUS_CHECK)
    description = _description(outcome, judgement or Judgement())
    passed = is_expected(outcome, judgement)
    by_rule = not passed and outcome.status not in UNEXPECTED_STATUSES
    severity = _WARN if by_rule or outcome.status is Status.SKIPPED else _ERROR
    if standing_failure is None or not passed or outcome.status is Status.EXECUTED:
        return StatusCheck(key, passed, severity, description, outcome, invocation)
    description = f"{description}; {_STILL_MISSING} ({standing_failure.message})"
    return StatusCheck(
        key, False, standing_failure.severity, description, outcome, invocation, standing_failure
    )


def is_expected(outcome: ModelOutcome, judgement: Judgement | None) -> bool:
    """Whether the check of an outcome passes by itself.

    What fails the step fails the check, even if a rule allows it.

    Args:
        judgement: what the gate's policy says; None while the invocation goes on.
    """
    if judgement is None:
        return not unexpected_by_default(outcome.status, outcome.reason)
    return outcome.status not in UNEXPECTED_STATUSES and not judgement.findings


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


def _description(outcome: ModelOutcome, judgement: Judgement) -> str:
    """The outcome, the intervals that the model's own signals held back, and what else is wrong."""
    parts = [judgement.on_outcome or outcome.message]
    held = sorted({interval for intervals in outcome.signals.values() for interval in intervals})
    if held:
        parts.append(f"held back: {spans(held)}")
    return "; ".join([*parts, *judgement.beside])


def _result(audit: AuditOutcome) -> str:
    if audit.error is not None:
        return f"could not be run: {in_short(audit.error)}"
    return f"found {quantity(audit.rows_failed, 'row')}" if audit.rows_failed else "found no rows"
