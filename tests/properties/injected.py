"""What the sandbox was told to do was done, as the witnesses saw it: they don't ask the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .facts import shown

if TYPE_CHECKING:
    from .playing import Invocation
    from .specs import Injected
    from .tally import Ledger
    from .witnesses import BatchSeen


def check_injected(invocation: Invocation, ledger: Ledger) -> None:
    for fault in invocation.step.injected:
        seen = [b for b in invocation.witness.batches if shown(b.fqn) == fault.model]
        meant = [batch for batch in seen if fault.batch in (None, batch.index)]
        if fault.audit is None:
            _check_errors(fault, seen, meant, ledger)
        else:
            if fault.model not in invocation.step.switched(fault.audit, "fails"):
                elsewhere = [batch for batch in seen if batch not in meant]
                ledger.demand(
                    not _rows(fault, elsewhere), "injected-elsewhere", f"{fault}: {elsewhere}"
                )
            _check_audits(fault, meant, ledger)
    if invocation.report.command == "audit":
        return
    for name in invocation.step.switched("held"):
        begun = [batch for batch in invocation.witness.batches if shown(batch.fqn) == name]
        ledger.demand(not begun, "held", f"{name} is held, but {begun} began")


def _check_errors(
    fault: Injected, seen: list[BatchSeen], meant: list[BatchSeen], ledger: Ledger
) -> None:
    """Each batch that was meant fails, `times` of them; no other fails for that."""
    struck = [b for b in seen if type(b.error).__name__ == "InjectedError"]
    fate = f"struck {[b.index for b in struck]} of batches {[b.index for b in seen]}"
    ledger.demand(all(batch in meant for batch in struck), "injected-elsewhere", f"{fault} {fate}")
    if fault.times is not None and len(struck) >= fault.times:
        ledger.demand(len(struck) == fault.times, "injected-error", f"{fault} {fate}")
    elif meant:
        through = any(batch.evaluated for batch in meant)
        ledger.demand(not through, "injected-error", f"{fault} {fate}")


def _check_audits(fault: Injected, meant: list[BatchSeen], ledger: Ledger) -> None:
    """The audit finds rows in each batch that was meant, or in `times` of them."""
    audits = (audit for batch in meant for audit in batch.audits if not audit.skipped)
    ran = sum(audit.name == fault.audit for audit in audits)
    if ran:
        least, found = min(ran, fault.times or ran), len(_rows(fault, meant))
        ledger.demand(found >= least, "injected-audit", f"{fault}: failed {found} of {ran} times")


def _rows(fault: Injected, batches: list[BatchSeen]) -> list[int]:
    """The rows that the audit found, wherever it found any."""
    return [a.rows for b in batches for a in b.audits if a.name == fault.audit and a.rows]
