from datetime import timedelta

from sqlmesh import DatetimeRanges, ExecutionContext, signal
from sqlmesh.utils.date import now


@signal()
def delivered(batch: DatetimeRanges, source: str, context: ExecutionContext) -> DatetimeRanges:
    """Of the days in question, those of which the file has come."""
    rows = context.engine_adapter.fetchall("SELECT source, delivered_for FROM raw.deliveries")
    days = {day for name, day in rows if name == source}
    return [(start, end) for start, end in batch if start.date() in days]


@signal()
def settled(batch: DatetimeRanges, days: int) -> DatetimeRanges:
    """Of the days in question, those that ended this many days ago."""
    latest = now() - timedelta(days=days)
    return [(start, end) for start, end in batch if end <= latest]
