"""The pytest plugin: the only module that imports pytest.

Importing it, and a session that uses none of it, import nothing heavy: sqlmesh and all that reads
reports is imported where it is first needed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext, suppress
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sqlmesh_tracker.pytest_plugin.session import SessionReports
from pytest_sqlmesh_tracker.pytest_plugin.settings import add_options, setting
from pytest_sqlmesh_tracker.pytest_plugin.tries import Repeated, Tries, place_of

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.pytest_plugin.strict import StrictTest
    from pytest_sqlmesh_tracker.reports.report import RunReport
    from pytest_sqlmesh_tracker.sandbox.options import ProjectOptions
    from pytest_sqlmesh_tracker.sandbox.sandbox import Sandbox
    from pytest_sqlmesh_tracker.sandbox.template import Templates
    from pytest_sqlmesh_tracker.tracking.tracker import Tracker

    from .gate import GatePolicy

_SECTION = "sqlmesh runs"
_MARKERS = (
    'sqlmesh_project(path=None, *, gateway=None, at=None, environment="prod", variables=None, '
    'plan=True, setup=None, state="fresh", tick=True, select=None): which SQLMesh project the '
    "fixture sqlmesh_project copies, and how it is planned",
    "sqlmesh_tracker(strict=None, allow_skips=None): whether unexpected outcomes that the test "
    "does not assert are an error, and which skips are expected: a mapping of globs to reasons",
)
_TRIES = pytest.StashKey[Tries]()
_STRICT = pytest.StashKey[bool]()
_TODAY = pytest.StashKey[date]()
_POLICY = pytest.StashKey["GatePolicy"]()
_DESELECTED = pytest.StashKey[bool]()


@pytest.fixture
def sqlmesh_tracker(request: pytest.FixtureRequest) -> Iterator[Tracker]:
    """A `Tracker` of every SQLMesh context that the test uses.

    It also tracks contexts that the test makes itself.
    """
    from pytest_sqlmesh_tracker.process.frozen import FrozenClockError, check_tracked_tests

    try:
        check_tracked_tests()
        strict = _strict_test(request.node)
    except (ValueError, FrozenClockError, pytest.UsageError) as error:
        raise pytest.fail.Exception(f"sqlmesh_tracker: {error}", pytrace=False) from None
    from pytest_sqlmesh_tracker.reports.listening import listening
    from pytest_sqlmesh_tracker.tracking.tracker import track_all

    with track_all() as tracker, listening(strict.asserted) if strict else nullcontext():
        tried = request.node.stash.setdefault(_TRIES, Tries()).current
        tried.tracker, tried.strict = tracker, strict
        yield tracker


@pytest.fixture
def sqlmesh_project_config() -> Any:
    """Override it to return the configuration of sandboxes.

    Return a SQLMesh `Config`, or the name of one in the project's `config.py`. None, the default,
    means the project's own configuration. The override may have a wider scope.
    """
    return None


@pytest.fixture
def sqlmesh_project_setup() -> Callable[[Any], Any] | None:
    """Override it to return a function that loads raw data before the project is planned.

    The function is called with a DuckDB connection. The override may have a wider scope.
    """
    return None


@pytest.fixture(scope="session")
def _sqlmesh_templates(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Templates]:
    """The planned projects of the session."""
    # SQLMesh is imported with it; what that warns of is not the test's.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytest_sqlmesh_tracker.sandbox.template import Templates

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
) -> Iterator[Sandbox]:
    """An isolated copy of the planned SQLMesh project, with a clock and faults of its own.

    The marker `sqlmesh_project` says which project is copied. The copy is tracked by the fixture
    `sqlmesh_tracker`.
    """
    from pytest_sqlmesh_tracker.pytest_plugin.markers import MarkerError
    from pytest_sqlmesh_tracker.sandbox.clock import check_not_frozen
    from pytest_sqlmesh_tracker.sandbox.options import SandboxError

    try:
        check_not_frozen()
        options = _project_options(request)
        # Not among the arguments: it would come first, and import SQLMesh under a frozen clock.
        templates: Templates = request.getfixturevalue("_sqlmesh_templates")
        template = templates.get(options, sqlmesh_project_config, sqlmesh_project_setup)
    except (SandboxError, MarkerError) as error:
        raise pytest.fail.Exception(f"sqlmesh_project: {error}", pytrace=False) from None
    from pytest_sqlmesh_tracker.sandbox.sandbox import Sandbox

    project = Sandbox(template, templates.new_folder(), sqlmesh_tracker)
    tried = request.node.stash[_TRIES].current
    tried.returned = project.returned
    tried.hints = lambda: project.hints
    yield project
    # A test that was cut off has not come to all that its faults were for.
    project.close(warn=tried.passed)


@pytest.fixture
def sqlmesh_context(sqlmesh_project: Sandbox) -> Any:
    """The SQLMesh context of `sqlmesh_project`."""
    return sqlmesh_project.context


@pytest.fixture
def materialize_sqlmesh(sqlmesh_project: Sandbox) -> Iterator[Callable[..., Any]]:
    """A function that materializes Dagster assets with SQLMesh on the test's `sqlmesh_project`.

    `materialize_sqlmesh(*assets, selection=None, resources=None, run_config=None)` binds each
    `SqlmeshResource` to the sandbox and returns Dagster's `ExecuteInProcessResult`, also after a
    failure. `selection` is a key, a list of keys or an `AssetSelection`; `resources` are those that
    the assets need besides SQLMesh's. All calls of a test share one Dagster instance. It needs the
    extra `dagster`.
    """
    try:
        from pytest_sqlmesh_tracker.dagster.testing import materializing
    except ModuleNotFoundError as error:
        pytest.fail(f"materialize_sqlmesh: {error}; it is in the extra `dagster`", pytrace=False)
    with materializing(sqlmesh_project) as materialize:
        yield materialize


def _project_options(request: pytest.FixtureRequest) -> ProjectOptions:
    """What the markers of a test ask for, the closest first, then the option, then the ini file."""
    from dataclasses import replace

    from pytest_sqlmesh_tracker.pytest_plugin.markers import marker_arguments
    from pytest_sqlmesh_tracker.sandbox.options import project_options

    options = project_options(marker_arguments(request.node, "sqlmesh_project", "path"))
    return options if options.paths else replace(options, paths=(_default_project(request),))


def _default_project(request: pytest.FixtureRequest) -> str:
    from pytest_sqlmesh_tracker.sandbox.finding import nearest_project

    given = setting(request.config, "project")
    return str(given) if given else nearest_project(Path(request.path), request.config.rootpath)


def _strict_test(item: pytest.Item) -> StrictTest | None:
    """By what a test is judged; None if it is not in strict mode.

    Raises:
        MarkerError: its markers can't be meant.
        UsageError: the gate policy can't.
    """
    from pytest_sqlmesh_tracker.pytest_plugin.markers import marker_arguments

    by_default = item.config.stash[_STRICT]
    arguments = marker_arguments(item, "sqlmesh_tracker", "strict", "allow_skips")
    if not (arguments or by_default):
        return None
    from pytest_sqlmesh_tracker.pytest_plugin.strict import StrictTest, strict_options

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
    add_options(parser)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Before the first tracked test: import what it needs, and reject an unreadable policy."""
    tracked = [i for i in session.items if "sqlmesh_tracker" in getattr(i, "fixturenames", ())]
    if tracked and not session.config.option.collectonly:
        from pytest_sqlmesh_tracker.process.frozen import import_for_tracked_tests

        import_for_tracked_tests()
    # Workers of xdist can't reject a policy: there, it is the error of each of these tests.
    for item in [] if _is_worker(session.config) else tracked:
        # A wrong marker is its own test's error.
        with suppress(ValueError):
            _strict_test(item)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note that not all tests run."""
    for item in items[:1]:
        item.config.stash[_DESELECTED] = True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A tracked test that is set up again is repeated, whichever plugin does so."""
    if _TRIES in item.stash:
        item.stash[_TRIES].begin()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Note that a test passed: of the tries that pytest-retry adds, it makes no report."""
    result = yield
    if _TRIES in item.stash:
        item.stash[_TRIES].current.passed = True
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """In strict mode, what a passed test left unasserted is an error after its teardown."""
    result = yield
    tried = item.stash[_TRIES].current if _TRIES in item.stash else None
    if tried and tried.strict and tried.passed:
        complaint = tried.strict.complaint(tried.reports, unraised=tried.returned)
        if complaint:
            pytest.fail(complaint, pytrace=False)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a failing test's invocations; hand those of every test to the session."""
    report = yield
    if _TRIES not in item.stash:
        return report
    tries = item.stash[_TRIES]
    tried = tries.current
    if report.when == "call" and not report.passed:
        tried.passed = False
    if report.failed and tried.reports:
        shown = "\n\n".join([_tables(tried.reports, item.config), *tried.hints()])
        report.sections.append((_SECTION, shown))
    # Attributes of a report travel from xdist's workers to the controller.
    report.sqlmesh_tries = tries.hand_over()  # type: ignore[attr-defined]
    report.sqlmesh_item = place_of(item)  # type: ignore[attr-defined]
    if report.when == "teardown":
        if tried.strict:
            deselected = item.config.stash.get(_DESELECTED, False)
            report.sqlmesh_strict = {"deselected": deselected}  # type: ignore[attr-defined]
        if item.config.getoption("xmlpath", None):
            from pytest_sqlmesh_tracker.render.junit import properties

            report.user_properties += properties(tried.reports, tried.number - 1)
        tries.end()
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; collect what tests report, where the summary is written."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    try:
        config.stash[_STRICT] = setting(config, "strict")
    except (ValueError, pytest.UsageError) as error:
        raise pytest.UsageError(f"sqlmesh_tracker_strict: {error}") from None
    # The real day: a test may be shown another one.
    config.stash[_TODAY] = datetime.now(timezone.utc).date()
    if not _is_worker(config):
        config.pluginmanager.register(_Session(config), "sqlmesh_tracker_session")


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _report_paths(config: pytest.Config) -> list[Path]:
    """The files that reports are to be written to."""
    paths = setting(config, "report")
    if not paths:
        return []
    from pytest_sqlmesh_tracker.render.files import checked_path

    by_option = config.getoption("sqlmesh_tracker_report")
    folder = config.invocation_params.dir if by_option else config.rootpath
    try:
        return list(dict.fromkeys(checked_path(folder / path) for path in paths))
    except ValueError as error:
        raise pytest.UsageError(f"sqlmesh_tracker_report: {error}") from None


