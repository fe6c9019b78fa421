"""From a SQLMesh project's files to what is known of it before anything runs.

Neither state nor warehouse are read. The exception is SQLMesh's: where a connection's settings do
not tell its default catalog (as of Spark, and of BigQuery without `project`), it asks the database.
"""

from __future__ import annotations

import glob
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlglot import exp
from sqlmesh import Context
from sqlmesh.core.config import load_configs
from sqlmesh.core.macros import macro
from sqlmesh.core.model import model as python_model
from sqlmesh.core.model.definition import AuditResult
from sqlmesh.core.signal import signal
from sqlmesh.utils.errors import SQLMeshError

from ..definitions import (
    AuditDefinition,
    ColumnDefinition,
    ColumnSource,
    ModelDefinition,
    ProjectDefinition,
)
from ..explanation import one_line
from .facts import audit_result
from .lineage import column_sources
from .names import display_names, kind_of, shown
from .secrets import redacted

_CONFIG_FILES = ("config.yaml", "config.yml", "config.py", "sqlmesh.yaml", "sqlmesh.yml")


class ProjectError(Exception):
    """A SQLMesh project can't be loaded; one line says which and why."""


def open_context(
    paths: Sequence[str],
    *,
    gateway: str | None = None,
    config: str | None = None,
    dotenv: str | None = None,
    load: bool = True,
) -> Context:
    """A context as SQLMesh's command line makes it, without its console and logging.

    As there, `SQLMESH_GATEWAY` and `SQLMESH_DOTENV_PATH` stand in for what is not given, and the
    variables of a `.env` file come into this process's environment.

    Args:
        paths: the folders of one or several projects, or globs of them.
        gateway: other than the configuration's default.
        config: the name of a configuration in `config.py`.
        dotenv: a file to use instead of `.env` in the folders.
        load: read the project's models; with `project` configured, SQLMesh then reads its state.

    Raises:
        ProjectError: it can't be made.
    """
    gateway = gateway or os.environ.get("SQLMESH_GATEWAY") or None
    dotenv = dotenv or os.environ.get("SQLMESH_DOTENV_PATH")
    with _told(paths):
        folders = _folders(paths)
        if dotenv and not Path(dotenv).is_file():
            raise ProjectError(f"there is no file {dotenv}, which was to be used as .env")
        configs = load_configs(
            config, Context.CONFIG_TYPE, folders, dotenv_path=Path(dotenv) if dotenv else None
        )
        context = Context(config=configs, gateway=gateway, load=load)
        if load:
            _check_models(context, paths)
        return context


def load_definition(
    paths: Sequence[str],
    *,
    gateway: str | None = None,
    config: str | None = None,
    dotenv: str | None = None,
) -> ProjectDefinition:
    """The definition of the project in these folders; the arguments are those of `open_context`.

    Environment variables, imported modules and SQLMesh's registries are as before afterwards.
    What stays is SQLMesh's `.cache` in the folders, and in this process what a configuration sets
    for good: whether there are analytics, and how a dialect spells names. Models that only the
    state knows, of other projects, are not in it.

    Raises:
        ProjectError: it can't be loaded.
    """
    with _nothing_left(paths):
        context = open_context(paths, gateway=gateway, config=config, dotenv=dotenv, load=False)
        try:
            with _told(paths):
                _load_files(context)
                _check_models(context, paths)
                return define(context)
        finally:
            context.close()


def define(context: Any) -> ProjectDefinition:
    """What is known of the models that a SQLMesh context has loaded."""
    return _Project(context).definition()


# -- loading -----------------------------------------------------------------------------------


def _folders(paths: Sequence[str]) -> list[Path]:
    folders = _named(paths)
    if not folders:
        raise ProjectError("no folder of a SQLMesh project was named")
    for folder in folders:
        if not folder.is_dir():
            raise ProjectError(f"no SQLMesh project in {folder}: there is no such folder")
        if not any((folder / name).is_file() for name in _CONFIG_FILES):
            names = ", ".join(_CONFIG_FILES)
            raise ProjectError(f"no SQLMesh project in {folder}: it has none of {names}")
    return folders


def _named(paths: Sequence[str]) -> list[Path]:
    # As SQLMesh finds them: also absolute ones, for which `Path.glob` is not made.
    return [Path(found) for path in paths for found in glob.glob(path) or [path]]  # noqa: PTH207


def _load_files(context: Any) -> None:
    """Load the project without the state, which SQLMesh asks for the models of other projects."""
    projects, context._projects = context._projects, set()
    try:
        context.load()
    finally:
        context._projects = projects


def _check_models(context: Any, paths: Sequence[str]) -> None:
    if not context.models:
        raise ProjectError(f"the SQLMesh project {', '.join(paths)} has no models")


@contextmanager
def _told(paths: Sequence[str]) -> Iterator[None]:
    """Say in one line of what SQLMesh, or the project's own code, raises where it comes from."""
    try:
        yield
    except ProjectError:
        raise
    except Exception as error:
        kind = "" if isinstance(error, SQLMeshError) else f"{type(error).__name__}: "
        words = _COLOR.sub("", redacted(f"{kind}{error}"))
        names = ", ".join(paths)
        line = one_line(f"the SQLMesh project {names} can't be loaded: {words}", 600)
        raise ProjectError(line) from error


