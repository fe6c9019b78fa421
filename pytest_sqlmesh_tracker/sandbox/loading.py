"""Loading a project without leaving a trace, and handing the loaded project to many contexts."""

from __future__ import annotations

import importlib
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
from sqlmesh.core.loader import LoadedProject, Loader
from sqlmesh.utils import UniqueKeyDict

from pytest_sqlmesh_tracker.process.state import (
    bytecode_disabled,
    project_modules,
    registries_without_projects,
)


def read_configs(paths: Iterable[Path], config: Config | str | None) -> dict[Path, Config]:
    """The configuration of each of the paths, as `Context` reads it; nothing is written there.

    Args:
        config: one to use instead, or the name of one in `config.py`.
    """
    paths = list(paths)
    with project_modules.configured_from(paths), bytecode_disabled(), _no_drivers():
        configs: dict[Path, Config] = load_configs(config, Context.CONFIG_TYPE, paths)
    return configs


class _NotOpened(BaseDuckDBConnectionConfig):
    """What is known of a connection that no sandbox opens: type and catalog, and no secrets."""

    type_: str = Field(alias="type")
    catalog: str | None = None

    def get_catalog(self) -> str | None:
        """The catalog of names that have none."""
        return self.catalog


_CATALOG = ("catalog", "database", "project", "db", "catalog_name")
"""What the settings of connections call the catalog of names that have none
(sqlmesh/core/config/connection.py, `get_catalog`)."""


@contextmanager
def _no_drivers() -> Iterator[None]:
    """Connections to other databases than DuckDB are read where their drivers are not installed."""
    module: Any = connection
    parse = module.parse_connection_config

    def parse_duckdb(settings: dict[str, Any]) -> Any:
        kind = settings.get("type", "duckdb")
        if kind == "duckdb":
            return parse(settings)
        catalog = next((str(settings[name]) for name in _CATALOG if settings.get(name)), None)
        return _NotOpened(type=kind, catalog=catalog and catalog.removeprefix("md:"))

    module.parse_connection_config = parse_duckdb
    try:
        yield
    finally:
        module.parse_connection_config = parse


@dataclass(frozen=True)
class LoadedFiles:
    """What SQLMesh has loaded from one of a project's paths.

    Attributes:
        path: the folder that the files are in.
        modules: those that were imported from the files, by name.
    """

    path: Path
    project: LoadedProject
    modules: Mapping[str, ModuleType]

    def updated(self, context: Any) -> LoadedFiles:
        """With the models that a context made of these: with schemas, and only those it kept."""
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
        """The project, whose models and audits have their files in another folder."""
        return replace(
            self.project,
            models=self._moved(self.project.models, path),
            standalone_audits=self._moved(self.project.standalone_audits, path),
        )

    def _moved(self, nodes: UniqueKeyDict[str, Any], path: Path) -> UniqueKeyDict[str, Any]:
        return _named_alike(nodes, {n: _at(node, self.path, path) for n, node in nodes.items()})


def _named_alike(
    nodes: UniqueKeyDict[str, Any], others: Mapping[str, Any]
) -> UniqueKeyDict[str, Any]:
    """A dictionary that SQLMesh calls by the same name in its errors."""
    return UniqueKeyDict(nodes.name, dict(others))


def _at(node: Any, old: Path, new: Path) -> Any:
    path = node._path
    if path is None or not path.is_relative_to(old):
        return node
    # Not its own method, which leaves out what was computed of it.
    moved = copy(node)
    moved._path = new / path.relative_to(old)
    return moved


def loader_with_externals_of(gateway: str, base: type[Loader]) -> type[Loader]:
    """A loader that loads the external models of this gateway, whichever is selected."""

    class OfGateway(base):  # type: ignore[misc, valid-type]
        def _load_external_models(self, audits: Any, cache: Any, _: Any = None) -> Any:
            return super()._load_external_models(audits, cache, gateway)

    return OfGateway


def recording_loader(loaded: dict[Path, LoadedFiles], base: type[Loader]) -> type[Loader]:
    """A loader that records what it has loaded in `loaded`, by its path."""

    class Recording(base):  # type: ignore[misc, valid-type]
        def load(self, *args: Any, **kwargs: Any) -> LoadedProject:
            with _importing(self):
                project: LoadedProject = super().load(*args, **kwargs)
            path = self.config_path
            loaded[path] = LoadedFiles(path, project, project_modules.installed)
            return project

    return Recording


def copying_loader(loaded: LoadedFiles, base: type[Loader]) -> type[Loader]:
    """A loader that returns what was loaded the first time, and then what its own files say.

    Args:
        loaded: from the folder that the loader has a copy of.
        base: the loader that reads files.
    """

    class Copying(base):  # type: ignore[misc, valid-type]
        _returned = False

        def load(self, *args: Any, **kwargs: Any) -> LoadedProject:
            if not self._returned:
                self._returned = True
                _begin(self)
                project_modules.install(loaded.modules)
                return loaded.moved(self.config_path)
            with _importing(self):
                project: LoadedProject = super().load(*args, **kwargs)
            return project

    return Copying


@contextmanager
def _importing(loader: Loader) -> Iterator[None]:
    """What a project imports while it is loaded is what its files contain now."""
    _begin(loader)
    importlib.invalidate_caches()
    # Of bytecode, Python only knows the second in which its source was written.
    with (
        registries_without_projects(),
        bytecode_disabled(),
        project_modules.imported_from(loader.config_path),
    ):
        yield


def _begin(loader: Loader) -> None:
    """Remove the modules of the project before, if this is the first path of a context."""
    if loader.config_path == next(iter(loader.context.configs)):
        project_modules.remove()
