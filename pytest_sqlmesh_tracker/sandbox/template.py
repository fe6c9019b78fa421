"""Projects that are loaded and planned once, and copied for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import FunctionType
from typing import Any

from sqlmesh.core.config import Config
from sqlmesh.core.loader import LoadedProject
from sqlmesh.utils.date import to_datetime
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.process.imports import CONFIG_FILES
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.sandbox.databases.connections import Connections
from pytest_sqlmesh_tracker.sandbox.databases.externals import EmptyTables
from pytest_sqlmesh_tracker.sandbox.databases.gateways import WAYS_OUT, Databases
from pytest_sqlmesh_tracker.sandbox.databases.warehouse import Warehouse
from pytest_sqlmesh_tracker.sandbox.problems.existing import inherited, missing_tables
from pytest_sqlmesh_tracker.sandbox.problems.failures import failed_plan
from pytest_sqlmesh_tracker.sandbox.problems.hints import Hints
from pytest_sqlmesh_tracker.sandbox.problems.variables import check_variables
from pytest_sqlmesh_tracker.wording.printable import without_escape_codes

from .clock import STATEMENT, Clock, check_not_frozen, shown
from .context import Kept, SandboxContext, Selection
from .databases import contents
from .faults import Faults
from .files import Files, UsersPaths, bring, copy_paths
from .loading import (
    environment_kept,
    finished,
    keeping_loader,
    loader_of,
    read_configs,
    with_externals_of,
)
from .options import ProjectOptions, SandboxError
from .planning import LeftOut, plan_template


class Template:
    """A project as the options want it, planned in a folder of its own, ready to be copied."""

    def __init__(
        self,
        options: ProjectOptions,
        folder: Path,
        *,
        root: Path,
        scratch: Path,
        config: Config | str | None = None,
        setup: contents.Setup | None = None,
    ) -> None:
        """Load the project and plan it, under a clock that shows the options' time.

        Args:
            folder: an empty one, for this and for nothing else.
            root: what relative paths are relative to.
            scratch: where all sandboxes are, never a part of a project.
            config: instead of the project's own.
            setup: called with a connection before the plan, after the options' SQL files.

        Raises:
            SandboxError: it can't be planned; the message has SQLMesh's own words.
        """
        self.options = options
        self._folder = folder
        self._kept: Kept = {}
        self._empty_tables = EmptyTables()
        self._loaded: dict[Path, LoadedProject] = {}
        self._paths: dict[Path, Path] = {}
        self._selection = Selection(options.select) if options.select else None
        self.left_out = LeftOut()
        paths = [(root / path).resolve() for path in options.paths]
        self.hints = Hints(tuple(paths))
        with environment_kept(), self._told(paths):
            outside = dict(os.environ)
            _find_config(paths, config)
            self._configs = read_configs(paths, config)
            self.environment = {n: v for n, v in os.environ.items() if outside.get(n) != v}
            warehouse = (
                Warehouse.of(paths, config.model_defaults.dialect)
                if isinstance(config, Config)
                else None
            )
            self._databases = Databases(
                self._configs,
                options.gateway,
                keep=options.state == "keep",
                empty=options.state == "empty",
                warehouse=warehouse,
            )
            copies = copy_paths(paths, folder / "project", scratch)
            self._paths = {p: copy.relative_to(folder / "project") for p, copy in copies.items()}
            variables = [name for name, _ in options.variables]
            check_variables(variables, self._configs.values(), folder / "project")
            self._sources = self._databases.copy_sources(folder)
            self._prepare(root, setup)

    @contextmanager
    def _told(self, paths: Iterable[Path]) -> Iterator[None]:
        """Say of errors of SQLMesh, and of the project's own code, where they come from."""
        try:
            yield
        except SandboxError as error:
            words = self._with_hints(str(error))
            if words == str(error):
                raise
            raise SandboxError(words) from error
        except Exception as error:
            kind = "" if isinstance(error, SQLMeshError) else f"{type(error).__name__}: "
            names = ", ".join(map(str, paths))
            raise SandboxError(
                self._with_hints(f"the project {names} can't be loaded: {kind}{error}")
            ) from error

    def _with_hints(self, words: str) -> str:
        """The words with the user's paths, and with what helps, where they do not have it."""
        words = self._users_paths(self._folder).in_text(without_escape_codes(words))
        helpful = [hint for hint in self.hints.of(words) if hint not in words]
        return "\n\n".join([words, *helpful])

    def _prepare(self, root: Path, setup: contents.Setup | None) -> None:
        clock = Clock(self.options.at or datetime.now(timezone.utc), tick=False)
        self.began = clock.now
        clock.start()
        try:
            with self._new_context(self._folder, clock) as context:
                if self.options.state == "keep":
                    state = context.config.get_state_connection(context.selected_gateway)
                    adapter = state.create_engine_adapter() if state else context.engine_adapter
                    contents.check_kept_state(adapter, self._databases.state_schema, self.began)
                else:
                    self._remove_state(context)
                self._load(context)
                self._fill(context, root, setup)
                if self.options.plan:
                    self._plan(context)
        finally:
            clock.stop()
        self._files = Files(self._folder / "project")
        # Tests begin after all that was stored.
        self.ready = clock.now + STATEMENT

    def _remove_state(self, context: SandboxContext) -> None:
        for adapter in context.engine_adapters.values():
            contents.remove_state(
                adapter,
                self._databases.state_schema,
                context.config.physical_schema_mapping.values(),
            )

    def _load(self, context: SandboxContext) -> None:
        adapter: Any = context.engine_adapter
        adapter.attach(self._databases.catalogs())
        try:
            self._load_all(context)
        except Exception as error:
            # Models without their gateways have no catalog, of which SQLMesh says other things.
            for project in self._loaded.values():
                self._refuse_elsewhere(project.models.values())
            gateway = next((g for g in self._databases.left_out if f"'{g}'" in str(error)), None)
            if gateway is None:
                raise
            self._refuse_gateway(gateway, str(error))
        self._refuse_elsewhere(context.models.values())
        adapter.attach(self._databases.catalogs(context.models.values()))
        if self._selection and not self._selection.matches:
            raise SandboxError(f"select: no model matches {', '.join(self.options.select)}")
        for project in self._loaded.values():
            finished(project, context.models, context.standalone_audits)
        own = {name for project in self._loaded.values() for name in project.models}
        self._asks_state = bool(context.models.keys() - own)
        self._check_start(context)

    def _load_all(self, context: SandboxContext) -> None:
        """Load the project, with the files that it reads beside its folder: seeds, mostly."""
        anchor = next(iter(self._configs)).anchor
        while True:
            try:
                context.load()
                return
            except Exception as error:
                if not bring(str(error), self._folder / "project", anchor):
                    raise

    def _refuse_elsewhere(self, models: Iterable[Any]) -> None:
        for model in models:
            if model.gateway in self._databases.left_out:
                self._refuse_gateway(model.gateway, f"{model.name} is on it")

    def _refuse_gateway(self, gateway: str, why: str) -> None:
        reason = self._databases.left_out[gateway]
        raise SandboxError(f"the gateway {gateway} {reason}, and {why}.\n{WAYS_OUT}")

    def _check_start(self, context: SandboxContext) -> None:
        starts = [
            context.config.model_defaults.start if model.start is None else model.start
            for model in context.models.values()
            if not (model.kind.is_external or model.kind.is_seed)
        ]
        if starts and None not in starts:
            earliest = min(to_datetime(start) for start in starts if start is not None)
            if self.began < earliest:
                raise SandboxError(
                    f"at={shown(self.began)} is before the project's start, {shown(earliest)}"
                )

    def _fill(self, context: SandboxContext, root: Path, setup: contents.Setup | None) -> None:
        adapters, selected = context.engine_adapters, context.selected_gateway
        models = list(context.models.values())
        if self.options.state == "fresh":
            contents.remove_models(adapters, models, selected)
        found = inherited(adapters.values(), self._sources)
        self.hints = replace(self.hints, inherited=found)
        files = [root / file for file in self.options.setup]
        contents.load_setup(context.engine_adapter.cursor, files, context.connections.executing)
        if setup is not None:
            contents.call_setup(context.engine_adapter.cursor, setup)
        self._empty_tables.create(context)

    def _plan(self, context: SandboxContext) -> None:
        environment = self.options.environment
        partial = self.options.plan == "partial"
        self.left_out = plan_template(
            context, environment, partial=partial, in_words=lambda r: self._in_words(context, r)
        )
        stored = context.state_reader.get_environment(environment)
        if stored is not None:
            self._kept.update(dict.fromkeys(s.snapshot_id for s in stored.snapshots))
            # Past the cache in memory, which has what the plan made and not what the state tells.
            sync: Any = context.state_sync
            sync.state_sync.get_snapshots(stored.snapshots)
        # Fingerprints are part of the models once they were computed: tests find them there.
        context.snapshots  # noqa: B018

    def _in_words(self, context: SandboxContext, report: RunReport) -> str:
        """What is said of the plan, in which models failed."""

        def missing(outcomes: Iterable[ModelOutcome]) -> list[str]:
            return missing_tables(context, [outcome.fqn for outcome in outcomes])

        def hints(error: str) -> list[str]:
            return [*self.hints.of(error), *self._empty_tables.advice_in(error)]

        return failed_plan(report, hints=hints, missing=missing)

    @contextmanager
    def _new_context(self, folder: Path, clock: Clock) -> Iterator[SandboxContext]:
        loaders = {
            path: keeping_loader(self._loaded, self._loader(config))
            for path, config in self._configs.items()
        }
        connections = self._connections(folder, clock, self._empty_tables)
        context = self._context(connections, Faults(), loaders, of_template=True)
        try:
            yield context
            connections.close(checkpoint=True)
        finally:
            context.close()

    def copied(self, folder: Path, clock: Clock, faults: Faults) -> SandboxContext:
        """A context on a copy of the project and its databases, made in this empty folder."""
        self._files.copy(folder / "project")
        for name in ("databases", "catalogs"):
            if (self._folder / name).is_dir():
                shutil.copytree(self._folder / name, folder / name)
        loaders = {
            path: loader_of(self._loaded[place], place, self._loader(config))
            for path, config in self._configs.items()
            for place in [self._place(path, self._folder)]
        }
        connections = self._connections(folder, clock, EmptyTables(self._empty_tables))
        context = self._context(connections, faults, loaders)
        context.load_copied(asks_state=self._asks_state)
        return context

    def _loader(self, config: Config) -> Any:
        if not self._databases.stands_in:
            return config.loader
        return with_externals_of(self._databases.external_gateway, config.loader)

    def _connections(self, folder: Path, clock: Clock, empty_tables: EmptyTables) -> Connections:
        return Connections(folder, clock, empty_tables, stand_in=self._databases.stands_in)

    def _context(
        self,
        connections: Connections,
        faults: Faults,
        loaders: Mapping[Path, Any],
        of_template: bool = False,
    ) -> SandboxContext:
        variables = dict(self.options.variables)
        configs = self._databases.configs(connections, variables)
        return SandboxContext(
            connections=connections,
            faults=faults,
            kept=self._kept,
            selection=self._selection,
            users_paths=self._users_paths(connections.folder),
            of_template=of_template,
            gateway=self._databases.gateway,
            config={
                self._place(path, connections.folder): config.copy(update={"loader": loaders[path]})
                for path, config in configs.items()
            },
        )

    def take_back(self, folder: Path) -> None:
        """A copy is closed: delete it, except for what the next one can use."""
        self._files.take_back(folder / "project")
        shutil.rmtree(folder, ignore_errors=True)

    def remove(self) -> None:
        """Delete its files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _users_paths(self, folder: Path) -> UsersPaths:
        """The user's paths for those of the template, whose loaded models copies share, and those
        of a copy in this folder."""
        copies = [each / "project" for each in (self._folder, folder)]
        own = {self._place(p, each): p for p in self._paths for each in (self._folder, folder)}
        beside = {copy: Path(path.anchor) for copy in copies for path in self._paths}
        return UsersPaths({**beside, **own})

    def _place(self, path: Path, folder: Path) -> Path:
        """Where a path of the project is in a sandbox's folder."""
        return folder / "project" / self._paths[path]


