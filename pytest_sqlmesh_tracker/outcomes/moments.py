"""Points in time, as callers give them."""

from __future__ import annotations

from datetime import date, datetime, timezone

Moment = str | date | datetime
"""A point in time: ISO text, a date or a datetime; in UTC unless it has a time zone."""


def parse_moment(value: object) -> datetime:
    """The point in time as an aware datetime, in UTC.

    Raises:
        ValueError: the value is not a point in time.
    """
    __tracebackhide__ = True
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    elif isinstance(value, str):
        try:
            # Python 3.10 does not accept the Z.
            moment = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        except ValueError:
            raise ValueError(f"{value!r} is not an ISO date or time") from None
    else:
        raise ValueError(f"{value!r} is not a date or time")
    aware = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
    return aware.astimezone(timezone.utc)
