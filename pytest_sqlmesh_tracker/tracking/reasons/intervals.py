"""What SQLMesh would evaluate under other arguments, computed with SQLMesh's own functions.

The rule is that of `sqlmesh.core.snapshot.missing_intervals`, for one snapshot at a time: a model
without a start of its own takes it from its parents, so SQLMesh's function would need the whole
project for each question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from heapq import merge
from itertools import islice, pairwise
from typing import Any

from sqlmesh.core.snapshot import apply_auto_restatements, merge_intervals, start_date
from sqlmesh.core.snapshot.definition import expand_range, remove_interval
from sqlmesh.utils.date import to_datetime, to_timestamp

from pytest_sqlmesh_tracker.tracking.events.recording import FrozenSnapshot, Millis, Question, Span

from .batches import utc

_MAX_TICKS = 1000
"""How many cron ticks are tried for `next_due`; each later one skips a whole interval unit."""


class Ticks:
    """Ticks of crons, each asked of SQLMesh once: a project's models share a few crons."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Millis] = {}

    def floor(self, node: Any, moment: Any) -> Millis:
        """The last tick at or before the moment, of a node's cron or of an interval unit's."""
        return self._of("cron_floor", node, moment)

    def next(self, node: Any, moment: Any) -> Millis:
        """The first tick after the moment, of a node's cron or of an interval unit's."""
        return self._of("cron_next", node, moment)

    def _of(self, method: str, node: Any, moment: Any) -> Millis:
        at = moment if isinstance(moment, int) else to_timestamp(moment)
        # An interval unit is its own key. Nothing else of a node decides on its ticks.
        key = method, getattr(node, "cron", node), getattr(node, "cron_tz", None), at
        if key not in self._known:
            self._known[key] = to_timestamp(getattr(node, method)(at))
        return self._known[key]


@dataclass
class Project:
    """The snapshots that an invocation worked on, as they were, to compute with."""

    frozen: Mapping[str, FrozenSnapshot]
    deployability_index: Any = None
    restates: bool = False
    """Whether runs apply automatic restatements: only those of prod do
    (sqlmesh/core/context.py, `_run`)."""
    ticks: Ticks = field(default_factory=Ticks)
    _thawed: dict[str, Any] = field(init=False, default_factory=dict)
    _by_id: dict[Any, Any] = field(init=False, default_factory=dict)
    _starts: dict[str, datetime] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name, frozen in self.frozen.items():
            # A model without a start of its own takes that of what is upstream.
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
        """When the model starts: its own start, or its parents', or one tick of its cron ago."""
        snapshot = self.snapshot(name)
        return start_date(snapshot, self._by_id, self._starts, relative_to=relative_to)

    def lineage(self, name: str) -> list[str]:
        """The model and all that is upstream of it here."""
        found = {name: None}
        queue = [name]
        while queue:
            parents = {parent.name for parent in self.frozen[queue.pop()].snapshot.parents}
            new = sorted(parents & self.frozen.keys() - found.keys())
            found.update(dict.fromkeys(new))
            queue += new
        return list(found)

    def restated_at(self, moment: Millis, names: Iterable[str]) -> Project:
        """Models, with all that is upstream, as a run at that moment would leave them before it
        decides."""
        thawed = [self.frozen[name].thawed() for name in names]
        apply_auto_restatements({snapshot.snapshot_id: snapshot for snapshot in thawed}, moment)
        restated = {snapshot.name: FrozenSnapshot.of(snapshot) for snapshot in thawed}
        return Project(restated, ticks=self.ticks)

    @cached_property
    def restated_by_cron(self) -> frozenset[str]:
        """The models that have an `auto_restatement_cron` that counts."""
        nodes = {name: frozen.snapshot.node for name, frozen in self.frozen.items()}
        return frozenset(name for name, node in nodes.items() if _restated_by_cron(node))


def missing(question: Question, project: Project, name: str) -> list[Span]:
    """What the question finds missing of one model, adjacent intervals merged.

    Nothing, where SQLMesh would refuse the dates.
    """
    try:
        return missing_or_refused(question, project, name)
    except ValueError:
        return []


