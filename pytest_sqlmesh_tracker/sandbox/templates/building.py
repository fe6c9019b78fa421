"""Builds a template: copies a project's files and databases, then loads and plans it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sqlmesh.core.config import Config
from sqlmesh.utils.date import to_datetime
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.models.config_files import no_project_in
from pytest_sqlmesh_tracker.process.state import (
    ProcessSettings,
    SettingsChanges,
    process_state_restored,
    project_modules,
)
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.sandbox.clock import STATEMENT, Clock, shown
from pytest_sqlmesh_tracker.sandbox.context import SandboxContext
from pytest_sqlmesh_tracker.sandbox.data.models import index_of
from pytest_sqlmesh_tracker.sandbox.data.stubs import Stubs
from pytest_sqlmesh_tracker.sandbox.databases.arrivals import let_rows_arrive
from pytest_sqlmesh_tracker.sandbox.databases.duckdb.sqlmesh_objects import (
    check_kept_state,
    remove_models,
    remove_state,
)
from pytest_sqlmesh_tracker.sandbox.databases.externals import EmptyTables
from pytest_sqlmesh_tracker.sandbox.databases.gateways import WAYS_OUT, Databases
from pytest_sqlmesh_tracker.sandbox.databases.postgres.server import PostgresServer
from pytest_sqlmesh_tracker.sandbox.databases.raw_data import Setup, call_setup, load_setup
from pytest_sqlmesh_tracker.sandbox.databases.warehouse import Warehouse
from pytest_sqlmesh_tracker.sandbox.faults import Faults
from pytest_sqlmesh_tracker.sandbox.files.copies import Files, UsersPaths, bring, copy_paths
from pytest_sqlmesh_tracker.sandbox.files.loading import LoadedFiles, read_configs, recording_loader
from pytest_sqlmesh_tracker.sandbox.in_force import Surroundings
from pytest_sqlmesh_tracker.sandbox.options import (
    DatabaseState,
    PlanScope,
    ProjectOptions,
    SandboxError,
)
from pytest_sqlmesh_tracker.sandbox.problems.database_objects import inherited, missing_tables
from pytest_sqlmesh_tracker.sandbox.problems.failures import Help, failed_plan
from pytest_sqlmesh_tracker.sandbox.problems.hints import Hints
from pytest_sqlmesh_tracker.sandbox.problems.variables import check_variables
from pytest_sqlmesh_tracker.sandbox.templates.inputs.known import Inputs
from pytest_sqlmesh_tracker.sandbox.templates.inputs.recording import Recorder
from pytest_sqlmesh_tracker.sandbox.templates.kept.keeper import Keeper
from pytest_sqlmesh_tracker.wording.printable import without_escape_codes

from .planning import LeftOut, plan_template
from .project import CopiedProject
from .template import Template


def build_template(
    options: ProjectOptions,
    folder: Path,
    *,
    root: Path,
    scratch: Path,
    server: PostgresServer,
    keeper: Keeper,
    config: Config | str | None = None,
    setup: Setup | None = None,
) -> Template:
    """Copy, load and plan a project, or restore it as it was planned before.

    The clock shows the options' time.

    Args:
        folder: an empty folder for this template alone.
        root: the folder that relative paths start from.
        scratch: the folder of all sandboxes, which is never part of a project.
        server: the server of databases in PostgreSQL.
        keeper: restores the template if it was planned before, and keeps it.
        config: a configuration to use instead of the project's own.
        setup: a function called with a connection before the plan, after the options' SQL files.

    Raises:
        SandboxError: the project can't be planned; the message contains SQLMesh's own message.
    """
    paths = [(root / path).resolve() for path in options.paths]
    hints = Hints(tuple(paths))
    # The modules of a sandbox that is still open are not part of the state to restore.
    project_modules.remove()
    with (
        process_state_restored((*paths, folder)),
        _modules_removed(),
        _errors_explained(hints, UsersPaths.of_copies(paths, (folder,))),
    ):
        before = ProcessSettings.current()
        project = _copied_project(options, paths, folder, scratch, server, config)
        sources = project.databases.copy_sources(folder)
        settings = ProcessSettings.current().changes_since(before)
        inputs = Inputs(options, root, project, settings, setup)

        def plan(recorder: Recorder) -> Template:
            with _errors_explained(hints, UsersPaths.of_copies(paths, (folder,))):
                return _planned(inputs, hints, before, sources, recorder)

        return keeper.get(inputs, plan)


def _planned(
    inputs: Inputs,
    hints: Hints,
    before: ProcessSettings,
    sources: Mapping[Path, Path],
    recorder: Recorder,
) -> Template:
    """Load and plan a project whose files and databases are copied.

    Args:
        before: the settings of the process before the configuration was read.
        sources: the copies of databases → the user's own.
    """
    options, project = inputs.options, inputs.project
    folder, paths = project.folder, list(project.configs)
    clock = Clock(options.at or datetime.now(timezone.utc), tick=False)
    surroundings = Surroundings(clock, SettingsChanges({}, ()))
    began = clock.now
    empty_tables = EmptyTables()
    stubs = Stubs({name: data.below(inputs.root) for name, data in options.stub.items()})
    with (
        surroundings.in_use(),
        _template_context(project, options, surroundings, empty_tables, stubs, recorder) as (
            context,
            recorded,
        ),
    ):
        # The clock has set it, as the clock of each sandbox does.
        before = before.but(TZ=os.environ["TZ"])
        _prepare_state(context, options, project.databases, began)
        loaded = _load(context, options, project.databases, folder, recorded)
        _check_start(context, began)
        settings_changes = ProcessSettings.current().changes_since(before)
        if options.state is DatabaseState.FRESH:
            models = list(context.models.values())
            remove_models(context.used_adapters, models, context.selected_gateway)
        # The databases do not contain anything of the test's own yet.
        hints = replace(
            hints,
            inherited=inherited(context.duckdb_adapters.values(), sources),
            arriving=tuple(options.arrivals),
        )
        with _errors_explained(hints, context.users_paths):
            _load_raw_data(context, options, inputs.root, inputs.setup)
            empty_tables.create(context)
            # Before anything reads the tables: PostgreSQL's views would read what they were.
            arrivals = let_rows_arrive(context, options.arrivals, index_of(context))
            stubs.fill(context)
            left_out = LeftOut()
            if options.plan is not PlanScope.NOTHING:
                left_out = _plan(context, options, hints)
                _warm_caches(context, options.environment)
    own = {name for each in loaded.values() for name in each.project.models}
    return Template(
        options=options,
        root=inputs.root,
        stubs=stubs,
        project=project,
        files=Files(folder / "project"),
        loaded={path: loaded[project.place(path, folder)] for path in paths},
        postgres=context.connections.templates,
        selection=context.selection,
        reads_state=bool(context.models.keys() - own),
        empty_tables=empty_tables,
        arrivals=arrivals,
        settings_changes=settings_changes,
        hints=hints,
        left_out=left_out,
        began=began,
        ready=clock.now + STATEMENT,
    )


@contextmanager
def _modules_removed() -> Iterator[None]:
    try:
        yield
    finally:
        project_modules.remove()


@contextmanager
def _errors_explained(hints: Hints, users_paths: UsersPaths) -> Iterator[None]:
    """Raise errors of SQLMesh and of the project's own code as sandbox errors.

    Their messages have the user's paths, and the helpful hints that they do not contain yet.
    """

    def explained(message: str) -> str:
        message = users_paths.in_text(without_escape_codes(message))
        return "\n\n".join([message, *(hint for hint in hints.of(message) if hint not in message)])

    try:
        yield
    except SandboxError as error:
        message = explained(str(error))
        if message == str(error):
            raise
        raise SandboxError(message) from error
    except Exception as error:
        kind = "" if isinstance(error, SQLMeshError) else f"{type(error).__name__}: "
        names = ", ".join(map(str, hints.projects))
        raise SandboxError(
            explained(f"the project {names} can't be loaded: {kind}{error}")
        ) from error


def _copied_project(
    options: ProjectOptions,
    paths: list[Path],
    folder: Path,
    scratch: Path,
    server: PostgresServer,
    config: Config | str | None,
) -> CopiedProject:
    """The project with a first copy of its files, before anything is loaded."""
    _check_paths(paths, config)
    configs = read_configs(paths, config)
    warehouse = (
        Warehouse.of(paths, config.model_defaults.dialect) if isinstance(config, Config) else None
    )
    databases = Databases(
        configs, options.gateway, state=options.state, warehouse=warehouse, server=server
    )
    copy_paths(paths, folder / "project", scratch)
    check_variables(options.variables, configs.values(), folder / "project")
    return CopiedProject(folder, configs, databases, options.variables)


def _check_paths(paths: Iterable[Path], config: Config | str | None) -> None:
    for path in paths:
        complaint = no_project_in(path)
        if complaint and not (path.is_dir() and isinstance(config, Config)):
            raise SandboxError(complaint)


@contextmanager
def _template_context(
    project: CopiedProject,
    options: ProjectOptions,
    surroundings: Surroundings,
    empty_tables: EmptyTables,
    stubs: Stubs,
    recorder: Recorder,
) -> Iterator[tuple[SandboxContext, Mapping[Path, LoadedFiles]]]:
    """A context on the template itself; on exit, everything that it has stored is in the files.

    Yields:
        The context, and what it has loaded so far, by path.
    """
    recorded: dict[Path, LoadedFiles] = {}
    context = project.new_context(
        project.folder,
        surroundings=surroundings,
        faults=Faults(),
        loaders={
            path: recording_loader(recorded, project.loader(path)) for path in project.configs
        },
        empty_tables=empty_tables,
        stubs=stubs,
        selectors=options.select,
        of_template=True,
    )
    try:
        yield context, recorded
        recorder.duckdb.finish()
        context.connections.keep()
    finally:
        context.close()


def _prepare_state(
    context: SandboxContext, options: ProjectOptions, databases: Databases, began: datetime
) -> None:
    """Remove SQLMesh's state that the user's files contain, or check it if it is kept."""
    if options.state is DatabaseState.KEEP:
        state = context.config.get_state_connection(context.selected_gateway)
        adapter = state.create_engine_adapter() if state else context.engine_adapter
        check_kept_state(adapter, databases.state_schema, began)
        return
    for adapter in context.duckdb_adapters.values():
        schemas = context.config.physical_schema_mapping.values()
        remove_state(adapter, databases.state_schema, schemas)


def _load(
    context: SandboxContext,
    options: ProjectOptions,
    databases: Databases,
    folder: Path,
    recorded: Mapping[Path, LoadedFiles],
) -> dict[Path, LoadedFiles]:
    """Load the project.

    Args:
        recorded: what the context has loaded so far, by path, even if it fails to load the rest.

    Returns:
        What it has loaded, by path, with the models that it kept.
    """
    adapter: Any = context.engine_adapter
    adapter.attach(databases.catalogs())
    try:
        _load_files(context, folder)
    except Exception as error:
        # Models without their gateways have no catalog, for which SQLMesh reports another error.
        for each in recorded.values():
            _check_gateways(each.project.models.values(), databases)
        # SQLMesh gives the gateway's name only in the message.
        gateway = next((g for g in databases.left_out if f"'{g}'" in str(error)), None)
        if gateway is None:
            raise
        raise _gateway_error(gateway, databases, str(error)) from error
    _check_gateways(context.models.values(), databases)
    adapter.attach(databases.catalogs(context.models.values()))
    if context.selection is not None and not context.selection.models:
        raise SandboxError(f"select: no model matches {', '.join(options.select)}")
    return {path: each.updated(context) for path, each in recorded.items()}


def _load_files(context: SandboxContext, folder: Path) -> None:
    """Load the project, with the files that it reads beside its folder, mostly seeds."""
    anchor = next(iter(context.configs)).anchor
    while True:
        try:
            context.load()
            return
        except Exception as error:
            if not bring(str(error), folder / "project", anchor):
                raise


def _check_gateways(models: Iterable[Any], databases: Databases) -> None:
    for model in models:
        if model.gateway in databases.left_out:
            raise _gateway_error(model.gateway, databases, f"{model.name} uses it")


def _gateway_error(gateway: str, databases: Databases, why: str) -> SandboxError:
    reason = databases.left_out[gateway]
    return SandboxError(f"the gateway {gateway} {reason}, and {why}.\n{WAYS_OUT}")


def _check_start(context: SandboxContext, began: datetime) -> None:
    """Reject a time before anything of the project can be loaded."""
    starts = [
        _start(context, model)
        for model in context.models.values()
        if not (model.kind.is_external or model.kind.is_seed)
    ]
    if starts and None not in starts:
        earliest = min(to_datetime(start) for start in starts if start is not None)
        if began < earliest:
            raise SandboxError(
                f"at={shown(began)} is before the project's start, {shown(earliest)}"
            )


def _load_raw_data(
    context: SandboxContext, options: ProjectOptions, root: Path, setup: Setup | None
) -> None:
    adapter: Any = context.engine_adapter
    load_setup(adapter, [root / file for file in options.setup])
    if setup is not None:
        call_setup(adapter, setup)


def _plan(context: SandboxContext, options: ProjectOptions, hints: Hints) -> LeftOut:
    """Plan the environment."""
    return plan_template(
        context,
        options.environment,
        scope=options.plan,
        explain=lambda report: _explanation(context, report, hints),
    )


def _warm_caches(context: SandboxContext, environment: str) -> None:
    """Read and compute once what every copy would otherwise read and compute by itself."""
    stored = context.state_reader.get_environment(environment)
    if stored is not None:
        context.shared_snapshots.update(dict.fromkeys(s.snapshot_id for s in stored.snapshots))
        # This bypasses the in-memory cache, which has the plan's snapshots, not the state's.
        sync: Any = context.state_sync
        sync.state_sync.get_snapshots(stored.snapshots)
    # Computed fingerprints become part of the models, so that copies get them with the models.
    context.snapshots  # noqa: B018


def _explanation(context: SandboxContext, report: RunReport, hints: Hints) -> str:
    """Why models failed in a plan."""

    def missing(outcomes: Iterable[ModelOutcome]) -> list[str]:
        return missing_tables(context, [outcome.fqn for outcome in outcomes])

    def help_with(error: str) -> list[Help]:
        undeclared = context.empty_tables.explained_in(error)
        return [*map(Help, hints.of(error)), *(Help(each.advice, each.name) for each in undeclared)]

    def first_due(outcome: ModelOutcome) -> datetime:
        model = context.models[outcome.fqn]
        start = _start(context, model) or report.execution_time
        due: datetime = to_datetime(model.cron_next(start))
        return due

    return failed_plan(report, help_with=help_with, missing=missing, first_due=first_due)


def _start(context: SandboxContext, model: Any) -> Any:
    return context.config.model_defaults.start if model.start is None else model.start
