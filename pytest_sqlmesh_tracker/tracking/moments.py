"""SQLMesh's moments (`TimeLike`: relative expressions, dates, timestamps, milliseconds)."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def span(start: Any, end: Any) -> tuple[int, int]:
    """Two `TimeLike`s in milliseconds since the epoch; None is 0, and an end date is included."""
    from sqlmesh.utils.date import make_exclusive, to_timestamp

    if _is_millis(start) and _is_millis(end):
        # The scheduler's form, common to all batches; SQLMesh's functions try other formats first.
        return start, end
    return to_timestamp(start) if start else 0, to_timestamp(make_exclusive(end)) if end else 0


def _is_millis(moment: Any) -> bool:
    """Whether SQLMesh treats this as milliseconds; a short number can be a date, as 20240101 is."""
    return type(moment) is int and moment > 99_999_999


def resolved(moment: Any) -> Any:
    """An equivalent `TimeLike` that does not depend on the clock: relative expressions become
    datetimes.

    Dates stay dates, since SQLMesh treats them as whole days (sqlmesh/utils/date.py, `is_date`).
    """
    from sqlmesh.utils.date import is_date, to_datetime

    return moment if not moment or is_date(moment) else to_datetime(moment)


def is_absolute(moment: Any) -> bool:
    """Whether a `TimeLike` is independent of the clock."""
    if not moment or not isinstance(moment, str):
        return True
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        return bool(moment.isdigit())
    return True
