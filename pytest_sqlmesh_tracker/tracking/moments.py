"""SQLMesh's moments (`TimeLike`: relative expressions, dates, timestamps, milliseconds)."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def span(start: Any, end: Any) -> tuple[int, int]:
    """Two `TimeLike`s in milliseconds since the epoch, 0 for None; a date as end is included."""
    from sqlmesh.utils.date import make_exclusive, to_timestamp

    if _is_millis(start) and _is_millis(end):
        # As the scheduler has them, for each batch; SQLMesh's functions try other formats first.
        return start, end
    return to_timestamp(start) if start else 0, to_timestamp(make_exclusive(end)) if end else 0


def _is_millis(moment: Any) -> bool:
    """Whether SQLMesh takes this for milliseconds: a short number could be a date, 20240101."""
    return type(moment) is int and moment > 99_999_999


def resolved(moment: Any) -> Any:
    """A `TimeLike` that means the same later: relative expressions become datetimes.

    Dates stay dates, since SQLMesh takes them for whole days (sqlmesh/utils/date.py, `is_date`).
    """
    from sqlmesh.utils.date import is_date, to_datetime

    return moment if not moment or is_date(moment) else to_datetime(moment)


def is_absolute(moment: Any) -> bool:
    """Whether a `TimeLike` means the same at any time."""
    if not moment or not isinstance(moment, str):
        return True
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        return bool(moment.isdigit())
    return True
