"""Parsing what callers pass: reasons, causes, statuses, intervals, durations, patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from pytest_sqlmesh_tracker.outcomes.moments import Moment, parse_moment
from pytest_sqlmesh_tracker.outcomes.vocabulary import Cause, Reason, Status
from pytest_sqlmesh_tracker.suggestions import did_you_mean

_Member = TypeVar("_Member")

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)", re.IGNORECASE)
_UNITS = {
    "seconds": ("s", "sec", "second", "seconds"),
    "minutes": ("m", "min", "minute", "minutes"),
    "hours": ("h", "hour", "hours"),
    "days": ("d", "day", "days"),
    "weeks": ("w", "week", "weeks"),
}
"""The plural of each unit of a duration, and all words for it."""


def parse_reason(word: object) -> Reason:
    """The reason with this value.

    Raises:
        ValueError: the word is not valid; the message has close matches.
    """
    __tracebackhide__ = True
    return parse_member(word, Reason, "not a reason")


def parse_cause(word: object) -> Cause:
    """The cause with this value.

    Raises:
        ValueError: the word is not valid; the message has close matches.
    """
    return parse_member(word, Cause, "not a cause")


def parse_status_or_reason(word: object) -> Status | Reason:
    """The status or the reason with this value; no word is both.

    Raises:
        ValueError: the word is not valid; the message has close matches.
    """
    __tracebackhide__ = True
    members: tuple[Status | Reason, ...] = (*Status, *Reason)
    return parse_member(word, members, "neither a status nor a reason")


def parse_member(word: object, members: Iterable[_Member], what_it_is_not: str) -> _Member:
    """The member with this value, of one or several enums.

    Raises:
        ValueError: the word is not valid; the message has close matches, or else all values.
    """
    __tracebackhide__ = True
    by_value = {str(member): member for member in members}
    if isinstance(word, str) and str(word) in by_value:
        return by_value[str(word)]
    raise ValueError(_not_among(word, what_it_is_not, list(by_value)))


def parse_interval(intervals: tuple[Moment, Moment]) -> tuple[datetime, datetime]:
    """The half-open `(start, end)` as aware datetimes in UTC.

    Raises:
        ValueError: the value is not a pair of moments, or the start is not before the end.
    """
    __tracebackhide__ = True
    try:
        start, end = intervals
    except (TypeError, ValueError):
        raise ValueError(f"intervals must be a pair (start, end), not {intervals!r}") from None
    span = parse_moment(start), parse_moment(end)
    if span[0] >= span[1]:
        raise ValueError(f"intervals is half-open: {start} must be before {end}")
    return span


def parse_duration(text: str, units: Sequence[str] = tuple(_UNITS)) -> timedelta | None:
    """The duration that a number and a unit mean, such as "26 hours" or "1.5d"; None for others.

    Args:
        text: the text; case and outer white space do not matter.
        units: the valid units, in the plural.

    Raises:
        ValueError: the unit is not valid, or the duration is longer than a `timedelta` can be; the
            message is one line, with close or all valid units.
    """
    __tracebackhide__ = True
    parts = _DURATION.fullmatch(text.strip())
    if parts is None:
        return None
    number, word = parts.groups()
    unit = next((unit for unit in units if word.lower() in _UNITS[unit]), None)
    if unit is None:
        hint = did_you_mean(word, units, f"valid units: {', '.join(units)}")
        raise ValueError(f"unknown unit {word!r}; {hint}")
    try:
        return timedelta(**{unit: float(number)})
    except OverflowError:
        raise ValueError(f"{text!r} is too long") from None


def expression(pattern: str) -> re.Pattern[str]:
    """The compiled regular expression.

    Raises:
        ValueError: the pattern is not a regular expression; the message says where and why.
    """
    __tracebackhide__ = True
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"match={pattern!r} is not a regular expression: {error}") from None


def _not_among(word: object, what_it_is_not: str, valid: Sequence[str]) -> str:
    hint = did_you_mean(str(word), valid, f"valid values: {', '.join(valid)}")
    return f"{word!r} is {what_it_is_not}; {hint}"
