"""What a run would evaluate, asked of SQLMesh's own scheduler; nothing is evaluated or written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlmesh.core import constants as c
from sqlmesh.core.console import NoopConsole
from sqlmesh.core.snapshot import DeployabilityIndex, earliest_start_date
from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.tracking.events.recording import FrozenSnapshot
from pytest_sqlmesh_tracker.tracking.intervals.next_due import next_due
from pytest_sqlmesh_tracker.tracking.intervals.snapshots import Snapshots
from pytest_sqlmesh_tracker.tracking.spans import Millis

from .planned import planned


def due(
    context: Any, *, environment: str, moment: str, models: Sequence[str], only: bool = False
) -> dict[str, Any]:
    """What `Context.run(environment)` would schedule at a moment, and when something is due next.

    As SQLMesh's scheduler decides, with its automatic restatements, and what signals hold back. The
    code of signals is called, as by a run.

    Args:
        context: need not have loaded the project: the models are those of the state.
        moment: ISO text with a time zone.
        models: fully qualified names; of these, `next_due` is told.
        only: the run is of these models alone, by `select_models`.

    Returns:
        `due`: fully qualified names, in topological order, of models and standalone audits of which
        a batch would be scheduled. `waiting`: those of which something is missing, and signals
        hold all of it back. `next_due`: the first moment, as ISO text in UTC, at which something of
        `models` will be missing of which nothing is now, if nothing happens before; None if there
        is none. While a plan is applied, for the end of which a run would wait, its id alone:
        `unfinished_plan`.

    Raises:
        ProjectError: there is no such environment.
    """
    now = to_timestamp(datetime.fromisoformat(moment))
    target = planned(context, environment)
    if not target.finalized_ts:
        return {"unfinished_plan": target.plan_id}
    project = _project(context, target.name, now)
    batches = _batches(context, project, now, target.naming_info, models if only else None)
    missing = {snapshot.name for snapshot in batches}
    idle = [each for each in models if each in project.frozen.keys() - missing]
    moments = [tick for each in idle if (tick := next_due(project, each, now))]
    return {
        "due": [snapshot.name for snapshot, spans in batches.items() if spans],
        "waiting": [snapshot.name for snapshot, spans in batches.items() if not spans],
        "next_due": min(moments).isoformat() if moments else None,
    }


def _project(context: Any, environment: str, now: Millis) -> Snapshots:
    """The models of the environment, as a run would have them before it looks for what is missing
    (sqlmesh/core/scheduler.py, `_run_or_audit`): copies, of which nothing comes to the state."""
    scheduler = context.scheduler(environment=environment)
    scheduler.state_sync.refresh_snapshot_intervals(scheduler.snapshots.values())
    frozen = {each.name: FrozenSnapshot.of(each) for each in scheduler.snapshots.values()}
    if environment.lower() == c.PROD:
        project = Snapshots(frozen).restated_at(now, frozen)
        project.restates = True
        return project
    return Snapshots(frozen, DeployabilityIndex.create([each.thawed() for each in frozen.values()]))


def _batches(
    context: Any, project: Snapshots, now: Millis, naming_info: Any, only: Collection[str] | None
) -> dict[Any, Any]:
    """Snapshots of which something is missing, and the batches of it that are held back by nothing,
    as SQLMesh's scheduler makes them."""
    snapshots = [project.snapshot(name) for name in project.frozen]
    scheduler = context.create_scheduler(snapshots, context.snapshot_evaluator)
    scheduler.console = NoopConsole()
    per_version = scheduler.snapshot_per_version.values()
    index = project.deployability_index or DeployabilityIndex.all_deployable()
    missing = scheduler.merged_missing_intervals(
        # What SQLMesh takes without a start, at this moment and not by this process's clock.
        start=earliest_start_date(per_version, relative_to=now),
        end=now,
        execution_time=now,
        deployability_index=index,
        selected_snapshots=None if only is None else set(only),
    )
    batches: dict[Any, Any] = scheduler.batch_intervals(missing, index, naming_info)
    return batches
