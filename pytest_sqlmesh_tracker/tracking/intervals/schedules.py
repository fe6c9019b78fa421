"""When models are due and what of them is missing, computed once for all models that are alike.

SQLMesh computes both anew for each model, although the models of a project share a few crons,
starts and loaded intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from sqlmesh.core.node import IntervalUnit
from sqlmesh.utils.date import to_datetime, to_timestamp

from pytest_sqlmesh_tracker.tracking import compat, moments
from pytest_sqlmesh_tracker.tracking.events.recording import FrozenSnapshot
from pytest_sqlmesh_tracker.tracking.reliance import Reliance
from pytest_sqlmesh_tracker.tracking.spans import Millis, Span, utc

from .crons import EvenTicks, even_ticks
from .searches import Contents, Searches, fixed_length

RELIES_ON = (Reliance("core.snapshot:start_date", "when a model without a start begins"),)

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Ticks:
    """Ticks of crons. SQLMesh computes those that are not evenly spaced, and each only once, as
    many models share a few crons."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Millis] = {}

    def floor(self, node: Any, moment: Any) -> Millis:
        """The last tick of a node's or an interval unit's cron at or before the moment."""
        at, even = _milliseconds(moment), _even(node)
        return even.floor(at) if even else self._computed("cron_floor", node, at)

    def next(self, node: Any, moment: Any) -> Millis:
        """The first tick of a node's or an interval unit's cron after the moment."""
        at, even = _milliseconds(moment), _even(node)
        return even.next(at) if even else self._computed("cron_next", node, at)

    def previous(self, node: Any, moment: Millis) -> Millis:
        """The last tick of a node's cron before the moment."""
        return self._computed("cron_prev", node, moment)

    def _computed(self, method: str, node: Any, at: Millis) -> Millis:
        # An interval unit is its own key. A node's ticks depend on nothing else.
        key = method, getattr(node, "cron", node), getattr(node, "cron_tz", None), at
        if key not in self._known:
            self._known[key] = to_timestamp(getattr(node, method)(at))
        return self._known[key]


def _milliseconds(moment: Any) -> Millis:
    return moment if isinstance(moment, int) else to_timestamp(moment)


def _even(node: Any) -> EvenTicks | None:
    """The ticks of a node or an interval unit, if the gaps between them are equal."""
    if isinstance(node, IntervalUnit):
        length = fixed_length(node)
        return EvenTicks(0, length) if length else None
    return even_ticks(node.cron) if node.cron_tz is None else None


@dataclass(frozen=True)
class Cron:
    """A cron in its time zone."""

    expression: str
    zone: Any
    node: Any = field(compare=False)
    """One of the nodes that have it."""


@dataclass(frozen=True)
class Beginning:
    """When a model starts, as SQLMesh's `start_date` determines it.

    A model without a start takes the earliest of its parents'. Without parents, it starts one tick
    of its cron ago; in early versions with parents, too (`compat.starts_a_tick_ago`).
    """

    start: datetime | None
    """The earliest start that is configured, of the model or of those upstream."""
    crons: frozenset[Cron] = frozenset()
    """Those of the models that start one tick ago."""


class Traits(NamedTuple):
    """What the definition of a model contributes, apart from its start and end."""

    cron: str
    cron_tz: Any
    evaluatable: bool
    contents: Contents

    @classmethod
    def of(cls, snapshot: Any) -> Traits:
        """Those of a snapshot's model or standalone audit."""
        node = snapshot.node
        return cls(
            cron=node.cron,
            cron_tz=node.cron_tz,
            evaluatable=snapshot.evaluatable,
            contents=Contents(
                unit=node.interval_unit,
                lookback=snapshot.model.lookback if snapshot.is_model else 0,
                allow_partials=snapshot.allow_partials,
                is_seed=snapshot.is_seed,
            ),
        )


