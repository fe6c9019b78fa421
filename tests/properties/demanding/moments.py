"""The moments that are reported of a model: when it is due next, and how far it is loaded."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlmesh.utils.cron import CroniterCache

from tests.projects import Span
from tests.properties.playing.spans import merged, millis, moment
from tests.properties.playing.state import deployability, missing

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import Snapshot

    from pytest_sqlmesh_tracker import ModelOutcome
    from tests.properties.demanding.reasons.runs import Workload
    from tests.properties.playing.invocations import Invocation

    from .tally import Ledger

SECOND = timedelta(seconds=1)


def check_next_due(
    invocation: Invocation, outcome: ModelOutcome, work: Workload, ledger: Ledger, claim: str
) -> None:
    """Nothing of the model is due before the moment that is reported, and something is at it."""
    fqn, environment = outcome.fqn, invocation.step.environment
    if restates_itself(invocation, work):
        return  # the counterfactual run knows
    when = outcome.next_due
    if when is None:
        ledger.demand(
            fqn not in work.missing_in_future,
            "next-due",
            f"{claim}; next_due is None, but it has one",
        )
        return
    versions = work.versions
    try:
        then = missing(versions, environment, execution_time=when, end=when)
    except ValueError:
        # SQLMesh refuses the span from the start of any model to itself: a moment later.
        later = when + SECOND
        then = missing(versions, environment, execution_time=later, end=later)
    ledger.demand(fqn in then, "next-due", f"{claim}; nothing is missing at {when}")
    just = when - SECOND
    if just > invocation.report.execution_time:
        before = missing(versions, environment, execution_time=just, end=just)
        # Between the start of a model and its first tick SQLMesh finds spans that end before they
        # start, and fails to evaluate them.
        real = [span for span in before.get(fqn, []) if span[0] < span[1]]
        ledger.demand(not real, "next-due", f"{claim}; it is due before {when}: {real}")


def restates_itself(invocation: Invocation, work: Workload) -> bool:
    """Whether SQLMesh restates any of the models by an auto-restatement cron."""
    models = map(invocation.definition, work.versions.values())
    return any(model is None or model.auto_restatement is not None for model in models)


def check_tick(outcome: ModelOutcome, cron: str, ledger: Ledger, claim: str) -> None:
    """Where SQLMesh itself is undetermined: a tick of the cron, or nothing."""
    when = outcome.next_due
    ticks = when is None or CroniterCache(cron, when - SECOND).get_next() == when
    ledger.demand(ticks, "next-due-is-a-tick", f"{claim}; next_due is {when}, no tick of {cron}")


def check_loaded_through(invocation: Invocation, outcome: ModelOutcome, ledger: Ledger) -> None:
    """The end of what state has without a gap, from the first interval on."""
    after = invocation.stored
    if outcome.fqn not in after or outcome.status == "unknown":
        return
    version = after[outcome.fqn]
    index = deployability(after, invocation.step.environment, invocation.arguments.get("start"))
    intervals = version.intervals if index.is_representative(version) else version.dev_intervals
    reported = millis(outcome.loaded_through) if outcome.loaded_through else None
    model = invocation.definition(version)
    if model is not None and model.relative and model.start:
        # Its start has moved on: what lies before it is a part of nothing that it has to load.
        start = millis(moment(model.start, invocation.now))
        intervals = [part for part in merged(intervals) if part[1] > start] or intervals[-1:]
    possible = {_first_part(intervals)}
    if invocation.step.environment != "prod":
        # Which of its tables an environment reads can change as the run goes on.
        possible |= {_first_part(part) for part in _tables(version)}
    ledger.demand(
        reported in possible,
        "loaded-through",
        f"{outcome.name} ({outcome.status}): loaded through {reported}, in state is {intervals}",
    )


def _first_part(intervals: list[Span]) -> int | None:
    parts = merged(intervals)
    return parts[0][1] if parts else None


def _tables(version: Snapshot) -> tuple[list[Span], list[Span]]:
    return version.intervals, version.dev_intervals
