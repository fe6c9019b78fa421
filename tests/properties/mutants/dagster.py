"""Assets that report false results to Dagster."""

from __future__ import annotations

from functools import partial
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster.events import checks, emission
from pytest_sqlmesh_tracker.dagster.events import step_events as events
from pytest_sqlmesh_tracker.dagster.events.earlier_events import EarlierTries
from pytest_sqlmesh_tracker.dagster.running import invocation, requests, step, tags
from pytest_sqlmesh_tracker.outcomes.outcome import AuditOutcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.tracking.evaluation import batches

from .registry import Mutant, mutant_of
from .tracker import passed

MUTANTS: dict[str, Mutant] = {}
mutant = partial(mutant_of, among=MUTANTS)


@mutant(events.StepEvents, "of_ended")
def what_was_skipped_is_materialized(original: Any, self: Any, report: Any, *args: Any) -> Any:
    for outcome in report.outcomes.values():
        if outcome.status is Status.SKIPPED and outcome.name in self.specs:
            yield dg.MaterializeResult(asset_key=self.specs[outcome.name].key)
    yield from original(self, report, *args)


@mutant(batches, "_scheduled_in")
def a_failed_batch_counts_as_executed(original: Any, *args: Any) -> Any:
    for scheduled in original(*args):
        yield passed(scheduled)


@mutant(emission, "outcome_metadata")
def the_first_batch_is_all(original: Any, outcome: Any, *args: Any) -> Any:
    return original(outcome.model_copy(update={"batches": outcome.batches[:1]}), *args)


@mutant(events.StepEvents, "of_ended")
def what_did_not_run_has_passed_its_audits(
    original: Any, self: Any, report: Any, *args: Any
) -> Any:
    yield from original(self, report, *args)
    for name, spec in self.specs.items():
        for check in self.assets.checks.get(name, {}).values():
            key = dg.AssetCheckKey(spec.key, check)
            if key in self.selected_checks and key not in self._emitted:
                yield dg.AssetCheckResult(asset_key=spec.key, check_name=check, passed=True)


@mutant(checks, "audit_call")
def one_audit_is_taken_for_another(original: Any, audit: Any) -> Any:
    name, arguments = original(audit)
    return name, tuple((key, value.replace(".again", "")) for key, value in arguments)


@mutant(checks, "audit_check")
def every_audit_passes(original: Any, *args: Any) -> Any:
    passed = {"passed": True}
    return original(
        *(a.model_copy(update=passed) if isinstance(a, AuditOutcome) else a for a in args)
    )


@mutant(step, "earlier_tries")
def a_retry_tells_all_again(original: Any, *args: Any) -> EarlierTries:  # noqa: ARG001
    return EarlierTries()


@mutant(invocation, "failure_of")
def nothing_fails_the_run(original: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ARG001
    return None


@mutant(step, "standing_failures")
def what_failed_before_is_forgotten(original: Any, *args: Any) -> dict[str, Any]:  # noqa: ARG001
    return {}


@mutant(requests, "_is_all")
def all_models_run_whatever_is_selected(original: Any, *args: Any) -> bool:  # noqa: ARG001
    return True


@mutant(checks, "is_expected")
def what_is_skipped_is_as_it_should_be(original: Any, outcome: Any, *args: Any) -> bool:
    return bool(original(outcome, *args)) or outcome.status is Status.SKIPPED


@mutant(events.StepEvents, "_removed")
def what_is_gone_gets_no_word(original: Any, *args: Any) -> Any:  # noqa: ARG001
    return iter(())


@mutant(events.StepEvents, "_removed")
def what_is_gone_is_told_twice(original: Any, *args: Any) -> Any:
    events = list(original(*args))
    return iter([*events, *events])


@mutant(events.StepEvents, "_removed")
def what_is_gone_is_materialized(original: Any, self: Any, report: Any) -> Any:
    for event in original(self, report):
        yield dg.MaterializeResult(asset_key=event.asset_key)
        yield event


@mutant(events, "outcome_of_removed")
def what_is_gone_was_not_due(original: Any, *args: Any) -> Any:
    reason = Reason.CRON_NOT_DUE
    return original(*args).model_copy(update={"reason": reason, "reasons": (reason,)})


@mutant(step.Step, "_models_to_run")
def a_step_that_is_due_does_the_other_ones_too(original: Any, self: Any, command: str) -> Any:
    due_only = tags.DUE_ONLY in self._context.run.tags
    return [model.name for model in self._assets.models] if due_only else original(self, command)


@mutant(step.Step, "_models_to_run")
def a_step_leaves_its_last_model_out(original: Any, self: Any, command: str) -> Any:
    models = original(self, command)
    return models[:-1] or models


@mutant(invocation.SqlmeshInvocation, "stream")
def what_reads_a_failed_model_runs(original: Any, self: Any) -> Any:
    try:
        yield from original(self)
    except dg.Failure:
        for outcome in self.report.outcomes.values():
            if outcome.status is Status.FAILED and outcome.name in self._events.specs:
                yield dg.MaterializeResult(asset_key=self._events.specs[outcome.name].key)
