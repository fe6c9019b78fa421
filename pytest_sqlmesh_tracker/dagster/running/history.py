"""The history to which the reports of steps are appended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.reports.files import Entry
from pytest_sqlmesh_tracker.reports.report import RunReport


class StepHistory:
    """Appends the report of a step to a history in DuckDB, if the resource names one."""

    def __init__(self, path: str | None, log: Any) -> None:
        """Check the file, before anything runs.

        Args:
            path: the history, relative to the current folder; None for none.
            log: the log of the op's context.

        Raises:
            Failure: the path is not that of a history.
        """
        self._path: Path | None = None
        self._log = log
        if path is None:
            return
        from pytest_sqlmesh_tracker.history.report_files import SUFFIX
        from pytest_sqlmesh_tracker.render.files import checked_path

        try:
            self._path = checked_path(path, (SUFFIX,)).absolute()
        except (OSError, ValueError) as error:
            raise dg.Failure(f"the resource's report: {error}", allow_retries=False) from None

    def append(self, report: RunReport) -> None:
        """Append a report; if that fails, log it: the models were evaluated all the same."""
        if self._path is None:
            return
        from pytest_sqlmesh_tracker.history.appending import append

        try:
            append(self._path, [Entry(None, report)], source="dagster")
        except Exception as error:
            self._log.error(
                f"pytest-sqlmesh-tracker failed to append the report to {self._path}: {error}"
            )
