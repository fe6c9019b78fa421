"""What an environment still lacks, asked of SQLMesh itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def still_missing(context: Any, due: Mapping[str, tuple[str, datetime, bool]]) -> frozenset[str]:
    """Of which models something is missing that a run at that time would have evaluated.

    As SQLMesh's scheduler decides what a run evaluates (sqlmesh/core/scheduler.py,
    `_run_or_audit`), with what the state holds now.

    Args:
        due: fully qualified names of models, and for each the environment, the time, and whether
            that run would ignore cron.
    """
    from sqlmesh.core.snapshot import DeployabilityIndex

    found: set[str] = set()
    for asked in set(due.values()):
        environment, moment, ignore_cron = asked
        scheduler = context.scheduler(environment=environment)
        # A preview in dev has intervals of its own.
        index = DeployabilityIndex.create(scheduler.snapshots.values())
        missing = scheduler.merged_missing_intervals(
            end=moment,
            execution_time=moment,
            ignore_cron=ignore_cron,
            deployability_index=None if environment.lower() == "prod" else index,
        )
        names = {snapshot.name for snapshot, intervals in missing.items() if intervals}
        found.update(name for name in names if due.get(name) == asked)
    return frozenset(found)
