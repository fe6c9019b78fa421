"""What a run would evaluate, according to SQLMesh's scheduler; nothing is evaluated or written."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlmesh.core import constants as c
from sqlmesh.core.console import NoopConsole
from sqlmesh.core.snapshot import DeployabilityIndex, earliest_start_date
from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.tracking.events.recording import FrozenSnapshot
from pytest_sqlmesh_tracker.tracking.intervals.next_due import next_due
from pytest_sqlmesh_tracker.tracking.intervals.snapshots import Snapshots
from pytest_sqlmesh_tracker.tracking.project.environments import deployability
from pytest_sqlmesh_tracker.tracking.spans import Millis

from .messages import Due, DueQuery, UnfinishedPlan
from .planned import planned


def due(context: Any, query: DueQuery) -> Due | UnfinishedPlan:
    """What `Context.run(environment)` would schedule at a moment, and when something is due next.

    SQLMesh's scheduler decides, taking into account automatic restatements and signals, whose code
    is called as in a run.

    Args:
        context: need not have loaded the project, since the models come from the state.

    Returns:
        `UnfinishedPlan` while a plan is applied, since a run would wait for its end.

    Raises:
        ProjectError: the environment does not exist.
    """
    now = to_timestamp(query.moment)
    environment = planned(context, query.environment)
    if not environment.finalized_ts:
        return UnfinishedPlan(plan=environment.plan_id)
    project = _project(context, environment.name, now)
    only = query.models if query.only else None
    batches = _batches(context, project, now, environment.naming_info, only)
    missing = {snapshot.name for snapshot in batches}
    complete = [each for each in query.models if each in project.frozen.keys() - missing]
    moments = [tick for each in complete if (tick := next_due(project, each, now))]
    return Due(
        due=tuple(snapshot.name for snapshot, spans in batches.items() if spans),
        waiting=tuple(snapshot.name for snapshot, spans in batches.items() if not spans),
        next_due=min(moments, default=None),
    )


def _project(context: Any, environment: str, now: Millis) -> Snapshots:
    """The environment's models as a run would have them before it looks for missing intervals
    (sqlmesh/core/scheduler.py, `_run_or_audit`): copies, which never reach the state."""
    scheduler = context.scheduler(environment=environment)
    scheduler.state_sync.refresh_snapshot_intervals(scheduler.snapshots.values())
    frozen = {each.name: FrozenSnapshot.of(each) for each in scheduler.snapshots.values()}
    if environment.lower() == c.PROD:
        project = Snapshots(frozen).restated_at(now, frozen)
        project.restates = True
        return project
    return Snapshots(
        frozen, deployability(environment, [each.thawed() for each in frozen.values()])
    )


def _batches(
    context: Any, project: Snapshots, now: Millis, naming_info: Any, only: Collection[str] | None
) -> dict[Any, Any]:
    """Snapshots with missing intervals → those of their batches that nothing holds back, as
    SQLMesh's scheduler makes them."""
    snapshots = [project.snapshot(name) for name in project.frozen]
    scheduler = context.create_scheduler(snapshots, context.snapshot_evaluator)
    scheduler.console = NoopConsole()
    per_version = scheduler.snapshot_per_version.values()
    index = project.deployability_index or DeployabilityIndex.all_deployable()
    missing = scheduler.merged_missing_intervals(
        # SQLMesh's default start, relative to this moment instead of this process's clock.
        start=earliest_start_date(per_version, relative_to=now),
        end=now,
        execution_time=now,
        deployability_index=index,
        selected_snapshots=None if only is None else set(only),
    )
    batches: dict[Any, Any] = scheduler.batch_intervals(missing, index, naming_info)
    return batches
