"""Appending reports to a history, from any number of processes at once."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sqlmesh_tracker.reports.files import Entry

from . import pending
from .numbering import NewReport, Numbering
from .opening import LONGEST_WAIT, HistoryBusyError, create, opened
from .pending import PendingFile, Source
from .schema import SCHEMA, TABLES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

logger = logging.getLogger("pytest_sqlmesh_tracker")

_MOST_RECENT = 32
"""How many reports wait to be moved into the tables. Moving them takes as long as appending
four, but DuckDB rewrites those that wait with each one that is appended."""
_LARGEST_RECENT = 8_000_000
"""How many characters they may have: all who read the history parse them."""


def append(
    path: str | os.PathLike[str],
    entries: Iterable[Entry],
    *,
    source: Source,
    longest_wait: float = LONGEST_WAIT,
) -> None:
    """Append reports to a history, which is created if there is none. Those in it are not repeated.

    When it returns, the reports are on disk: in the history, or if other processes have had it open
    all the time, in a file beside it, which the next process that appends takes in.

    Args:
        path: the history.
        entries: the reports, each with the node id of its test or None.
        source: who appends them.
        longest_wait: how many seconds to wait for other processes.

    Raises:
        ValueError: the file is not a history, or a newer version has written it; the message is one
            line.
        OSError: the file can't be written.
    """
    history, added = Path(path).resolve(), list(entries)
    if not history.exists():
        create(history)
    try:
        with opened(history, writing=True, longest_wait=longest_wait) as connection:
            waiting, numbering = _pending(history), Numbering(connection)
            for file in waiting:
                _add(connection, numbering.new(file.entries, file.source))
            _add(connection, numbering.new(added, source))
            connection.execute("COMMIT")
            for file in waiting:
                with suppress(OSError):
                    file.path.unlink()
    except HistoryBusyError:
        if added:
            pending.write(history, added, source)


def _pending(history: Path) -> Sequence[PendingFile]:
    try:
        return pending.read(history)
    except (OSError, ValueError) as error:
        # Of a newer version, which will take it in.
        logger.warning("not added to %s: %s", history, error)
        return ()


def _add(connection: DuckDBPyConnection, reports: Iterable[NewReport]) -> None:
    [(count, size)] = connection.execute(
        f"SELECT count(*), coalesce(sum(size), 0) FROM {SCHEMA}.recent"
    ).fetchall()
    for new in reports:
        new.insert(connection, f"{SCHEMA}.recent", f"{SCHEMA}.exact")
        count, size = count + 1, size + new.size
        if count > _MOST_RECENT or size > _LARGEST_RECENT:
            move_recent(connection)
            count = size = 0


def move_recent(connection: DuckDBPyConnection) -> None:
    """Move the recent reports into the tables, within the transaction that is open."""
    for table in TABLES:
        connection.execute(
            f"INSERT INTO {SCHEMA}.{table.name} BY NAME SELECT * FROM {SCHEMA}.recent_{table.name}"
        )
    connection.execute(f"DELETE FROM {SCHEMA}.recent")
