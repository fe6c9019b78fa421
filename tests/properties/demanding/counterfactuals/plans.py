"""The same once more, on a copy: a plan applied, a restatement without its window, and what a run
that ignores cron finds missing afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.projects import Span
from tests.properties.demanding.left_out import left
from tests.properties.demanding.tally import TALLY
from tests.properties.drawing.specs import ONLY_AUDITED
from tests.properties.playing.invocations import in_haste, supported
from tests.properties.playing.spans import alike, merged
from tests.properties.playing.witnesses import Witness, watching

if TYPE_CHECKING:
    from tests.properties.demanding.tally import Ledger
    from tests.properties.playing.invocations import Invocation
    from tests.properties.playing.world import World

WINDOW = {"start", "end"}


def check_twins(invocation: Invocation, before: World | None, ledger: Ledger) -> None:
    """Try what the step has drawn; `before` is a copy from before the step."""
    report, step = invocation.report, invocation.step
    if invocation.raised is not None or report.command not in ("run", "plan"):
        return
    if "left" in step.checks:
        _check_left(invocation, ledger)
    if before is None or report.command != "plan" or step.command != "plan":
        return
    if not step.applied:
        _check_applied(invocation, before, ledger)
    elif "restate_models" in step.arguments and WINDOW & step.arguments.keys():
        _check_without_window(invocation, before, ledger)


def wants_twin(checks: tuple[str, ...], command: str) -> bool:
    """Whether a copy is needed from before the step."""
    return command == "plan" and "what_if" in checks


def _check_left(invocation: Invocation, ledger: Ledger) -> None:
    """What the oracle takes for missing afterwards is what SQLMesh then evaluates."""
    report, step = invocation.report, invocation.step
    restates = any(model.auto_restatement for model in invocation.definitions.values())
    possible = left(invocation)
    if restates or not step.applied or invocation.after.environment is None or not possible:
        return
    at = str(report.execution_time.replace(tzinfo=None))
    with invocation.world.copy(invocation.now) as other, in_haste():
        other.clock.start()
        other.execute("DELETE FROM raw.switch")
        with watching(type(other.context.snapshot_evaluator)) as witness:
            try:
                # As far as that time: a run of the past ends with the wall clock otherwise.
                other.context.run(step.environment, ignore_cron=True, execution_time=at, end=at)
            except Exception:
                return
    broke = any(batch.broke for batch in witness.batches) or witness.creations_failed
    TALLY.draws["runs that ignore cron afterwards"] += 1
    for outcome in report.outcomes.values():
        observed = merged(batch.span for batch in witness.of(outcome.fqn) if batch.span)
        if outcome.fqn not in invocation.stored or (broke and not observed):
            continue
        expected = [merged(each.whole.get(outcome.fqn, [])) for each in possible]
        ledger.demand(
            any(alike(observed, spans) for spans in expected),
            "left-afterwards",
            f"{outcome.name}: then ignore_cron evaluates {observed}; the oracle has {expected}",
        )


@contextmanager
def _planned(before: World, invocation: Invocation, **arguments: Any) -> Iterator[Witness | None]:
    """The same plan with other arguments, without faults; None if SQLMesh refuses it."""
    with before.copy(invocation.now, reads_files=True) as other, in_haste():
        other.rewrite(invocation.models)
        other.clock.start()
        other.switch((), invocation.models)
        context = other.context
        arguments = supported({"no_prompts": True, "auto_apply": True, **arguments}, context.plan)
        refused = False
        with watching(type(context.snapshot_evaluator)) as witness:
            try:
                context.plan(invocation.step.environment, **arguments)
            except Exception:
                refused = not witness.batches
        yield None if refused else witness


def _check_applied(invocation: Invocation, before: World, ledger: Ledger) -> None:
    """Of a plan that was not applied: applied, it evaluates exactly what says so."""
    left_away = {"explain", "auto_apply"}
    arguments = {k: v for k, v in invocation.arguments.items() if k not in left_away}
    with _planned(before, invocation, **arguments) as witness:
        if witness is None:
            return
        TALLY.draws["plans applied instead"] += 1
        broke = any(batch.broke for batch in witness.batches) or witness.creations_failed
        for outcome in invocation.report.outcomes.values():
            evaluated = bool(witness.of(outcome.fqn))
            says = "not_applied" in outcome.reasons
            if outcome.status != "skipped" or (broke and says):
                continue
            if outcome.kind in ONLY_AUDITED:
                continue  # of a new version of it, what is audited shows when it is applied
            ledger.demand(
                says == evaluated,
                "applied-instead",
                f"{outcome.name} is skipped for {[str(r) for r in outcome.reasons]}; applied, the "
                f"plan evaluates it: {evaluated}",
            )


def _check_without_window(invocation: Invocation, before: World, ledger: Ledger) -> None:
    """A window cuts nothing off where the same restatement without it evaluates the same."""
    if invocation.report.failed or invocation.step.waiting:
        return
    arguments = {k: v for k, v in invocation.arguments.items() if k not in WINDOW}
    with _planned(before, invocation, **arguments) as witness:
        if witness is None or any(batch.broke for batch in witness.batches):
            return
        TALLY.draws["restatements without their window"] += 1
        for outcome in invocation.report.outcomes.values():
            mine, wide = _spans(invocation.witness, outcome.fqn), _spans(witness, outcome.fqn)
            if not alike(mine, wide):
                continue
            ledger.demand(
                "outside_window" not in outcome.reasons or outcome.waiting_since is not None,
                "without-window",
                f"{outcome.name} is {outcome.status} for {[str(r) for r in outcome.reasons]}; "
                f"without the window {wide} is evaluated, with it {mine}",
            )


def _spans(witness: Witness, fqn: str) -> list[Span]:
    return merged(batch.span for batch in witness.of(fqn) if batch.span)
