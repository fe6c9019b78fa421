"""Reading the reports of a history: all of them, the latest ones, or those from a time on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sqlmesh_tracker.process.garbage import collection_paused
from pytest_sqlmesh_tracker.reports.files import Entry

from . import pending
from .numbering import Numbering
from .opening import LONGEST_WAIT, opened
from .pending import PendingFile
from .rows import read_entries
from .schema import EXACT, READ, RECENT, SCHEMA, TABLES, recent_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_AT_ONCE = 100
"""How many reports are read with one query."""


def all_entries(path: str | os.PathLike[str], *, longest_wait: float = LONGEST_WAIT) -> list[Entry]:
    """All reports, in the order in which they were appended.

    Args:
        path: the history.
        longest_wait: how many seconds to wait for a process that appends.

    Raises:
        ValueError: the file is not a history, or a newer version has written it; the message is one
            line.
        OSError: the file can't be read.
    """
    return _read(path, "TRUE", [], longest_wait)


def entries_since(
    path: str | os.PathLike[str], since: datetime, *, longest_wait: float = LONGEST_WAIT
) -> list[Entry]:
    """The reports of the invocations that began at a time or later, in the order of `all_entries`.

    Args and Raises: as for `all_entries`.
    """
    began = "epoch_us(started_at) >= epoch_us($1::TIMESTAMPTZ)"
    return _read(path, began, [since.isoformat()], longest_wait)


def latest_entries(
    path: str | os.PathLike[str], *, longest_wait: float = LONGEST_WAIT
) -> list[Entry]:
    """The report of the invocation of each environment that began last, in the order of
    `all_entries`. Superseded tries of tests are left out.

    Args and Raises: as for `all_entries`.
    """
    counts = "NOT superseded QUALIFY row_number() OVER "
    latest = "(PARTITION BY environment ORDER BY started_at DESC, number DESC) = 1"
    return _read(path, counts + latest, [], longest_wait)


@contextmanager
def readable(
    path: str | os.PathLike[str], *, longest_wait: float = LONGEST_WAIT
) -> Iterator[DuckDBPyConnection]:
    """A connection whose views in the schema `READ` have all reports, those of pending files too.

    The views are called as the tables, and `exact`; each has a column `number`, which is the place
    of the report.

    Args and Raises: as for `all_entries`.
    """
    history = Path(path).resolve()
    # Before the database is opened: what is gone then, it has.
    waiting = pending.read(history)
    with opened(history, longest_wait=longest_wait) as connection:
        sources = {table.name: f"FROM {SCHEMA}.all_{table.name}" for table in TABLES}
        sources["exact"] = f"FROM {SCHEMA}.exact"
        if waiting:
            _insert(connection, waiting)
            for table in TABLES:
                rows = recent_rows(table, f"{READ}.pending")
                sources[table.name] += f" UNION ALL BY NAME {rows}"
            sources["exact"] += f" UNION ALL BY NAME FROM {READ}.exact_pending"
        for name, query in sources.items():
            connection.execute(f"CREATE TEMPORARY VIEW {name} AS {query}")
        yield connection


def _insert(connection: DuckDBPyConnection, waiting: Sequence[PendingFile]) -> None:
    """Insert the pending reports that are not stored into tables that only the connection has."""
    connection.execute(f"CREATE TEMPORARY TABLE pending ({RECENT})")
    connection.execute(f"CREATE TEMPORARY TABLE exact_pending ({EXACT})")
    numbering = Numbering(connection)
    for file in waiting:
        for new in numbering.new(file.entries, file.source):
            new.insert(connection, f"{READ}.pending", f"{READ}.exact_pending")


@collection_paused()
def _read(
    path: str | os.PathLike[str], condition: str, parameters: Sequence[object], longest_wait: float
) -> list[Entry]:
    """The reports for which a condition on the rows of `invocations` holds."""
    with readable(path, longest_wait=longest_wait) as connection:
        connection.execute(
            f"SELECT number, test FROM {READ}.invocations WHERE {condition} ORDER BY number",
            [*parameters],
        )
        groups = _groups(connection.fetchall())
        return [entry for group in groups for entry in read_entries(connection, dict(group))]


@collection_paused()
def entries_numbered(connection: DuckDBPyConnection, numbers: Sequence[int]) -> dict[int, Entry]:
    """The reports with these numbers; the connection is one of `readable`.

    Raises:
        ValueError: the rows are not those of reports; the message is one line.
    """
    connection.execute(
        f"SELECT number, test FROM {READ}.invocations "
        "WHERE number IN (SELECT unnest($1::BIGINT[])) ORDER BY number",
        [[*numbers]],
    )
    entries: dict[int, Entry] = {}
    for group in _groups(connection.fetchall()):
        read = read_entries(connection, dict(group))
        entries.update(zip((number for number, _ in group), read, strict=True))
    return entries


def _groups(
    stored: Sequence[tuple[int, str | None]],
) -> Iterator[Sequence[tuple[int, str | None]]]:
    """Numbers and tests of reports, in groups of those that are stored next to each other."""
    start = 0
    for end in range(1, len(stored) + 1):
        if (
            end == len(stored)
            or end - start == _AT_ONCE
            or stored[end][0] - stored[end - 1][0] > _AT_ONCE
        ):
            yield stored[start:end]
            start = end