def missing_or_refused(question: Question, project: Project, name: str) -> list[Span]:
    """What the question finds missing of one model, adjacent intervals merged.

    Raises:
        ValueError: as SQLMesh does where the start does not lie before the end.
    """
    snapshot = project.snapshot(name)
    if not snapshot.evaluatable:
        return []
    start, end = question.start_override_per_model.get(name) or question.start, question.end
    restated = question.restatements.get(name)
    if restated:
        start, end = (to_datetime(moment) for moment in restated)
        snapshot = snapshot.copy()
        snapshot.remove_interval(restated)
    own_end = question.end_override_per_model.get(name)
    if own_end:
        if start and to_datetime(start) >= own_end:
            return []
        end = own_end
    begin = project.start(name, end)
    if start:
        begin = max(to_datetime(start), begin)
    if begin > to_datetime(end):
        return []
    last = snapshot.node.end
    if last and to_datetime(last) < to_datetime(end):
        end = last
    now = question.execution_time
    spans = snapshot.missing_intervals(
        begin,
        end,
        # The cron counts by its last tick alone, which SQLMesh would look for again in each model.
        execution_time=now if question.ignore_cron else project.ticks.floor(snapshot.node, now),
        deployability_index=project.deployability_index,
        ignore_cron=True,
        end_bounded=question.end_bounded,
    )
    return merge_intervals(spans)


def without(spans: Iterable[Span], removed: Iterable[Span]) -> list[Span]:
    """What of the spans is not in the removed ones, adjacent ones merged."""
    left = merge_intervals(list(spans))
    for start, end in merge_intervals(list(removed)):
        left = remove_interval(left, start, end)
    return left


def within(spans: Iterable[Span], limits: Iterable[Span]) -> list[Span]:
    """What of the spans lies in the limits, adjacent ones merged."""
    spans = list(spans)
    return without(spans, without(spans, limits))


def units(spans: Iterable[Span], unit: Any) -> list[Span]:
    """The spans in pieces of a model's interval unit, as SQLMesh's scheduler cuts them."""
    return [piece for start, end in spans for piece in pairwise(expand_range(start, end, unit))]


def next_due(project: Project, name: str, after: Any) -> datetime | None:
    """The first cron tick after `after` at which a run would find something of the model missing.

    Ticks are those of its own cron, and of the crons by which SQLMesh restates it or a model
    upstream. None if there is none: its end has passed. A moment between two ticks, where SQLMesh
    finds the first interval only then.
    """
    if project.restates:
        restating = _restating(project, name)
        if restating:
            return _next_restated(project, name, restating, to_timestamp(after))
    for tick in _ticks(project, name, to_timestamp(after)):
        if _missing_at(tick, project, name):
            return utc(_first_found(project, name, to_timestamp(after), tick))
    return None


def _missing_at(moment: Millis, project: Project, name: str) -> list[Span]:
    return missing(Question(end=moment, execution_time=moment), project, name)


def _first_found(project: Project, name: str, after: Millis, tick: Millis) -> Millis:
    """When something is missing for the first time, of which this is the first tick.

    Of a model that starts within an interval, SQLMesh finds that interval when as much time has
    gone by since the start as it is long, not when it ends (`Snapshot.missing_intervals`).
    """
    if project.loaded(name) or not _missing_at(tick - 1, project, name):
        return tick
    too_early, found = after, tick - 1
    while found - too_early > 1:
        moment = (too_early + found) // 2
        if _missing_at(moment, project, name):
            found = moment
        else:
            too_early = moment
    return found


def _ticks(project: Project, name: str, after: Millis) -> Iterator[Millis]:
    """Ticks of the model's cron at which something of it can be missing for the first time."""
    node = project.snapshot(name).node
    unit = node.interval_unit
    last = to_timestamp(node.end) + 2 * unit.milliseconds if node.end else None
    begin = max(after, to_timestamp(project.start(name, after)) - 1)
    ticks = project.ticks
    tick = ticks.next(node, begin)
    for _ in range(_MAX_TICKS):
        yield tick
        if last is not None and tick > last:
            return
        # Nothing more can be missing before the interval unit that the tick lies in is complete.
        complete = ticks.next(unit, ticks.floor(unit, tick))
        tick = max(ticks.next(node, complete - 1), ticks.next(node, tick))


def _next_restated(
    project: Project, name: str, restating: Sequence[str], after: Millis
) -> datetime | None:
    due = [project.frozen[upstream].next_restatement for upstream in restating]
    ticks = merge(_ticks(project, name, after), sorted(filter(None, due)))
    for tick in islice(ticks, _MAX_TICKS):
        restated = project.restated_at(tick, project.lineage(name))
        if _missing_at(tick, restated, name):
            return utc(tick)
    return None


def _restating(project: Project, name: str) -> list[str]:
    """The model and those upstream of it that have an `auto_restatement_cron`.

    `sqlmesh.core.snapshot.apply_auto_restatements` removes intervals also of what is downstream.
    """
    if not project.restated_by_cron:
        return []
    return [upstream for upstream in project.lineage(name) if upstream in project.restated_by_cron]


def _restated_by_cron(node: Any) -> bool:
    cron = getattr(node, "auto_restatement_cron", None)
    return bool(cron) and not node.disable_restatement
