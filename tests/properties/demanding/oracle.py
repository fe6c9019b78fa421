"""All that is demanded of one report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.properties.demanding.reasons.audits import check_audit
from tests.properties.demanding.reasons.causes import check_causes
from tests.properties.demanding.reasons.plans import check_plan
from tests.properties.demanding.reasons.provoked import check_provoked
from tests.properties.demanding.reasons.runs import check_run

from .due import check_due
from .left_out import check_left_out
from .predicted import check_predicted
from .sandbox_faults import check_injected
from .statuses import check_form, check_listing, check_state, check_statuses
from .upstream_behind import check_upstream_behind

if TYPE_CHECKING:
    from tests.properties.playing.invocations import Invocation

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
    check_predicted(invocation, ledger)
    check_plan(invocation, ledger)
    check_audit(invocation, ledger)
