"""The events of one invocation in a Dagster step: what is emitted, in which order, and once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.dagster.definitions.specs import ProjectAssets
from pytest_sqlmesh_tracker.gate import GatePolicy
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport

from .checks import (
    AuditCheck,
    Check,
    Judgement,
    Judgements,
    audit_checks,
    standalone_audit_checks,
    status_check,
    unknown_status_check,
)
from .emission import Event, check_evaluation, check_result, materialization_event
from .materializations import Materialization, output_materialization
from .outcome_record import InvocationFacts
from .removed_models import outcome_of_removed
from .standing_failures import StandingFailure

logger = logging.getLogger("pytest_sqlmesh_tracker")


@dataclass
class StepEvents:
    """The events of one invocation: one for each asset and check, and another one for a check
    whose result has changed."""

    assets: ProjectAssets
    specs: Mapping[str, dg.AssetSpec]
    """The selected assets, by the names of their models."""
    unselected: Mapping[str, dg.AssetSpec]
    """The other assets that SQLMesh is to run, by the names of their models."""
    environment: str
    """The environment that is run or planned; asset keys do not contain it."""
    keys: Mapping[str, dg.AssetKey]
    """The keys of all models in the code location, by name."""
    selected_checks: frozenset[dg.AssetCheckKey]
    policy: GatePolicy
    """Judges the outcomes when the invocation has ended."""
    materialized_before: frozenset[dg.AssetKey] = frozenset()
    """The assets that earlier tries of this step have materialized."""
    called_directly: bool = False
    """Whether a test calls the op's function: Dagster then accepts only results of checks."""
    _materialized: set[str] = field(default_factory=set)
    _emitted: dict[dg.AssetCheckKey, bool] = field(default_factory=dict)
    """Check → whether it passed when it was emitted last."""

    def of_executed(self, outcome: ModelOutcome, execution_time: datetime | None) -> list[Event]:
        """The events of a model that SQLMesh has just executed, while the invocation goes on.

        Args:
            execution_time: the execution time of the invocation, if it is known.
        """
        return self._executed(outcome, InvocationFacts(self.environment, execution_time))

    def of_ended(
        self, report: RunReport, standing_failures: Mapping[str, StandingFailure]
    ) -> Iterator[Event]:
        """All other events, when the invocation has ended.

        Args:
            standing_failures: failures of earlier runs that still stand, by the names of models.
        """
        invocation = InvocationFacts.of_report(report)
        judgements = Judgements(self.policy, report)
        for outcome in report.outcomes.values():
            try:
                failure = standing_failures.get(outcome.name)
                judgement = judgements.of(outcome)
                yield from list(self._remaining(outcome, invocation, failure, judgement))
            except Exception as error:
                logger.exception(
                    "pytest-sqlmesh-tracker failed to make the Dagster events of %s", outcome.name
                )
                yield from self._unknown(outcome, invocation, error)
        yield from self._removed(report)

    def _executed(self, outcome: ModelOutcome, invocation: InvocationFacts) -> list[Event]:
        spec = self.specs.get(outcome.name)
        if spec is None or self._is_late(spec):
            # Dagster accepts no results of assets that are not selected, and none of an asset after
            # the result of an asset downstream.
            key = self.keys.get(outcome.name) or _key_of_name(outcome)
            event = materialization_event(Materialization(key, outcome, invocation))
            self._materialized.add(outcome.name)
            return [event]
        # As results of this materialization, blocking checks that fail hold back the assets
        # downstream in the same run.
        audits = tuple(filter(self._is_new, self._audit_checks(outcome, spec.key)))
        event = materialization_event(output_materialization(spec, outcome, invocation, audits))
        self._materialized.add(outcome.name)
        self._emitted |= {audit.key: audit.passed for audit in audits}
        return [event, *self._status(outcome, spec.key, invocation)]

    def _is_late(self, spec: dg.AssetSpec) -> bool:
        """Whether an asset downstream is materialized already."""
        materialized = (self.specs[name] for name in self._materialized if name in self.specs)
        return any(dep.asset_key == spec.key for other in materialized for dep in other.deps)

    def _remaining(
        self,
        outcome: ModelOutcome,
        invocation: InvocationFacts,
        standing_failure: StandingFailure | None,
        judgement: Judgement,
    ) -> Iterator[Event]:
        if outcome.name in self.assets.standalone:
            yield from self._standalone_audit(outcome)
            return
        if outcome.status is Status.EXECUTED and outcome.name not in self._materialized:
            yield from self._executed(outcome, invocation)
        if outcome.name in self.specs:
            key = self.specs[outcome.name].key
            yield from self._status(outcome, key, invocation, standing_failure, judgement)
            yield from self._emit_new(self._audit_checks(outcome, key))
        elif outcome.name in self.unselected:
            yield from self._of_unselected(outcome, invocation, judgement)

    def _of_unselected(
        self, outcome: ModelOutcome, invocation: InvocationFacts, judgement: Judgement
    ) -> Iterator[Event]:
        """What happened to a model that is not selected; nothing, if it was skipped as expected."""
        key = self.unselected[outcome.name].key
        check = status_check(outcome, key, invocation, judgement=judgement)
        if not self._was_executed_before(outcome, key) and (
            outcome.status is Status.EXECUTED or not check.passed
        ):
            yield self._check_event(check)
        yield from map(self._check_event, self._audit_checks(outcome, key))

    def _removed(self, report: RunReport) -> Iterator[Event]:
        """The status of assets whose models were removed: their earlier status must not stay."""
        invocation = InvocationFacts.of_report(report)
        for model in self.assets.models:
            if model.name in self.specs and model.name not in report.outcomes:
                outcome = outcome_of_removed(model, report)
                alone = report.model_copy(update={"outcomes": {outcome.name: outcome}})
                judgement = Judgements(self.policy, alone).of(outcome)
                key = self.specs[model.name].key
                yield from self._status(outcome, key, invocation, judgement=judgement)

    def _unknown(
        self, outcome: ModelOutcome, invocation: InvocationFacts, error: Exception
    ) -> Iterator[Event]:
        """An error in this package fails no run, and no check passes because of it."""
        spec = self.specs.get(outcome.name)
        if spec and dg.AssetCheckKey(spec.key, STATUS_CHECK) in self.selected_checks:
            yield check_evaluation(unknown_status_check(spec.key, invocation, error))

    # -- checks --------------------------------------------------------------------------------

    def _status(
        self,
        outcome: ModelOutcome,
        key: dg.AssetKey,
        invocation: InvocationFacts,
        standing_failure: StandingFailure | None = None,
        judgement: Judgement | None = None,
    ) -> Iterator[Event]:
        if not self._was_executed_before(outcome, key):
            check = status_check(outcome, key, invocation, standing_failure, judgement)
            yield from self._emit_new([check])

    def _was_executed_before(self, outcome: ModelOutcome, key: dg.AssetKey) -> bool:
        """Whether the status check of an earlier try states that the model was executed, and this
        try has not evaluated it again."""
        return key in self.materialized_before and outcome.status not in (
            Status.EXECUTED,
            Status.FAILED,
        )

    def _audit_checks(self, outcome: ModelOutcome, key: dg.AssetKey) -> Iterator[AuditCheck]:
        return audit_checks(outcome, key, self.assets.checks.get(outcome.name, {}))

    def _standalone_audit(self, outcome: ModelOutcome) -> Iterator[Event]:
        check = self.assets.standalone[outcome.name]
        model = next(name for name, key in self.assets.keys.items() if key == check.asset_key)
        key = dg.AssetCheckKey(self.keys[model], check.name)
        yield from self._emit_new(standalone_audit_checks(outcome, key))

    def _is_new(self, check: Check) -> bool:
        """Whether it is selected, and was not emitted with the same result."""
        return check.key in self.selected_checks and self._emitted.get(check.key) != check.passed

    def _emit_new(self, checks: Iterable[Check]) -> Iterator[Event]:
        for check in filter(self._is_new, checks):
            event = self._check_event(check)
            self._emitted[check.key] = check.passed
            yield event

    def _check_event(self, check: Check) -> Event:
        """The event of a check that nothing waits for: Dagster stores an evaluation with less work
        than a result."""
        return check_result(check) if self.called_directly else check_evaluation(check)


def _key_of_name(outcome: ModelOutcome) -> dg.AssetKey:
    """The key of a model that the environment has and the project's files no longer have."""
    return dg.AssetKey([part.strip('"') for part in outcome.name.split(".")])
