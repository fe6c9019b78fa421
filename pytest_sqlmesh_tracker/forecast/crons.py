"""The ticks of crons, walked once, and the tick that counts for SQLMesh at a moment."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from typing import Any

from croniter import croniter  # type: ignore[import-untyped,unused-ignore]
from sqlmesh.utils.cron import interval_seconds

from pytest_sqlmesh_tracker.tracking.intervals.crons import EvenTicks, even_ticks
from pytest_sqlmesh_tracker.tracking.spans import Millis, utc


class CronTicks:
    """The ticks of one cron in its time zone, from a moment on.

    SQLMesh decides: `Node.cron_next`, `cron_floor` and `cron_prev` (sqlmesh/core/node.py) with
    `CroniterCache` (sqlmesh/utils/cron.py). These are not called, since SQLMesh remembers for a
    minute what it converts, and takes the two times that a wall clock shows twice, when it is set
    back, for one: a forecast would convert both in the same minute.
    """

    def __init__(self, node: Any, begin: Millis) -> None:
        """Walk the cron of a model or standalone audit.

        Args:
            begin: the first moment that is looked up.
        """
        self._cron: str = node.cron
        self._zone: Any = node.cron_tz
        self._even: EvenTicks | None = even_ticks(node.cron) if node.cron_tz is None else None
        self._gap = timedelta(seconds=interval_seconds(node.cron))
        self._ticks: list[Millis] = [] if self._even else [self._after(begin)]
        self._begin = begin
        self._floors: dict[int, Millis] = {}
        self._previous: dict[Millis, Millis] = {}

    def next(self, at: Millis) -> Millis:
        """The first tick after a moment."""
        return self._even.next(at) if self._even else self._ticks[self._place(at)]

    def floor(self, at: Millis) -> Millis:
        """What SQLMesh takes for the last tick at or before a moment.

        With a time zone, SQLMesh steps back from the next tick by the time that a wall clock shows,
        so around clock changes this can be off by an hour, or even lie after the moment.
        """
        if self._even:
            return self._even.floor(at)
        place = self._place(at)
        if place not in self._floors:
            # It depends on nothing but the next tick.
            self._floors[place] = self._step_back(self._ticks[place])
        return self._floors[place]

    def before_floor(self, at: Millis) -> Millis:
        """The tick before `floor`, at which a model without a start and without parents starts."""
        floor = self.floor(at)
        if self._even:
            return floor - self._even.gap
        if floor not in self._previous:
            self._previous[floor] = self._before(floor)
        return self._previous[floor]

    def between(self, after: Millis, until: Millis) -> list[Millis]:
        """The ticks after a moment, up to and including another one."""
        ticks = []
        tick = self.next(after)
        while tick <= until:
            ticks.append(tick)
            tick = self.next(tick)
        return ticks

    def _place(self, at: Millis) -> int:
        if at < self._begin:
            raise ValueError(f"{at} is before {self._begin}, where the ticks begin")
        while self._ticks[-1] <= at:
            self._ticks.append(self._after(self._ticks[-1]))
        return bisect_right(self._ticks, at)

    def _after(self, at: Millis) -> Millis:
        return _millis(croniter(self._cron, self._shown(at)).get_next())

    def _before(self, at: Millis) -> Millis:
        return _millis(croniter(self._cron, self._shown(at)).get_prev())

    def _step_back(self, tick: Millis) -> Millis:
        """The tick before another one, or the time that a wall clock showed one gap earlier."""
        return (
            _millis((self._shown(tick) - self._gap).timestamp())
            if self._gap
            else self._before(tick)
        )

    def _shown(self, at: Millis) -> datetime:
        """The moment as a wall clock in the time zone shows it."""
        return utc(at).astimezone(self._zone) if self._zone else utc(at)


def _millis(seconds: float) -> Millis:
    return int(seconds * 1000)


class Crons:
    """The distinct crons of a project."""

    def __init__(self, begin: Millis) -> None:
        self._begin = begin
        self._known: dict[tuple[str, Any], CronTicks] = {}

    def of(self, node: Any) -> CronTicks:
        """The ticks of the cron of a model or standalone audit."""
        key = node.cron, node.cron_tz
        if key not in self._known:
            self._known[key] = CronTicks(node, self._begin)
        return self._known[key]
