"""What a run would report, before it begins, by the function behind `why`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.projects import state_adapter

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.predictions.predicted_run import PredictedRun
    from tests.properties.drawing.specs import Step

    from .world import World

STATE = ("_snapshots", "_environments", "_intervals", "_auto_restatements", "_versions")


@dataclass(frozen=True)
class Prediction:
    """What was predicted, or why nothing could be, and whether the state is as it was before."""

    run: PredictedRun | Exception
    wrote: bool


def what_would_run(world: World, step: Step) -> Prediction | None:
    """What a run would report now; None before anything but a plain run."""
    from pytest_sqlmesh_tracker.tracking.queries.prediction.why import why

    # A signal that changes the environment would do so before the run.
    if step.command != "run" or step.arguments or step.switched("environment"):
        return None
    before = _state(world)
    run: PredictedRun | Exception
    try:
        run = why(world.context, step.environment, signals=True)
    except Exception as error:
        run = error
    return Prediction(run, wrote=_state(world) != before)


def _state(world: World) -> dict[str, list[Any]]:
    """All rows of SQLMesh's state."""
    adapter = state_adapter(world.context)
    if not world.context.state_sync.get_versions(validate=False).schema_version:
        return {}
    return {
        table: sorted(adapter.fetchall(f"SELECT * FROM sqlmesh.{table}"), key=str)
        for table in STATE
    }
