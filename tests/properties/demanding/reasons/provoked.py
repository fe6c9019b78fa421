"""Reasons that may only be reported where the drawn step provoked them, whatever the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.properties.demanding.lineage import ancestors
from tests.properties.demanding.statuses import expected_statuses
from tests.properties.playing.state import shown
from tests.properties.playing.witnesses import ObservedBatch

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import Snapshot

    from pytest_sqlmesh_tracker import ModelOutcome
    from tests.properties.demanding.tally import Ledger
    from tests.properties.playing.invocations import Invocation

PLAN_ONLY = {
    "restatement_refused",
    "backfill_skipped",
    "backfill_emptied",
    "not_applied",
    "no_preview",
    "reused",
}
RUN_ONLY = {"up_to_date"}
OF_SKIPPED = {
    *PLAN_ONLY,
    *RUN_ONLY,
    "not_in_environment",
    "cron_not_due",
    *("not_evaluatable", "not_selected", "ended", "not_started", "upstream_failed", "no_changes"),
}
OF_FAILED = {"error", "audit_failed", "creation_failed"}
OF_INTERRUPTED = {"environment_changed", "command_failed", "aborted"}


def check_provoked(invocation: Invocation, ledger: Ledger) -> None:
    for outcome in invocation.report.outcomes.values():
        if outcome.status == "unknown":
            continue
        for reason in outcome.reasons:
            may = _may_hold(invocation, outcome, str(reason))
            ledger.demand(
                may,
                f"provoked-{reason}",
                f"{outcome.name} ({outcome.status}) is reported as {reason}, unprovoked: "
                f"{outcome.message}",
            )
        if "upstream_failed" in outcome.reasons:
            _check_roots(invocation, outcome, ledger)
        if outcome.status == "failed":
            _check_failure(invocation, outcome, ledger)
        if outcome.status == "interrupted":
            reasons = {str(reason) for reason in outcome.reasons}
            ledger.demand(
                # What was recorded before a restart, and skipped after it, is neither of both.
                reasons & OF_INTERRUPTED or (outcome.partial and "upstream_failed" in reasons),
                "interrupted-reason",
                f"{outcome.name} is interrupted for {sorted(reasons)}",
            )


def _may_hold(invocation: Invocation, outcome: ModelOutcome, reason: str) -> bool:
    step, arguments = invocation.step, invocation.arguments
    command = invocation.report.command
    model = invocation.definition(_version(invocation, outcome.fqn))
    status = str(outcome.status)
    if (command != "plan" and reason in PLAN_ONLY) or (command != "run" and reason in RUN_ONLY):
        return False
    if reason in OF_FAILED:
        return status == "failed"
    if reason in OF_INTERRUPTED and status != "interrupted":
        return False
    if reason == "upstream_failed" and status == "interrupted":
        return bool(step.switched("environment"))
    if reason in OF_SKIPPED and status not in ("skipped", "executed", "audited", "failed"):
        return False
    if reason == "environment_changed":
        return bool(step.switched("environment"))
    if reason == "aborted":
        return not isinstance(invocation.raised, (Exception, type(None)))
    if reason == "command_failed":
        return isinstance(invocation.raised, Exception)
    if reason == "not_selected":
        return any(
            arguments.get(key)
            for key in ("select_models", "backfill_models", "restate_models", "models")
        )
    if reason == "restatement_refused":
        return bool(arguments.get("restate_models"))
    if reason == "backfill_skipped":
        return bool(arguments.get("skip_backfill"))
    if reason == "backfill_emptied":
        return bool(arguments.get("empty_backfill"))
    if reason == "not_applied":
        return not step.applied
    if reason == "up_to_date":
        return bool(arguments.get("ignore_cron"))
    if reason == "cron_not_due":
        return not arguments.get("ignore_cron")
    if reason == "no_audits":
        return command == "audit"
    if reason == "not_in_environment":
        # A restatement is planned with the environment's models, without new ones.
        can_be = command == "run" or bool(arguments.get("restate_models"))
        return can_be and outcome.fqn not in (invocation.before.environment or {})
    if model is None:
        return True
    if reason == "not_evaluatable":
        return not model.evaluatable
    if reason == "signal_not_ready":
        held = step.switched("held") | (step.waiting if model.gated else set())
        return model.name in held
    if reason == "upstream_not_ready":
        return bool(step.waiting)
    if reason == "ended":
        return model.end is not None
    if reason == "not_started":
        return bool(invocation.starts(model))
    return True


def _version(invocation: Invocation, fqn: str) -> Snapshot | None:
    """The version that the invocation was about."""
    if invocation.report.command == "run":
        version = (invocation.before.environment or {}).get(fqn)
    elif invocation.plan is not None:
        by_name = {s.name: s for s in invocation.plan.context_diff.snapshots.values()}
        version = by_name.get(fqn)
    else:
        version = None
    return version or invocation.local.get(fqn)


def _check_roots(invocation: Invocation, outcome: ModelOutcome, ledger: Ledger) -> None:
    """The causes are upstream and failed, or were held back; a parent that failed is among them."""
    fqns = [each.fqn for each in invocation.report.outcomes.values()]
    versions = {fqn: _version(invocation, fqn) for fqn in fqns}
    known = {fqn: version for fqn, version in versions.items() if version is not None}
    above = {shown(name) for name in ancestors(outcome.fqn, known)}
    causes = above & set(invocation.report.failed)
    by, version = set(outcome.blocked_by), known.get(outcome.fqn)
    parents = {shown(parent.name) for parent in version.parents} if version else set()
    if "upstream_not_ready" in outcome.reasons:
        causes |= above & invocation.step.waiting
    ledger.demand(
        by and by <= causes and by >= parents & set(invocation.report.failed),
        "root-causes",
        f"{outcome.name} is skipped for {sorted(by)}; of those upstream failed {sorted(causes)}",
    )


def _check_failure(invocation: Invocation, outcome: ModelOutcome, ledger: Ledger) -> None:
    """Whether a batch, an audit or a creation failed is reported as it was observed."""
    observed = invocation.witness.of(outcome.fqn)
    if "failed" not in expected_statuses(invocation, outcome, observed):
        return
    expected = {_cause(batch) for batch in observed if batch.broke}
    if outcome.fqn in invocation.witness.creations_failed:
        expected.add("creation_failed")
    reported = {str(reason) for reason in outcome.reasons} & OF_FAILED
    # A batch that makes its table itself may fail at that.
    same = reported == expected or (
        reported <= {"creation_failed", "error"} and "error" in expected
    )
    ledger.demand(
        same and (outcome.error is not None or reported == {"audit_failed"}),
        "failure-cause",
        f"{outcome.name} failed for {sorted(reported)} ({outcome.error}), not {sorted(expected)}",
    )
    errors = [str(batch.error).strip() for batch in observed if batch.broke and batch.error]
    if errors and reported == {"error"}:
        quoted = any(error.split("\n")[0][:40] in (outcome.error or "") for error in errors)
        ledger.demand(
            quoted, "error-text", f"{outcome.name}: {outcome.error!r} is none of {errors}"
        )


def _cause(batch: ObservedBatch) -> str:
    return (
        "audit_failed" if batch.error is None or "Audit" in type(batch.error).__name__ else "error"
    )
