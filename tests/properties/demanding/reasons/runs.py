"""Why a run left models out, worked out from the drawn facts and SQLMesh's state before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tests.projects import Span, without
from tests.properties.demanding.lineage import ancestors, expanded
from tests.properties.demanding.moments import (
    SECOND,
    check_loaded_through,
    check_next_due,
    check_tick,
    restates_itself,
)
from tests.properties.demanding.statuses import is_idle_by_kind
from tests.properties.playing.spans import alike, merged, millis, moment
from tests.properties.playing.state import (
    Snapshots,
    copied,
    deployability,
    missing,
    restated,
    shown,
)

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import Snapshot

    from pytest_sqlmesh_tracker import ModelOutcome
    from tests.properties.demanding.tally import Ledger
    from tests.properties.playing.invocations import Invocation

FAR = datetime(2024, 7, 1, tzinfo=timezone.utc)
SpansByModel = dict[str, list[Span]]


@dataclass
class Workload:
    """What the run had to do, model by model."""

    versions: Snapshots
    missing_in_window: SpansByModel
    """Missing under the arguments of the run."""
    missing_without_window: SpansByModel
    """Missing without a start and an end."""
    missing_without_cron: SpansByModel
    """Missing if cron had been ignored."""
    missing_in_future: SpansByModel
    """Missing in the far future."""
    selected: set[str]
    restated: bool
    held_by_own_signals: SpansByModel = field(default_factory=dict)
    held_by_signal: dict[str, dict[str, list[Span]]] = field(default_factory=dict)
    """The same, signal by signal."""
    held_by_upstream_signals: SpansByModel = field(default_factory=dict)
    """Held back by signals upstream, of what the model's own signals let through."""
    scheduled: SpansByModel = field(default_factory=dict)
    """What remained to be evaluated."""
    tables: Any = None
    """Which table of each version the environment uses."""

    def loaded(self, fqn: str) -> list[Span]:
        version = self.versions[fqn]
        shared = self.tables.is_representative(version)
        return version.intervals if shared else version.dev_intervals


def check_run(invocation: Invocation, ledger: Ledger) -> None:
    report = invocation.report
    versions = invocation.before.environment
    if report.command != "run" or invocation.step.switched("environment"):
        return
    if versions is None or not invocation.before.finalized:
        for outcome in report.outcomes.values():
            ledger.demand(
                outcome.status == "interrupted" or is_idle_by_kind(invocation, outcome),
                "no-environment",
                f"{outcome.name} is {outcome.status}, but the run had no environment to look at",
            )
        return
    if report.completion in ("raised", "interrupted"):
        _check_cut_off(invocation, versions, ledger)
        return
    _check_local_edits(invocation, versions, ledger)
    try:
        work = workload_of(invocation, versions)
    except ValueError:
        return  # SQLMesh refuses these dates, too
    for outcome in report.outcomes.values():
        if outcome.fqn not in versions:
            primary = [str(reason) for reason in outcome.reasons][:1]
            ledger.demand(
                primary == ["not_in_environment"],
                "not-in-environment",
                f"{outcome.name} is not in the environment, reported is {primary}",
            )
        elif outcome.status != "unknown":
            _check_model(invocation, outcome, work, ledger)


def workload_of(invocation: Invocation, versions: Snapshots) -> Workload:
    arguments = invocation.arguments
    environment = invocation.step.environment
    at = invocation.report.execution_time
    versions = {fqn: copied(version) for fqn, version in versions.items()}
    was_restated = restated(versions, environment, at)
    ignore_cron = bool(arguments.get("ignore_cron"))
    # The clock ticks: SQLMesh reads its default end a moment after the call.
    clock = invocation.now.replace(tzinfo=timezone.utc) + SECOND / 10
    window = {"start": arguments.get("start"), "end": arguments.get("end") or clock}
    wide = {"end": max(clock, at)}
    work = Workload(
        versions=versions,
        missing_in_window=missing(
            versions, environment, execution_time=at, ignore_cron=ignore_cron, **window
        ),
        missing_without_window=missing(
            versions, environment, execution_time=at, ignore_cron=ignore_cron, **wide
        ),
        missing_without_cron=missing(
            versions, environment, execution_time=at, ignore_cron=True, **window
        ),
        missing_in_future=missing(
            versions, environment, execution_time=FAR, end=FAR, ignore_cron=True
        ),
        selected=_selected(invocation, versions),
        restated=was_restated,
        tables=deployability(versions, environment, arguments.get("start")),
    )
    _apply_signals(invocation, work)
    return work


