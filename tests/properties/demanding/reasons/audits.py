"""What `Context.audit` did: models with audits are audited, the others are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.properties.demanding.tally import Ledger
    from tests.properties.playing.invocations import Invocation


def check_audit(invocation: Invocation, ledger: Ledger) -> None:
    if invocation.report.command != "audit" or invocation.raised is not None:
        return
    chosen = invocation.arguments.get("models")
    for outcome in invocation.report.outcomes.values():
        model = invocation.definition(invocation.local.get(outcome.fqn))
        if model is None or outcome.status == "unknown":
            continue
        reasons = {str(reason) for reason in outcome.reasons}
        claim = f"{outcome.name} is {outcome.status} for {sorted(reasons)}"
        left_out = chosen is not None and outcome.name not in chosen
        audited = bool(model.audits) or model.kind == "audit"
        ledger.demand(
            (outcome.status == "skipped") == (left_out or not audited),
            "audit-left-out",
            f"{claim}; requested were {chosen}, drawn was {model}",
        )
        if outcome.status == "skipped":
            ledger.demand(
                ("not_selected" in reasons) == left_out, "audit-selected", f"{claim}; {chosen}"
            )
            ledger.demand(
                audited or left_out or "no_audits" in reasons, "no-audits", f"{claim}; {model}"
            )
            ledger.demand(
                not audited or "no_audits" not in reasons, "no-audits", f"{claim}; {model}"
            )
