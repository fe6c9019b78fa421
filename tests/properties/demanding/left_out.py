"""What an invocation left out, held against what SQLMesh misses afterwards.

What is missing at the invocation's execution time is computed from SQLMesh's state after it, as a
run that ignores cron would; nothing else can have been left out, for any reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlmesh.core.snapshot import DeployabilityIndex
from sqlmesh.utils.date import to_timestamp

from tests.projects import Span, without
from tests.properties.drawing.specs import ONLY_AUDITED
from tests.properties.playing.spans import alike, merged, millis
from tests.properties.playing.state import Snapshots, deployability, missing

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import Snapshot

    from pytest_sqlmesh_tracker import ModelOutcome
    from tests.properties.playing.invocations import Invocation

    from .tally import Ledger

HOLDERS = {
    *("outside_window", "plan_limit", "signal_not_ready"),
    *("upstream_not_ready", "depends_on_past_gap"),
}
"""Reasons for which something of a model that was evaluated was left out."""


@dataclass(frozen=True)
class Left:
    """What is missing afterwards, by one reading of which tables the environment has."""

    versions: Snapshots
    index: Any
    at: int
    whole: dict[str, list[Span]]
    """With what lookback brings back of what is loaded."""
    due: dict[str, list[Span]]
    """What of that a run would evaluate that obeys cron."""

    def unloaded(self, fqn: str, *, due: bool = False) -> list[Span]:
        """Cells that are not fully loaded."""
        loaded = self._loaded(self.versions[fqn])
        cells = (self.due if due else self.whole).get(fqn, [])
        return [cell for cell in cells if cell[0] < cell[1] and without([cell], loaded)]

    def parts(self, fqn: str) -> list[Span]:
        """What of the cells that are due is not loaded."""
        return merged(without(self.unloaded(fqn, due=True), self._loaded(self.versions[fqn])))

    def waiting_since(self, fqn: str) -> int | None:
        """The end of the earliest complete cell that is not loaded."""
        unit = self.versions[fqn].node.interval_unit
        assert unit is not None
        ends = [end for _, end in self.unloaded(fqn) if end <= self.at]
        return min((end for end in ends if to_timestamp(unit.cron_floor(end)) == end), default=None)

    def _loaded(self, version: Snapshot) -> list[Span]:
        representative = self.index.is_representative(version)
        return list(version.intervals if representative else version.dev_intervals)


def left(invocation: Invocation) -> list[Left]:
    """What is missing afterwards; nothing, if SQLMesh refuses to say so. Which of its tables an
    environment reads can change as a plan goes on: outside of prod there are several answers."""
    return list(_left(invocation, invocation.report.execution_time))


def _left(invocation: Invocation, at: datetime) -> Iterator[Left]:
    versions, environment = invocation.stored, invocation.step.environment
    indexes = [deployability(versions, environment, invocation.arguments.get("start"))]
    if environment != "prod":
        indexes += [deployability(versions, environment)]
        indexes += [invocation.plan.deployability_index] if invocation.plan else []
        if not invocation.step.applied:
            # Which tables it would have is open, as long as nothing is applied.
            indexes += [DeployabilityIndex.all_deployable(), DeployabilityIndex.none_deployable()]
    for index in indexes:
        answers = []
        for ignore_cron in (True, False):
            try:
                answer = missing(
                    versions,
                    environment,
                    execution_time=at,
                    ignore_cron=ignore_cron,
                    index=index,
                )
            except ValueError:
                return
            answers.append(answer)
        yield Left(versions, index, millis(at), *answers)


def check_left_out(invocation: Invocation, ledger: Ledger) -> None:
    report = invocation.report
    if report.command not in ("run", "plan") or not invocation.stored:
        return
    if invocation.raised is not None or invocation.step.switched("environment"):
        return
    possible = left(invocation)
    if not possible:
        return
    for outcome in report.outcomes.values():
        if outcome.fqn in invocation.stored and outcome.status != "unknown":
            _check_model(invocation, outcome, possible, ledger)


def _check_model(
    invocation: Invocation, outcome: ModelOutcome, possible: list[Left], ledger: Ledger
) -> None:
    fqn, demand = outcome.fqn, ledger.demand
    reasons = {str(reason) for reason in outcome.reasons}
    claim = f"{outcome.name} is {outcome.status} for {[str(r) for r in outcome.reasons]}"
    since = millis(outcome.waiting_since) if outcome.waiting_since else None
    waits = {each.waiting_since(fqn) for each in possible}
    free = outcome.status not in ("executed", "skipped") or outcome.kind in ONLY_AUDITED
    planned = outcome.kind in ONLY_AUDITED and not invocation.step.applied
    demand(
        since in waits or (free and since is None) or planned,
        "waiting-since",
        f"{claim}; waits since {since}, missing since {waits}",
    )
    held = merged((millis(i.start), millis(i.end)) for i in outcome.held_back)
    all_missing = [merged(each.whole.get(fqn, [])) for each in possible]
    model = invocation.definition(invocation.stored[fqn])
    undetermined = model is None or model.undetermined
    demand(
        undetermined or any(alike(without(held, spans), []) for spans in all_missing),
        "held-back-missing",
        f"{claim}; held back is reported as {held}, afterwards are missing {all_missing}",
    )
    if outcome.status == "executed":
        _check_executed(invocation, outcome, reasons, possible, ledger, claim)
        return
    if "plan_limit" in reasons:
        something = any(each.unloaded(fqn) for each in possible)
        demand(something, "plan-limit", f"{claim}, but nothing of it is missing afterwards")
    if "outside_window" in reasons and invocation.report.command == "plan":
        window = {"start", "end", "execution_time"} & invocation.arguments.keys()
        limited = window or "plan_limit" in reasons
        demand(limited, "outside-window", f"{claim}, but the plan had no window")


def _check_executed(
    invocation: Invocation,
    outcome: ModelOutcome,
    reasons: set[str],
    possible: list[Left],
    ledger: Ledger,
    claim: str,
) -> None:
    fqn, demand = outcome.fqn, ledger.demand
    holders = reasons & HOLDERS
    unloaded = [merged(each.unloaded(fqn)) for each in possible]
    if holders:
        demand(any(unloaded), "left-out", f"{claim}, but nothing of it is missing afterwards")
        demand(outcome.held_back, "held-back-empty", f"{claim}, but says nothing of what was held")
    demand(
        "plan_limit" not in reasons or invocation.report.command == "plan",
        "plan-limit",
        f"{claim}, and that was not a plan",
    )
    model = invocation.definition(invocation.stored[fqn])
    if model is None or model.undetermined or invocation.report.failed:
        return
    # A preview can be evaluated where the environment reads another table.
    observed = [b.span for b in invocation.witness.of(fqn) if b.recorded and b.span]
    due = [without(each.parts(fqn), observed) for each in possible]
    if not all(due):
        return
    demand(holders, "left-unexplained", f"{claim}, but afterwards are missing {due}")
    held = merged((millis(i.start), millis(i.end)) for i in outcome.held_back)
    demand(
        any(alike(without(spans, held), []) for spans in due),
        "held-back-all",
        f"{claim}, held back is reported as {held}; due, and missing afterwards, are {due}",
    )
    _check_which(invocation, holders, ledger, claim)


def _check_which(invocation: Invocation, holders: set[str], ledger: Ledger, claim: str) -> None:
    """Where only one thing can have left something out, it is that."""
    arguments, step = invocation.arguments, invocation.step
    window = {"start", "end", "execution_time"} & arguments.keys()
    if invocation.report.command == "plan" and not window and not step.waiting:
        ledger.demand(
            holders <= {"plan_limit", "depends_on_past_gap"},
            "plan-limit",
            f"{claim}, but only the plan's own limits can have left that out",
        )
    if not window and invocation.report.command != "plan":
        ledger.demand(
            "outside_window" not in holders, "outside-window", f"{claim}, but there was no window"
        )