def _selected(invocation: Invocation, versions: Snapshots) -> set[str]:
    selection = invocation.arguments.get("select_models")
    if selection is None:
        return set(versions)
    selected = expanded(selection, versions)
    if not invocation.arguments.get("no_auto_upstream"):
        selected |= {above for fqn in selected for above in ancestors(fqn, versions)}
    return selected & set(versions)


def _apply_signals(invocation: Invocation, work: Workload) -> None:
    """Follow the signals down the graph, as the drawn switches say."""
    unready: SpansByModel = {}
    missing_in_window = work.missing_in_window.items()
    due = {fqn: spans for fqn, spans in missing_in_window if fqn in work.selected}
    for fqn in sorted(due, key=lambda name: len(ancestors(name, work.versions))):
        version = work.versions[fqn]
        ready, work.held_by_signal[fqn] = _through_signals(invocation, version, due[fqn])
        own = merged(span for span in due[fqn] if span not in set(ready))
        upstream = merged(
            span for parent in version.parents for span in unready.get(parent.name, [])
        )
        unready[fqn] = merged([*own, *upstream])
        work.held_by_own_signals[fqn] = own
        work.held_by_upstream_signals[fqn] = merged(
            span for span in ready if _overlaps(span, upstream)
        )
        work.scheduled[fqn] = merged(_schedulable(version, ready, unready[fqn]))


def _through_signals(
    invocation: Invocation, version: Snapshot, due: list[Span]
) -> tuple[list[Span], dict[str, list[Span]]]:
    """What the model's own signals let through, and what each of them held back."""
    ready = _through_gate(invocation, version, due)
    held = {"gate": merged(span for span in due if span not in set(ready))}
    if shown(version.name) in invocation.step.switched("held"):
        held["held_by_test"], ready = merged(ready), []
    return ready, {signal: spans for signal, spans in held.items() if spans}


def _schedulable(version: Snapshot, ready: list[Span], unready: list[Span]) -> list[Span]:
    """The spans that wait for nothing, in the model's own past either."""
    waiting = [span for span in ready if _overlaps(span, unready)]
    free = [span for span in ready if span not in waiting]
    if version.depends_on_past and waiting:
        return [span for span in free if span < waiting[0]]
    return free


def _through_gate(invocation: Invocation, version: Snapshot, spans: list[Span]) -> list[Span]:
    model = invocation.definition(version)
    if model is None or not model.gated:
        return spans
    step = invocation.step
    if model.name in step.switched("none"):
        return []
    groups: list[list[Span]] = []
    for span in sorted(spans):
        if groups and groups[-1][-1][1] == span[0]:
            groups[-1].append(span)
        else:
            groups.append([span])
    if model.name in step.switched("first"):
        groups = [group[:1] for group in groups]
    if model.name in step.switched("rest"):
        groups = [group[1:] for group in groups]
    return [span for group in groups for span in group]


def _overlaps(span: Span, others: list[Span]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in others)


def _check_local_edits(invocation: Invocation, versions: Snapshots, ledger: Ledger) -> None:
    for outcome in invocation.report.outcomes.values():
        fqn = outcome.fqn
        if fqn not in versions or fqn not in invocation.local:
            continue
        planned = invocation.definition(versions[fqn])
        if planned is None:
            continue
        drawn = invocation.definition(invocation.local[fqn])
        same = versions[fqn].fingerprint == invocation.local[fqn].fingerprint
        if planned == drawn and not same:
            continue  # only its parents were edited: whether that is an edit of it is open
        ledger.demand(
            outcome.local_edit == (planned != drawn),
            "local-edit",
            f"{outcome.name}: local_edit={outcome.local_edit}, planned {planned}, now {drawn}",
        )


