"""Arithmetic of intervals in milliseconds, and of drawn dates."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

from tests.projects import Span, without


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as possible."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def alike(some: list[Span], others: list[Span]) -> bool:
    """The same spans; partial intervals end when the clock was read, a little sooner or later."""
    rests = [*without(some, others), *without(others, some)]
    return all(end - start < 60_000 for start, end in rests)


def millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def moment(text: str, now: datetime | None = None) -> datetime:
    """A drawn date or time, in UTC; a relative one is counted from now."""
    words = text.split()
    if now is not None and words[-1] == "ago":
        ago = timedelta(**{words[1].rstrip("s") + "s": int(words[0])})
        return now.replace(tzinfo=timezone.utc) - ago
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
