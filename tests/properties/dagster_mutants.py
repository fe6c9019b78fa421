"""Rooms that tell Dagster lies: `python -m tests.properties.mutants --dagster` tries them."""

from __future__ import annotations

from functools import partial
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster import resource
from pytest_sqlmesh_tracker.dagster.events import telling
from pytest_sqlmesh_tracker.dagster.events.history import Told
from pytest_sqlmesh_tracker.dagster.running import asking, invocation
from pytest_sqlmesh_tracker.outcomes.outcomes import AuditOutcome, Reason, Status
from pytest_sqlmesh_tracker.tracking.evaluation import batches

from . import mutants

MUTANTS: dict[str, mutants.Mutant] = {}
mutant = partial(mutants.mutant, among=MUTANTS)


@mutant(telling.Telling, "ended")
def what_was_skipped_is_materialized(original: Any, self: Any, report: Any) -> Any:
    for outcome in report.outcomes.values():
        if outcome.status is Status.SKIPPED and outcome.name in self.specs:
            yield dg.MaterializeResult(asset_key=self.specs[outcome.name].key)
    yield from original(self, report)


@mutant(batches, "_scheduled_in")
def a_failed_batch_counts_as_executed(original: Any, *args: Any) -> Any:
    for scheduled in original(*args):
        yield mutants.passed(scheduled)


@mutant(telling, "outcome_metadata")
def the_first_batch_is_all(original: Any, outcome: Any, *args: Any) -> Any:
    return original(outcome.model_copy(update={"batches": outcome.batches[:1]}), *args)


@mutant(telling.Telling, "ended")
def what_did_not_run_has_passed_its_audits(original: Any, self: Any, report: Any) -> Any:
    yield from original(self, report)
    for name, spec in self.specs.items():
        for check in self.assets.checks.get(name, {}).values():
            key = dg.AssetCheckKey(spec.key, check)
            if key in self.checks and key not in self._told:
                yield dg.AssetCheckResult(asset_key=spec.key, check_name=check, passed=True)


@mutant(telling, "named_call")
def one_audit_is_taken_for_another(original: Any, audit: Any) -> Any:
    name, arguments = original(audit)
    return name, tuple((key, value.replace(".again", "")) for key, value in arguments)


@mutant(telling, "_audit_check")
def every_audit_passes(original: Any, *args: Any) -> Any:
    passed = {"passed": True}
    return original(
        *(a.model_copy(update=passed) if isinstance(a, AuditOutcome) else a for a in args)
    )


@mutant(resource, "told_by")
def a_retry_tells_all_again(original: Any, *args: Any) -> Told:  # noqa: ARG001
    return Told()


@mutant(invocation, "failure_of")
def nothing_fails_the_run(original: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ARG001
    return None


@mutant(resource, "standing_faults")
def what_failed_before_is_forgotten(original: Any, *args: Any) -> dict[str, Any]:  # noqa: ARG001
    return {}


@mutant(asking, "_is_all")
def all_models_run_whatever_is_selected(original: Any, *args: Any) -> bool:  # noqa: ARG001
    return True


@mutant(telling, "_verdict")
def what_is_skipped_is_as_it_should_be(original: Any, outcome: Any) -> Any:
    passed, severity = original(outcome)
    return passed or outcome.status is Status.SKIPPED, severity


@mutant(telling.Telling, "_gone")
def what_is_gone_gets_no_word(original: Any, *args: Any) -> Any:  # noqa: ARG001
    return iter(())


@mutant(telling.Telling, "_gone")
def what_is_gone_is_told_twice(original: Any, *args: Any) -> Any:
    events = list(original(*args))
    return iter([*events, *events])


@mutant(telling.Telling, "_gone")
def what_is_gone_is_materialized(original: Any, self: Any, report: Any) -> Any:
    for event in original(self, report):
        yield dg.MaterializeResult(asset_key=event.asset_key)
        yield event


@mutant(telling, "outcome_of_gone")
def what_is_gone_was_not_due(original: Any, *args: Any) -> Any:
    reason = Reason.CRON_NOT_DUE
    return original(*args).model_copy(update={"reason": reason, "reasons": (reason,)})


@mutant(resource._Step, "_asked_for")
def a_step_that_is_due_does_the_other_ones_too(original: Any, self: Any, command: str) -> Any:
    due_only = asking.DUE_ONLY in self._context.run.tags
    return [model.name for model in self.assets.models] if due_only else original(self, command)


@mutant(resource._Step, "_asked_for")
def a_step_leaves_its_last_model_out(original: Any, self: Any, command: str) -> Any:
    models = original(self, command)
    return models[:-1] or models


@mutant(invocation.SqlmeshInvocation, "stream")
def what_reads_a_failed_model_runs(original: Any, self: Any) -> Any:
    try:
        yield from original(self)
    except dg.Failure:
        for outcome in self.report.outcomes.values():
            if outcome.status is Status.FAILED and outcome.name in self._telling.specs:
                yield dg.MaterializeResult(asset_key=self._telling.specs[outcome.name].key)