def _check_cut_off(invocation: Invocation, versions: Snapshots, ledger: Ledger) -> None:
    """The run was cut off once it knew what was missing: models that had work are interrupted."""
    if isinstance(invocation.raised, ValueError):
        return  # dates that SQLMesh refuses: it knew nothing
    try:
        work = workload_of(invocation, versions)
    except ValueError:
        return
    for outcome in invocation.report.outcomes.values():
        if outcome.fqn not in versions or invocation.witness.of(outcome.fqn):
            continue
        had_work = outcome.fqn in work.missing_in_window and outcome.fqn in work.selected
        blocked = outcome.status == "skipped" and not work.scheduled.get(outcome.fqn)
        claim = f"{outcome.name} is {outcome.status} ({outcome.message})"
        if had_work and not blocked:
            ledger.demand(
                outcome.status == "interrupted" or "upstream_failed" in outcome.reasons,
                "cut-off",
                f"{claim}, but had work when the run was cut off: "
                f"{work.missing_in_window[outcome.fqn]}",
            )
        elif not had_work:
            ledger.demand(
                outcome.status == "skipped",
                "cut-off",
                f"{claim}, but had nothing to do when the run was cut off",
            )


def _check_model(
    invocation: Invocation, outcome: ModelOutcome, work: Workload, ledger: Ledger
) -> None:
    fqn, demand = outcome.fqn, ledger.demand
    claim = f"{outcome.name} is {outcome.status} for {[str(r) for r in outcome.reasons]}"
    reasons = {str(reason) for reason in outcome.reasons}
    model = invocation.definition(work.versions[fqn])
    if outcome.status == "skipped" and model is not None:
        demand(
            ("not_evaluatable" in reasons) == (not model.evaluatable),
            "not-evaluatable",
            f"{claim}; drawn was {model}",
        )
    # What can't be evaluated was not left out by a selection.
    demand(
        "not_evaluatable" in reasons or ("not_selected" in reasons) == (fqn not in work.selected),
        "not-selected",
        f"{claim}; selected were {sorted(map(shown, work.selected))}",
    )
    if reasons & {"not_evaluatable", "not_selected"}:
        return
    if model is not None and model.undetermined:
        check_tick(outcome, model.cron, ledger, claim)
        return
    if fqn in work.missing_in_window:
        _check_due(invocation, outcome, work, ledger, claim)
    elif outcome.status == "skipped":
        _check_not_due(invocation, outcome, work, ledger, claim)
    if not work.restated and outcome.status in ("skipped", "executed"):
        cut = without(
            merged(work.missing_without_window.get(fqn, [])),
            merged(work.missing_in_window.get(fqn, [])),
        )
        cut = without(cut, work.loaded(fqn))  # what only lookback brings back is not missing
        # A model that had work within the window was not skipped for the window's sake.
        blocked = outcome.status == "skipped" and fqn in work.missing_in_window
        demand(
            ("outside_window" in reasons) == (not blocked and not alike(cut, [])),
            "outside-window",
            f"{claim}; start and end cut off {merged(cut)}",
        )
    if not restates_itself(invocation, work):
        # SQLMesh takes what it restates by itself out of the snapshots in memory, not out of state.
        check_loaded_through(invocation, outcome, ledger)


