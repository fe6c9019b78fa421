"""What would have happened otherwise: the same project, copied, and SQLMesh run again.

These are the best witnesses and the dearest, so only a drawn part of the steps is questioned.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from tests.properties.playing.invocations import in_haste, supported
from tests.properties.playing.spans import alike, merged, millis
from tests.properties.playing.state import shown
from tests.properties.playing.witnesses import Witness, watching

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker import ModelOutcome
    from tests.properties.demanding.tally import Ledger
    from tests.properties.playing.invocations import Invocation
    from tests.properties.playing.world import World

MARGIN = timedelta(seconds=4)
"""The clock ticks: a run that must end before a moment starts some seconds before it."""


def check_counterfactuals(invocation: Invocation, before: World | None, ledger: Ledger) -> None:
    """Try what the step has drawn; `before` is a copy from before the step."""
    checks = invocation.step.checks
    report = invocation.report
    if report.command != "run" or invocation.raised is not None:
        return
    if "future" in checks:
        _check_future(invocation, ledger)
    if before is None or report.failed:
        return
    skipped = [o for o in report.outcomes.values() if o.status == "skipped"]
    if "held_back" in checks and any("cron_not_due" in o.reasons for o in skipped):
        _check_held_back(invocation, before, skipped, ledger)
    elif "what_if" in checks:
        _check_what_if(invocation, before, skipped, ledger)


def wants_copy(checks: tuple[str, ...], command: str) -> bool:
    """Whether a copy is needed from before the step."""
    return command == "run" and bool({"held_back", "what_if"} & set(checks))


@contextmanager
def _trial_run(
    world: World, when: datetime, environment: str, **arguments: Any
) -> Iterator[Witness]:
    """A run of a copy at another time or with other arguments, with no faults."""
    with world.copy(when) as other, in_haste():
        other.clock.start()
        other.execute("DELETE FROM raw.switch")
        with watching(type(other.context.snapshot_evaluator)) as witness:
            try:
                other.context.run(environment, **supported(arguments, other.context.run))
            except Exception as error:
                # What SQLMesh refuses answers no question.
                witness.plan = error
        yield witness


def _check_future(invocation: Invocation, ledger: Ledger) -> None:
    """A model is due at its `next_due`, and not before."""
    waiting = [
        outcome
        for outcome in invocation.report.outcomes.values()
        if outcome.status == "skipped"
        and outcome.next_due is not None
        and {"cron_not_due", "not_started"} & {str(reason) for reason in outcome.reasons}
        and outcome.fqn in (invocation.before.environment or {})
        and not _undetermined(invocation, outcome)
    ]
    if not waiting:
        return
    chosen = min(waiting, key=lambda outcome: (outcome.next_due, outcome.name))
    when = chosen.next_due
    assert when is not None
    environment = invocation.step.environment
    same = [outcome for outcome in waiting if outcome.next_due == when]
    if when - MARGIN > invocation.now.replace(tzinfo=timezone.utc):
        with _trial_run(invocation.world, when - MARGIN, environment) as witness:
            for outcome in waiting:
                early = [b for b in witness.of(outcome.fqn) if not b.span or b.span[0] < b.span[1]]
                ledger.demand(
                    not early,
                    "future",
                    f"{outcome.name} is reported as due at {outcome.next_due}, "
                    f"but is evaluated {MARGIN} before {when}",
                )
        with _trial_run(invocation.world, when, environment) as witness:
            if witness.plan is not None:
                return
            for outcome in same:
                ledger.demand(
                    witness.of(outcome.fqn) or _upstream_broke(outcome, witness),
                    "future",
                    f"{outcome.name} is reported as due at {when}, but is not evaluated then",
                )


def _undetermined(invocation: Invocation, outcome: ModelOutcome) -> bool:
    model = invocation.definition((invocation.before.environment or {}).get(outcome.fqn))
    return model is not None and (model.undetermined or "ago" in (model.end or ""))


def _upstream_broke(outcome: ModelOutcome, witness: Witness) -> bool:
    broke = {batch.fqn for batch in witness.batches if batch.broke}
    return bool(broke) and outcome.fqn not in broke


def _again(invocation: Invocation, **changes: Any) -> dict[str, Any]:
    """The arguments of the step with some of them changed; None takes one away."""
    arguments = {**invocation.arguments, **changes}
    return {key: value for key, value in arguments.items() if value is not None}


def _check_held_back(
    invocation: Invocation, before: World, skipped: list[ModelOutcome], ledger: Ledger
) -> None:
    """What a model held back is what the same run would have evaluated without cron."""
    environment = invocation.step.environment
    arguments = _again(invocation, ignore_cron=True)
    with _trial_run(before, invocation.now, environment, **arguments) as witness:
        if witness.plan is not None:
            return
        for outcome in skipped:
            if "cron_not_due" not in outcome.reasons:
                continue
            reported = merged((millis(i.start), millis(i.end)) for i in outcome.held_back)
            observed = merged(batch.span for batch in witness.of(outcome.fqn) if batch.span)
            if not observed and _upstream_broke(outcome, witness):
                continue
            ledger.demand(
                alike(reported, observed),
                "held-back-evaluated",
                f"{outcome.name} reports as held back {reported}; ignore_cron evaluates {observed}",
            )


def _check_what_if(
    invocation: Invocation, before: World, skipped: list[ModelOutcome], ledger: Ledger
) -> None:
    """Take away what is reported as the only reason, and the model is evaluated."""
    environment = invocation.step.environment
    at_fault: dict[str, dict[str, Any]] = {
        "not_selected": {"select_models": None},
        "outside_window": {
            "start": None,
            "end": str(
                max(
                    invocation.report.execution_time,
                    invocation.now.replace(tzinfo=timezone.utc),
                ).replace(tzinfo=None)
            ),
        },
        "signal_not_ready": {},
        "upstream_not_ready": {},
    }
    alone = {
        reason: [o for o in skipped if [str(r) for r in o.reasons] == [reason]]
        for reason in at_fault
    }
    for reason, changes in at_fault.items():
        if not alone[reason]:
            continue
        with _trial_run(
            before, invocation.now, environment, **_again(invocation, **changes)
        ) as witness:
            if witness.plan is not None:
                continue
            for outcome in alone[reason]:
                ledger.demand(
                    witness.of(outcome.fqn) or _upstream_broke(outcome, witness),
                    f"what-if-{reason}",
                    f"{outcome.name} is reported as skipped for {reason} alone, but without that "
                    f"it is not evaluated either; {shown(', '.join(witness.first_starts()))} are",
                )
        return
