"""The pytest plugin: the only module that imports pytest.

Importing it, and a session that uses none of it, import nothing heavy: sqlmesh and all that reads
reports is imported where it is first needed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .session import SessionReports

if TYPE_CHECKING:
    from .gate import GatePolicy
    from .report import RunReport
    from .sandbox.options import ProjectOptions
    from .sandbox.project import SqlmeshProject
    from .sandbox.template import Templates
    from .strict import StrictTest
    from .tracking.tracker import Tracker

_SECTION = "sqlmesh runs"
_MARKERS = (
    'sqlmesh_project(path=None, *, gateway=None, at=None, environment="prod", variables=None, '
    'plan=True, setup=None, state="fresh", tick=True, select=None): which SQLMesh project the '
    "fixture sqlmesh_project copies, and how it is planned",
    "sqlmesh_tracker(strict=None, allow_skips=None): whether unexpected outcomes that the test "
    "does not assert are an error, and which skips are expected: a mapping of globs to reasons",
)


@dataclass
class _Test:
    """A tracked test, from its set-up to its teardown."""

    tracker: Tracker
    strict: StrictTest | None
    passed: bool = False
    returned: Sequence[RunReport] = ()
    reported: int = 0

    def new_runs(self) -> list[str]:
        """The invocations since the last phase, as JSON."""
        new = self.tracker.reports[self.reported :]
        self.reported += len(new)
        return [run.to_json() for run in new]


_TEST = pytest.StashKey[_Test]()
_STRICT = pytest.StashKey[bool]()
_TODAY = pytest.StashKey[date]()
_POLICY = pytest.StashKey["GatePolicy"]()
_DESELECTED = pytest.StashKey[bool]()


@pytest.fixture
def sqlmesh_tracker(request: pytest.FixtureRequest) -> Iterator[Tracker]:
    """Tracks every SQLMesh context used in the test: what ran, failed or was skipped, and why."""
    from .listening import listening
    from .tracking.tracker import track_all

    try:
        strict = _strict_test(request.node)
    except (ValueError, pytest.UsageError) as error:
        raise pytest.fail.Exception(f"sqlmesh_tracker: {error}", pytrace=False) from None
    with track_all() as tracker, listening(strict.asserted) if strict else nullcontext():
        request.node.stash[_TEST] = _Test(tracker, strict)
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
    if _is_worker(request.config):
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
    from .markers import MarkerError
    from .sandbox.options import SqlmeshProjectError
    from .sandbox.project import SqlmeshProject

    try:
        options = _project_options(request)
        template = _sqlmesh_templates.get(options, sqlmesh_project_config, sqlmesh_project_setup)
    except (SqlmeshProjectError, MarkerError) as error:
        raise pytest.fail.Exception(f"sqlmesh_project: {error}", pytrace=False) from None
    project = SqlmeshProject(template, _sqlmesh_templates.new_folder(), sqlmesh_tracker)
    test = request.node.stash[_TEST]
    test.returned = project.returned
    yield project
    # A test that was cut off has not come to all that its faults were for.
    project.close(warn=test.passed)


@pytest.fixture
def sqlmesh_context(sqlmesh_project: SqlmeshProject) -> Any:
    """The SQLMesh context of `sqlmesh_project`."""
    return sqlmesh_project.context


@pytest.fixture
def materialize_sqlmesh(sqlmesh_project: SqlmeshProject) -> Iterator[Callable[..., Any]]:
    """Materializes Dagster assets with SQLMesh on `sqlmesh_project`; a failure does not raise."""
    try:
        from .dagster.testing import materializing
    except ModuleNotFoundError as error:
        pytest.fail(f"materialize_sqlmesh: {error}; it is in the extra `dagster`", pytrace=False)
    with materializing(sqlmesh_project) as materialize:
        yield materialize


def _project_options(request: pytest.FixtureRequest) -> ProjectOptions:
    """What the markers of a test ask for, the closest first, then the option, then the ini file."""
    from dataclasses import replace

    from .sandbox.options import project_options

    options = project_options(_marker_arguments(request.node, "sqlmesh_project", "path"))
    return options if options.paths else replace(options, paths=(_default_project(request),))


def _marker_arguments(item: pytest.Item, name: str, *positional: str) -> dict[str, Any]:
    """The merged keywords of a test's markers of this name."""
    from .markers import merged

    # The closest comes last: a class after its bases, parameters after functions.
    marks = [mark for node in item.listchain() for mark in node.own_markers if mark.name == name]
    return merged(name, marks, positional)


