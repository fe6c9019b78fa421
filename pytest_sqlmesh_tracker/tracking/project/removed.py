"""Reads intervals from SQLMesh's state that were once loaded and have since been removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_sqlmesh_tracker.tracking.spans import within


def removed_intervals(
    state_sync: Any, versions: Mapping[str, str]
) -> dict[str, tuple[tuple[int, int], ...]]:
    """Model → the intervals of its version that the state has both as loaded and as removed.

    A restatement removes its whole window, including intervals that another environment has not
    reached yet. SQLMesh reads these rows whenever it reads intervals, and deletes them when it
    compacts the table (sqlmesh/core/state_sync/db/interval.py), so earlier removals are lost.

    Args:
        versions: the models' versions by their snapshots' names.

    Raises:
        Exception: SQLMesh's own, if its state can't be read.
    """
    rows = _rows(state_sync, versions, is_removed=True)
    if not rows:
        return {}
    loaded = _rows(state_sync, {name: versions[name] for name in rows}, is_removed=False)
    return {name: tuple(within(removed, loaded.get(name, ()))) for name, removed in rows.items()}


def _rows(
    state_sync: Any, versions: Mapping[str, str], is_removed: bool
) -> dict[str, tuple[tuple[int, int], ...]]:
    from sqlglot import exp
    from sqlmesh.core.state_sync.db.utils import fetchall

    # A context's state sync is a cache in front of the state.
    state = getattr(state_sync, "state_sync", state_sync).interval_state
    removed = exp.column("is_removed")
    query = (
        exp.select("name", "version", "start_ts", "end_ts")
        .from_(state.intervals_table)
        .where(exp.column("name").isin(*versions))
        .where(removed if is_removed else exp.not_(removed))
        .where(exp.not_(exp.column("is_dev")), exp.not_(exp.column("is_pending_restatement")))
    )
    rows: dict[str, tuple[tuple[int, int], ...]] = {}
    for name, version, start, end in fetchall(state.engine_adapter, query):
        if versions[name] == version:
            rows[name] = (*rows.get(name, ()), (int(start), int(end)))
    return rows