def _find_config(paths: Iterable[Path], config: Config | str | None) -> None:
    for path in paths:
        if not path.is_dir():
            raise SandboxError(f"no SQLMesh project in {path}: there is no such folder")
        if not (isinstance(config, Config) or any((path / f).is_file() for f in CONFIG_FILES)):
            raise SandboxError(f"no SQLMesh project in {path}: it has no config.yaml or .py")


def _in_a_line(text: str, length: int = 300) -> str:
    """The headline of an error, with the first of what is below it if that is all it introduces."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return line if len(line) <= length else f"{line[:length]}…"


class Templates:
    """The templates of a session, each planned when it is first asked for."""

    def __init__(
        self, root: Path, new_folder: Callable[[], Path], scratch: Path | None = None
    ) -> None:
        """None is planned yet.

        Args:
            root: what relative paths of options are relative to.
            new_folder: makes an empty folder.
            scratch: the folder that has those folders, also of other processes.
        """
        self._root = root
        self._scratch = scratch
        self.new_folder = new_folder
        self._made: dict[Hashable, Template | str] = {}

    def get(
        self, options: ProjectOptions, config: Config | str | None, setup: contents.Setup | None
    ) -> Template:
        """The template of these options.

        Raises:
            SandboxError: it can't be planned, which is tried but once; or freezegun has
                frozen the clock.
        """
        check_not_frozen()
        _check(config, setup)
        key = (repr(options), _identity_of(config), _identity_of_setup(setup))
        made = self._made.get(key)
        if made is None:
            folder = self.new_folder()
            try:
                made = Template(
                    options,
                    folder,
                    root=self._root,
                    scratch=self._scratch or folder.parent,
                    config=config,
                    setup=setup,
                )
            except SandboxError as error:
                shutil.rmtree(folder, ignore_errors=True)
                self._made[key] = _in_a_line(str(error))
                raise
            self._made[key] = made
        if isinstance(made, str):
            raise SandboxError(f"{made} (as before; it was not tried again)")
        return made

    def remove(self) -> None:
        """Delete the files of all templates."""
        for made in self._made.values():
            if isinstance(made, Template):
                made.remove()


def _check(config: Any, setup: Any) -> None:
    if not isinstance(config, Config | str | None):
        raise SandboxError(
            f"sqlmesh_project_config returned a {type(config).__name__}; it is a Config of "
            "SQLMesh, or the name of one in config.py"
        )
    if not (setup is None or callable(setup)):
        raise SandboxError(
            f"sqlmesh_project_setup returned a {type(setup).__name__}; it is a function "
            "of a DuckDB connection"
        )


def _identity_of(config: Config | str | None) -> Hashable:
    return config.fingerprint if isinstance(config, Config) else config


def _identity_of_setup(setup: contents.Setup | None) -> Hashable:
    """Functions made anew for each test are one, unless they carry values of their own."""
    if isinstance(setup, FunctionType) and not (
        setup.__closure__ or setup.__defaults__ or setup.__kwdefaults__
    ):
        # Code of two files can be equal, and read other globals.
        return setup.__code__, setup.__code__.co_filename
    return setup
