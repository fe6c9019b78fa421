"""Writing drawn projects, and the switches that make their models fail or wait.

All switches are rows of a table in the project's own database, so a copy of it behaves like the
original, and a version that SQLMesh keeps in its state does so as well. What the sandbox injects
is not in the database, and copies are made without it.
"""

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

from pytest_sqlmesh_tracker.sandbox.clock import Clock
from pytest_sqlmesh_tracker.sandbox.context import SandboxContext
from pytest_sqlmesh_tracker.sandbox.databases.connections import Connections
from pytest_sqlmesh_tracker.sandbox.databases.externals import EmptyTables
from pytest_sqlmesh_tracker.sandbox.databases.gateways import Databases
from pytest_sqlmesh_tracker.sandbox.faults import Fault, Faults, InjectedError
from pytest_sqlmesh_tracker.sandbox.files import UsersPaths
from pytest_sqlmesh_tracker.sandbox.loading import (
    LoadedFiles,
    copying_loader,
    read_configs,
    recording_loader,
)
from pytest_sqlmesh_tracker.sandbox.options import DatabaseState, absolute
from tests.projects import CONFIG

from .specs import Model, Step

BEGIN = "2023-12-01"
NO_WAITING = """
run:
  environment_check_interval: 1
  environment_check_max_wait: 1
"""
BEFORE_ALL = """
before_all:
  - >-
    SELECT CASE WHEN EXISTS (SELECT 1 FROM raw.switch WHERE what = 'before_all')
    THEN error('not today') END
"""
SIGNAL = """
from sqlmesh import signal

@signal()
def gate(batch, context, model):
    name = str(model).strip("'")
    adapter = context.engine_adapter
    rows = adapter.fetchall(f"SELECT what FROM raw.switch WHERE model = '{name}'")
    modes = {row[0] for row in rows}
    if "environment" in modes:
        adapter.execute(f"DELETE FROM raw.switch WHERE what = 'environment' AND model = '{name}'")
        adapter.execute("UPDATE sqlmesh._environments SET plan_id = plan_id || 'x'")
    if "raise" in modes:
        raise ValueError("the gate fell on its nose")
    if "none" in modes:
        return False
    if "first" in modes:
        return batch[:1]
    if "rest" in modes:
        return batch[1:]
    return True
"""
AUDITS = """
AUDIT (name {name}, dialect duckdb, blocking {blocking});
SELECT 1 AS one FROM raw.switch WHERE model = @model AND what = '{name}'
"""
PYTHON = """
from sqlmesh import model

@model("{name}", {options})
def execute(context, start, end, execution_time, **kwargs):
    import pandas as pd

    adapter = context.engine_adapter
    rows = adapter.fetchall("SELECT what FROM raw.switch WHERE model = '{name}'")
    modes = {{row[0] for row in rows}}
    if "broken" in modes:
        raise ValueError("boom {name}")
    if "interrupt" in modes:
        raise KeyboardInterrupt
    if "environment" in modes:
        adapter.execute("DELETE FROM raw.switch WHERE what = 'environment' AND model = '{name}'")
        adapter.execute("UPDATE sqlmesh._environments SET plan_id = plan_id || 'x'")
    return pd.DataFrame({{{columns}}})
"""
FAULT = (
    "CASE WHEN '{name}' IN (SELECT model FROM raw.switch WHERE what = 'broken')"
    " THEN error('boom {name}') END::TEXT AS fault"
)


