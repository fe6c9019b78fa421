"""The snapshots of an invocation, with the intervals that they had, for computations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlmesh.core.snapshot import apply_auto_restatements, start_date
from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.tracking.events.recording import FrozenSnapshot
from pytest_sqlmesh_tracker.tracking.spans import Millis, Span


class Ticks:
    """Ticks of crons. SQLMesh computes each only once, because many models share a few crons."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Millis] = {}

    def floor(self, node: Any, moment: Any) -> Millis:
        """The last tick of a node's or an interval unit's cron at or before the moment."""
        return self._computed("cron_floor", node, moment)

    def next(self, node: Any, moment: Any) -> Millis:
        """The first tick of a node's or an interval unit's cron after the moment."""
        return self._computed("cron_next", node, moment)

    def _computed(self, method: str, node: Any, moment: Any) -> Millis:
        at = moment if isinstance(moment, int) else to_timestamp(moment)
        # An interval unit is its own key. A node's ticks depend on nothing else.
        key = method, getattr(node, "cron", node), getattr(node, "cron_tz", None), at
        if key not in self._known:
            self._known[key] = to_timestamp(getattr(node, method)(at))
        return self._known[key]


@dataclass
class Snapshots:
    """The snapshots that an invocation worked on, as they were at one moment."""

    frozen: Mapping[str, FrozenSnapshot]
    deployability_index: Any = None
    """None if all tables are deployable, as in prod."""
    restates: bool = False
    """Whether runs apply automatic restatements: only those of prod do
    (sqlmesh/core/context.py, `_run`)."""
    ticks: Ticks = field(default_factory=Ticks)
    _thawed: dict[str, Any] = field(init=False, default_factory=dict)
    _by_id: dict[Any, Any] = field(init=False, default_factory=dict)
    _starts: dict[str, datetime] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name, frozen in self.frozen.items():
            # A model without a start takes that of the models upstream.
            known = self.snapshot(name) if frozen.lifetime else frozen.snapshot
            self._by_id[frozen.snapshot.snapshot_id] = known

    def snapshot(self, name: str) -> Any:
        """A copy of the snapshot, with its intervals as they were."""
        if name not in self._thawed:
            self._thawed[name] = self.frozen[name].thawed()
        return self._thawed[name]

    def loaded(self, name: str) -> list[Span]:
        """The intervals that count as loaded for this invocation."""
        snapshot, index = self.snapshot(name), self.deployability_index
        spans = (
            snapshot.intervals
            if index is None or index.is_representative(snapshot)
            else snapshot.dev_intervals
        )
        return [(int(start), int(end)) for start, end in spans]

    def start(self, name: str, relative_to: Any) -> datetime:
        """When the model starts: its own start, its parents', or one tick of its cron ago."""
        snapshot = self.snapshot(name)
        return start_date(snapshot, self._by_id, self._starts, relative_to=relative_to)

    def parents(self, name: str) -> list[str]:
        """The direct parents of the model, including those that are not among these snapshots."""
        return [parent.name for parent in self.frozen[name].snapshot.parents]

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
        return Snapshots(restated, ticks=self.ticks)

    @cached_property
    def restated_by_cron(self) -> frozenset[str]:
        """The models whose `auto_restatement_cron` is in effect."""
        nodes = {name: frozen.snapshot.node for name, frozen in self.frozen.items()}
        return frozenset(name for name, node in nodes.items() if _restated_by_cron(node))


def _restated_by_cron(node: Any) -> bool:
    cron = getattr(node, "auto_restatement_cron", None)
    return bool(cron) and not node.disable_restatement
