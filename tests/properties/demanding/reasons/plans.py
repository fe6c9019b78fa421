"""Why a plan left models out, held against the drawn edits and the plan that SQLMesh built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlmesh.utils.date import to_timestamp

from tests.projects import without
from tests.properties.demanding.lineage import ancestors, expanded
from tests.properties.demanding.moments import check_loaded_through
from tests.properties.demanding.statuses import is_idle_by_kind
from tests.properties.playing.spans import millis, moment
from tests.properties.playing.state import Snapshots, shown
from tests.properties.playing.witnesses import Span, table_of

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import Snapshot

    from pytest_sqlmesh_tracker import ModelOutcome
    from tests.properties.demanding.tally import Ledger
    from tests.properties.playing.invocations import Invocation

BLOCKED = {
    *("upstream_failed", "signal_not_ready", "upstream_not_ready", "depends_on_past_gap"),
}


def check_plan(invocation: Invocation, ledger: Ledger) -> None:
    """Everything about a plan that SQLMesh could at least build."""
    report, plan = invocation.report, invocation.plan
    if report.command != "plan":
        return
    _check_never_begun(invocation, ledger)
    if plan is None:
        return
    difference = plan.context_diff
    planned = {snapshot.name: snapshot for snapshot in difference.snapshots.values()}
    changed = {*difference.modified_snapshots, *(added.name for added in difference.added)}
    removed = {shown(info.name) for info in difference.removed_snapshots.values()}
    ledger.demand(
        set(report.removed) == removed,
        "removed",
        f"reported as removed {sorted(report.removed)}, the plan removes {sorted(removed)}",
    )
    if not invocation.step.applied and invocation.raised is None:
        _check_not_applied(invocation, planned, ledger)
    for outcome in report.outcomes.values():
        if invocation.raised is None and invocation.step.applied:
            check_loaded_through(invocation, outcome, ledger)
        if outcome.status == "skipped" and outcome.fqn in planned:
            _check_skipped(invocation, outcome, planned, changed, ledger)
    _check_drawn_edits(invocation, planned, ledger)
    if isinstance(invocation.raised, Exception):
        _check_later_stages(invocation, planned, ledger)


def _check_later_stages(invocation: Invocation, planned: Snapshots, ledger: Ledger) -> None:
    """What a plan did not come to waited for what failed upstream, if anything did."""
    outcomes = {outcome.fqn: outcome for outcome in invocation.report.outcomes.values()}
    for fqn, outcome in outcomes.items():
        if outcome.status != "interrupted" or fqn not in planned:
            continue
        above = [outcomes[p.name] for p in planned[fqn].parents if p.name in outcomes]
        stopped = [
            each.name
            for each in above
            if each.status == "failed" or (each.status == "skipped" and each.blocked_by)
        ]
        ledger.demand(
            not stopped,
            "later-stage",
            f"{outcome.name} is interrupted ({outcome.message}), but {stopped} kept it waiting",
        )


def _check_never_begun(invocation: Invocation, ledger: Ledger) -> None:
    """The plan was refused, or its dates when it was applied: nothing had been decided."""
    refused = invocation.raised is not None and invocation.plan is None
    dates = type(invocation.raised) is ValueError and not invocation.witness.batches
    if not refused and not dates:
        return
    for outcome in invocation.report.outcomes.values():
        if not refused and outcome.fqn not in invocation.witness.plan_missing:
            # The dates can be refused for the audits that come first, when all had been decided.
            continue
        ledger.demand(
            outcome.status == "interrupted" or is_idle_by_kind(invocation, outcome),
            "never-begun",
            f"{outcome.name} is {outcome.status} ({outcome.message}), but SQLMesh refused: "
            f"{invocation.raised}",
        )


def _check_not_applied(invocation: Invocation, planned: Snapshots, ledger: Ledger) -> None:
    """Nothing started, and what would have been evaluated says that it was not applied."""
    arguments = invocation.arguments
    ledger.demand(not invocation.witness.batches, "not-applied", "evaluated, though not applied")
    if arguments.get("skip_backfill") or arguments.get("empty_backfill") or arguments.get("end"):
        return  # of a plan with an end, the dates may be refused only when it is applied
    for outcome in invocation.report.outcomes.values():
        version = planned.get(outcome.fqn)
        if version is None or not version.is_model or outcome.status == "unknown":
            continue
        reasons = [str(reason) for reason in outcome.reasons]
        waits = outcome.fqn in invocation.witness.plan_loads
        model = invocation.definition(version)
        if not waits and model is not None and model.audits:
            continue  # its audits alone may be what was to be run
        ledger.demand(
            ("not_applied" in reasons) == waits,
            "not-applied",
            f"{outcome.name} is skipped for {reasons}; the plan would have loaded it: {waits}",
        )
        ledger.demand(
            not {"not_applied", "not_selected"} <= set(reasons),
            "not-applied-not-selected",
            f"{outcome.name} is skipped for {reasons}: what the plan would load was not left out",
        )


def _check_skipped(
    invocation: Invocation,
    outcome: ModelOutcome,
    planned: Snapshots,
    changed: set[str],
    ledger: Ledger,
) -> None:
    demand, fqn, arguments = ledger.demand, outcome.fqn, invocation.arguments
    reasons = {str(reason) for reason in outcome.reasons}
    claim = f"{outcome.name} is skipped for {[str(reason) for reason in outcome.reasons]}"
    version = planned[fqn]
    model = invocation.definition(version)
    new_environment = invocation.before.environment is None
    waits = fqn in invocation.witness.plan_missing
    if model is not None:
        demand(
            ("not_evaluatable" in reasons) == (not model.evaluatable),
            "plan-not-evaluatable",
            f"{claim}; drawn was {model}",
        )
    if "no_changes" in reasons:
        demand(fqn not in changed, "no-changes", f"{claim}, but the plan changes it")
    if "reused" in reasons:
        is_new = fqn in changed or new_environment
        demand(is_new, "reused", f"{claim}, but it is neither changed nor new to the environment")
        modified = fqn in invocation.plan.context_diff.modified_snapshots
        demand(
            not modified or outcome.change_category, "change-category", f"{claim}, with no category"
        )
    if "no_preview" in reasons:
        forward_only = version.is_forward_only or (version.is_model and version.model.forward_only)
        demand(
            invocation.step.environment != "prod" and forward_only and fqn in changed,
            "no-preview",
            f"{claim}, but it is no forward-only change in a development environment",
        )
        demand(not waits, "no-preview", f"{claim}, but the plan had something of it to load")
    for key in ("skip_backfill", "empty_backfill"):
        reason = {"skip_backfill": "backfill_skipped", "empty_backfill": "backfill_emptied"}[key]
        if arguments.get(key) and invocation.step.applied and version.is_model:
            # A plan also books what its own limits kept it from listing.
            booked = key == "empty_backfill" and _newly_loaded(invocation, version)
            demand(
                waits or booked or reason not in reasons, key, f"{claim}, but nothing was missing"
            )
            # The stages of a plan can find less than it lists, where its interval unit is coarser.
            empty = waits and not (version.intervals or version.dev_intervals)
            demand(reason in reasons or not empty, key, f"{claim}, but nothing of it is loaded")
    if arguments.get("empty_backfill") and invocation.raised is None and version.is_model:
        booked = _booked(invocation, version)
        demand(
            # SQLMesh also records what comes after a model's end, when nothing was due.
            reasons & {"backfill_emptied", "ended"} or not booked,
            "emptied",
            f"{claim}, but {booked} of it counts as loaded now",
        )
    if "restatement_refused" in reasons:
        _check_refused(invocation, outcome, planned, ledger, claim)
    if "not_selected" in reasons:
        chosen = _chosen(arguments, planned)
        # A selector goes by the models of the project, and does not see those that were removed.
        chosen &= set(invocation.local)
        demand(fqn not in chosen, "plan-not-selected", f"{claim}, but it was selected: {arguments}")
    loads = invocation.step.applied and not (
        arguments.get("skip_backfill") or arguments.get("empty_backfill")
    )
    # What is missing of a seed shows only once its intervals are read again when it is applied.
    # Changed audits alone are due as well, and signals hold them back.
    known = version.is_model and not version.is_seed and not version.is_metadata
    if loads and invocation.raised is None and known:
        blocked = bool(reasons & BLOCKED)
        demand(waits or not blocked, "plan-blocked", f"{claim}, but nothing was to be loaded")
        # What another environment has loaded shows only when the plan is applied.
        there = any(
            table.startswith(str(version.version)) and spans
            for table, spans in invocation.before.intervals.get(fqn, {}).items()
        )
        demand(blocked or not waits or there, "plan-blocked", f"{claim}, but it was to be loaded")


def _booked(invocation: Invocation, version: Snapshot) -> list[Span]:
    """What counts as loaded afterwards in the table that environments share, was due by cron, and
    did not count before."""
    model = invocation.definition(version)
    if version.is_seed or model is None or model.undetermined:
        return []  # nothing of a seed was missing
    start = millis(moment(model.start, invocation.now)) if model.start else 0
    unit, floor = version.node.interval_unit, version.node.cron_floor
    assert unit is not None
    due = to_timestamp(unit.cron_floor(floor(invocation.report.execution_time)))
    return without(_newly_loaded(invocation, version, dev=False), [(0, start), (due, due * 2)])


def _newly_loaded(
    invocation: Invocation, version: Snapshot, *, dev: bool | None = None
) -> list[Span]:
    """What counts as loaded afterwards, and did not before; in one table of the version, or any."""
    new = []
    for table in (False, True) if dev is None else (dev,):
        before, after = (
            state.intervals.get(version.name, {}).get(table_of(version, dev=table), [])
            for state in (invocation.before, invocation.after)
        )
        new += without(after, before)
    return new


def _check_refused(
    invocation: Invocation,
    outcome: ModelOutcome,
    planned: Snapshots,
    ledger: Ledger,
    claim: str,
) -> None:
    """Seeds, models that don't allow it, and versions of prod in another environment."""
    version = planned[outcome.fqn]
    restated = expanded(invocation.arguments["restate_models"], planned)
    below = {fqn for fqn in planned if ancestors(fqn, planned) & restated}
    ledger.demand(
        outcome.fqn in restated | below,
        "refused",
        f"{claim}, but only {restated} was to be restated",
    )
    ledger.demand(
        version.is_seed
        or (version.is_model and version.disable_restatement)
        or (invocation.step.environment != "prod" and not version.is_paused)
        or not version.evaluatable,
        "refused",
        f"{claim}, but nothing refuses it",
    )


def _chosen(arguments: dict[str, Any], planned: Snapshots) -> set[str]:
    """The models that the caller selected, by any of the selectors."""
    selected: set[str] = set()
    for key in ("select_models", "backfill_models", "restate_models"):
        selected |= expanded(arguments.get(key) or (), planned)
    return selected & set(planned)


def _check_drawn_edits(invocation: Invocation, planned: Snapshots, ledger: Ledger) -> None:
    """A model that was drawn as edited is never reported as unchanged, nor the other way round."""
    before = invocation.before.environment
    if before is None or not invocation.before.finalized:
        return
    gone = invocation.before.expires_at
    if gone is not None and gone <= invocation.report.started_at.timestamp() * 1000:
        # It is compared with prod instead (sqlmesh/core/context_diff.py, `ContextDiff.create`).
        return
    for outcome in invocation.report.outcomes.values():
        if outcome.fqn not in planned or outcome.fqn not in before:
            continue
        was = invocation.definition(before[outcome.fqn])
        now = invocation.definition(planned[outcome.fqn])
        if was is None or now is None or was == now:
            continue
        ledger.demand(
            "no_changes" not in outcome.reasons,
            "edited",
            f"{outcome.name} is reported as {outcome.message}, but was edited from {was} to {now}",
        )
