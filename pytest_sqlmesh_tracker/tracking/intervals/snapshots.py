"""The snapshots of an invocation, with the intervals that they had, for computations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlmesh.core.snapshot import apply_auto_restatements
from sqlmesh.core.snapshot.definition import remove_interval

from pytest_sqlmesh_tracker.tracking.events.recording import FrozenSnapshot
from pytest_sqlmesh_tracker.tracking.spans import Millis, Span

from .schedules import Beginning, Schedule, Schedules, Ticks, beginning


@dataclass
class Snapshots:
    """The snapshots that an invocation worked on, as they were at one moment."""

    frozen: Mapping[str, FrozenSnapshot]
    deployability_index: Any = None
    """None if all tables are deployable, as in prod."""
    restates: bool = False
    """Whether runs apply automatic restatements: only those of prod do
    (sqlmesh/core/context.py, `_run`)."""
    schedules: Schedules = field(default_factory=Schedules)
    _thawed: dict[str, Any] = field(init=False, default_factory=dict)
    _scheduled: dict[str, Schedule] = field(init=False, default_factory=dict)
    _beginnings: dict[str, Beginning] = field(init=False, default_factory=dict)

    @property
    def ticks(self) -> Ticks:
        """The ticks of crons."""
        return self.schedules.ticks

    def snapshot(self, name: str) -> Any:
        """A copy of the snapshot, with its intervals as they were."""
        if name not in self._thawed:
            self._thawed[name] = self.frozen[name].thawed()
        return self._thawed[name]

    def schedule(self, name: str) -> Schedule:
        """The schedule of the model, which it can share with others."""
        if name not in self._scheduled:
            self._scheduled[name] = self._schedule(name, self._counted(name))
        return self._scheduled[name]

    def schedule_without(self, name: str, removed: Span) -> Schedule:
        """The schedule of the model as if this span of it were not loaded."""
        return self._schedule(name, tuple(remove_interval([*self._counted(name)], *removed)))

    def _schedule(self, name: str, loaded: tuple[Span, ...]) -> Schedule:
        return self.schedules.of(self.frozen[name], self._beginning(name), loaded)

    def _counted(self, name: str) -> tuple[Span, ...]:
        frozen, index = self.frozen[name], self.deployability_index
        if index is None or index.is_representative(frozen.snapshot):
            return frozen.intervals
        return frozen.dev_intervals

    def loaded(self, name: str) -> list[Span]:
        """The intervals that count as loaded for this invocation."""
        return [(int(start), int(end)) for start, end in self._counted(name)]

    def start(self, name: str, relative_to: Any) -> datetime:
        """When the model starts: its own start, its parents', or one tick of its cron ago."""
        return self.schedule(name).start(relative_to)

    def _beginning(self, name: str) -> Beginning:
        if name not in self._beginnings:
            frozen = self.frozen[name]
            parents = [] if frozen.start else self._parents_in_versions(frozen)
            self._beginnings[name] = beginning(frozen, map(self._beginning, parents))
        return self._beginnings[name]

    def _parents_in_versions(self, frozen: FrozenSnapshot) -> list[str]:
        """The direct parents that are among these snapshots in just the version that it has."""
        return [
            parent.name
            for parent in frozen.snapshot.parents
            if (known := self.frozen.get(parent.name)) and known.snapshot.snapshot_id == parent
        ]

    def parents(self, name: str) -> list[str]:
        """The direct parents of the model, including those that are not among these snapshots,
        sorted: SQLMesh keeps them in a set, whose order differs between processes."""
        return sorted(parent.name for parent in self.frozen[name].snapshot.parents)

    def lineage(self, name: str) -> list[str]:
        """The model and everything upstream of it among these snapshots."""
        lineage = {name: None}
        queue = [name]
        while queue:
            parents = set(self.parents(queue.pop()))
            new = sorted(parents & self.frozen.keys() - lineage.keys())
            lineage.update(dict.fromkeys(new))
            queue += new
        return list(lineage)

    def restated_at(self, moment: Millis, names: Iterable[str]) -> Snapshots:
        """These models as a run at that moment would leave them before it decides what is missing.

        Args:
            names: the models' names, which must include everything upstream.
        """
        thawed = [self.frozen[name].thawed() for name in names]
        apply_auto_restatements({snapshot.snapshot_id: snapshot for snapshot in thawed}, moment)
        restated = {snapshot.name: FrozenSnapshot.of(snapshot) for snapshot in thawed}
        return Snapshots(restated, schedules=self.schedules)

    @cached_property
    def restated_by_cron(self) -> frozenset[str]:
        """The models whose `auto_restatement_cron` is in effect."""
        nodes = {name: frozen.snapshot.node for name, frozen in self.frozen.items()}
        return frozenset(name for name, node in nodes.items() if _restated_by_cron(node))


def _restated_by_cron(node: Any) -> bool:
    cron = getattr(node, "auto_restatement_cron", None)
    return bool(cron) and not node.disable_restatement
