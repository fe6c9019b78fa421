"""An environment as it was last planned, for queries that write nothing."""

from __future__ import annotations

from typing import Any

from sqlmesh.core.environment import Environment

from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError
from pytest_sqlmesh_tracker.wording.invocations import environment_remedy, existing_environments


def planned(context: Any, environment: str) -> Any:
    """The environment in the state; afterwards, the context can read its models.

    Raises:
        ProjectError: the environment is not planned.
    """
    name = Environment.sanitize_name(environment)
    exists = _has_state(context)
    latest = context.state_sync.get_environment(name) if exists else None
    if latest is None:
        summaries = context.state_sync.get_environments_summary() if exists else []
        names = sorted(summary.name for summary in summaries)
        missing = EnvironmentState(unfinished_plan=None, environments=tuple(names))
        raise ProjectError(
            f"environment {name} of the SQLMesh project {context.path} has not been planned yet; "
            f"{environment_remedy(name, missing)} (environments: {existing_environments(missing)})"
        )
    # A run does this first: without it, models with custom materializations can't be read.
    context._load_materializations()
    return latest


def _has_state(context: Any) -> bool:
    """Whether there is a state, which `Context.state_sync` would create otherwise."""
    if context._state_sync:
        # The context has opened it before.
        return True
    state = context._new_state_sync()
    # If the database can't be opened, SQLMesh takes the state to be missing.
    state.engine_adapter.ping()
    return bool(state.get_versions(validate=False).schema_version)