_COLOR = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def _nothing_left(paths: Sequence[str]) -> Iterator[None]:
    """Put back what loading a project changes in this process, and write no bytecode beside it."""
    variables, path, modules = dict(os.environ), list(sys.path), dict(sys.modules)
    # SQLMesh's first versions leave signals, and refuse them when they are loaded again.
    registries = [(kind, kind.get_registry()) for kind in (macro, python_model, signal)]
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = bytecode
        for kind, registry in registries:
            kind.set_registry(registry)
        for name in _imported_from(paths, modules):
            del sys.modules[name]
        # A project's own can have taken the names of others: `macros`, `config`.
        sys.modules.update(modules)
        sys.path[:] = path
        for name in os.environ.keys() - variables.keys():
            del os.environ[name]
        os.environ.update(variables)


def _imported_from(paths: Sequence[str], before: Mapping[str, ModuleType]) -> list[str]:
    """The modules of the projects' own code that were imported since `before`."""
    starts = tuple(f"{folder.absolute()}{os.sep}" for folder in _named(paths))
    places = {n: _place(module) for n, module in list(sys.modules.items()) if n not in before}
    # A virtual environment can be below a project.
    installed = ("site-packages", "dist-packages")
    return [
        name
        for name, place in places.items()
        if place.startswith(starts) and not any(folder in place for folder in installed)
    ]


def _place(module: ModuleType) -> str:
    """The file of a module, or the folder of one that is several files."""
    known = vars(module)
    return str(known.get("__file__") or next(iter(known.get("__path__") or ()), ""))


# -- defining ----------------------------------------------------------------------------------


class _Project:
    """A loaded project, and what its models and tables are called."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._nodes: dict[str, Any] = {**context.models, **context.standalone_audits}
        self._names = display_names(self._nodes, context.default_catalog)
        self._parts = self._identifiers()
        self._outside = {
            fqn: self._name_outside(fqn)
            for node in self._nodes.values()
            for fqn in node.depends_on
            if fqn not in self._nodes
        }

    def definition(self) -> ProjectDefinition:
        outside = {name: _parts_of(name) for name in sorted(self._outside.values())}
        return ProjectDefinition(
            name=self._context.config.project or self._context.path.name,
            models=tuple(self._model(fqn) for fqn in self._sorted()),
            outside=outside,
        )

    def _sorted(self) -> Iterator[str]:
        parents = {
            fqn: sorted(self._nodes[fqn].depends_on & self._nodes.keys())
            for fqn in sorted(self._nodes)
        }
        return iter(TopologicalSorter(parents).static_order())

    def _model(self, fqn: str) -> ModelDefinition:
        node, is_model = self._nodes[fqn], self._nodes[fqn].is_model
        return ModelDefinition(
            name=self._names[fqn],
            fqn=fqn,
            parts=self._parts[fqn],
            kind=kind_of(node),
            dialect=node.dialect or None,
            cron=node.cron,
            cron_tz=node.cron_tz.key if node.cron_tz else None,
            start=_as_written(node.start),
            end=_as_written(node.end),
            description=node.description,
            owner=node.owner,
            tags=tuple(node.tags),
            upstream=tuple(self._name(parent) for parent in sorted(node.depends_on)),
            columns=tuple(_columns(node)) if is_model else (),
            lineage=self._lineage(node) if is_model else {},
            file=str(node._path.absolute()) if node._path else None,
            version=node.data_hash,
            audits=_audits(node),
        )

    def _lineage(self, model: Any) -> dict[str, tuple[ColumnSource, ...]]:
        return {
            column: tuple(ColumnSource(self._name(fqn), name) for fqn, name in sorted(sources))
            for column, sources in column_sources(model).items()
        }

    def _name(self, fqn: str) -> str:
        return self._names[fqn] if fqn in self._names else self._outside[fqn]

    def _name_outside(self, fqn: str) -> str:
        name = shown(fqn, self._context.default_catalog)
        return fqn if name in self._names.values() else name

    def _identifiers(self) -> dict[str, tuple[str, ...]]:
        """As users write them; where that is not unique without quotes, as SQLMesh has them."""
        parts = {
            fqn: _parts_of(name, self._nodes[fqn].dialect if name != fqn else None)
            if self._nodes[fqn].is_model
            else (name,)
            for fqn, name in self._names.items()
        }
        counts = Counter(parts.values())
        return {fqn: own if counts[own] == 1 else _parts_of(fqn) for fqn, own in parts.items()}


def _parts_of(name: str, dialect: str | None = None) -> tuple[str, ...]:
    return tuple(part.name for part in exp.to_table(name, dialect=dialect).parts)


def _as_written(moment: Any) -> str | None:
    return None if moment is None else str(moment)


def _columns(model: Any) -> Iterator[ColumnDefinition]:
    descriptions = model.column_descriptions
    for name, kind in (model.columns_to_types or {}).items():
        known = not any(part.is_type("unknown") for part in kind.find_all(exp.DataType))
        yield ColumnDefinition(
            name=name,
            type=kind.sql(dialect=model.dialect) if known else None,
            description=descriptions.get(name),
        )


def _audits(node: Any) -> tuple[AuditDefinition, ...]:
    """As SQLMesh's evaluator goes about them (sqlmesh/core/snapshot/evaluator.py, `_audit`), and a
    report: calls that are alike are one, of which the last says whether it blocks."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], AuditDefinition] = {}
    for audit, arguments in node.audits_with_args:
        if audit.skip:
            continue
        said = arguments.get("blocking")
        blocking = audit.blocking if said is None else said == exp.true()
        told = audit_result(AuditResult(audit=audit, audit_args=arguments, blocking=blocking))
        found[told.name, frozenset(told.arguments.items())] = AuditDefinition(
            name=told.name,
            arguments=told.arguments,
            blocking=told.blocking,
            description=getattr(audit, "description", None),
        )
    return tuple(found.values())
