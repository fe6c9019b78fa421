"""An invocation that has ended, and its report."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.tracking.events.recording import Recording

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.tracking.queries.project_files import ProjectFiles


class Tracked:
    """An invocation that has ended; its report is created on first read."""

    def __init__(self, recording: Recording) -> None:
        self.id = recording.id
        self._recording: Recording | None = recording
        self._report: RunReport | None = None
        self._lock = threading.Lock()

    @property
    def report(self) -> RunReport:
        """The invocation's report, always the same object."""
        with self._lock:
            if self._report is None:
                from pytest_sqlmesh_tracker.tracking.reasons.reporting import report_of

                assert self._recording is not None
                self._report = report_of(self._recording)
                self._recording = None
            return self._report

    @property
    def lacks_files(self) -> bool:
        """Whether the context had not loaded the project's files."""
        return self._recording is not None and self._recording.project_files == "not_read"

    def complete(self, files: ProjectFiles | None) -> None:
        """Add what was later read from the project's files, before the report is created.

        Args:
            files: what was read; None if the files are not to be read.
        """
        with self._lock:
            recording = self._recording
            assert recording is not None
            if files is None:
                recording.project_files, recording.project_files_note = None, None
                return
            recording.local_nodes, recording.folders = files.nodes, files.folders
            recording.project_files = "not_read" if files.unread else "read"
            recording.project_files_note = files.unread
