"""When an environment is run again and again: after a duration each time, or at a cron's ticks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile

from croniter import (  # type: ignore[import-untyped,unused-ignore]
    CroniterBadDateError,
    croniter,
)

from .parsing import parse_duration


def times_until(last: datetime, every: str | timedelta, *, since: datetime) -> Iterator[datetime]:
    """The times after `since`, up to and including `last`, in UTC.

    Raises:
        ValueError: as for `repeated`.
    """
    __tracebackhide__ = True
    return takewhile(lambda time: time <= last, repeated(every, since=since))


def repeated(every: str | timedelta, *, since: datetime) -> Iterator[datetime]:
    """The times after `since`, without an end, in UTC.

    Args:
        every: the duration between two times, such as "1 day" or "+1h", or a cron in UTC.

    Raises:
        ValueError: it is neither, the duration is not longer than 0, or the cron never ticks; the
            message is one line and starts with "every".
    """
    __tracebackhide__ = True
    duration = every if isinstance(every, timedelta) else _duration(every)
    if duration is None:
        if not (isinstance(every, str) and croniter.is_valid(every)):
            raise ValueError(
                f"every must be a duration, such as '1 day', or a cron, such as '0 6 * * *', not "
                f"{every!r}"
            )
        return _ticks(every, since)
    if duration <= timedelta(0):
        raise ValueError(f"every must be longer than 0, not {every!r}")
    return _steps(duration, since)


def _duration(every: object) -> timedelta | None:
    __tracebackhide__ = True
    if not isinstance(every, str):
        return None
    try:
        return parse_duration(every.strip().removeprefix("+"))
    except ValueError as error:
        raise ValueError(f"every: {error}") from None


def _ticks(cron: str, since: datetime) -> Iterator[datetime]:
    __tracebackhide__ = True
    ticks = croniter(cron, since)
    while True:
        try:
            yield ticks.get_next(datetime)
        except CroniterBadDateError:
            raise ValueError(f"every: the cron {cron!r} never ticks") from None


def _steps(duration: timedelta, since: datetime) -> Iterator[datetime]:
    while True:
        since += duration
        yield since
