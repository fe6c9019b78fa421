"""Simulates what SQLMesh's scheduler evaluates in runs to come."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from sqlmesh.core.scheduler import interval_diff

from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.spans import Millis, Span, merged, units

from .restating import Restatements
from .scheduled import (
    Missing,
    Progress,
    ScheduledModel,
    can_start_after_last_tick,
    missing_at,
)

_LATER: Millis = 1
"""How long after it begins a run decides what is missing, at least. Around a clock change, what is
due a moment later can be more than what is due at the moment of a tick."""


@dataclass(frozen=True)
class SimulatedRun:
    """What one run evaluates. Models are identified by their fully qualified names."""

    at: Millis
    executed: Mapping[str, Sequence[Span]]
    """Merged intervals of each evaluated model; models that are scheduled alike share them."""
    loaded_through: Mapping[str, Millis | None]
    """The end of what is loaded afterwards, without a gap, of each evaluated model."""
    failed: Mapping[str, str | None]
    """Model → one that it reads and that has no table; None if it fails for another reason."""


@dataclass
class _Group:
    """Models that are scheduled alike at all times."""

    model: ScheduledModel
    """One of them."""
    progress: Progress
    evaluated: list[str]
    """Fully qualified names of those that are evaluated, not only audited."""
    due_at: int = 0
    """The place of the run in which something of them can be missing next."""


@dataclass
class Simulation:
    """The runs of an environment, if nothing else happens.

    What a model lacks depends on time and on its own intervals alone, so models with equal terms
    and equal intervals are simulated once. Exempt from this are models that can fail, can be held
    back or can be restated, and all that are downstream of these.
    """

    models: Sequence[ScheduledModel]
    """In topological order."""
    progress: Mapping[str, Progress]
    """By fully qualified name; the simulation changes it."""
    ticks: Sequence[Millis]
    """When runs take place, in order."""
    failing: Set[str] = frozenset()
    """Models of which each batch fails."""
    held: Set[str] = frozenset()
    """Models that a signal holds back entirely."""
    restatements: Restatements | None = None
    """None if runs of the environment restate nothing."""
    without_tables: Set[str] = frozenset()
    """Models that have no table until they are evaluated."""

    def __post_init__(self) -> None:
        self._by_name = {model.fqn: model for model in self.models}
        self._without_tables = set(self.without_tables)
        restated = self.restatements.names if self.restatements else set[str]()
        exceptional = restated.union(self.failing, self.held)
        exceptional |= {model.fqn for model in self.models if self.unreadable_of(model)}
        self._apart = with_fates_of_their_own(self.models, self.progress, exceptional)
        self._groups = self._grouped()
        self._restated = [
            place for place, group in enumerate(self._groups) if group.model.fqn in restated
        ]
        self._heap = [(0, place) for place in range(len(self._groups))]
        self._restating_at = self._place_of_next_restatement(0)

    def _grouped(self) -> list[_Group]:
        groups: dict[object, _Group] = {}
        begin = self.ticks[0] if self.ticks else 0
        for model in self.models:
            progress = self.progress[model.fqn]
            apart = model.fqn in self._apart
            key = model.fqn if apart else progress.key(model.terms, begin)
            group = groups.setdefault(key, _Group(model, progress, []))
            if not model.only_audited:
                group.evaluated.append(model.fqn)
        return list(groups.values())

    def runs(self) -> Iterator[SimulatedRun]:
        """The runs in which something is evaluated or fails, in order."""
        heapify(self._heap)
        while True:
            place = min(
                self._heap[0][0] if self._heap else len(self.ticks),
                len(self.ticks) if self._restating_at is None else self._restating_at,
            )
            if place >= len(self.ticks):
                return
            run = self._run(place, self._due(place))
            if run.executed or run.failed:
                yield run

    def _due(self, place: int) -> list[int]:
        """The groups to look at in a run, in topological order."""
        due = set()
        while self._heap and self._heap[0][0] == place:
            _, group = heappop(self._heap)
            if self._groups[group].due_at == place:
                due.add(group)
        if self.restatements and self._restating_at == place:
            self.restatements.apply(self.ticks[place] + _LATER)
            self._restating_at = self._place_of_next_restatement(place + 1)
            due.update(self._restated)
        return sorted(due)

    def _place_of_next_restatement(self, at_least: int) -> int | None:
        moment = self.restatements.next() if self.restatements else None
        return None if moment is None else max(at_least, bisect_left(self.ticks, moment))

    def _run(self, place: int, due: Sequence[int]) -> SimulatedRun:
        at = self.ticks[place]
        findings: dict[int, Missing] = {}
        for number in due:
            group = self._groups[number]
            findings[number] = missing_at(group.model.terms, group.progress, at + _LATER)
        round_ = _Round(self, at)
        for number, missing in findings.items():
            complete = not missing.spans or round_.evaluates(self._groups[number], missing.spans)
            self._look_again(number, place, missing.look_again if complete else at + 1)
        return SimulatedRun(at, round_.executed, round_.through, round_.failed)

    def _look_again(self, number: int, place: int, moment: Millis | None) -> None:
        if moment is None:
            # Only a restatement can make something of it missing.
            return
        due_at = max(place + 1, bisect_left(self.ticks, moment))
        self._groups[number].due_at = due_at
        if due_at < len(self.ticks):
            heappush(self._heap, (due_at, number))

    def unreadable_of(self, model: ScheduledModel) -> str | None:
        """A parent that has no table, without which the model fails; None if there is none."""
        if not model.reads_tables:
            return None
        return next((name for name in model.parents if name in self._without_tables), None)

    def note_tables(self, models: Iterable[str]) -> None:
        """Note that models were evaluated, so that they have tables."""
        self._without_tables.difference_update(models)

    def is_apart(self, fqn: str) -> bool:
        """Whether what happens to the model can depend on other models."""
        return fqn in self._apart

    def parents(self, fqn: str) -> Sequence[str]:
        """The parents of a model that are simulated."""
        return [parent for parent in self._by_name[fqn].parents if parent in self._by_name]


def with_fates_of_their_own(
    models: Sequence[ScheduledModel], progress: Mapping[str, Progress], exceptional: Set[str]
) -> set[str]:
    """Models to which not only time matters, and all models downstream of these.

    Args:
        models: in topological order.
        progress: by fully qualified name, what is loaded of each.
        exceptional: models that can fail, can be held back or can be restated.
    """
    apart: set[str] = set()
    for model in models:
        early = can_start_after_last_tick(model.terms, progress[model.fqn])
        if early or model.fqn in exceptional or not apart.isdisjoint(model.parents):
            apart.add(model.fqn)
    return apart


class _Round:
    """What one run does with what is missing, model by model in topological order.

    SQLMesh decides in `Scheduler.batch_intervals` and `_dag` (sqlmesh/core/scheduler.py).
    """

    def __init__(self, simulation: Simulation, at: Millis) -> None:
        self._simulation = simulation
        self._at = at
        self.executed: dict[str, Sequence[Span]] = {}
        self.through: dict[str, Millis | None] = {}
        self.failed: dict[str, str | None] = {}
        self._scheduled: set[str] = set()
        self._bad: set[str] = set()
        """Models that failed or were skipped because of that."""
        self._unready: dict[str, Sequence[Span]] = {}
        """What signals hold back, of each model and of those upstream."""

    def evaluates(self, group: _Group, spans: Sequence[Span]) -> bool:
        """Evaluate a group; whether afterwards, nothing of it is missing."""
        model = group.model
        ready = spans
        if self._simulation.is_apart(model.fqn):
            ready = self._ready(model, spans)
            if not ready or self._fails(model, ready):
                return False
        self._simulation.note_tables(group.evaluated)
        for span in ready:
            group.progress.record(model.terms, span)
        through = group.progress.through(model.terms, self._at)
        self.executed.update(dict.fromkeys(group.evaluated, ready))
        self.through.update(dict.fromkeys(group.evaluated, through))
        return ready is spans and model.terms.reads_preview == model.terms.writes_preview

    def _ready(self, model: ScheduledModel, spans: Sequence[Span]) -> Sequence[Span]:
        """What signals let through."""
        held = model.fqn in self._simulation.held
        upstream = [span for parent in model.parents for span in self._unready.get(parent, ())]
        unready = merged([*spans, *upstream] if held else upstream)
        if not unready:
            return spans
        self._unready[model.fqn] = unready
        if held:
            return ()
        pieces = units(spans, model.snapshot.node.interval_unit)
        kept = interval_diff(pieces, unready, uninterrupted=model.depends_on_past)
        return spans if len(kept) == len(pieces) else merged(kept)

    def _fails(self, model: ScheduledModel, spans: Sequence[Span]) -> bool:
        """Whether the model fails, or is skipped because one upstream did."""
        self._scheduled.add(model.fqn)
        if self._is_blocked(model.fqn):
            self._bad.add(model.fqn)
            return True
        unreadable = self._simulation.unreadable_of(model)
        early = any(end < start for start, end in spans)
        if unreadable or early or model.fqn in self._simulation.failing:
            self._bad.add(model.fqn)
            self.failed[model.fqn] = None if early else unreadable
            return True
        return False

    def _is_blocked(self, fqn: str) -> bool:
        if not self._bad:
            return False
        queue, seen = [fqn], {fqn}
        while queue:
            for parent in self._simulation.parents(queue.pop()):
                if parent in self._bad:
                    return True
                # A batch waits for what is scheduled of its parents, else for their parents.
                idle = parent not in self._scheduled and self._simulation.is_apart(parent)
                if idle and parent not in seen and compat.sees_through_idle_parents():
                    seen.add(parent)
                    queue.append(parent)
        return False