def _default_project(request: pytest.FixtureRequest) -> str:
    from .sandbox.finding import nearest_project

    given = _setting(request.config, "project")
    return str(given) if given else nearest_project(Path(request.path), request.config.rootpath)


def _setting(config: pytest.Config, name: str) -> Any:
    """What an option of ours says, or else the key of the ini file that mirrors it."""
    return config.getoption(f"sqlmesh_tracker_{name}") or config.getini(f"sqlmesh_tracker_{name}")


def _strict_test(item: pytest.Item) -> StrictTest | None:
    """By what a test is judged; None if it is not in strict mode.

    Raises:
        MarkerError: its markers can't be meant.
        UsageError: the gate policy can't.
    """
    by_default = item.config.stash[_STRICT]
    arguments = _marker_arguments(item, "sqlmesh_tracker", "strict", "allow_skips")
    if not (arguments or by_default):
        return None
    from .strict import StrictTest, strict_options

    strict, allowed = strict_options(arguments)
    if not (by_default if strict is None else strict):
        return None
    return StrictTest(_policy(item.config), allowed, item.config.stash[_TODAY])


def _policy(config: pytest.Config) -> GatePolicy:
    """The gate policy of the root folder, read once."""
    from .gate import GatePolicy

    if _POLICY not in config.stash:
        try:
            config.stash[_POLICY] = GatePolicy.nearest(config.rootpath)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
    return config.stash[_POLICY]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options, and the keys of ini files that mirror them."""
    group = parser.getgroup("sqlmesh")
    what = "the SQLMesh project that sqlmesh_project copies, relative to the root folder"
    group.addoption("--sqlmesh-tracker-project", metavar="PATH", help=what)
    parser.addini("sqlmesh_tracker_project", what, default="")
    what = "unexpected outcomes that a test does not assert are errors, by the gate policy"
    group.addoption("--sqlmesh-tracker-strict", action="store_true", help=what)
    parser.addini("sqlmesh_tracker_strict", what, type="bool", default=False)
    what = "write the reports of all tests to a file: .json, .md or .html"
    group.addoption("--sqlmesh-tracker-report", action="append", metavar="PATH", help=what)
    parser.addini("sqlmesh_tracker_report", f"{what}; a path a line", type="linelist", default=[])


def pytest_collection_finish(session: pytest.Session) -> None:
    """A policy that can't be read is told before the first test that is judged by it."""
    # Workers of xdist have no way to do so: there, it is the error of each of these tests.
    for item in [] if _is_worker(session.config) else session.items:
        if "sqlmesh_tracker" in getattr(item, "fixturenames", ()):
            # A wrong marker is its own test's error.
            with suppress(ValueError):
                _strict_test(item)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note that not all tests run."""
    for item in items[:1]:
        item.config.stash[_DESELECTED] = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """In strict mode, what a passed test left unasserted is an error after its teardown."""
    result = yield
    test = item.stash.get(_TEST, None)
    if test and test.strict and test.passed:
        reports = test.tracker.reports
        complaint = test.strict.complaint(reports, unraised=test.returned)
        if complaint:
            pytest.fail(complaint, pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a failing test's invocations; hand those of every test to the session."""
    report = yield
    test = item.stash.get(_TEST, None)
    if test is None:
        return report
    if report.when == "call":
        test.passed = report.passed
    if report.failed and test.tracker.reports:
        report.sections.append((_SECTION, _tables(test.tracker.reports, item.config)))
    # Attributes of a report travel from xdist's workers to the controller. In each phase: a test
    # that is retried may not report its teardown.
    report.sqlmesh_runs = test.new_runs()  # type: ignore[attr-defined]
    if report.when == "teardown":
        if test.strict:
            deselected = item.config.stash.get(_DESELECTED, False)
            report.sqlmesh_strict = {"deselected": deselected}  # type: ignore[attr-defined]
        if item.config.getoption("xmlpath", None):
            from .render.junit import properties

            report.user_properties += properties(test.tracker.reports)
        del item.stash[_TEST]
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; collect what tests report, where the summary is written."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    try:
        config.stash[_STRICT] = _setting(config, "strict")
    except (ValueError, pytest.UsageError) as error:
        raise pytest.UsageError(f"sqlmesh_tracker_strict: {error}") from None
    # The real day: a test may be shown another one.
    config.stash[_TODAY] = datetime.now(timezone.utc).date()
    if not _is_worker(config):
        config.pluginmanager.register(_Session(_report_paths(config)), "sqlmesh_tracker_session")


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _report_paths(config: pytest.Config) -> list[Path]:
    """The files that reports are to be written to."""
    paths = _setting(config, "report")
    if not paths:
        return []
    from .render.files import checked_path

    by_option = config.getoption("sqlmesh_tracker_report")
    folder = config.invocation_params.dir if by_option else config.rootpath
    try:
        return list(dict.fromkeys(checked_path(folder / path) for path in paths))
    except ValueError as error:
        raise pytest.UsageError(f"sqlmesh_tracker_report: {error}") from None


