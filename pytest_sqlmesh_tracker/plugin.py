"""The pytest plugin: the only module that imports pytest.

Importing it, and a session that uses none of it, import nothing heavy: sqlmesh and all that reads
reports is imported where it is first needed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .report import RunReport
    from .sandbox.options import ProjectOptions
    from .sandbox.project import SqlmeshProject
    from .sandbox.template import Templates
    from .tracking.tracker import Tracker

_TRACKER = pytest.StashKey["Tracker"]()
_PASSED = pytest.StashKey[bool]()
_SECTION = "sqlmesh runs"
_MARKER = (
    'sqlmesh_project(path=None, *, gateway=None, at=None, environment="prod", variables=None, '
    'plan=True, setup=None, state="fresh", tick=True, select=None): which SQLMesh project the '
    "fixture sqlmesh_project copies, and how it is planned"
)


@pytest.fixture
def sqlmesh_tracker(request: pytest.FixtureRequest) -> Iterator[Tracker]:
    """Tracks every SQLMesh context used in the test: what ran, failed or was skipped, and why."""
    from .tracking.tracker import track_all

    with track_all() as tracker:
        request.node.stash[_TRACKER] = tracker
        yield tracker


@pytest.fixture
def sqlmesh_project_config() -> Any:
    """To override: a SQLMesh `Config`, or the name of one in `config.py`, for sandboxes."""
    return None


@pytest.fixture
def sqlmesh_project_setup() -> Callable[[Any], Any] | None:
    """To override: a function that loads raw data through a DuckDB connection, before the plan."""
    return None


@pytest.fixture(scope="session")
def _sqlmesh_templates(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Templates]:
    """The planned projects of the session."""
    # SQLMesh is imported with it; what that warns of is not the test's.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from .sandbox.template import Templates

    scratch = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        # xdist gives each worker a folder in the session's.
        scratch = scratch.parent
    templates = Templates(
        request.config.rootpath, lambda: tmp_path_factory.mktemp("sqlmesh_project"), scratch
    )
    yield templates
    templates.remove()


@pytest.fixture
def sqlmesh_project(
    request: pytest.FixtureRequest,
    sqlmesh_tracker: Tracker,
    sqlmesh_project_config: Any,
    sqlmesh_project_setup: Callable[[Any], Any] | None,
    _sqlmesh_templates: Templates,
) -> Iterator[SqlmeshProject]:
    """An isolated copy of the planned SQLMesh project, with a clock and faults; tracked."""
    from .sandbox.options import SqlmeshProjectError
    from .sandbox.project import SqlmeshProject

    wrong: str | None = None
    try:
        options = _project_options(request)
        template = _sqlmesh_templates.get(options, sqlmesh_project_config, sqlmesh_project_setup)
    except SqlmeshProjectError as error:
        wrong = str(error)
    if wrong is not None:
        # Outside of the handler, or pytest shows the error once more, with its causes.
        pytest.fail(f"sqlmesh_project: {wrong}", pytrace=False)
    project = SqlmeshProject(template, _sqlmesh_templates.new_folder(), sqlmesh_tracker)
    yield project
    # A test that was cut off has not come to all that its faults were for.
    project.close(warn=request.node.stash.get(_PASSED, False))


@pytest.fixture
def sqlmesh_context(sqlmesh_project: SqlmeshProject) -> Any:
    """The SQLMesh context of `sqlmesh_project`."""
    return sqlmesh_project.context


def _project_options(request: pytest.FixtureRequest) -> ProjectOptions:
    """What the markers of a test ask for, the closest first, then the option, then the ini file."""
    from dataclasses import replace

    from .sandbox.options import SqlmeshProjectError, project_options

    arguments: dict[str, Any] = {}
    for marker in _project_markers(request.node):
        if len(marker.args) > 1:
            raise SqlmeshProjectError(
                "the marker sqlmesh_project has one positional argument: path"
            )
        given = {**dict(zip(("path",), marker.args, strict=False)), **marker.kwargs}
        for name, value in given.items():
            if value is not None or name not in arguments:
                arguments[name] = value
    options = project_options(arguments)
    return options if options.paths else replace(options, paths=(_default_project(request),))


def _project_markers(item: pytest.Item) -> Iterator[pytest.Mark]:
    """Those of a test, the closest last: a class after its bases, parameters after functions."""
    for node in item.listchain():
        yield from (marker for marker in node.own_markers if marker.name == "sqlmesh_project")


def _default_project(request: pytest.FixtureRequest) -> str:
    from .sandbox.finding import nearest_project

    config = request.config
    given = config.getoption("--sqlmesh-tracker-project") or config.getini(
        "sqlmesh_tracker_project"
    )
    return str(given) if given else nearest_project(Path(request.path), config.rootpath)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options, and the keys of ini files that mirror them."""
    what = "the SQLMesh project that sqlmesh_project copies, relative to the root folder"
    parser.getgroup("sqlmesh").addoption("--sqlmesh-tracker-project", metavar="PATH", help=what)
    parser.addini("sqlmesh_tracker_project", what, default="")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a failing test's invocations; hand those of every test to the session's summary."""
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
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
    """Register the marker; collect what tests report, where the summary is written."""
    config.addinivalue_line("markers", _MARKER)
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
        from .render.words import totals_line
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
