"""What a run would evaluate, according to SQLMesh's scheduler; nothing is evaluated or written."""

from __future__ import annotations

from typing import Any

from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.tracking.intervals.next_due import next_due

from .messages import Due, DueQuery, UnfinishedPlan
from .planned import planned
from .scheduling import RunStart


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
    start = RunStart.of(context, environment, now)
    scheduler = start.scheduler(context)
    missing = start.missing(scheduler, query.models if query.only else None)
    batches = start.batches(scheduler, missing)
    project, due_names = start.compared, {snapshot.name for snapshot in missing}
    complete = [each for each in query.models if each in project.frozen.keys() - due_names]
    moments = [tick for each in complete if (tick := next_due(project, each, now))]
    return Due(
        due=tuple(snapshot.name for snapshot, spans in batches.items() if spans),
        waiting=tuple(snapshot.name for snapshot, spans in batches.items() if not spans),
        next_due=min(moments, default=None),
    )
