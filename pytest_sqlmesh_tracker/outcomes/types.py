"""The types that a report is made of: times, durations, intervals, immutable records."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Annotated, ClassVar, NamedTuple

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    PlainSerializer,
)


def _in_utc(at: datetime) -> datetime:
    if at.tzinfo is timezone.utc:
        return at
    try:
        return at.astimezone(timezone.utc)
    except OverflowError:
        raise ValueError("the time can't be converted to UTC") from None


UtcDatetime = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A timezone-aware datetime, converted to UTC."""


Seconds = Annotated[
    timedelta, PlainSerializer(lambda took: took.total_seconds(), float, when_used="json")
]
"""A duration, which JSON holds in seconds. (With pydantic 2.12 and 2.13, `ser_json_timedelta` would
also turn the times of an `Interval` into numbers.)"""


class Interval(NamedTuple):
    """A half-open span of time `[start, end)`, in UTC."""

    start: UtcDatetime
    end: UtcDatetime


class Frozen(BaseModel):
    """Base of everything in a report: immutable, and rejects unknown fields."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")
