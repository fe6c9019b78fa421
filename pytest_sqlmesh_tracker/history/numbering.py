"""Which reports are new to a history, and the numbers that they get."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from pytest_sqlmesh_tracker.reports.files import Entry

from .rows import StoredReport, to_rows
from .schema import IDS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class NewReport:
    """A report that a history does not have."""

    number: int
    """Its place among all reports of the history."""
    id: UUID
    """The invocation's id."""
    test: str | None
    """The node id of the test that made the invocation."""
    source: str
    """Who appends it."""
    stored: StoredReport

    @property
    def size(self) -> int:
        """How many characters its rows have as JSON."""
        return len(self.stored.rows)

    def insert(self, connection: DuckDBPyConnection, recent: str, exact: str) -> None:
        """Insert it into tables like `recent` and `exact`."""
        connection.execute(
            f"INSERT INTO {recent} VALUES (?, ?, ?, ?, ?, ?)",
            [self.number, str(self.id), self.test, self.source, self.stored.rows, self.size],
        )
        if self.stored.exact is not None:
            connection.execute(
                f"INSERT INTO {exact} VALUES (?, ?)", [self.number, self.stored.exact]
            )


class Numbering:
    """Numbers the reports that are new to a history."""

    def __init__(self, connection: DuckDBPyConnection) -> None:
        """Start after the last report of the history that is open."""
        self._connection = connection
        [(self._last,)] = connection.execute(
            f"SELECT coalesce(max(number), 0) FROM {IDS}"
        ).fetchall()
        self._numbered: set[tuple[UUID, str | None]] = set()

    def new(self, entries: Sequence[Entry], source: str) -> Iterator[NewReport]:
        """Those of the reports that the history does not have, and that were not numbered before.

        The same invocation of another test is a report of its own; it has no models.
        """
        known = self._numbered | self._stored(entries)
        with_outcomes = {id_ for id_, _ in known}
        for test, report in entries:
            key = report.id, test
            if key in known:
                continue
            stored = to_rows(report, with_outcomes=report.id not in with_outcomes)
            self._last += 1
            known.add(key)
            self._numbered.add(key)
            with_outcomes.add(report.id)
            yield NewReport(self._last, report.id, test, source, stored)

    def _stored(self, entries: Sequence[Entry]) -> set[tuple[UUID, str | None]]:
        """The ids and tests of all that the history has of reports with the ids of these."""
        ids = list({str(report.id) for _, report in entries})
        self._connection.execute(
            f"SELECT id, test FROM {IDS} WHERE id IN (SELECT unnest($1::UUID[]))", [ids]
        )
        return set(self._connection.fetchall())
