"""What Dagster is told of what SQLMesh did: from outcomes to events."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.metadata import OF_THE_DEFINITION, outcome_metadata
from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK, named_call
from pytest_sqlmesh_tracker.dagster.definitions.specs import ProjectAssets
from pytest_sqlmesh_tracker.outcomes.expected import unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.outcome import AuditOutcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.formats import counted, spans
from pytest_sqlmesh_tracker.wording.sentences import in_short

from .gone import outcome_of_gone
from .history import Fault

logger = logging.getLogger("pytest_sqlmesh_tracker")
Event = Any
"""What an op may yield: `MaterializeResult`, `AssetCheckResult`, `AssetMaterialization`, …"""
_STILL_MISSING = "what an earlier run did not load is still missing"
_ERROR, _WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@dataclass
class Telling:
    """One invocation as Dagster is told it: each asset once, each check once."""

    assets: ProjectAssets
    specs: Mapping[str, dg.AssetSpec]
    """The selected assets, by the names of their models."""
    unannounced: Mapping[str, dg.AssetSpec]
    """Others that SQLMesh is asked for as well."""
    environment: str
    """The one that is run or planned, which assets do not have in their names."""
    keys: Mapping[str, dg.AssetKey]
    """Of every model, as they are in Dagster by now."""
    checks: frozenset[dg.AssetCheckKey]
    """The selected checks."""
    told_before: frozenset[dg.AssetKey] = frozenset()
    """What an earlier try of this Dagster run has materialized."""
    faults: Mapping[str, Fault] = field(default_factory=dict)
    """Models of which something that an earlier Dagster run told as failed is still missing."""
    called_directly: bool = False
    """Whether a test calls the op's function: Dagster then takes results of checks alone."""
    _materialized: set[str] = field(default_factory=set)
    _told: dict[dg.AssetCheckKey, bool] = field(default_factory=dict)

    def executed(
        self, outcome: ModelOutcome, moment: datetime | None, report: RunReport | None = None
    ) -> list[Event]:
        """A model is done; while the invocation goes on, there is no report yet.

        Args:
            moment: the execution time of the invocation.
        """
        spec, late = self.specs.get(outcome.name), self._comes_late(outcome.name)
        known = {
            "sqlmesh/environment": self.environment,
            "sqlmesh/execution_time": moment and moment.isoformat(),
        }
        metadata = {name: value for name, value in known.items() if value}
        metadata |= outcome_metadata(outcome, report)
        if spec is None or late:
            self._materialized.add(outcome.name)
            # Dagster takes no result for what is not selected, nor after what depends on it.
            return [dg.AssetMaterialization(self._key_of(outcome), metadata=metadata)]
        repeated = {key: spec.metadata[key] for key in OF_THE_DEFINITION if key in spec.metadata}
        result: Event = dg.MaterializeResult(
            asset_key=spec.key,
            metadata={**repeated, **metadata},
            # In the same run, Dagster waits for these with what is downstream.
            check_results=list(self._audits(outcome, spec.key)),
            data_version=_data_version(spec, outcome),
        )
        self._materialized.add(outcome.name)
        status = self._new(self._status_check(outcome, spec.key, metadata), spec.key)
        return [result, *map(self._untied, status)]

    def _key_of(self, outcome: ModelOutcome) -> dg.AssetKey:
        return self.keys.get(outcome.name) or _bare_key(outcome)

    def _comes_late(self, name: str) -> bool:
        key = self.specs[name].key if name in self.specs else None
        told = (self.specs[other] for other in self._materialized if other in self.specs)
        return any(dep.asset_key == key for spec in told for dep in spec.deps)

    def ended(self, report: RunReport) -> Iterator[Event]:
        """What is left to tell when the invocation has ended."""
        for outcome in report.outcomes.values():
            try:
                yield from list(self._rest(outcome, report))
            except Exception as error:
                logger.exception("pytest-sqlmesh-tracker failed to tell of %s", outcome.name)
                yield from self._untold(outcome, error)
        yield from self._gone(report)

    def _gone(self, report: RunReport) -> Iterator[Event]:
        """The status of assets whose models are gone: an earlier one must not stand."""
        for model in self.assets.models:
            if model.name in self.specs and model.name not in report.outcomes:
                key = self.specs[model.name].key
                yield from map(
                    self._untied, self._status(outcome_of_gone(model, report), key, report)
                )

    def _rest(self, outcome: ModelOutcome, report: RunReport) -> Iterator[Event]:
        if outcome.name in self.assets.standalone:
            yield from self._standalone(outcome)
            return
        if outcome.status is Status.EXECUTED and outcome.name not in self._materialized:
            yield from self.executed(outcome, report.execution_time, report)
        spec = self.specs.get(outcome.name)
        if spec is not None:
            yield from map(self._untied, self._status(outcome, spec.key, report))
            yield from map(self._untied, self._audits(outcome, spec.key))
        elif outcome.name in self.unannounced:
            yield from map(self._untied, self._not_selected(outcome, report))

    def _not_selected(
        self, outcome: ModelOutcome, report: RunReport
    ) -> Iterator[dg.AssetCheckResult]:
        """What came of a model is told; that it had nothing to do, which was expected, is not."""
        key = self.unannounced[outcome.name].key
        status = self._status_check(outcome, key, outcome_metadata(outcome, report))
        if status and (outcome.status is Status.EXECUTED or not status.passed):
            yield status
        yield from self._audit_checks(outcome, key)

    def _untold(self, outcome: ModelOutcome, error: Exception) -> Iterator[Event]:
        """A fault of ours turns no run red, and no check green."""
        spec = self.specs.get(outcome.name)
        if spec and dg.AssetCheckKey(spec.key, STATUS_CHECK) in self.checks:
            said = f"unknown: telling it failed: {type(error).__name__}: {error}"
            yield dg.AssetCheckEvaluation(
                asset_key=spec.key,
                check_name=STATUS_CHECK,
                passed=False,
                severity=_ERROR,
                description=said,
                metadata={"sqlmesh/status": str(Status.UNKNOWN), "sqlmesh/message": said},
            )

    # -- checks --------------------------------------------------------------------------------

    def _status(
        self, outcome: ModelOutcome, key: dg.AssetKey, report: RunReport
    ) -> Iterator[dg.AssetCheckResult]:
        facts = outcome_metadata(outcome, report)
        return self._new(self._status_check(outcome, key, facts), key)

    def _audits(self, outcome: ModelOutcome, key: dg.AssetKey) -> Iterator[dg.AssetCheckResult]:
        for check in self._audit_checks(outcome, key):
            yield from self._new(check, key)

    def _audit_checks(
        self, outcome: ModelOutcome, key: dg.AssetKey
    ) -> Iterator[dg.AssetCheckResult]:
        names = self.assets.checks.get(outcome.name, {})
        for audit in outcome.audits:
            name = names.get(named_call(audit))
            if name is not None:
                yield _audit_check(outcome, audit, key, name)

    def _new(
        self, check: dg.AssetCheckResult | None, key: dg.AssetKey
    ) -> Iterator[dg.AssetCheckResult]:
        """The check, unless it is not asked for, or was told and has not changed."""
        if check is None:
            return
        assert check.check_name is not None
        check_key = dg.AssetCheckKey(key, check.check_name)
        before = self._told.get(check_key)
        if check_key not in self.checks or before == check.passed:
            return
        self._told[check_key] = check.passed
        yield check

    def _untied(self, check: dg.AssetCheckResult) -> Event:
        """The result of a check that nothing waits for, and that is cheaper to store so."""
        return check if self.called_directly else _evaluation(check)

    def _status_check(
        self, outcome: ModelOutcome, key: dg.AssetKey, facts: Mapping[str, Any]
    ) -> dg.AssetCheckResult | None:
        passed, severity = _verdict(outcome)
        said = _with_what_signals_hold_back(outcome)
        executed = outcome.status is Status.EXECUTED
        if key in self.told_before and outcome.status not in (Status.EXECUTED, Status.FAILED):
            # An earlier try of this Dagster run has told that it executed.
            return None
        fault = self.faults.get(outcome.name)
        if passed and not executed and fault is not None:
            passed, severity = False, fault.severity
            said = f"{said}; {_STILL_MISSING} ({fault.message})"
            facts = {**facts, **fault.metadata}
        return dg.AssetCheckResult(
            asset_key=key,
            check_name=STATUS_CHECK,
            passed=passed,
            severity=severity,
            description=said,
            metadata={**facts, "sqlmesh/message": said},
        )

    def _standalone(self, outcome: ModelOutcome) -> Iterator[Event]:
        check = self.assets.standalone[outcome.name]
        model = next(name for name, key in self.assets.keys.items() if key == check.asset_key)
        for audit in outcome.audits:
            result = _audit_check(outcome, audit, self.keys[model], check.name)
            yield from map(self._untied, self._new(result, self.keys[model]))


