"""The invocations of all tests of a session, and the files that they are written to.

Knows neither pytest nor SQLMesh, and imports nothing heavy before there is something to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from pytest_sqlmesh_tracker.reports.report import RunReport


class SessionReports:
    """The reports of all tests, as they come in: from any process, in any order of the tests.

    The tries of one test come in one after the other. All but the last are superseded.
    """

    def __init__(self, *, each: bool = False) -> None:
        """Collect nothing yet.

        Args:
            each: whether each worker of xdist runs all tests (`--dist each`). If not, a worker that
                runs another one's test repeats it: the other one crashed.
        """
        self._each = each
        self._tries: dict[tuple[str, str], dict[tuple[str, int], Sequence[str]]] = {}
        """Test and item → process and number of the try → invocations."""

    def receive(self, report: pytest.TestReport) -> None:
        """Add what a phase's report hands over, if anything."""
        worker = getattr(report, "worker_id", "")
        item = getattr(report, "sqlmesh_item", "")
        tries = getattr(report, "sqlmesh_tries", ())
        item = f"{worker} {item}" if self._each else item
        self.add(report.nodeid, tries, item=item, process=worker)

    def add(
        self,
        test: str,
        tries: Iterable[tuple[int, Sequence[str]]],
        *,
        item: str = "",
        process: str = "",
    ) -> None:
        """Add tries of a test: the number of each, and its invocations so far, as JSON.

        Args:
            item: which item with this node id: the same test, collected twice, is not repeated.
            process: where the tries were numbered.
        """
        for number, runs in tries:
            known = self._tries.setdefault((test, item), {})
            known[process, number] = max(known.get((process, number), ()), runs, key=len)

    @cached_property
    def all(self) -> list[tuple[str, RunReport]]:
        """Each report with the node id of its test; in the order of the ids, then as they came.

        Read when all have come in.
        """
        return [*self._read()]

    def _read(self) -> Iterator[tuple[str, RunReport]]:
        for (test, _), tries in sorted(self._tries.items()):
            *superseded, last = tries.values()
            for runs in superseded:
                for report in _reports(runs):
                    yield test, report.model_copy(update={"superseded": True})
            for report in _reports(last):
                yield test, report

    @cached_property
    def by_test(self) -> dict[str, list[RunReport]]:
        """Node id → the reports of the test's last try, where it has any."""
        reports: dict[str, list[RunReport]] = {}
        for test, report in self.all:
            if not report.superseded:
                reports.setdefault(test, []).append(report)
        return reports

    def write(self, paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """Write the reports to each file; yields its path, and why it could not be written, or "".

        They are written as well if there is no report: an earlier session's must not pass for it.
        """
        for path in paths:
            from pytest_sqlmesh_tracker.render.files import write

            try:
                write(path, self.all)
                yield path, ""
            except Exception as error:
                why = error.strerror if isinstance(error, OSError) else None
                yield path, why or f"{type(error).__name__}: {error}"


def _reports(runs: Sequence[str]) -> Iterator[RunReport]:
    if runs:
        from pytest_sqlmesh_tracker.reports.report import RunReport

        yield from map(RunReport.from_json, runs)
