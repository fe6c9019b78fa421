"""The pytest plugin: the only module that imports pytest.

Importing it, and a session that uses none of it, import nothing heavy: sqlmesh and all that reads
reports is imported where it is first needed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .report import RunReport
    from .tracking.tracker import Tracker

_TRACKER = pytest.StashKey["Tracker"]()
_SECTION = "sqlmesh runs"


@pytest.fixture
def sqlmesh_tracker(request: pytest.FixtureRequest) -> Iterator[Tracker]:
    """Tracks every SQLMesh context used in the test: what ran, failed or was skipped, and why."""
    from .tracking.tracker import track_all

    with track_all() as tracker:
        request.node.stash[_TRACKER] = tracker
        yield tracker


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a failing test's invocations; hand those of every test to the session's summary."""
    report = yield
    tracker = item.stash.get(_TRACKER, None)
    if tracker is None:
        return report
    if report.failed and tracker.reports:
        report.sections.append((_SECTION, _tables(tracker.reports, item.config)))
    if report.when == "teardown":
        # Attributes of a report travel from xdist's workers to the controller as JSON.
        report.sqlmesh_runs = [run.to_dict() for run in tracker.reports]  # type: ignore[attr-defined]
        del item.stash[_TRACKER]
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Collect what the tests report, where the summary is written: not in xdist's workers."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Summary(), "sqlmesh_tracker_summary")


class _Summary:
    """Collects the invocations of all tests and tells their totals at the end."""

    def __init__(self) -> None:
        self._runs: dict[str, list[dict[str, Any]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        runs = getattr(report, "sqlmesh_runs", None)
        if runs:
            self._runs[report.nodeid] = runs

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._runs:
            return
        from .render.terminal import totals_line
        from .report import RunReport

        # xdist's workers report in any order.
        by_test = {
            test: [RunReport.from_dict(run) for run in runs]
            for test, runs in sorted(self._runs.items())
        }
        if terminalreporter.config.get_verbosity() > 0:
            terminalreporter.section(_SECTION)
            for test, reports in by_test.items():
                terminalreporter.line(test, bold=True)
                terminalreporter.line(_tables(reports, terminalreporter.config))
                terminalreporter.line("")
        everything = [report for reports in by_test.values() for report in reports]
        terminalreporter.line(f"sqlmesh: {totals_line(everything, len(by_test))}")


def _tables(reports: list[RunReport], config: pytest.Config) -> str:
    from .render.terminal import tables

    terminal = config.pluginmanager.get_plugin("terminalreporter")
    width = terminal._tw.fullwidth if terminal else 100
    return tables(reports, width=max(80, width))
