"""Automatic restatements of the runs to come, with SQLMesh's own function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlmesh.core.snapshot import apply_auto_restatements
from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.tracking.spans import Millis

from .scheduled import Progress, ScheduledModel


class Restatements:
    """The models that runs restate by their own `auto_restatement_cron`, and those downstream.

    Only runs of prod restate (sqlmesh/core/context.py, `_run`).
    """

    def __init__(self, models: Sequence[ScheduledModel], progress: Mapping[str, Progress]) -> None:
        """Collect the models.

        Args:
            models: those of the environment, in topological order.
            progress: by fully qualified name, what is loaded of each.
        """
        self.names: set[str] = set()
        """Fully qualified names."""
        self._snapshots: dict[Any, Any] = {}
        self._progress = progress
        for model in models:
            if _has_cron(model) or not self.names.isdisjoint(model.parents):
                self.names.add(model.fqn)
                copy = model.snapshot.copy()
                self._snapshots[copy.snapshot_id] = copy

    def next(self) -> Millis | None:
        """The next moment at which a run restates something; None if no run does."""
        moments = [_next(snapshot) for snapshot in self._snapshots.values()]
        return min((moment for moment in moments if moment is not None), default=None)

    def between(self, after: Millis, until: Millis) -> set[Millis]:
        """The moments after another one at which something becomes due for a restatement."""
        moments: set[Millis] = set()
        for snapshot in self._snapshots.values():
            moment = _next(snapshot)
            while moment is not None and moment <= until:
                if moment > after:
                    moments.add(moment)
                moment = _tick(snapshot.node, max(moment, after))
        return moments

    def apply(self, at: Millis) -> None:
        """Restate what is due for a run at a moment."""
        for snapshot in self._snapshots.values():
            progress = self._progress[snapshot.name]
            snapshot.intervals = list(progress.loaded)
            snapshot.pending_restatement_intervals = list(progress.pending)
        apply_auto_restatements(self._snapshots, at)
        for snapshot in self._snapshots.values():
            self._progress[snapshot.name].pending = list(snapshot.pending_restatement_intervals)


def _has_cron(model: ScheduledModel) -> bool:
    node = model.snapshot.node
    return bool(getattr(node, "auto_restatement_cron", None)) and not node.disable_restatement


def _next(snapshot: Any) -> Millis | None:
    """When SQLMesh next restates the model (`Snapshot.get_next_auto_restatement_interval`)."""
    node = snapshot.node
    if not getattr(node, "auto_restatement_cron", None) or node.disable_restatement:
        return None
    if snapshot.next_auto_restatement_ts:
        return int(snapshot.next_auto_restatement_ts)
    return _tick(node, snapshot.created_ts)


def _tick(node: Any, after: Millis) -> Millis:
    return int(to_timestamp(node.auto_restatement_croniter(after).get_next(estimate=False)))
