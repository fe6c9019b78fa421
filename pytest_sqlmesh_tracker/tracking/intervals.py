"""What SQLMesh would evaluate under other arguments, computed with SQLMesh's own functions.

The rule is that of `sqlmesh.core.snapshot.missing_intervals`, for one snapshot at a time: a model
without a start of its own takes it from its parents, so SQLMesh's function would need the whole
project for each question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from sqlmesh.core.snapshot import merge_intervals, start_date
from sqlmesh.core.snapshot.definition import remove_interval
from sqlmesh.utils.date import to_datetime, to_timestamp

from .recording import FrozenSnapshot, Question, Span

_MAX_TICKS = 1000
"""How many cron ticks are tried for `next_due`; each later one skips a whole interval unit."""


@dataclass
class Project:
    """The snapshots that an invocation worked on, as they were, to compute with."""

    frozen: Mapping[str, FrozenSnapshot]
    deployability_index: Any = None
    _thawed: dict[str, Any] = field(default_factory=dict)
    _by_id: dict[Any, Any] = field(default_factory=dict)
    _starts: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_id = {f.snapshot.snapshot_id: f.snapshot for f in self.frozen.values()}

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
        """When the model starts: its own start, or its parents', or one tick of its cron ago."""
        snapshot = self.snapshot(name)
        return start_date(snapshot, self._by_id, self._starts, relative_to=relative_to)


def missing(question: Question, project: Project, name: str) -> list[Span]:
    """What the question finds missing of one model, adjacent intervals merged.

    Raises:
        ValueError: as SQLMesh does where the start lies after the end.
    """
    snapshot = project.snapshot(name)
    if not snapshot.evaluatable:
        return []
    own_end = question.end_override_per_model.get(name)
    end = own_end or question.end
    start = project.start(name, end)
    asked_start = question.start_override_per_model.get(name) or question.start
    if asked_start:
        start = max(to_datetime(asked_start), start)
    if start > to_datetime(end) or (own_end and start >= own_end):
        return []
    last = snapshot.node.end
    if last and to_datetime(last) < to_datetime(end):
        end = last
    spans = snapshot.missing_intervals(
        start,
        end,
        execution_time=question.execution_time,
        deployability_index=project.deployability_index,
        ignore_cron=question.ignore_cron,
        end_bounded=question.end_bounded,
    )
    return merge_intervals(spans)


def without(spans: Iterable[Span], removed: Iterable[Span]) -> list[Span]:
    """What of the spans is not in the removed ones, adjacent ones merged."""
    left = merge_intervals(list(spans))
    for start, end in removed:
        left = remove_interval(left, start, end)
    return left


def next_due(project: Project, name: str, after: Any) -> datetime | None:
    """The first cron tick after `after` at which a run would find something of the model missing.

    None if there is none (its end has passed), or if automatic restatements of the model or of one
    upstream can make it due before.
    """
    if _restates_itself(project, name):
        return None
    node = project.snapshot(name).node
    unit = node.interval_unit
    last = to_timestamp(node.end) if node.end else None
    begin = max(to_timestamp(after), to_timestamp(project.start(name, after)) - 1)
    tick = to_timestamp(node.cron_next(begin))
    for _ in range(_MAX_TICKS):
        if missing(Question(end=tick, execution_time=tick), project, name):
            return datetime.fromtimestamp(tick / 1000, timezone.utc)
        if last is not None and tick > last + 2 * unit.milliseconds:
            return None
        # Nothing more can be missing before the interval unit that the tick lies in is complete.
        complete = to_timestamp(unit.cron_next(unit.cron_floor(tick)))
        tick = max(to_timestamp(node.cron_next(complete - 1)), to_timestamp(node.cron_next(tick)))
    return None


def _restates_itself(project: Project, name: str) -> bool:
    """Whether SQLMesh restates the model, or one upstream of it, by a cron of its own.

    `sqlmesh.core.snapshot.apply_auto_restatements` removes intervals also of what is downstream.
    """
    queue, seen = [name], {name}
    while queue:
        snapshot = project.frozen[queue.pop()].snapshot
        if getattr(snapshot.model_or_none, "auto_restatement_cron", None):
            return True
        parents = {parent.name for parent in snapshot.parents} & project.frozen.keys()
        queue += parents - seen
        seen |= parents
    return False