def _with_what_signals_hold_back(outcome: ModelOutcome) -> str:
    """The message; of a model that waits for its own signals, with the intervals."""
    if not outcome.signals:
        return outcome.message
    held = sorted({interval for intervals in outcome.signals.values() for interval in intervals})
    return f"{outcome.message}; held back: {spans(held)}"


def _verdict(outcome: ModelOutcome) -> tuple[bool, dg.AssetCheckSeverity]:
    unexpected = unexpected_by_default(outcome.status, outcome.reason)
    return not unexpected, _WARN if outcome.status is Status.SKIPPED else _ERROR


def _audit_check(
    outcome: ModelOutcome, audit: AuditOutcome, key: dg.AssetKey, name: str
) -> dg.AssetCheckResult:
    # An audit that could not be run fails its model, also where its rows would not.
    blocked = (audit.blocking or audit.error is not None) and outcome.status is Status.FAILED
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=audit.passed,
        severity=_ERROR if blocked or audit.passed else _WARN,
        description=_result(audit),
        metadata={"sqlmesh/rows_failed": audit.rows_failed},
    )


def _result(audit: AuditOutcome) -> str:
    if audit.error is not None:
        return f"could not be run: {in_short(audit.error)}"
    return f"found {counted(audit.rows_failed, 'row')}" if audit.rows_failed else "found no rows"


def _evaluation(check: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """The result of a check as Dagster stores it.

    Of an `AssetCheckResult`, Dagster would say that it is of the asset's latest materialization,
    would take no second one, and where a blocking one failed, its first versions take nothing else.
    """
    assert check.asset_key is not None
    assert check.check_name is not None
    return dg.AssetCheckEvaluation(
        asset_key=check.asset_key,
        check_name=check.check_name,
        passed=check.passed,
        severity=check.severity,
        description=check.description,
        metadata=check.metadata,
    )


def _bare_key(outcome: ModelOutcome) -> dg.AssetKey:
    """Of a model that the environment has and the project's files no longer have."""
    return dg.AssetKey([part.strip('"') for part in outcome.name.split(".")])


def _data_version(spec: dg.AssetSpec, outcome: ModelOutcome) -> dg.DataVersion:
    """Another one for each execution: also when the same intervals are evaluated anew."""
    spans = outcome.executed_intervals
    said = f"{spec.code_version} {spans} {outcome.finished_at}"
    return dg.DataVersion(hashlib.sha256(said.encode()).hexdigest()[:32])
