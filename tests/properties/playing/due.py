"""What is due before a run, by the function that schedules use."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.properties.drawing.specs import Step

    from .world import World


def what_is_due(world: World, step: Step) -> dict[str, Any] | None:
    """What is due now; None before anything but a plain run."""
    from pytest_sqlmesh_tracker.tracking.queries.due import due

    if step.command != "run" or step.arguments:
        return None
    moment = datetime.now(timezone.utc).isoformat()
    try:
        return due(world.context, environment=step.environment, moment=moment, models=())
    except Exception as error:
        return {"error": str(error)}
