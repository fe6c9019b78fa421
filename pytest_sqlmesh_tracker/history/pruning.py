"""Removing old reports from a history."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from .opening import LONGEST_WAIT, opened
from .schema import SCHEMA, TABLES


def prune(
    path: str | os.PathLike[str], before: datetime, *, longest_wait: float = LONGEST_WAIT
) -> int:
    """Remove the reports of the invocations that began before a time, and return their number.

    DuckDB reuses the room that they took in the file; the file does not get smaller.

    Args:
        path: the history.
        before: the time, with a time zone.
        longest_wait: how many seconds to wait for other processes.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not a history, or a newer version has written it.
        OSError: the file can't be written, or another process has had it open all the time.
    """
    with opened(Path(path).resolve(), writing=True, longest_wait=longest_wait) as connection:
        connection.execute(
            f"SELECT number FROM {SCHEMA}.all_invocations WHERE started_at < $1::TIMESTAMPTZ",
            [before.isoformat()],
        )
        numbers = [number for (number,) in connection.fetchall()]
        for table in (*(table.name for table in TABLES), "recent", "exact"):
            connection.execute(
                f"DELETE FROM {SCHEMA}.{table} WHERE number IN (SELECT unnest($1::BIGINT[]))",
                [numbers],
            )
        connection.execute("COMMIT")
    return len(numbers)
