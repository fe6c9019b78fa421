"""Reading the reports of a history: all of them, the latest ones, or those from a time on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from pytest_sqlmesh_tracker.reports.files import Entry

from . import pending
from .opening import LONGEST_WAIT, opened
from .rows import known_among, read_entries
from .schema import SCHEMA

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
    return _read(path, "TRUE", [], lambda _: True, longest_wait)


def entries_since(
    path: str | os.PathLike[str], since: datetime, *, longest_wait: float = LONGEST_WAIT
) -> list[Entry]:
    """The reports of the invocations that began at a time or later, in the order of `all_entries`.

    Args and Raises: as for `all_entries`.
    """
    began = "epoch_us(started_at) >= epoch_us($1::TIMESTAMPTZ)"
    return _read(
        path,
        began,
        [since.isoformat()],
        lambda entry: entry.report.started_at >= since,
        longest_wait,
    )


def latest_entries(
    path: str | os.PathLike[str], *, longest_wait: float = LONGEST_WAIT
) -> list[Entry]:
    """The report of the invocation of each environment that began last, in the order of
    `all_entries`. Superseded tries of tests are left out.

    Args and Raises: as for `all_entries`.
    """
    counts = "NOT superseded QUALIFY row_number() OVER "
    latest = "(PARTITION BY environment ORDER BY started_at DESC, number DESC) = 1"
    entries = _read(
        path, counts + latest, [], lambda entry: not entry.report.superseded, longest_wait
    )
    last: dict[str, Entry] = {}
    for entry in entries:
        other = last.get(entry.report.environment)
        if other is None or entry.report.started_at >= other.report.started_at:
            last[entry.report.environment] = entry
    return [entry for entry in entries if last[entry.report.environment] is entry]


def _read(
    path: str | os.PathLike[str],
    condition: str,
    parameters: Sequence[object],
    holds: Callable[[Entry], bool],
    longest_wait: float,
) -> list[Entry]:
    """The reports for which a condition on the rows of `all_invocations` holds, and those of
    pending files for which the same condition holds, as a function."""
    history = Path(path).resolve()
    # Before the database is opened: what is gone then, it has.
    waiting = [entry for file in pending.read(history) for entry in file.entries if holds(entry)]
    with opened(history, longest_wait=longest_wait) as connection:
        connection.execute(
            f"SELECT number, test FROM {SCHEMA}.all_invocations WHERE {condition} ORDER BY number",
            [*parameters],
        )
        groups = _groups(connection.fetchall())
        entries = [entry for group in groups for entry in read_entries(connection, dict(group))]
        known = known_among(connection, waiting)
    for entry in waiting:
        if (entry.report.id, entry.test) not in known:
            known.add((entry.report.id, entry.test))
            entries.append(entry)
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
