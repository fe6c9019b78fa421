"""Loads a project without leaving a trace, and shares the loaded project among many contexts."""

from __future__ import annotations

import importlib
import linecache
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import Field
from sqlmesh import Context
from sqlmesh.core.config import Config, connection, load_configs
from sqlmesh.core.config.connection import BaseDuckDBConnectionConfig
from sqlmesh.core.linter.definition import RuleSet
from sqlmesh.core.loader import LoadedProject, Loader
from sqlmesh.core.model import model
from sqlmesh.utils import UniqueKeyDict, sys_path

from pytest_sqlmesh_tracker.process.state import (
    bytecode_disabled,
    project_modules,
    registries_without_projects,
)


def read_configs(paths: Iterable[Path], config: Config | str | None) -> dict[Path, Config]:
    """The configuration of each of the paths, as `Context` reads it, without writing there.

    Args:
        config: a configuration to use instead, or the name of one in `config.py`.
    """
    paths = list(paths)
    with project_modules.configured_from(paths), bytecode_disabled(), _no_drivers():
        configs: dict[Path, Config] = load_configs(config, Context.CONFIG_TYPE, paths)
    return configs


class UnopenedConnection(BaseDuckDBConnectionConfig):
    """The connection of a gateway to another database than DuckDB, without its secrets.

    No sandbox opens it, and SQLMesh's own class would require the driver.

    Attributes:
        server: what tells servers apart: the host and the port, or the name of an instance.
        user: the user, if the type of database has one.
        role: the role that the user takes on, if any.
    """

    type_: str = Field(alias="type")
    catalog: str | None = None
    server: str = ""
    user: str | None = None
    role: str | None = None

    def get_catalog(self) -> str | None:
        """The catalog of names without one."""
        return self.catalog


_CATALOG = ("catalog", "database", "project", "db", "catalog_name")
"""The connection settings that contain the catalog of names without one
(sqlmesh/core/config/connection.py, `get_catalog`)."""
_KEPT = ("concurrent_tasks", "register_comments", "pretty_sql")
"""The connection settings that SQLMesh itself reads."""


def _unopened(settings: dict[str, Any]) -> UnopenedConnection:
    catalog = next((str(settings[name]) for name in _CATALOG if settings.get(name)), None)
    instance = settings.get("instance_connection_string")
    kept: dict[str, Any] = {
        "type": settings["type"],
        "catalog": catalog and catalog.removeprefix("md:"),
        "server": str(instance or f"{settings.get('host')}:{settings.get('port')}"),
        **{name: str(settings[name]) for name in ("user", "role") if settings.get(name)},
        **{name: settings[name] for name in _KEPT if settings.get(name) is not None},
    }
    return UnopenedConnection(**kept)


@contextmanager
def _no_drivers() -> Iterator[None]:
    """Read connections to databases other than DuckDB even if their drivers are not installed."""
    module: Any = connection
    parse = module.parse_connection_config

    def parse_duckdb(settings: dict[str, Any]) -> Any:
        return (
            parse(settings) if settings.get("type", "duckdb") == "duckdb" else _unopened(settings)
        )

    module.parse_connection_config = parse_duckdb
    try:
        yield
    finally:
        module.parse_connection_config = parse


@dataclass(frozen=True)
class LoadedFiles:
    """What SQLMesh has loaded from one of a project's paths.

    Attributes:
        path: the folder that contains the files.
        modules: the modules that were imported from the files, by name.
    """

    path: Path
    project: LoadedProject
    modules: Mapping[str, ModuleType]

    def updated(self, context: Any) -> LoadedFiles:
        """The files with the models that a context kept, and with their schemas."""
        models, audits = self.project.models, self.project.standalone_audits
        project = replace(
            self.project,
            models=_named_alike(
                models, {n: context.models[n] for n in models if n in context.models}
            ),
            standalone_audits=_named_alike(
                audits, {n: a for n, a in audits.items() if n in context.standalone_audits}
            ),
        )
        return replace(self, project=project)

    def moved(self, path: Path) -> LoadedProject:
        """The project, with the files of its models and audits in another folder."""
        return replace(
            self.project,
            models=self._moved(self.project.models, path),
            standalone_audits=self._moved(self.project.standalone_audits, path),
        )

    def _moved(self, nodes: UniqueKeyDict[str, Any], path: Path) -> UniqueKeyDict[str, Any]:
        return _named_alike(nodes, {n: _at(node, self.path, path) for n, node in nodes.items()})


