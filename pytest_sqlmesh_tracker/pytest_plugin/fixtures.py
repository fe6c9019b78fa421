"""The fixtures of the plugin. Heavy modules are imported when a test requests a fixture."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .settings import setting
from .tries import Tries

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.sandbox.making import SandboxMaker
    from pytest_sqlmesh_tracker.sandbox.sandbox import Sandbox
    from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
    from pytest_sqlmesh_tracker.tracking.tracker import Tracker
from .configuration import RETURNED, TRIES, is_worker, strict_test


@pytest.fixture
def sqlmesh_tracker(request: pytest.FixtureRequest) -> Iterator[Tracker]:
    """A `Tracker` of every SQLMesh context that the test uses.

    It also tracks contexts that the test makes itself.
    """
    from pytest_sqlmesh_tracker.process.frozen import FrozenClockError

    from .first_imports import check_tracked_tests

    try:
        check_tracked_tests()
        strict = strict_test(request.node)
    except (ValueError, FrozenClockError, pytest.UsageError) as error:
        raise pytest.fail.Exception(f"sqlmesh_tracker: {error}", pytrace=False) from None
    from pytest_sqlmesh_tracker.reports.observers import observing
    from pytest_sqlmesh_tracker.tracking.tracker import track_all

    with track_all() as tracker, observing(strict.asserted) if strict else nullcontext():
        tried = request.node.stash.setdefault(TRIES, Tries()).current
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

    The function is called with a connection: of DuckDB, or of psycopg2 if the project is in
    PostgreSQL. What it does there is committed. The override may have a wider scope.
    """
    return None


@pytest.fixture(scope="session")
def _sqlmesh_templates(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Templates]:
    """The planned projects of the session."""
    # This imports SQLMesh, whose warnings do not concern the test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates

        from .templates.keeping import session_keeper

    scratch = tmp_path_factory.getbasetemp()
    if is_worker(request.config):
        # xdist gives each worker a subfolder of the session's folder.
        scratch = scratch.parent
    programs = request.config.getini("sqlmesh_tracker_postgres")
    templates = Templates(
        request.config.rootpath,
        lambda: tmp_path_factory.mktemp("sqlmesh_project"),
        scratch,
        postgres=str(request.config.rootpath / Path(programs).expanduser()) if programs else None,
        keeper=session_keeper(request.config, scratch),
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
    from pytest_sqlmesh_tracker.sandbox.options import SandboxError

    with _of_test(
        request, "the marker sqlmesh_project", sqlmesh_project_config, sqlmesh_project_setup
    ) as sandboxes:
        try:
            project = sandboxes.of_test(sqlmesh_tracker)
        except SandboxError as error:
            raise pytest.fail.Exception(f"sqlmesh_project: {error}", pytrace=False) from None
        yield project


@pytest.fixture
def sqlmesh_sandboxes(
    request: pytest.FixtureRequest,
    sqlmesh_tracker: Tracker,  # noqa: ARG001
    sqlmesh_project_config: Any,
    sqlmesh_project_setup: Callable[[Any], Any] | None,
) -> Iterator[SandboxMaker]:
    """Makes further sandboxes: `with sqlmesh_sandboxes(path=None, **options) as project:`.

    The options are the arguments of the marker `sqlmesh_project`, `config=` and `setup=`, which can
    also be a function. Defaults are the test's marker and the fixtures `sqlmesh_project_config` and
    `sqlmesh_project_setup`. The clock of each sandbox is in force during its calls. Sandboxes that
    are still open at the end of the test are closed then.
    """
    with _of_test(
        request, "sqlmesh_sandboxes", sqlmesh_project_config, sqlmesh_project_setup
    ) as sandboxes:
        yield sandboxes


@pytest.fixture(scope="session")
def sqlmesh_project_factory(request: pytest.FixtureRequest) -> Iterator[SandboxMaker]:
    """Makes sandboxes for fixtures with a wider scope: `sqlmesh_project_factory(path, **options)`.

    The options are the arguments of the marker `sqlmesh_project`, which is not read, `config=` (a
    `Config` or its name) and `setup=`, which can also be a function. The clock of each sandbox is
    in force during its calls. Close a sandbox with `close()` or a `with` block; those that are
    still open at the end of the session are closed then.
    """
    name = "sqlmesh_project_factory"
    start = request.config.rootpath / "conftest.py"
    sandboxes = _sandboxes(request, name, {}, _default_project(request, start, "as path="))
    yield sandboxes
    sandboxes.close(warn=False)


@contextmanager
def _of_test(
    request: pytest.FixtureRequest,
    name: str,
    config: Any,
    setup: Callable[[Any], Any] | None,
) -> Iterator[SandboxMaker]:
    """What makes the sandboxes of a test, with the arguments of its markers as defaults."""
    from pytest_sqlmesh_tracker.sandbox.clock import check_not_frozen
    from pytest_sqlmesh_tracker.sandbox.options import SandboxError

    from .markers import MarkerError, marker_arguments

    try:
        check_not_frozen()
        arguments = marker_arguments(request.node, "sqlmesh_project", "path")
    except (SandboxError, MarkerError) as error:
        raise pytest.fail.Exception(f"{request.fixturename}: {error}", pytrace=False) from None
    path = _default_project(request, Path(request.path), "in the marker sqlmesh_project(path)")
    sandboxes = _sandboxes(request, name, arguments, path, config, setup)
    tried = request.node.stash[TRIES].current
    tried.hints.append(sandboxes.hints_on)
    yield sandboxes
    # A test that was cut off may not have reached the models that its faults were meant for.
    sandboxes.close(warn=tried.passed)


def _sandboxes(
    request: pytest.FixtureRequest,
    name: str,
    arguments: Mapping[str, Any],
    path: Callable[[], str],
    config: Any = None,
    setup: Callable[[Any], Any] | None = None,
) -> SandboxMaker:
    """What makes sandboxes.

    Args:
        name: what takes the options, for messages.
        arguments: the default options.
        path: finds the project if no option names one.
    """
    # Not an argument: it would be set up first, and import SQLMesh under a frozen clock.
    templates: Templates = request.getfixturevalue("_sqlmesh_templates")
    from pytest_sqlmesh_tracker.sandbox.making import Defaults, SandboxMaker

    defaults = Defaults(arguments, path, config, setup)
    return SandboxMaker(name, templates, defaults, request.config.stash[RETURNED].append)


def _default_project(request: pytest.FixtureRequest, start: Path, way: str) -> Callable[[], str]:
    """What finds the project: the option, then the ini file, then the folders from a file up.

    Args:
        way: how the caller can pass it, for messages.
    """

    def path() -> str:
        from pytest_sqlmesh_tracker.sandbox.files.nearest import nearest_project

        configured = setting(request.config, "project")
        root = request.config.rootpath
        return str(configured) if configured else nearest_project(start, root, way)

    return path


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
        pytest.fail(f"materialize_sqlmesh: {error}", pytrace=False)
    with materializing(sqlmesh_project) as materialize:
        yield materialize
