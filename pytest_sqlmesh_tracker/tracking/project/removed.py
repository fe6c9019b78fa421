"""What SQLMesh's state still has of intervals that were loaded once, and removed since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_sqlmesh_tracker.tracking.spans import within


def removed_intervals(
    state_sync: Any, versions: Mapping[str, str]
) -> dict[str, tuple[tuple[int, int], ...]]:
    """Model → what the state has as removed of its version, and as loaded at another time.

    A restatement removes its whole window, also what another environment had not come to yet.
    SQLMesh itself reads these rows whenever it reads intervals, and drops them when it compacts
    the table (sqlmesh/core/state_sync/db/interval.py): what is removed before that is forgotten.

    Args:
        versions: of the models, by their snapshots' names.

    Raises:
        Exception: what SQLMesh raises where its state can't be read.
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

    # A context's own is a cache in front of the state.
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
