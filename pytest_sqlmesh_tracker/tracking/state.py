"""SQLMesh's state during an invocation: what is recorded there, and what was removed before."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .facts import spans
from .recording import Booking, FrozenSnapshot, Recording, Span
from .taps import Taps

logger = logging.getLogger("pytest_sqlmesh_tracker")


class StateLog:
    """Hears what SQLMesh records in its state in the course of one invocation."""

    def __init__(self, recording: Recording, taps: Taps, lock: threading.RLock) -> None:
        self._recording = recording
        self._taps = taps
        self._lock = lock

    def hear(self, state_sync: Any) -> None:
        """Hear what is recorded, until the taps are removed: of batches, and what SQLMesh records
        without one, as it is emptied, or inherited in dev."""
        self._taps.add(state_sync, "add_snapshots_intervals", self._booking)

    def _booking(self, _: Any, call: dict[str, Any]) -> Callable[[Any], None] | None:
        snapshots = call["snapshots_intervals"]
        if not isinstance(snapshots, Sequence):
            return None
        bookings = [
            Booking(each.name, each.version, spans(each.intervals), spans(each.dev_intervals))
            for each in snapshots
        ]

        def booked(_: Any) -> None:
            with self._lock:
                self._recording.bookings += bookings

        return booked

    def look_for_removed(self, state_sync: Any, due: Mapping[str, Sequence[Span]]) -> None:
        """Ask what was loaded once of the models that have something missing that is not new."""
        plan, stored = self._recording.plan, self._recording.stored
        created = plan.created if plan else frozenset()
        snapshots = [
            stored[name].snapshot
            for name, missing in due.items()
            if name in stored and name not in created and _not_new(stored[name], missing)
        ]
        if not snapshots:
            return
        try:
            removed = _removed(state_sync, snapshots)
        except Exception:
            # All that it costs is a cause: what was removed reads as if it had never been loaded.
            logger.warning("pytest-sqlmesh-tracker could not read what was removed", exc_info=True)
        else:
            self._recording.removed = {**self._recording.removed, **removed}


def _not_new(stored: FrozenSnapshot, missing: Sequence[Span]) -> bool:
    """Whether some of what is missing is older than what is loaded, or nothing is loaded."""
    loaded = [*stored.intervals, *stored.dev_intervals]
    newest = max((end for _, end in loaded), default=None)
    return newest is None or any(start < newest for start, _ in missing)


def _removed(state_sync: Any, snapshots: Sequence[Any]) -> dict[str, tuple[Span, ...]]:
    """Model → what the state has as removed of its version.

    SQLMesh itself reads these rows whenever it reads intervals, and drops them when it compacts
    the table (sqlmesh/core/state_sync/db/interval.py): what is removed before that is forgotten.
    """
    from sqlglot import exp
    from sqlmesh.core.state_sync.db.utils import fetchall

    state = getattr(state_sync, "state_sync", state_sync).interval_state
    versions = {snapshot.name: snapshot.version for snapshot in snapshots}
    query = (
        exp.select("name", "version", "start_ts", "end_ts")
        .from_(state.intervals_table)
        .where(exp.column("name").isin(*versions), exp.column("is_removed"))
    )
    removed: dict[str, tuple[Span, ...]] = {}
    for name, version, start, end in fetchall(state.engine_adapter, query):
        if versions[name] == version:
            removed[name] = (*removed.get(name, ()), (int(start), int(end)))
    return removed
