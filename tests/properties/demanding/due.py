"""What a schedule is reported as due before a run is what the run then schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sqlmesh_tracker.tracking.queries.messages import Due
from tests.properties.playing.state import shown

if TYPE_CHECKING:
    from tests.properties.playing.invocations import Invocation

    from .tally import Ledger


def check_due(invocation: Invocation, ledger: Ledger) -> None:
    """A run schedules what was due before, finds missing what was waiting, and raises
    where nobody could say: a signal does, or there is no such environment."""
    rounds, due = invocation.witness.rounds, invocation.due_before
    if isinstance(due, Exception):
        ledger.demand(invocation.raised, "due-raised", f"nobody could say: {due}")
    if not isinstance(due, Due) or (invocation.raised and not rounds):
        return
    observed = rounds[0].scheduled if rounds else {}
    for what, claimed, fqns in (
        ("due", due.due, {fqn for fqn, spans in observed.items() if spans}),
        ("waiting", due.waiting, {fqn for fqn, spans in observed.items() if not spans}),
    ):
        wrong = sorted(map(shown, fqns ^ set(claimed)))
        ledger.demand(
            not wrong, f"{what}-before", f"{what} or not, and reported otherwise: {wrong}"
        )
