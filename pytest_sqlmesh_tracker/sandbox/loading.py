"""Loading a project without leaving a trace, and handing the loaded project to many contexts."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import Field
from sqlmesh import Context
from sqlmesh.core.config import Config, connection, load_configs
from sqlmesh.core.config.connection import BaseDuckDBConnectionConfig
from sqlmesh.core.constants import MACROS, SIGNALS
from sqlmesh.core.loader import LoadedProject, Loader
from sqlmesh.core.macros import macro
from sqlmesh.core.signal import signal
from sqlmesh.utils import UniqueKeyDict

from pytest_sqlmesh_tracker.process.imports import modules_in


def read_configs(paths: Iterable[Path], config: Config | str | None) -> dict[Path, Config]:
    """The configuration of each of the paths, as `Context` reads it; nothing is written there.

    Args:
        config: one to use instead, or the name of one in `config.py`.
    """
    paths = list(paths)
    _users.update(paths)
    hidden = _taken_out(_users)
    try:
        with _no_bytecode(), _no_drivers():
            configs: dict[Path, Config] = load_configs(config, Context.CONFIG_TYPE, paths)
    finally:
        _taken_out(_users)
        sys.modules.update(hidden)
    return configs


_users: set[Path] = set()
"""The folders of all projects that have sandboxes."""
_imported: dict[str, ModuleType] = {}
"""The modules of the project that was loaded last, which no other one may find."""
_covered: dict[str, ModuleType] = {}
"""Those that tests have imported from a user's folder themselves, of which these took the names."""


def _taken_out(folders: Iterable[Path]) -> dict[str, ModuleType]:
    """The modules that were imported from the folders; the next import of them reads the files."""
    found = modules_in(folders)
    for name in found:
        del sys.modules[name]
    return found


def _use(loader: Loader, modules: Mapping[str, ModuleType]) -> None:
    """Let a project that a context loads find these modules, and none of other projects."""
    if loader.config_path == next(iter(loader.context.configs)):
        forget()
    _covered.update({name: sys.modules[name] for name in modules if name in sys.modules})
    sys.modules.update(modules)
    _imported.update(modules)


def forget() -> None:
    """Take the modules of the project out that was loaded last; put back what they had covered."""
    for name in _imported:
        sys.modules.pop(name, None)
    _imported.clear()
    sys.modules.update(_covered)
    _covered.clear()


@contextmanager
def _importing(loader: Loader) -> Iterator[None]:
    """What a project imports while it is loaded is what its files say now."""
    _use(loader, {})
    hidden = _taken_out(_users)
    # SQLMesh leaves a project's macros where a file of it is broken, and its first versions left
    # signals in any case; the next project can have others of these names.
    registries = [(kind, kind.get_registry()) for kind in (macro, signal)]
    for kind, registry in registries:
        kind.set_registry(_without_projects(registry))
    importlib.invalidate_caches()
    try:
        # Of bytecode, Python only knows the second in which its source was written.
        with _no_bytecode():
            yield
    finally:
        for kind, registry in registries:
            kind.set_registry(registry)
        imported = _taken_out([loader.config_path])
        sys.modules.update(hidden)
        _use(loader, imported)


def _without_projects(registry: UniqueKeyDict[str, Any]) -> UniqueKeyDict[str, Any]:
    """What is in a registry without what contexts left there of projects' folders."""
    kept = {
        name: entry
        for name, entry in registry.items()
        if entry.func.__module__.partition(".")[0] not in (MACROS, SIGNALS)
    }
    return UniqueKeyDict(registry.name, **kept)


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Python writes no `__pycache__` beside a user's `config.py`."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


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


@contextmanager
def environment_kept() -> Iterator[None]:
    """Put the environment variables back afterwards: SQLMesh sets those of a project's `.env`."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def with_externals_of(gateway: str, base: type[Loader]) -> type[Loader]:
    """A loader that loads the external models of this gateway, whichever is selected."""

    class OfGateway(base):  # type: ignore[misc, valid-type]
        def _load_external_models(self, audits: Any, cache: Any, _: Any = None) -> Any:
            return super()._load_external_models(audits, cache, gateway)

    return OfGateway


def loader_of(loaded: LoadedProject, loaded_from: Path, base: type[Loader]) -> type[Loader]:
    """A loader that returns a loaded project the first time, and from then on what the files say.

    Args:
        loaded_from: the folder that the project was loaded from, whose copy the loader has.
        base: the loader that reads the files.
    """

    class LoadedOnce(base):  # type: ignore[misc, valid-type]
        _returned = False

        def load(self, *args: Any, **kwargs: Any) -> LoadedProject:
            if not self._returned:
                self._returned = True
                _use(self, loaded.__dict__["imported"])
                return _moved(loaded, loaded_from, self.config_path)
            with _importing(self):
                project: LoadedProject = super().load(*args, **kwargs)
            return project

    return LoadedOnce


def _moved(project: LoadedProject, old: Path, new: Path) -> LoadedProject:
    """The loaded project, whose models and audits say that they are in another folder."""
    return replace(
        project,
        models=_all_at(project.models, old, new),
        standalone_audits=_all_at(project.standalone_audits, old, new),
    )


def _all_at(nodes: UniqueKeyDict[str, Any], old: Path, new: Path) -> UniqueKeyDict[str, Any]:
    return UniqueKeyDict(nodes.name, {name: _at(node, old, new) for name, node in nodes.items()})


def _at(node: Any, old: Path, new: Path) -> Any:
    path = node._path
    if path is None or not path.is_relative_to(old):
        return node
    # Not its own method, which leaves out what was computed of it.
    moved = copy(node)
    moved._path = new / path.relative_to(old)
    return moved


def keeping_loader(kept: dict[Path, LoadedProject], base: type[Loader]) -> type[Loader]:
    """A loader that leaves what it has loaded in `kept`, by its path."""

    class Keeping(base):  # type: ignore[misc, valid-type]
        def load(self, *args: Any, **kwargs: Any) -> LoadedProject:
            with _importing(self):
                project: LoadedProject = super().load(*args, **kwargs)
            # The folder's copies are loaded without a look at their files.
            project.__dict__["imported"] = dict(_imported)
            kept[self.config_path] = project
            return project

    return Keeping


def finished(project: LoadedProject, models: Mapping[str, Any], audits: Mapping[str, Any]) -> None:
    """Give a loaded project the models that a context made of it: with schemas, and only these."""
    for name in list(project.models):
        del project.models[name]
        if name in models:
            project.models[name] = models[name]
    for name in list(project.standalone_audits):
        if name not in audits:
            del project.standalone_audits[name]
