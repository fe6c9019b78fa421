"""Tags of Dagster runs, by which schedules, sensors and steps know of each other."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState

DUE_ONLY = "sqlmesh/due_only"
"""The tag of a run whose selection is what was due. SQLMesh is to run all models of the assets:
otherwise, a model would not wait for one upstream that waits for a signal."""
_WAITS_FOR_PLAN = "sqlmesh/waits_for_plan"
"""The tag of a run that had to wait, with the id of the unfinished plan; it stays afterwards."""


def add_wait_tag(context: Any, state: EnvironmentState) -> None:
    """Tag the run of the op with the plan that its environment waits for."""
    if state.unfinished_plan is not None:
        context.instance.add_run_tags(context.run.run_id, {_WAITS_FOR_PLAN: state.unfinished_plan})


def awaited_plan(run: dg.DagsterRun) -> str | None:
    """The id of the plan that the run had to wait for last; None if it did not wait."""
    return run.tags.get(_WAITS_FOR_PLAN)
