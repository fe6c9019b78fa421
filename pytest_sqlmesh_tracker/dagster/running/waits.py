"""The note on a Dagster run that it had to wait for its environment, for schedules and sensors."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState

_TAG = "sqlmesh/waits_for_plan"
"""The tag of a run that had to wait, with the id of the unfinished plan; it stays afterwards."""


def note_wait(context: Any, state: EnvironmentState) -> None:
    """Note it on the run of the op."""
    if state.unfinished_plan is not None:
        context.instance.add_run_tags(context.run.run_id, {_TAG: state.unfinished_plan})


def awaited_plan(run: dg.DagsterRun) -> str | None:
    """The id of the plan for which the run had to wait last; None, if for none."""
    return run.tags.get(_TAG)