@dataclass(frozen=True)
class ImportedFiles:
    """What only importing the modules of one of a project's paths can give.

    Attributes:
        path: the folder that contains the files.
        modules: the modules, by name.
    """

    path: Path
    macros: UniqueKeyDict[str, Any]
    rules: RuleSet
    modules: Mapping[str, ModuleType]


def _named_alike(
    nodes: UniqueKeyDict[str, Any], others: Mapping[str, Any]
) -> UniqueKeyDict[str, Any]:
    """A dictionary that has the same name in SQLMesh's errors."""
    return UniqueKeyDict(nodes.name, dict(others))


def _at(node: Any, old: Path, new: Path) -> Any:
    path = node._path
    if path is None or not path.is_relative_to(old):
        return node
    # The node's own copy method would drop its cached properties.
    moved = copy(node)
    moved._path = new / path.relative_to(old)
    return moved


def loader_with_externals_of(gateway: str, base: type[Loader]) -> type[Loader]:
    """A loader that loads the external models of this gateway, whichever gateway is selected."""

    class OfGateway(base):  # type: ignore[misc, valid-type]
        def _load_external_models(self, audits: Any, cache: Any, _: Any = None) -> Any:
            return super()._load_external_models(audits, cache, gateway)

    return OfGateway


def recording_loader(loaded: dict[Path, LoadedFiles], base: type[Loader]) -> type[Loader]:
    """A loader that records what it has loaded in `loaded`, by path."""

    class Recording(base):  # type: ignore[misc, valid-type]
        def load(self, *args: Any, **kwargs: Any) -> LoadedProject:
            with _importing(self):
                project: LoadedProject = super().load(*args, **kwargs)
            path = self.config_path
            loaded[path] = LoadedFiles(path, project, project_modules.installed)
            return project

    return Recording


def copying_loader(loaded: LoadedFiles, base: type[Loader]) -> type[Loader]:
    """A loader that first returns what is already loaded, and afterwards reads its own files.

    Args:
        loaded: what was loaded from the folder that the loader has a copy of.
        base: the recording loader that reads files.
    """

    class Copying(base):  # type: ignore[misc, valid-type]
        _returned = False

        def load(self, *args: Any, **kwargs: Any) -> LoadedProject:
            if not self._returned:
                self._returned = True
                _begin(self)
                project_modules.install(loaded.modules)
                return loaded.moved(self.config_path)
            project: LoadedProject = super().load(*args, **kwargs)
            return project

    return Copying


def importing_loader(
    imported: dict[Path, ImportedFiles], modules: Iterable[str], base: type[Loader]
) -> type[Loader]:
    """A loader that only imports a project's modules, and reads nothing else of its files.

    Args:
        imported: what it has imported, by path.
        modules: the modules that loading the project would import, in this order.
    """

    class Importing(base):  # type: ignore[misc, valid-type]
        def load(self, *_: Any, **__: Any) -> None:
            with _importing(self), sys_path(self.config_path):
                linecache.clearcache()
                self._load_materializations()
                self._load_signals()
                macros, _jinja_macros = self._load_scripts()
                rules = self._load_linting_rules()
                with _models_declared(self.config.model_defaults.dialect):
                    for name in modules:
                        importlib.import_module(name)
            path = self.config_path
            imported[path] = ImportedFiles(path, macros, rules, project_modules.installed)

    return Importing


@contextmanager
def _models_declared(dialect: str | None) -> Iterator[None]:
    """Let modules declare Python models, as while SQLMesh loads them."""
    declared: Any = model
    declared.registry().clear()
    declared._dialect = dialect
    try:
        yield
    finally:
        declared._dialect = None


@contextmanager
def _importing(loader: Loader) -> Iterator[None]:
    """Make a project's imports during loading reflect the present content of its files."""
    _begin(loader)
    importlib.invalidate_caches()
    # For bytecode, Python compares only the second in which the source was written.
    with (
        registries_without_projects(),
        bytecode_disabled(),
        project_modules.imported_from(loader.config_path),
    ):
        yield


def _begin(loader: Loader) -> None:
    """Remove the previous project's modules if this is the first path of a context."""
    if loader.config_path == next(iter(loader.context.configs)):
        project_modules.remove()
