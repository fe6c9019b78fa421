"""What an environment still lacks, according to SQLMesh itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class RunAt:
    """A run that was supposed to evaluate a model."""

    environment: str
    moment: datetime
    """The run's execution time, in UTC."""
    ignore_cron: bool


def still_missing(context: Any, due: Mapping[str, RunAt]) -> frozenset[str]:
    """The models that still lack intervals that a run at that time would have evaluated.

    SQLMesh's scheduler decides what a run evaluates (sqlmesh/core/scheduler.py, `_run_or_audit`),
    from the current state.

    Args:
        due: fully qualified name of a model → its run.
    """
    # This imports SQLMesh, while this module is imported when definitions are created.
    from pytest_sqlmesh_tracker.tracking.project.environments import deployability

    lacking: set[str] = set()
    for run in set(due.values()):
        scheduler = context.scheduler(environment=run.environment)
        missing = scheduler.merged_missing_intervals(
            end=run.moment,
            execution_time=run.moment,
            ignore_cron=run.ignore_cron,
            deployability_index=deployability(run.environment, scheduler.snapshots.values()),
        )
        names = {snapshot.name for snapshot, intervals in missing.items() if intervals}
        lacking.update(name for name in names if due.get(name) == run)
    return frozenset(lacking)