def _check_due(
    invocation: Invocation, outcome: ModelOutcome, work: Workload, ledger: Ledger, claim: str
) -> None:
    fqn, demand = outcome.fqn, ledger.demand
    reasons = {str(reason) for reason in outcome.reasons}
    if outcome.status == "failed":
        return
    held, blocked, batches = (
        work.held_by_own_signals[fqn],
        work.held_by_upstream_signals[fqn],
        work.scheduled[fqn],
    )
    # Of a model that was evaluated, what is loaded was not left out.
    left = held if outcome.status == "skipped" else without(held, work.loaded(fqn))
    demand(("signal_not_ready" in reasons) == bool(left), "signal", f"{claim}; held was {held}")
    signals = {
        name: merged((millis(i.start), millis(i.end)) for i in spans)
        for name, spans in outcome.signals.items()
    }
    demand(
        (outcome.status == "executed" and held and not left and not signals)
        or (
            signals.keys() == work.held_by_signal[fqn].keys()
            and all(alike(spans, work.held_by_signal[fqn][name]) for name, spans in signals.items())
        ),
        "signals",
        f"{claim}; signals reported are {signals}, held was {work.held_by_signal[fqn]}",
    )
    above = {
        shown(name) for name in ancestors(fqn, work.versions) if work.held_by_own_signals.get(name)
    }
    if outcome.status in ("skipped", "executed"):
        left = blocked if outcome.status == "skipped" else without(blocked, work.loaded(fqn))
        demand(
            ("upstream_not_ready" in reasons) == bool(left),
            f"upstream-signal-{outcome.status}",
            f"{claim}; signals upstream held {blocked}",
        )
    if "upstream_not_ready" in reasons:
        by = set(outcome.blocked_by)
        failed = set(invocation.report.failed)
        demand(
            by & above and by <= above | failed, "blocked-by", f"{claim}, blocked by {by}; {above}"
        )
    if "depends_on_past_gap" in reasons:
        demand(
            work.versions[fqn].depends_on_past and (held or blocked),
            "past-gap",
            f"{claim}, but it has no gap",
        )
    if batches and outcome.status == "skipped":
        # Of a coarser model, SQLMesh can leave out what follows an unready interval as well.
        explained = reasons & {"upstream_failed", "upstream_not_ready"}
        demand(explained, "due-but-skipped", f"{claim}; due was {batches}")
    if not batches:
        demand(outcome.status == "skipped", "held-but-started", f"{claim}; nothing was due")


def _check_not_due(
    invocation: Invocation, outcome: ModelOutcome, work: Workload, ledger: Ledger, claim: str
) -> None:
    """Nothing was missing under these arguments: cron, a window, a start or an end made it so."""
    fqn, demand = outcome.fqn, ledger.demand
    version = work.versions[fqn]
    reasons = {str(reason) for reason in outcome.reasons}
    model = invocation.definition(version)
    at = invocation.report.execution_time
    demand(
        not reasons & {"signal_not_ready", "upstream_not_ready", "upstream_failed"},
        "not-due-but-blocked",
        f"{claim}, but nothing of it was due",
    )
    over = fqn not in work.missing_in_future and not version.is_seed
    if model is not None and model.end and "ago" in model.end:
        return  # its end moves on: whether it has ended is a question of words
    demand(over or "ended" not in reasons, "ended", f"{claim}, but it will be due again")
    demand(not over or "ended" in reasons, "ended", f"{claim}, but it never will be due again")
    if model is not None and (model.start or not invocation.starts(model)):
        early = model.start is not None and moment(model.start, invocation.now) > at
        demand(early or "not_started" not in reasons, "not-started", f"{claim}; drawn was {model}")
        demand(not early or "not_started" in reasons, "not-started", f"{claim}; drawn was {model}")
    if reasons & {"ended", "not_started", "outside_window"}:
        if "not_started" not in reasons or outcome.next_due is None:
            return
    elif version.is_seed:
        demand(reasons == {"no_changes"}, "seed", f"{claim}, but it is a seed")
        return
    else:
        ignore_cron = invocation.arguments.get("ignore_cron")
        expected = "up_to_date" if ignore_cron else "cron_not_due"
        demand(reasons == {expected}, "not-due", f"{claim}, expected was {expected}")
    if "cron_not_due" in reasons and not work.restated:
        held = merged((millis(i.start), millis(i.end)) for i in outcome.held_back)
        lacking = merged(work.missing_without_cron.get(fqn, []))
        demand(
            alike(held, lacking),
            "held-back",
            f"{claim}; reported held back {held}, missing {lacking}",
        )
    if reasons & {"cron_not_due", "not_started"}:
        check_next_due(invocation, outcome, work, ledger, claim)
