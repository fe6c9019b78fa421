"""The clock of a sandbox. It shows the time that a test sets, and never stands still.

SQLMesh orders what it stores by the time of storing. Under a clock that stands still, a restated
interval is loaded twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from pytest_sqlmesh_tracker.process.frozen import is_frozen, utc_now
from pytest_sqlmesh_tracker.reports.parsing import parse_duration
from pytest_sqlmesh_tracker.reports.run_times import repeated

from .options import SandboxError, absolute

if TYPE_CHECKING:
    import time_machine

Moment = str | date | datetime | timedelta

_OFF = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
OTHER_CLOCK = (
    "another clock is in effect: time_machine was started after this sandbox; set the sandbox's "
    "own clock instead, with run(at='2024-01-09 01:00'), plan(at=...) or travel(...)"
)
STATEMENT = timedelta(milliseconds=1)
"""How far a statement advances a clock that does not tick: SQLMesh stores milliseconds."""


@dataclass(frozen=True)
class DatabaseTime:
    """The time that a database must show.

    Attributes:
        earliest: the time that was set, in UTC. A transaction that began before sees this time.
        ahead: how far the time is ahead of the real one; None if it stands still.
    """

    earliest: datetime
    ahead: timedelta | None


class Clock:
    """A simulated clock, in UTC, which stops while it is not shown to the process.

    Python sees it while it runs, and databases show its time.

    Attributes:
        moves: how often the time has changed other than by itself or by a statement.
    """

    def __init__(self, start: datetime, *, tick: bool, since: datetime | None = None) -> None:
        """Make a clock that shows `start` once it runs, and advances by itself with `tick`.

        Args:
            since: the earliest time to which `travel` may set it without `backwards`.
        """
        self._start = start
        self._tick = tick
        self._latest = since or start
        self.moves = 0
        self._ticking: DatabaseTime | None = None
        self._when_moved: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._travel: time_machine.travel | None = None
        self._traveller: Any = None

    def start(self) -> None:
        """Show this clock's time to the process until `stop`."""
        __tracebackhide__ = True
        check_not_frozen()
        import time_machine

        travel = time_machine.travel(self._start, tick=self._tick)
        self._traveller = travel.start()
        self._travel = travel
        self._moved()

    def stop(self) -> None:
        """Restore the time that the process saw before."""
        if self._travel is not None:
            self._start = self.now
            self._travel.stop()
            self._travel = self._traveller = self._ticking = None
            self.moves += 1

    def copy(self) -> Clock:
        """A clock that shows the same time, and can be set independently."""
        return Clock(self.now, tick=self._tick, since=self._latest)

    @property
    def now(self) -> datetime:
        """The time that the clock shows, in UTC."""
        if self._traveller is None:
            return self._start
        # Not the process's time: a test may start another clock meanwhile.
        return _EPOCH + timedelta(microseconds=self._traveller.time_ns() // 1000)

    @property
    def latest(self) -> datetime:
        """The time to which it was last set, in UTC."""
        return self._latest

    def check(self) -> None:
        """Reject what depends on this clock while SQLMesh would see a different one.

        Raises:
            SandboxError: freezegun or time-machine shows another time to the process.
        """
        __tracebackhide__ = True
        check_not_frozen()
        if self._travel is not None and abs(self.now - utc_now()) > _OFF:
            raise SandboxError(OTHER_CLOCK)

    @property
    def database_time(self) -> DatabaseTime:
        """What databases must show, so that their time advances as this clock does."""
        return self._ticking or DatabaseTime(self.now, None)

    def when_moved(self, call: Callable[[], None]) -> None:
        """Call this whenever the clock has started or has been set."""
        self._when_moved.append(call)

    def _moved(self) -> None:
        import time_machine

        if self._tick:
            real = time_machine.escape_hatch.datetime.datetime.now(timezone.utc)
            now = self.now
            self._ticking = DatabaseTime(now, now - real)
        self.moves += 1
        for call in self._when_moved:
            call()

    def travel(self, to: Moment, *, backwards: bool = False) -> None:
        """Set the clock to a later time, absolute or relative to the present one.

        A time that has passed since the clock was last set changes nothing.

        Raises:
            SandboxError: the time is earlier than that, without `backwards`; the value is not a
                time; or freezegun or time-machine shows another time to the process.
        """
        __tracebackhide__ = True
        self.check()
        duration = duration_of(to)
        target = absolute(to) if duration is None else self.now + duration
        if target < self._latest and not backwards:
            raise SandboxError(
                f"{to!r} is before the sandbox's time, {shown(self.now)}: what SQLMesh has stored "
                "since then would lie in the future; travel(..., backwards=True) allows it"
            )
        self._latest = target
        if target > self.now or backwards:
            if self._traveller is None:
                self._start = target
                self.moves += 1
            else:
                self._traveller.move_to(target)
                self._moved()

    def executing(self) -> None:
        """Advance a clock that does not tick by a little, because a statement is executed."""
        if self._tick:
            return
        with self._lock:
            if self._traveller is None:
                self._start += STATEMENT
            else:
                self._traveller.shift(STATEMENT)


def duration_of(value: object) -> timedelta | None:
    """The duration that a value such as "+1h", "1 day" or a `timedelta` means; None for others.

    Raises:
        SandboxError: the unit is unknown, or the duration is too long.
    """
    __tracebackhide__ = True
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        return None
    try:
        return parse_duration(value.strip().removeprefix("+"))
    except ValueError:
        raise SandboxError(
            f"{value!r}: a relative time must be in seconds, minutes, hours, days or weeks, "
            "such as '+1h'"
        ) from None


def end_of(end: Moment, *, since: datetime) -> datetime:
    """A time, or the end of a duration that begins at `since`, in UTC.

    Raises:
        SandboxError: the value is not valid.
    """
    __tracebackhide__ = True
    duration = duration_of(end)
    return absolute(end) if duration is None else since + duration


def run_times(
    end: Moment, every: str | timedelta, *, since: datetime, call: str = "run_until"
) -> list[datetime]:
    """The times after `since`, up to and including `end`, in UTC.

    Args:
        end: a time, or a duration that begins at `since`.
        every: the duration between two times, such as "1 day", or a cron.
        call: the name of the method that makes the runs, for messages.

    Raises:
        SandboxError: the first time would be after `end`, or a value is not valid.
    """
    __tracebackhide__ = True
    last = end_of(end, since=since)
    # Its message on invalid units gives an example.
    duration_of(every)
    try:
        times = repeated(every, since=since)
        first = next(times)
        if first <= last:
            return [first, *takewhile(lambda time: time <= last, times)]
    except ValueError as error:
        raise SandboxError(str(error)) from None
    raise SandboxError(
        f"{call}({end!r}, every={every!r}) makes no run: the first would be at "
        f"{shown(first)}, as the sandbox's time was last set to {shown(since)}"
    )


def check_not_frozen() -> None:
    """Reject what depends on the sandbox's clock while SQLMesh would see a different one.

    Raises:
        SandboxError: freezegun has frozen the clock.
    """
    __tracebackhide__ = True
    if is_frozen():
        raise SandboxError(
            "freezegun has frozen the clock, but a sandbox needs its own clock, which all Python "
            "code of the test sees; set that one instead, with at= of the marker sqlmesh_project, "
            "run(at='2024-01-09 01:00'), plan(at=...) or travel(...)"
        )


def shown(moment: datetime) -> str:
    """A time to the second, as shown in messages."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
