"""What SQLMesh says is due, asked before a run and held against what the witnesses saw of it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .facts import shown

if TYPE_CHECKING:
    from .playing import Invocation
    from .projects import World
    from .specs import Step
    from .tally import Ledger


def ask(world: World, step: Step) -> dict[str, Any] | None:
    """What is due now; None before anything but a plain run."""
    from pytest_sqlmesh_tracker.tracking.queries.due import due

    if step.command != "run" or step.arguments:
        return None
    moment = datetime.now(timezone.utc).isoformat()
    try:
        return due(world.context, environment=step.environment, moment=moment, models=())
    except Exception as error:
        return {"error": str(error)}


def check_due(invocation: Invocation, ledger: Ledger) -> None:
    """A run schedules what was said to be due, finds missing what was said to wait, and raises
    where nobody could say: a signal does, or there is no such environment."""
    rounds, said = invocation.witness.rounds, invocation.said_due
    if said and "error" in said:
        ledger.demand(invocation.raised, "due-raised", f"nobody could say: {said['error']}")
    if not said or "due" not in said or (invocation.raised and not rounds):
        return
    seen = rounds[0].scheduled if rounds else {}
    for what, fqns in (
        ("due", {fqn for fqn, spans in seen.items() if spans}),
        ("waiting", {fqn for fqn, spans in seen.items() if not spans}),
    ):
        wrong = sorted(map(shown, fqns ^ set(said[what])))
        ledger.demand(not wrong, f"{what}-before", f"{what} or not, and said otherwise: {wrong}")
