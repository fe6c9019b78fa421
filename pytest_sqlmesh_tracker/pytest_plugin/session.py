"""The invocations of all tests in a session, and the files that they are written to.

It imports neither pytest nor SQLMesh, and nothing heavy before there is a report to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .tries import HandedOver

if TYPE_CHECKING:
    import pytest

    from pytest_sqlmesh_tracker.reports.files import Entry
    from pytest_sqlmesh_tracker.reports.report import RunReport


class SessionReports:
    """The reports of all tests, as they arrive from any process, in any order of the tests.

    The tries of one test arrive in order. All but the last are superseded.
    """

    def __init__(self, *, runs_everywhere: bool = False) -> None:
        """Begin an empty collection.

        Args:
            runs_everywhere: whether each xdist worker runs all tests (`--dist each`). If not, a
                worker that runs another worker's test repeats it, because the other one crashed.
        """
        self._runs_everywhere = runs_everywhere
        self._tries: dict[tuple[str, str], dict[tuple[str, int], Sequence[str]]] = {}
        """(Node id, item) → (process, number of the try) → invocations as JSON."""

    def receive(self, report: pytest.TestReport) -> None:
        """Add the invocations that a phase's report hands over, if any."""
        handed_over = HandedOver.attached_to(report)
        if handed_over is None:
            return
        worker = getattr(report, "worker_id", "")
        item = f"{worker} {handed_over.item}" if self._runs_everywhere else handed_over.item
        self.add(report.nodeid, handed_over.tries, item=item, process=worker)

    def add(
        self,
        test: str,
        tries: Iterable[tuple[int, Sequence[str]]],
        *,
        item: str = "",
        process: str = "",
    ) -> None:
        """Add tries of a test, each with its number and its invocations so far, as JSON.

        Args:
            item: which item with this node id it is. A test that was collected twice is not
                repeated.
            process: the process that numbered the tries.
        """
        for number, runs in tries:
            known = self._tries.setdefault((test, item), {})
            known[process, number] = max(known.get((process, number), ()), runs, key=len)

    @cached_property
    def all(self) -> list[Entry]:
        """Each report with the node id of its test, in the order of the ids, then of arrival.

        It must not be called before all have arrived.
        """
        return [*self._read()]

    def _read(self) -> Iterator[Entry]:
        for (test, _), tries in sorted(self._tries.items()):
            *superseded, last = tries.values()
            for runs in superseded:
                yield from _entries(test, runs, superseded=True)
            yield from _entries(test, last)

    @cached_property
    def by_test(self) -> dict[str, list[RunReport]]:
        """Node id → the reports of the test's last try, if it has any."""
        reports: dict[str, list[RunReport]] = {}
        for test, report in self.all:
            if test is not None and not report.superseded:
                reports.setdefault(test, []).append(report)
        return reports

    def write(self, paths: Sequence[Path], project: Path) -> Iterator[tuple[Path, str]]:
        """Write the reports to each file, and yield its path and the error message, or "".

        Files are also written without any report, so that those of earlier sessions do not remain.

        Args:
            paths: the files.
            project: the folder of the project, to whose files pages have links.
        """
        for path in paths:
            from pytest_sqlmesh_tracker.render.files import write

            try:
                write(path, self.all, source="pytest", project=project)
                yield path, ""
            except Exception as error:
                why = error.strerror if isinstance(error, OSError) else None
                yield path, why or f"{type(error).__name__}: {error}"


def _entries(test: str, runs: Sequence[str], *, superseded: bool = False) -> Iterator[Entry]:
    if runs:
        from pytest_sqlmesh_tracker.reports.files import Entry
        from pytest_sqlmesh_tracker.reports.report import RunReport

        for report in map(RunReport.from_json, runs):
            yield Entry(test, report.model_copy(update={"superseded": superseded}))
