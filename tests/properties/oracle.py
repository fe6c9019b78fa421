"""All that is demanded of one report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .asked import check_due
from .audit_reasons import check_audit
from .behind import check_upstream_behind
from .causes import check_causes
from .injected import check_injected
from .left_out import check_left_out
from .plan_reasons import check_plan
from .provoked import check_provoked
from .run_reasons import check_run
from .statuses import check_form, check_listing, check_state, check_statuses

if TYPE_CHECKING:
    from .playing import Invocation
    from .tally import Ledger


def check(invocation: Invocation, ledger: Ledger) -> None:
    check_listing(invocation, ledger)
    check_form(invocation, ledger)
    check_statuses(invocation, ledger)
    check_injected(invocation, ledger)
    check_state(invocation, ledger)
    check_provoked(invocation, ledger)
    check_run(invocation, ledger)
    check_left_out(invocation, ledger)
    check_causes(invocation, ledger)
    check_upstream_behind(invocation, ledger)
    check_due(invocation, ledger)
    check_plan(invocation, ledger)
    check_audit(invocation, ledger)
