"""Reads environments from SQLMesh's state."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.wording.invocations import environment_words


class EnvironmentBusyError(SQLMeshError):
    """The environment's latest plan is not finished, and the run has reached its longest wait."""

    def __init__(self, environment: str, state: EnvironmentState) -> None:
        super().__init__(environment_words(environment, state))


def deployability(environment: str, snapshots: Collection[Any]) -> Any:
    """The `DeployabilityIndex` that decides which intervals of an environment count as loaded.

    In dev, a preview of a model's data has separate intervals; prod has no previews, so the index
    is None. SQLMesh's scheduler does the same (sqlmesh/core/scheduler.py, `_run_or_audit`).
    """
    from sqlmesh.core import constants as c
    from sqlmesh.core.snapshot import DeployabilityIndex

    return None if environment.lower() == c.PROD else DeployabilityIndex.create(snapshots)


def planned_snapshots(context: Any, name: str) -> Iterable[Any]:
    """The snapshots of an environment according to its latest plan, finished or not.

    Raises:
        Exception: SQLMesh's own, if its state can't be read.
    """
    environment = context.state_sync.get_environment(name)
    if environment is None:
        return ()
    snapshots: dict[Any, Any] = context.state_sync.get_snapshots(environment.snapshots)
    return snapshots.values()


def environment_state(context: Any, name: str) -> EnvironmentState | None:
    """Why a run of the environment can't start; None if it can.

    Args:
        name: the environment's name in SQLMesh's state.

    Raises:
        Exception: SQLMesh's own, if its state can't be read.
    """
    state = context.state_sync
    environment = state.get_environment(name)
    if environment is not None and environment.finalized_ts:
        return None
    names = sorted(summary.name for summary in state.get_environments_summary())
    plan = None if environment is None else environment.plan_id
    return EnvironmentState(unfinished_plan=plan, environments=tuple(names))
