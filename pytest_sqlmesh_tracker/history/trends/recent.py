"""The latest reports of each environment in a history."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime

from pytest_sqlmesh_tracker.history.opening import LONGEST_WAIT
from pytest_sqlmesh_tracker.history.reading import entries_numbered, readable
from pytest_sqlmesh_tracker.reports.report import RunReport

from .reading import select_runs


def read_recent(
    path: str | os.PathLike[str],
    since: datetime | None = None,
    *,
    most: int,
    longest_wait: float = LONGEST_WAIT,
) -> Mapping[str, list[RunReport]]:
    """Environment → the reports of its latest invocations, in the order in which they began.

    Args:
        path: the history.
        since: leave out invocations that began before this time.
        most: how many reports of an environment to read.
        longest_wait: how many seconds to wait for a process that appends.

    Raises:
        ValueError: the file is not a history, or a newer version has written it; the message is one
            line.
        OSError: the file can't be read.
    """
    with readable(path, longest_wait=longest_wait) as connection:
        select_runs(connection, since)
        connection.execute(
            "SELECT number, environment FROM runs WHERE is_shown "
            "QUALIFY row_number() OVER (PARTITION BY environment ORDER BY place DESC) <= $1 "
            "ORDER BY environment, place",
            [most],
        )
        rows = connection.fetchall()
        reports = entries_numbered(connection, [number for number, _ in rows])
        recent: dict[str, list[RunReport]] = {}
        for number, environment in rows:
            recent.setdefault(environment, []).append(reports[number].report)
        return recent