class _Session:
    """Collects the invocations of all tests; at the end, writes them and tells their totals."""

    def __init__(self, config: pytest.Config) -> None:
        self._paths = _report_paths(config)
        self._reports = SessionReports(each=config.getoption("dist", "no") == "each")
        self._repeated = Repeated()
        self._strict = self._deselected = False
        self._faults: list[str] = []
        self._files: list[tuple[str, dict[str, bool]]] = []

    # Before the JUnit file is told.
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.receive(report)
        repeated = self._repeated.ends_with(report)
        # Nothing is imported for tests that are not tracked.
        if repeated and any(name.startswith("sqlmesh_") for name, _ in report.user_properties):
            from pytest_sqlmesh_tracker.render.junit import other_properties

            report.user_properties = other_properties(report.user_properties)
        strict = getattr(report, "sqlmesh_strict", None)
        if strict:
            self._strict, self._deselected = True, strict["deselected"]

    # First: what others do at the end can go wrong.
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        for item in getattr(session, "items", ()):
            # One that is still going was cut off, by Ctrl-C.
            if _TRIES in item.stash:
                tries = item.stash[_TRIES].hand_over()
                self._reports.add(item.nodeid, tries, item=place_of(item))
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
        from pytest_sqlmesh_tracker.pytest_plugin.strict import faults_of

        config = session.config
        stopped = session.shouldfail or session.shouldstop or session.exitstatus not in (0, 1)
        selected = self._deselected or config.getoption("lf", False)
        folders = all((config.invocation_params.dir / arg).is_dir() for arg in config.args)
        complete = folders and not (stopped or selected)
        reports = [report for _, report in self._reports.all]
        return faults_of(_policy(config), reports, config.stash[_TODAY], complete=complete)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._reports.all:
            self._tell_totals(terminalreporter)
        if self._faults:
            terminalreporter.section("sqlmesh gate policy", yellow=True)
            for fault in self._faults:
                terminalreporter.line(fault)
        for line, color in self._files:
            terminalreporter.line(line, **color)

    def _tell_totals(self, terminalreporter: pytest.TerminalReporter) -> None:
        from pytest_sqlmesh_tracker.render.words import totals_line

        by_test = self._reports.by_test
        if terminalreporter.config.get_verbosity() > 0:
            terminalreporter.section(_SECTION)
            for test, reports in by_test.items():
                terminalreporter.line(test, bold=True)
                # The summary is the only text that no file is made of: pytest's colors are right.
                colored = terminalreporter.hasmarkup
                terminalreporter.line(_tables(reports, terminalreporter.config, color=colored))
                terminalreporter.line("")
        totals = totals_line([report for _, report in self._reports.all], len(by_test))
        terminalreporter.line(f"sqlmesh: {totals}")


def _tables(reports: list[RunReport], config: pytest.Config, *, color: bool = False) -> str:
    from pytest_sqlmesh_tracker.render.terminal import tables

    terminal = config.pluginmanager.get_plugin("terminalreporter")
    width = terminal._tw.fullwidth if terminal else 100
    return tables(reports, width=max(80, width), color=color)
