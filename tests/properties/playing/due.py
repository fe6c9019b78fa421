"""What is due before a run, by the function that schedules use."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.tracking.queries.messages import Due, UnfinishedPlan
    from tests.properties.drawing.specs import Step

    from .world import World


def what_is_due(world: World, step: Step) -> Due | UnfinishedPlan | Exception | None:
    """What is due now, or why it can't be said; None before anything but a plain run."""
    from pytest_sqlmesh_tracker.tracking.queries.due import due
    from pytest_sqlmesh_tracker.tracking.queries.messages import DueQuery

    if step.command != "run" or step.arguments:
        return None
    query = DueQuery(environment=step.environment, moment=datetime.now(timezone.utc), models=())
    try:
        return due(world.context, query)
    except Exception as error:
        return error
