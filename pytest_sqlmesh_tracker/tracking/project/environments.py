"""What SQLMesh's state has of environments, where an invocation depends on it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.wording.invocations import environment_words


class EnvironmentBusyError(SQLMeshError):
    """The environment's latest plan is not finished, and the run was not to wait any longer."""

    def __init__(self, environment: str, state: EnvironmentState) -> None:
        super().__init__(environment_words(environment, state))


def deployability(environment: str, snapshots: Collection[Any]) -> Any:
    """Which intervals of an environment count as loaded: a `DeployabilityIndex` of SQLMesh's.

    In dev, a preview of a model's data has intervals of its own; in prod there are none, and so the
    index is None. As SQLMesh's scheduler has it (sqlmesh/core/scheduler.py, `_run_or_audit`).
    """
    from sqlmesh.core import constants as c
    from sqlmesh.core.snapshot import DeployabilityIndex

    return None if environment.lower() == c.PROD else DeployabilityIndex.create(snapshots)


def planned_snapshots(context: Any, name: str) -> Iterable[Any]:
    """The snapshots of an environment as its latest plan has them, finished or not.

    Raises:
        Exception: what SQLMesh raises where its state can't be read.
    """
    environment = context.state_sync.get_environment(name)
    if environment is None:
        return ()
    snapshots: dict[Any, Any] = context.state_sync.get_snapshots(environment.snapshots)
    return snapshots.values()


def environment_state(context: Any, name: str) -> EnvironmentState | None:
    """Why a run of the environment can't begin; None if it can.

    Args:
        name: as SQLMesh's state has it.

    Raises:
        Exception: what SQLMesh raises where its state can't be read.
    """
    state = context.state_sync
    environment = state.get_environment(name)
    if environment is not None and environment.finalized_ts:
        return None
    names = sorted(summary.name for summary in state.get_environments_summary())
    plan = None if environment is None else environment.plan_id
    return EnvironmentState(unfinished_plan=plan, environments=tuple(names))
