"""What is loaded according to SQLMesh's state; nothing is evaluated or written."""

from __future__ import annotations

from typing import Any

from sqlmesh.core.snapshot import DeployabilityIndex

from pytest_sqlmesh_tracker.tracking.project.environments import deployability

from .messages import Loaded, LoadedModel, LoadedQuery, UnfinishedPlan
from .planned import planned


def loaded(context: Any, query: LoadedQuery) -> Loaded | UnfinishedPlan:
    """The table of each model in an environment, and the intervals that are loaded in it.

    A run of the environment sees the same (sqlmesh/core/scheduler.py, `_run_or_audit`): where an
    environment other than prod has only a preview of a model's data, the preview counts.

    Args:
        context: need not have loaded the project, since the models come from the state.

    Returns:
        `UnfinishedPlan` while a plan is applied, since the environment's tables are then unknown.

    Raises:
        ProjectError: the environment does not exist.
    """
    environment = planned(context, query.environment)
    if not environment.finalized_ts:
        return UnfinishedPlan(plan=environment.plan_id)
    snapshots = context.scheduler(environment=environment.name).snapshots.values()
    context.state_sync.refresh_snapshot_intervals(snapshots)
    index = deployability(environment.name, snapshots) or DeployabilityIndex.all_deployable()
    return Loaded(
        models={
            snapshot.name: _of(snapshot, index.is_representative(snapshot))
            for snapshot in snapshots
            if snapshot.is_model
        }
    )


def _of(snapshot: Any, representative: bool) -> LoadedModel:
    if representative:
        return LoadedModel(version=snapshot.version, intervals=snapshot.intervals)
    return LoadedModel(version=f"preview {snapshot.dev_version}", intervals=snapshot.dev_intervals)
