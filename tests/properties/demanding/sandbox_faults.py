"""The sandbox's faults struck as drawn: the witnesses observed it, and know no sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.properties.playing.state import shown

if TYPE_CHECKING:
    from tests.properties.drawing.specs import Injected
    from tests.properties.playing.invocations import Invocation
    from tests.properties.playing.witnesses import ObservedBatch

    from .tally import Ledger


def check_injected(invocation: Invocation, ledger: Ledger) -> None:
    for fault in invocation.step.injected:
        observed = [b for b in invocation.witness.batches if shown(b.fqn) == fault.model]
        targets = [batch for batch in observed if fault.batch in (None, batch.index)]
        if fault.audit is None:
            _check_errors(fault, observed, targets, ledger)
        else:
            if fault.model not in invocation.step.switched(fault.audit, "fails"):
                elsewhere = [batch for batch in observed if batch not in targets]
                ledger.demand(
                    not _rows(fault, elsewhere), "injected-elsewhere", f"{fault}: {elsewhere}"
                )
            _check_audits(fault, targets, ledger)
    if invocation.report.command == "audit":
        return
    for name in invocation.step.switched("held"):
        begun = [batch for batch in invocation.witness.batches if shown(batch.fqn) == name]
        ledger.demand(not begun, "held", f"{name} is held, but {begun} began")


def _check_errors(
    fault: Injected, observed: list[ObservedBatch], targets: list[ObservedBatch], ledger: Ledger
) -> None:
    """Each batch that was meant fails, `times` of them; no other fails for that."""
    struck = [b for b in observed if type(b.error).__name__ == "InjectedError"]
    fate = f"struck {[b.index for b in struck]} of batches {[b.index for b in observed]}"
    ledger.demand(
        all(batch in targets for batch in struck), "injected-elsewhere", f"{fault} {fate}"
    )
    if fault.times is not None and len(struck) >= fault.times:
        ledger.demand(len(struck) == fault.times, "injected-error", f"{fault} {fate}")
    elif targets:
        through = any(batch.evaluated for batch in targets)
        ledger.demand(not through, "injected-error", f"{fault} {fate}")


def _check_audits(fault: Injected, targets: list[ObservedBatch], ledger: Ledger) -> None:
    """The audit finds rows in each batch that was meant, or in `times` of them."""
    audits = (audit for batch in targets for audit in batch.audits if not audit.skipped)
    ran = sum(audit.name == fault.audit for audit in audits)
    if ran:
        least, failures = min(ran, fault.times or ran), len(_rows(fault, targets))
        ledger.demand(
            failures >= least, "injected-audit", f"{fault}: failed {failures} of {ran} times"
        )


def _rows(fault: Injected, batches: list[ObservedBatch]) -> list[int]:
    """The numbers of failed rows, wherever the audit had any."""
    return [a.rows for b in batches for a in b.audits if a.name == fault.audit and a.rows]
