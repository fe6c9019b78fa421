"""How every text formats times, intervals, numbers and names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from math import ceil

from pytest_sqlmesh_tracker.outcomes.types import Interval


def moment(at: datetime) -> str:
    """`2024-01-14 00:00:00 UTC`."""
    return f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def minute(at: datetime) -> str:
    """`2024-01-14 00:00 UTC`; with seconds unless they are zero."""
    return moment(at).replace(":00 UTC", " UTC")


def plain_minute(at: datetime) -> str:
    """`2024-01-14 00:00`, in UTC, which is stated elsewhere; with seconds unless they are zero."""
    return minute(at).removesuffix(" UTC")


# The models of an invocation share most of their intervals.
@lru_cache(maxsize=4096)
def span(start: datetime, end: datetime) -> str:
    """A half-open interval: the first and last date of whole days, otherwise its two times."""
    start, end = start.astimezone(timezone.utc), end.astimezone(timezone.utc)
    if midnight(start) and midnight(end) and start < end:
        first, last = f"{start:%Y-%m-%d}", f"{end - timedelta(days=1):%Y-%m-%d}"
        return first if first == last else f"{first} .. {last}"
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M} .. {until} UTC"


def spans(intervals: Sequence[Interval], limit: int = 3) -> str:
    """The first intervals, and how many more there are."""
    shown = ", ".join(span(*interval) for interval in intervals[:limit])
    return f"{shown} and {len(intervals) - limit} more" if len(intervals) > limit else shown


_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
"""The units of lengths of time, in seconds, the largest first."""


def amount(intervals: Sequence[Interval]) -> str:
    """The total length of the intervals, as `length` formats it."""
    return length(sum((end - start for start, end in intervals), timedelta()))


def length(time: timedelta) -> str:
    """A length of time in whole seconds: `2 days`, `90 minutes`, `6 days 23:49:54`."""
    seconds = int(time.total_seconds())
    if not seconds:
        return "less than a second"
    size, unit = _UNITS[_largest_unit(seconds)]
    if unit == "second" and seconds > 120:
        days, rest = divmod(seconds, 86400)
        clock = f"{timedelta(seconds=rest)}"
        return f"{quantity(days, 'day')} {clock}" if days else clock
    return quantity(seconds // size, unit)


def length_beyond(limit: timedelta, time: timedelta) -> str:
    """A length of time that is longer than a limit, in the same unit: `53 hours 30 minutes`.

    Two units suffice to show that it is longer; fractions of seconds are rounded up.
    """
    rest, parts = ceil(time.total_seconds()), []
    for size, unit in _UNITS[_largest_unit(int(limit.total_seconds())) :]:
        number, rest = divmod(rest, size)
        if number:
            parts.append(quantity(number, unit))
    return " ".join(parts[:2])


def _largest_unit(seconds: int) -> int:
    """The position of the largest unit of which the seconds are a multiple."""
    return next(place for place, (size, _) in enumerate(_UNITS) if seconds % size == 0)


def quantity(number: int, noun: str) -> str:
    """`1 batch`, `2 batches`, `3 histories`, `4 days`."""
    if number != 1:
        stem = noun.removesuffix("y")
        if stem != noun and stem[-1] not in "aeiou":
            noun = f"{stem}ie"
        noun += "es" if noun.endswith(("ch", "s")) else "s"
    return f"{number:,} {noun}"


def listed(names: Sequence[str], limit: int = 3) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def on_safe_cron(safe: str) -> str:
    """What recommends a cron with equal gaps in place of an irregular one."""
    return f"{safe} has equal gaps and includes its times"


def one_line(text: str, limit: int = 400) -> str:
    """The text without line breaks, shortened to `limit` characters."""
    line = " ".join(text[: 4 * limit].split())
    whole = len(line) <= limit and len(text) <= 4 * limit
    return line if whole else f"{line[: limit - 1]}…"


def short_repr(value: object) -> str:
    """The `repr` of a value that is not valid, in one line."""
    return one_line(repr(value), 80)


def shortened(text: str, lines: int = 6, width: int = 300) -> str:
    """The first lines that are not empty, each cut to `width` characters."""
    kept = [line[:width] for line in text.strip().splitlines() if line.strip()]
    return "\n".join(kept[:lines] + (["…"] if len(kept) > lines else []))


def midnight(at: datetime) -> bool:
    """Whether the time is midnight in UTC."""
    return (at.hour, at.minute, at.second, at.microsecond) == (0, 0, 0, 0)


def duration(took: timedelta | None) -> str:
    """`0.25 s`, `42 s`, `3 min 5 s`, `2 h 0 min`; empty if the duration is not known."""
    if took is None:
        return ""
    if took.total_seconds() < 9.995:
        return f"{took.total_seconds():.2f} s"
    minutes, seconds = divmod(round(took.total_seconds()), 60)
    if not minutes:
        return f"{seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {seconds} s"