class World:
    """One drawn project with its database and its time, in a sandbox of its own."""

    def __init__(
        self, folder: Path, began: datetime, concurrent_tasks: int = 1, before_all: bool = False
    ) -> None:
        self._enter(folder, began)
        self.concurrent_tasks = concurrent_tasks
        config = CONFIG.format(
            database=self.path / "wh.db", concurrent_tasks=concurrent_tasks, start=BEGIN
        )
        self._write("config.yaml", config + NO_WAITING + (BEFORE_ALL if before_all else ""))
        self._databases = Databases(read_configs([self.path], None), None, state=DatabaseState.KEEP)
        self._databases.copy_sources(folder)
        self._loaded: dict[Path, LoadedFiles] = {}
        self._reads_files = True

    def _enter(self, folder: Path, began: datetime) -> None:
        self.folder = folder
        self.path = folder / "project"
        self.clock = Clock(absolute(began), tick=True)
        self.faults = Faults()
        self._context: SandboxContext | None = None

    @property
    def context(self) -> SandboxContext:
        if self._context is None:
            self._context = self._opened()
        return self._context

    def _opened(self) -> SandboxContext:
        empty_tables = EmptyTables()
        connections = Connections(self.folder, self.clock, empty_tables)
        (config,) = self._databases.configs(connections, {}).values()
        base = config.loader
        if self._reads_files:
            loader = recording_loader(self._loaded, base)
        else:
            (loaded,) = self._loaded.values()
            loader = copying_loader(loaded, base)
        context = SandboxContext(
            connections=connections,
            faults=self.faults,
            empty_tables=empty_tables,
            shared_snapshots={},
            users_paths=UsersPaths({}),
            gateway=self._databases.gateway,
            config={self.path: config.copy(update={"loader": loader})},
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
        self.context.engine_adapter.execute(sql)

    def close(self) -> None:
        if self._context is not None:
            self._context.close()
            self._context = None
        self.clock.stop()

    @contextmanager
    def copy(self, when: datetime, *, reads_files: bool = False) -> Iterator[World]:
        """The project and its databases as they are now, at another time, for what-if questions.

        No faults are injected, and its clock does not run yet.

        Args:
            reads_files: load the models from the copied files, not those that are loaded already.
        """
        if self._context is not None:
            self.execute("CHECKPOINT")
            for path, loaded in self._loaded.items():
                self._loaded[path] = loaded.updated(self._context)
        other = copy(self)
        other._loaded = dict(self._loaded)
        other._reads_files = reads_files
        with TemporaryDirectory(prefix="truth_copy_") as folder:
            other._enter(Path(folder) / "w", when)
            ignored = shutil.ignore_patterns(".cache", "logs")
            shutil.copytree(self.folder, other.folder, ignore=ignored)
            try:
                yield other
            finally:
                other.close()

    def set_up(self, models: Iterable[Model]) -> None:
        """Write the project for the first time, and what it reads."""
        self._write("signals/__init__.py", SIGNAL)
        for name, blocking in (("hard", "true"), ("soft", "false")):
            self._write(f"audits/{name}.sql", AUDITS.format(name=name, blocking=blocking))
        self._write("seeds/rows.csv", "id,v\n1,1\n2,2\n")
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
        external = []
        for model in models:
            file = model.name.replace(".", "_")
            if model.kind == "external":
                external.append(_external(model))
            elif model.kind == "audit":
                self._write(f"audits/standalone/{file}.sql", _standalone(model))
            elif model.kind == "python":
                self._write(f"models/{file}.py", _python(model))
            else:
                self._write(f"models/{file}.sql", _sql(model))
        self._write("external_models.yaml", "".join(external) or "[]\n")

    def _write(self, file: str, text: str) -> None:
        target = self.path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(dedent(text))


def source(model: Model) -> str:
    """The raw table that a sourced model reads."""
    return f"raw.src_{model.name.partition('.')[2]}"


def _external(model: Model) -> str:
    lines = [f"- name: {model.name}", "  columns:", "    id: INT"]
    if model.owner:
        lines.append(f"  owner: {model.owner}")
    if model.audits:
        lines.append("  audits:")
        for name, value in model.audit_calls:
            lines.append(f"    - name: {name}\n      model: \"'{value}'\"")
    return "\n".join(lines) + "\n"


def _standalone(model: Model) -> str:
    properties = {"standalone": "true", "dialect": "duckdb", "cron": f"'{model.cron}'"}
    if model.owner:
        properties["owner"] = model.owner
    block = ", ".join(f"{key} {value}" for key, value in {"name": model.name, **properties}.items())
    reads = "".join(f" CROSS JOIN (SELECT COUNT(*) AS n FROM {p})" for p in model.parents)
    query = "SELECT {} AS one FROM (SELECT 1 FROM raw.switch WHERE model = '{}'){}"
    return f"AUDIT ({block});\n{query.format(model.version, model.name, reads)};\n"


def _properties(model: Model) -> dict[str, str]:
    properties = {"cron": f"'{model.cron}'"}
    for key in ("start", "end", "owner"):
        if (value := getattr(model, key)) is not None:
            properties[key] = f"'{value}'" if key != "owner" else value
    if model.kind in ("seed", "embedded"):
        properties.pop("cron")
    if model.allow_partials:
        properties["allow_partials"] = "true"
    if model.gated:
        properties["signals"] = f"(gate(model := '{model.name}'))"
    if model.audits:
        calls = ", ".join(f"{name}(model := '{value}')" for name, value in model.audit_calls)
        properties["audits"] = f"({calls})"
    return properties


def _kind(model: Model) -> str:
    options = [
        f"{key} {str(value).lower()}"
        for key in ("batch_size", "batch_concurrency", "lookback")
        if (value := getattr(model, key)) is not None
    ]
    options += [
        f"{key} true" for key in ("forward_only", "disable_restatement") if getattr(model, key)
    ]
    if model.auto_restatement:
        options.append(f"auto_restatement_cron '{model.auto_restatement}'")
    first = {
        "incremental": "time_column ts",
        "self": "time_column ts",
        "unique": "unique_key id",
        "seed": "path '../seeds/rows.csv'",
    }.get(model.kind)
    options = [first, *options] if first else options
    name = {
        "incremental": "INCREMENTAL_BY_TIME_RANGE",
        "self": "INCREMENTAL_BY_TIME_RANGE",
        "unique": "INCREMENTAL_BY_UNIQUE_KEY",
    }.get(model.kind, model.kind.upper())
    return f"{name} ({', '.join(options)})" if options else name


def _sql(model: Model) -> str:
    properties = {"name": model.name, "kind": _kind(model), **_properties(model)}
    timed = model.kind in ("incremental", "self")
    extras = [f"extra_{number}" for number in range(model.extra)]
    columns = ["ts TIMESTAMP" if timed else "id INT", "v INT", "fault TEXT"]
    if model.kind == "self":
        every = [*columns, *(f"{extra} INT" for extra in extras)]
        properties["columns"] = f"({', '.join(every)})"
    block = ",\n".join(f"  {key} {value}" for key, value in properties.items())
    if model.kind == "seed":
        return f"MODEL (\n{block}\n);\n"
    selected = [
        "@start_dt::TIMESTAMP AS ts" if timed else "1 AS id",
        f"{model.version} AS v",
        FAULT.format(name=model.name),
        *(f"{number} AS {extra}" for number, extra in enumerate(extras)),
    ]
    reads = list(model.parents) + ([source(model)] if model.sourced else [])
    reads += [model.name] if model.kind == "self" else []
    joins = [
        f"LEFT JOIN (SELECT COUNT(*) AS c FROM {read}) AS u{number} ON TRUE"
        for number, read in enumerate(reads)
    ]
    query = f"SELECT {', '.join(selected)}\nFROM (SELECT 1) AS one {' '.join(joins)}"
    return f"MODEL (\n{block}\n);\n\n{query}\n"


def _python(model: Model) -> str:
    options = ["kind='FULL'", f"cron={model.cron!r}"]
    options += [
        f"{key}={getattr(model, key)!r}" for key in ("start", "end", "owner") if getattr(model, key)
    ]
    names = ["id", "v", *(f"extra_{number}" for number in range(model.extra))]
    options.append(f"columns={dict.fromkeys(names, 'int')!r}")
    options.append(f"depends_on={list(model.parents)!r}")
    if model.audits:
        calls = [f"({name!r}, {{'model': {value!r}}})" for name, value in model.audit_calls]
        options.append(f"audits=[{', '.join(calls)}]")
    if model.gated:
        options.append(f"signals=[('gate', {{'model': {model.name!r}}})]")
    values = {"id": 1, "v": model.version, **dict.fromkeys(names[2:], 0)}
    columns = ", ".join(f'"{name}": [{value}]' for name, value in values.items())
    return PYTHON.format(name=model.name, options=", ".join(options), columns=columns)