class _Session:
    """Collects the invocations of all tests; at the end, writes them and tells their totals."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._reports = SessionReports()
        self._strict = self._deselected = False
        self._faults: list[str] = []
        self._files: list[tuple[str, dict[str, bool]]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.add(report.nodeid, getattr(report, "sqlmesh_runs", ()))
        strict = getattr(report, "sqlmesh_strict", None)
        if strict:
            self._strict, self._deselected = True, strict["deselected"]

    # First: what others do at the end can go wrong.
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        for item in getattr(session, "items", ()):
            # One that is still going was cut off, by Ctrl-C.
            if _TEST in item.stash:
                self._reports.add(item.nodeid, item.stash[_TEST].new_runs())
        if not session.config.option.collectonly:
            self._write(session)
        if self._strict:
            self._faults = self._faults_of_policy(session)

    def _write(self, session: pytest.Session) -> None:
        folder = session.config.invocation_params.dir
        for path, failure in self._reports.write(self._paths):
            shown = path.relative_to(folder) if path.is_relative_to(folder) else path
            said = f"could not be written: {failure}" if failure else "written"
            self._files.append((f"sqlmesh: {shown} {said}", {"red": bool(failure)}))
            if failure:
                session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def _faults_of_policy(self, session: pytest.Session) -> list[str]:
        from .strict import faults_of

        config = session.config
        stopped = session.shouldfail or session.shouldstop or session.exitstatus not in (0, 1)
        selected = self._deselected or config.getoption("lf", False)
        folders = all((config.invocation_params.dir / arg).is_dir() for arg in config.args)
        complete = folders and not (stopped or selected)
        reports = [report for _, report in self._reports.all]
        return faults_of(_policy(config), reports, config.stash[_TODAY], complete=complete)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._reports.by_test:
            self._tell_totals(terminalreporter)
        if self._faults:
            terminalreporter.section("sqlmesh gate policy", yellow=True)
            for fault in self._faults:
                terminalreporter.line(fault)
        for line, color in self._files:
            terminalreporter.line(line, **color)

    def _tell_totals(self, terminalreporter: pytest.TerminalReporter) -> None:
        from .render.words import totals_line

        by_test = self._reports.by_test
        if terminalreporter.config.get_verbosity() > 0:
            terminalreporter.section(_SECTION)
            for test, reports in by_test.items():
                terminalreporter.line(test, bold=True)
                terminalreporter.line(_tables(reports, terminalreporter.config))
                terminalreporter.line("")
        totals = totals_line([report for _, report in self._reports.all], len(by_test))
        terminalreporter.line(f"sqlmesh: {totals}")


def _tables(reports: list[RunReport], config: pytest.Config) -> str:
    from .render.terminal import tables

    terminal = config.pluginmanager.get_plugin("terminalreporter")
    width = terminal._tw.fullwidth if terminal else 100
    return tables(reports, width=max(80, width))
