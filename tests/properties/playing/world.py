"""One drawn project in its own sandbox, with its databases, its clock and its faults."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

from sqlmesh.core.config import load_configs

from pytest_sqlmesh_tracker.process.state import SettingsChanges
from pytest_sqlmesh_tracker.sandbox.clock import Clock
from pytest_sqlmesh_tracker.sandbox.context import SandboxContext
from pytest_sqlmesh_tracker.sandbox.databases.externals import EmptyTables
from pytest_sqlmesh_tracker.sandbox.databases.gateways import Databases
from pytest_sqlmesh_tracker.sandbox.faults import Fault, Faults, InjectedError
from pytest_sqlmesh_tracker.sandbox.files.copies import UsersPaths
from pytest_sqlmesh_tracker.sandbox.files.loading import (
    LoadedFiles,
    copying_loader,
    read_configs,
    recording_loader,
)
from pytest_sqlmesh_tracker.sandbox.in_force import Surroundings
from pytest_sqlmesh_tracker.sandbox.options import DatabaseState, absolute
from tests.engines.engine import ENGINE
from tests.properties.drawing.specs import Model, Step

from .project_files import config, model_files, shared_files, source


class _Unchanged(Surroundings):
    """What the process sees already: stories start and stop the clocks of worlds themselves."""

    @contextmanager
    def in_use(self) -> Iterator[None]:
        yield


class World:
    """One drawn project with its database and its time, in its own sandbox."""

    def __init__(
        self, folder: Path, began: datetime, concurrent_tasks: int = 1, before_all: bool = False
    ) -> None:
        self._enter(folder, began)
        self.concurrent_tasks = concurrent_tasks
        self.before_all = before_all
        self.databases = ENGINE.databases(self.path)
        self._configure()
        # As in a sandbox, copies of DuckDB's files are opened; what is on a server, as it is.
        state = DatabaseState.EMPTY if ENGINE.has_server else DatabaseState.KEEP
        self._of_sandbox = Databases(read_configs([self.path], None), None, state=state)
        self._of_sandbox.copy_sources(folder)
        self._loaded: dict[Path, LoadedFiles] = {}
        self._reads_files = True

    def _enter(self, folder: Path, began: datetime) -> None:
        self.folder = folder
        self.path = folder / "project"
        self.clock = Clock(absolute(began), tick=True)
        self.faults = Faults()
        self._context: SandboxContext | None = None

    def _configure(self) -> None:
        text = config(self.databases, self.concurrent_tasks, before_all=self.before_all)
        self._write("config.yaml", text)

    @property
    def context(self) -> SandboxContext:
        """Its context, which connects to its databases."""
        self.use()
        if self._context is None:
            self._context = self._opened()
        return self._context

    def use(self) -> None:
        """Let what connects by the project's configuration reach its databases, not its copies'."""
        self.databases.state.use(self._disconnect)

    def _disconnect(self) -> None:
        """Close the connections, which SQLMesh opens again when it needs them."""
        if self._context is not None:
            self._context.close()

    def _opened(self) -> SandboxContext:
        empty_tables = EmptyTables()
        connections = self._of_sandbox.connections(self.folder, self.clock, empty_tables, {}, {})
        if ENGINE.has_server:
            configs = load_configs(None, SandboxContext.CONFIG_TYPE, [self.path])
        else:
            configs = self._of_sandbox.configs(connections, {})
        (read,) = configs.values()
        base = read.loader
        if self._reads_files:
            loader = recording_loader(self._loaded, base)
        else:
            (loaded,) = self._loaded.values()
            loader = copying_loader(loaded, recording_loader(self._loaded, base))
        context = SandboxContext(
            connections=connections,
            surroundings=_Unchanged(self.clock, SettingsChanges({}, ())),
            faults=self.faults,
            empty_tables=empty_tables,
            shared_snapshots={},
            users_paths=UsersPaths({}),
            gateway="local",
            config={self.path: read.copy(update={"loader": loader})},
        )
        if self._reads_files:
            context.load()
        else:
            context.load_copied(reads_state=False)
        return context

    @contextmanager
    def explaining(self, needed: bool) -> Iterator[None]:
        """With a console that can explain plans, which the default one of scripts can't."""
        from rich.console import Console
        from sqlmesh.core.console import TerminalConsole

        usual = self.context.console
        if needed:
            self.context.console = TerminalConsole(console=Console(file=io.StringIO(), width=200))
        try:
            yield
        finally:
            self.context.console = usual

    def execute(self, sql: str) -> None:
        adapter = self.context.engine_adapter
        if ENGINE.has_server:
            # SQLMesh does not end a transaction that was interrupted.
            adapter._connection_pool.rollback()
        adapter.execute(sql)

    def close(self) -> None:
        if self._context is not None:
            self._context.close()
            self._context = None
        self.databases.state.drop()
        self.clock.stop()

    @contextmanager
    def copy(self, when: datetime, *, reads_files: bool = False) -> Iterator[World]:
        """The project and its databases as they are now, at another time, for what-if questions.

        No faults are injected, and its clock does not run yet.

        Args:
            reads_files: load the models from the copied files, not those that are loaded already.
        """
        if self._context is not None:
            if not ENGINE.has_server:
                self.execute("CHECKPOINT")
            for path, loaded in self._loaded.items():
                self._loaded[path] = loaded.updated(self._context)
        other = copy(self)
        other._loaded = dict(self._loaded)
        other._reads_files = reads_files
        with TemporaryDirectory(prefix="truth_copy_") as folder:
            other._enter(Path(folder) / "w", when)
            other.databases = self.databases.copied(other.path)
            ignored = shutil.ignore_patterns(".cache", "logs")
            shutil.copytree(self.folder, other.folder, ignore=ignored)
            other._configure()
            try:
                yield other
            finally:
                other.close()

    def set_up(self, models: Iterable[Model]) -> None:
        """Write the project for the first time, and what it reads."""
        for file, text in shared_files(self.databases).items():
            self._write(file, text)
        self.rewrite(models)
        self.execute("CREATE SCHEMA raw")
        self.execute("CREATE TABLE raw.switch (what TEXT, model TEXT)")
        self.switch((), models)

    def switch(self, switches: Iterable[tuple[str, str]], models: Iterable[Model]) -> None:
        """Turn exactly these faults on."""
        switches = set(switches)
        rows = ", ".join(f"('{what}', '{name}')" for what, name in sorted(switches))
        self.execute("DELETE FROM raw.switch")
        if rows:
            self.execute(f"INSERT INTO raw.switch VALUES {rows}")
        for model in models:
            table = source(model)
            if model.kind == "external":
                self.execute(f"CREATE TABLE IF NOT EXISTS {model.name} AS SELECT 1 AS id")
            if not model.sourced:
                continue
            gone = ("gone", model.name) in switches
            verb = (
                "DROP TABLE IF EXISTS {}" if gone else "CREATE TABLE IF NOT EXISTS {} AS SELECT 1"
            )
            with suppress(Exception):  # a view may hold on to it
                self.execute(verb.format(table))

    def inject(self, step: Step, fqns: Mapping[str, str]) -> None:
        """Let exactly these faults of the sandbox strike; by each model's name, its full one."""
        self.faults.clear()
        self.faults.held.update(fqns[name] for name in step.switched("held"))
        for each in step.injected:
            models, error = {fqns[each.model]: each.model}, InjectedError(f"in {each.model}")
            self.faults.add(Fault(models, error, each.audit, each.batch, each.times))

    def rewrite(self, models: Iterable[Model]) -> None:
        """Write all models, and nothing else."""
        for folder in ("models", "audits/standalone"):
            shutil.rmtree(self.path / folder, ignore_errors=True)
        for file, text in model_files(models, self.databases).items():
            self._write(file, text)

    def _write(self, file: str, text: str) -> None:
        target = self.path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(dedent(text))
