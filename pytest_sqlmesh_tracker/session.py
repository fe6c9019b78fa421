"""The invocations of all tests of a session, and the files that they are written to.

Knows neither pytest nor SQLMesh, and imports nothing heavy before there is something to read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .report import RunReport


class SessionReports:
    """The reports of all tests, as they come in: from any process, in any order."""

    def __init__(self) -> None:
        self._runs: dict[str, list[str]] = {}

    def add(self, test: str, runs: Sequence[str]) -> None:
        """Add invocations of a test, as JSON; of one that is retried, those of each time."""
        if runs:
            self._runs.setdefault(test, []).extend(runs)

    @cached_property
    def by_test(self) -> dict[str, list[RunReport]]:
        """Node id → the test's reports; in the order of the ids. Read when all have come in."""
        if not self._runs:
            return {}
        from .report import RunReport

        return {
            test: [RunReport.from_json(run) for run in runs]
            for test, runs in sorted(self._runs.items())
        }

    @property
    def all(self) -> list[tuple[str | None, RunReport]]:
        """Each report with the node id of its test, in that order."""
        return [(test, report) for test, reports in self.by_test.items() for report in reports]

    def write(self, paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """Write the reports to each file; yields its path, and why it could not be written, or "".

        They are written as well if there is no report: an earlier session's must not pass for it.
        """
        for path in paths:
            from .render.files import write

            try:
                write(path, self.all)
                yield path, ""
            except Exception as error:
                why = error.strerror if isinstance(error, OSError) else None
                yield path, why or f"{type(error).__name__}: {error}"
