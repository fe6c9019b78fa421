"""What SQLMesh's state has as loaded; nothing is evaluated or written."""

from __future__ import annotations

from typing import Any

from sqlmesh.core.snapshot import DeployabilityIndex

from pytest_sqlmesh_tracker.tracking.project.environments import deployability

from .planned import planned
from .questions import Loaded, LoadedModel, LoadedQuery, UnfinishedPlan


def loaded(context: Any, query: LoadedQuery) -> Loaded | UnfinishedPlan:
    """Of each model of an environment, which table it has there, and what of it is loaded.

    As a run of the environment takes it (sqlmesh/core/scheduler.py, `_run_or_audit`): where an
    environment other than prod has only a preview of a model's data, the preview counts.

    Args:
        context: need not have loaded the project: the models are those of the state.

    Returns:
        While a plan is applied, that it is not finished: nobody can say then which tables the
        environment has.

    Raises:
        ProjectError: there is no such environment.
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
