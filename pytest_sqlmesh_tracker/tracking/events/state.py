"""SQLMesh's state during an invocation: what is recorded there, and what was removed before."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pytest_sqlmesh_tracker.tracking.spans import Span, within

from .facts import spans
from .recording import Booking, FrozenSnapshot, Recording
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
        """Ask what was loaded once of the models that have something missing."""
        versions = dict(self._versions(due))
        if not versions:
            return
        try:
            removed = _removed(state_sync, versions)
        except Exception:
            # All that it costs is a cause: what was removed reads as if it had never been loaded.
            logger.warning("pytest-sqlmesh-tracker could not read what was removed", exc_info=True)
        else:
            self._recording.removed = {**self._recording.removed, **removed}

    def _versions(self, due: Mapping[str, Sequence[Span]]) -> Iterator[tuple[str, str]]:
        """The models that can have had something removed, and their versions.

        A restatement removes nothing from the versions of prod, so an ordinary run of prod, which
        finds only newer intervals, asks for none (sqlmesh/core/plan/common.py). What was removed
        before a version came to prod is gone by then: the janitor has compacted the state. A
        version that a plan makes can have the table of an earlier one.
        """
        from sqlmesh.core import constants as c

        stored = self._recording.stored
        in_prod = self._recording.plan is None and self._recording.environment == c.PROD
        for name, missing in due.items():
            if name in stored and not (in_prod and _is_new(stored[name], missing)):
                yield name, stored[name].snapshot.version


def _is_new(stored: FrozenSnapshot, missing: Sequence[Span]) -> bool:
    """Whether all that is missing is newer than what is loaded."""
    newest = max((end for _, end in stored.intervals), default=None)
    return newest is not None and all(start >= newest for start, _ in missing)


def _removed(state_sync: Any, versions: Mapping[str, str]) -> dict[str, tuple[Span, ...]]:
    """Model → what the state has as removed of its version, and as loaded at another time.

    A restatement removes its whole window, also what another environment had not come to yet.
    SQLMesh itself reads these rows whenever it reads intervals, and drops them when it compacts
    the table (sqlmesh/core/state_sync/db/interval.py): what is removed before that is forgotten.
    """
    rows = _rows(state_sync, versions, is_removed=True)
    if not rows:
        return {}
    loaded = _rows(state_sync, {name: versions[name] for name in rows}, is_removed=False)
    return {name: tuple(within(removed, loaded.get(name, ()))) for name, removed in rows.items()}


def _rows(
    state_sync: Any, versions: Mapping[str, str], is_removed: bool
) -> dict[str, tuple[Span, ...]]:
    from sqlglot import exp
    from sqlmesh.core.state_sync.db.utils import fetchall

    state = getattr(state_sync, "state_sync", state_sync).interval_state
    removed = exp.column("is_removed")
    query = (
        exp.select("name", "version", "start_ts", "end_ts")
        .from_(state.intervals_table)
        .where(exp.column("name").isin(*versions))
        .where(removed if is_removed else exp.not_(removed))
        .where(exp.not_(exp.column("is_dev")), exp.not_(exp.column("is_pending_restatement")))
    )
    rows: dict[str, tuple[Span, ...]] = {}
    for name, version, start, end in fetchall(state.engine_adapter, query):
        if versions[name] == version:
            rows[name] = (*rows.get(name, ()), (int(start), int(end)))
    return rows
