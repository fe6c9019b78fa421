"""What had not been loaded upstream when a model was evaluated, by the player's log."""

from __future__ import annotations

from datetime import timezone
from itertools import pairwise
from typing import TYPE_CHECKING

from sqlmesh.core.snapshot.definition import expand_range
from sqlmesh.utils.date import make_exclusive, to_timestamp

from tests.projects import Span, without
from tests.properties.playing.log import tables
from tests.properties.playing.spans import merged, millis, moment
from tests.properties.playing.state import Snapshots, shown

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import Snapshot

    from pytest_sqlmesh_tracker import ModelOutcome
    from tests.properties.playing.invocations import Invocation
    from tests.properties.playing.witnesses import ObservedBatch

    from .tally import Ledger

NEVER_LOADED = {"seed", "external", "audit"}
LOOKED_THROUGH = {"view", "embedded"}
TICKS_A_YEAR = {
    "@daily": 365,
    "30 13 * * *": 365,
    "0 5 * * 1-5": 261,
    "@weekly": 52,
    "@monthly": 12,
    "0 0 1-10 * *": 120,
    "0 */6 * * *": 365 * 4,
    "@hourly": 365 * 24,
    "17 * * * *": 365 * 24,
    "*/30 * * * *": 365 * 48,
    "0 8-18 * * *": 365 * 11,
    "*/5 9 * * *": 365 * 12,
}
"""How often a model is due, by each cron that is drawn."""


def check_upstream_behind(invocation: Invocation, ledger: Ledger) -> None:
    report = invocation.report
    if report.command not in ("run", "plan") or invocation.log is None:
        return
    versions = _versions(invocation)
    for outcome in report.outcomes.values():
        if outcome.fqn not in versions or outcome.status == "unknown":
            continue
        reported = {
            name: merged((millis(i.start), millis(i.end)) for i in spans)
            for name, spans in outcome.upstream_behind.items()
        }
        observed = [b for b in invocation.witness.of(outcome.fqn) if b.evaluated and b.span]
        model = invocation.definition(versions[outcome.fqn])
        if model is None or model.undetermined:
            continue  # which of two is due more often is a question of words
        above = _above(invocation, outcome.fqn, versions)
        open_ = {shown(f) for f, v in versions.items() if _undetermined(invocation, v)}
        strange = sorted(reported.keys() - {shown(fqn) for fqn in above} - open_)
        ledger.demand(
            not strange,
            "behind-who",
            f"{outcome.name} is reported as ahead of {strange}, which are none of {sorted(above)}",
        )
        for fqn in above:
            _check_pair(
                invocation, outcome, versions[fqn], observed, reported.get(shown(fqn), []), ledger
            )


def _check_pair(
    invocation: Invocation,
    outcome: ModelOutcome,
    upstream: Snapshot,
    observed: list[ObservedBatch],
    reported: list[Span],
    ledger: Ledger,
) -> None:
    least: list[Span] = []
    most: list[Span] = []
    for batch in observed:
        assert batch.span is not None
        lacking = [
            [part for cell in cells for part in without([cell], loaded)]
            for loaded in _loaded(invocation, upstream, batch)
            for cells in [_to_load(invocation, upstream, batch.span)]
        ]
        lacking = [_within(spans, batch.span) for spans in lacking]
        surely = [span for span in lacking[0] if all(not without([span], s) for s in lacking[1:])]
        most += [span for spans in lacking for span in spans]
        if batch.recorded and outcome.kind not in ("view", "audit", "external"):
            least += surely
    # Intervals of the model are reported, and a part of one is enough.
    unit = invocation.stored[outcome.fqn].node.interval_unit if invocation.stored else None
    possible = [
        cell
        for start, end in reported
        for cell in (pairwise(expand_range(start, end, unit)) if unit else [(start, end)])
        if not any(cell[0] < end_ and start_ < cell[1] for start_, end_ in most)
    ]
    where = f"{outcome.name} ({outcome.status}) and {shown(upstream.name)}"
    ledger.demand(
        not possible,
        "behind-less",
        f"{where}: not loaded upstream is reported as {reported}, at most {merged(most)} lacked",
    )
    ledger.demand(
        not without(merged(least), reported),
        "behind-more",
        f"{where}: not loaded upstream is reported as {reported}, {merged(least)} was lacking",
    )


def _versions(invocation: Invocation) -> Snapshots:
    if invocation.report.command == "run":
        return invocation.before.environment or {}
    return invocation.stored if invocation.plan is not None else {}


def _above(invocation: Invocation, fqn: str, versions: Snapshots) -> set[str]:
    """Upstream models that have rows of their own and are due at least as often."""
    models: set[str] = set()
    todo, done = [fqn], {fqn}
    often = TICKS_A_YEAR.get(versions[fqn].node.cron, 0)
    while todo:
        for parent in versions[todo.pop()].parents:
            model = invocation.definition(versions.get(parent.name))
            if parent.name in done or model is None:
                continue
            done.add(parent.name)
            if model.kind in LOOKED_THROUGH:
                todo.append(parent.name)
            elif model.undetermined:
                continue
            elif model.kind not in NEVER_LOADED and TICKS_A_YEAR[model.cron] >= often:
                models.add(parent.name)
    return models


def _undetermined(invocation: Invocation, version: Snapshot) -> bool:
    model = invocation.definition(version)
    return model is None or model.undetermined


def _loaded(invocation: Invocation, upstream: Snapshot, batch: ObservedBatch) -> list[list[Span]]:
    """What upstream had when a batch began, in each of the tables that it can have been about."""
    before = invocation.before.intervals.get(upstream.name, {})
    after = invocation.after.intervals.get(upstream.name, {})
    witness = invocation.witness
    removed = [s] if (s := witness.plan_restates.get(upstream.name)) else []
    possible = []
    for table in tables(upstream, invocation.step.environment):
        done = [
            each.span
            for each in witness.of(upstream.name)
            if each.recorded and each.span and 0 < each.ended_at < batch.began_at
        ]
        # A batch counts in the table that has it afterwards: it can have gone into the other one.
        done = without(done, without(done, after.get(table, [])))
        possible.append(merged([*without(before.get(table, []), removed), *done]))
    return possible


def _to_load(invocation: Invocation, upstream: Snapshot, span: Span) -> list[Span]:
    """The complete intervals that upstream has in a span, between its start and its end."""
    node, unit = upstream.node, upstream.node.interval_unit
    assert unit is not None
    model = invocation.definition(upstream)
    now = invocation.now.replace(tzinfo=timezone.utc)
    start = to_timestamp(moment(model.start, now)) if model and model.start else 0
    end = node.end and to_timestamp(make_exclusive(node.end))
    at = millis(invocation.report.execution_time)
    first = to_timestamp(unit.cron_floor(span[0]))
    last = to_timestamp(unit.cron_next(span[1]))
    return [
        cell
        for cell in pairwise(expand_range(first, last, unit))
        if cell[0] >= start and cell[1] <= (end or at) and cell[1] <= at
    ]


def _within(spans: list[Span], bounds: Span) -> list[Span]:
    cut = [(max(start, bounds[0]), min(end, bounds[1])) for start, end in spans]
    return merged(span for span in cut if span[0] < span[1])
