"""What SQLMesh's state has as loaded; nothing is evaluated or written."""

from __future__ import annotations

from typing import Any

from sqlmesh.core import constants as c
from sqlmesh.core.snapshot import DeployabilityIndex

from .planned import planned


def loaded(context: Any, *, environment: str) -> dict[str, Any]:
    """Of each model of an environment, which table it has there, and what of it is loaded.

    As a run of the environment takes it (sqlmesh/core/scheduler.py, `_run_or_audit`): where an
    environment other than prod has only a preview of a model's data, the preview counts.

    Args:
        context: need not have loaded the project: the models are those of the state.

    Returns:
        Fully qualified name → `version`, another one for another table, and `intervals`: disjoint,
        in order, half-open, in milliseconds since the epoch. While a plan is applied, and so long
        nobody can say which tables the environment has, its id alone: `unfinished_plan`.

    Raises:
        ProjectError: there is no such environment.
    """
    found = planned(context, environment)
    if not found.finalized_ts:
        return {"unfinished_plan": found.plan_id}
    snapshots = context.scheduler(environment=found.name).snapshots.values()
    everything = DeployabilityIndex.all_deployable()
    index = everything if found.name == c.PROD else DeployabilityIndex.create(snapshots)
    context.state_sync.refresh_snapshot_intervals(snapshots)
    return {
        snapshot.name: _of(snapshot, index.is_representative(snapshot))
        for snapshot in snapshots
        if snapshot.is_model
    }


def _of(snapshot: Any, representative: bool) -> dict[str, Any]:
    if representative:
        return {"version": snapshot.version, "intervals": snapshot.intervals}
    return {"version": f"preview {snapshot.dev_version}", "intervals": snapshot.dev_intervals}