class Terms(NamedTuple):
    """Everything from which SQLMesh computes when a model is due and what of it is missing."""

    traits: Traits
    beginning: Beginning
    own_start: datetime | None
    end: Any
    loaded: tuple[Span, ...]
    """The intervals that count as loaded for the invocation."""


class Schedule:
    """The models of a project that SQLMesh treats alike, because their terms are equal."""

    def __init__(
        self, terms: Terms, frozen: FrozenSnapshot, ticks: Ticks, searches: Searches
    ) -> None:
        self.terms = terms
        self.traits = terms.traits
        self.contents = terms.traits.contents
        self.ticks = ticks
        self.searches = searches
        self.snapshot = frozen.snapshot
        """The snapshot of one of these models, whose intervals and start can be others by now."""
        self._results: dict[Any, Any] = {}

    def once(
        self,
        compute: Callable[Concatenate[Schedule, _Arguments], _Result],
        *arguments: _Arguments.args,
        **keywords: _Arguments.kwargs,
    ) -> _Result:
        """The result of a function of the module level, computed once for these arguments.

        Args:
            compute: depends on nothing but the schedule and the arguments.
            arguments: `TimeLike`s and other hashable values.
        """
        # For SQLMesh, equal moments of two types can have different meanings.
        key = compute, arguments, tuple(map(type, arguments)), tuple(keywords.items())
        if key not in self._results:
            self._results[key] = compute(self, *arguments, **keywords)
        result: _Result = self._results[key]
        return result

    def start(self, relative_to: Any) -> datetime:
        """When the models start: their own start, their parents', or one tick of a cron ago."""
        beginning, ticks = self.terms.beginning, self.ticks
        starts = [] if beginning.start is None else [beginning.start]
        for cron in beginning.crons:
            floor = ticks.floor(cron.node, relative_to)
            starts.append(utc(ticks.previous(cron.node, floor)))
        return min(starts)


class Schedules:
    """The distinct schedules of an invocation, shared by its `Snapshots`."""

    def __init__(self) -> None:
        self.ticks = Ticks()
        self._searches = Searches()
        self._distinct: dict[Terms, Schedule] = {}
        self._traits: dict[int, tuple[Any, Traits]] = {}

    def of(
        self, frozen: FrozenSnapshot, beginning: Beginning, loaded: tuple[Span, ...]
    ) -> Schedule:
        """The schedule of a model with these intervals."""
        own_start = beginning.start if frozen.start else None
        terms = Terms(self._traits_of(frozen.snapshot), beginning, own_start, frozen.end, loaded)
        schedule = self._distinct.get(terms)
        if schedule is None:
            schedule = self._distinct[terms] = Schedule(terms, frozen, self.ticks, self._searches)
        return schedule

    def _traits_of(self, snapshot: Any) -> Traits:
        # Copies of a snapshot share its node, which is kept here, so that no other has its id.
        known = self._traits.get(id(snapshot.node))
        if known is None:
            known = self._traits[id(snapshot.node)] = snapshot.node, Traits.of(snapshot)
        return known[1]


def beginning(frozen: FrozenSnapshot, parents: Iterable[Beginning]) -> Beginning:
    """When a model begins, given when its parents do."""
    if frozen.start:
        return Beginning(_parsed(frozen.start))
    upstream = list(parents)
    starts = [each.start for each in upstream if each.start is not None]
    crons = frozenset[Cron]().union(*(each.crons for each in upstream))
    if not upstream or compat.starts_a_tick_ago():
        node = frozen.snapshot.node
        crons |= {Cron(node.cron, node.cron_tz, node)}
    return Beginning(min(starts, default=None), crons)


def _parsed(start: Any) -> datetime:
    """A start as a datetime."""
    parsed: datetime = _parsed_once(start) if moments.is_absolute(start) else to_datetime(start)
    return parsed


# Parsing takes longer than anything else that is computed of a model.
@lru_cache(maxsize=16384)
def _parsed_once(start: Any) -> Any:
    return to_datetime(start)
