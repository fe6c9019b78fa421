"""The state of this process that loading a SQLMesh project changes, and how it is restored.

SQLMesh sets the environment variables of a project's `.env` files. It imports the project's macros,
signals, Python models and `config.py` under names that other projects also use, and keeps their
definitions in registries. This module imports SQLMesh only to restore its registries.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any


@contextmanager
def process_state_restored(folders: Iterable[Path]) -> Iterator[None]:
    """Restore the process's state afterwards, and write no bytecode beside a project's files.

    The state consists of the environment variables, `sys.path`, the imported modules and SQLMesh's
    registries of macros, models and signals.

    Args:
        folders: the project's folders. Modules imported from them meanwhile are removed;
            modules from elsewhere stay imported.
    """
    with (
        _environment_restored(),
        _path_restored(),
        _modules_restored(folders),
        _registries_restored(),
        bytecode_disabled(),
    ):
        yield


@contextmanager
def _environment_restored() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _path_restored() -> Iterator[None]:
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def _modules_restored(folders: Iterable[Path]) -> Iterator[None]:
    folders = list(folders)
    before = dict(sys.modules)
    try:
        yield
    finally:
        for name in modules_in(folders).keys() - before.keys():
            del sys.modules[name]
        # The project's modules can have replaced others of the same name: `macros`, `config`.
        sys.modules.update(before)


@contextmanager
def _registries_restored() -> Iterator[None]:
    # SQLMesh's early versions keep signals, and reject them when they are loaded again.
    before = [(decorator, decorator.get_registry()) for decorator in _registering_decorators()]
    try:
        yield
    finally:
        for decorator, registry in before:
            decorator.set_registry(registry)


def _registering_decorators() -> tuple[Any, ...]:
    from sqlmesh.core.macros import macro
    from sqlmesh.core.model import model
    from sqlmesh.core.signal import signal

    return macro, model, signal


@contextmanager
def registries_without_projects() -> Iterator[None]:
    """Hide from the next project what earlier projects left in SQLMesh's registries.

    SQLMesh keeps a project's macros if one of its files is broken, and its early versions always
    keep signals; the next project can define others with the same names.
    """
    from sqlmesh.core.constants import MACROS, SIGNALS
    from sqlmesh.core.macros import macro
    from sqlmesh.core.signal import signal
    from sqlmesh.utils import UniqueKeyDict

    decorators: tuple[Any, ...] = (macro, signal)
    with _registries_restored():
        for decorator in decorators:
            registry = decorator.get_registry()
            kept = {
                name: entry
                for name, entry in registry.items()
                if entry.func.__module__.partition(".")[0] not in (MACROS, SIGNALS)
            }
            decorator.set_registry(UniqueKeyDict(registry.name, **kept))
        yield


@contextmanager
def bytecode_disabled() -> Iterator[None]:
    """Keep Python from writing `__pycache__`."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


@dataclass(frozen=True)
class ProcessSettings:
    """The environment variables of this process, and the entries of its `sys.path`."""

    variables: Mapping[str, str]
    path: tuple[str, ...]

    @classmethod
    def current(cls) -> ProcessSettings:
        """The present settings."""
        return cls(dict(os.environ), tuple(sys.path))

    def but(self, **variables: str) -> ProcessSettings:
        """The settings with other values of environment variables."""
        return ProcessSettings({**self.variables, **variables}, self.path)

    def changes_since(self, before: ProcessSettings) -> SettingsChanges:
        """What was added or changed after the settings were `before`."""
        variables = {n: v for n, v in self.variables.items() if before.variables.get(n) != v}
        added = [entry for entry in self.path if entry not in before.path]
        first = tuple(takewhile(added.__contains__, self.path))
        return SettingsChanges(variables, first, tuple(added[len(first) :]))


@dataclass(frozen=True)
class SettingsChanges:
    """Environment variables to set, and entries to add at both ends of `sys.path`."""

    variables: Mapping[str, str]
    first_entries: tuple[str, ...]
    last_entries: tuple[str, ...] = ()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Change the settings of the process, and restore them afterwards."""
        variables = {name: os.environ.get(name) for name in self.variables}
        first, last = (
            [entry for entry in entries if entry not in sys.path]
            for entries in (self.first_entries, self.last_entries)
        )
        os.environ.update(self.variables)
        sys.path[:] = [*first, *sys.path, *last]
        try:
            yield
        finally:
            for name, value in variables.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            for entry in (*first, *last):
                if entry in sys.path:
                    sys.path.remove(entry)


def modules_in(folders: Iterable[Path]) -> dict[str, ModuleType]:
    """The imported modules whose files are below these folders, by name."""
    starts = tuple(f"{folder}{os.sep}" for folder in folders)
    # A list of the items would not be safe: while it is made, Python can collect garbage, whose
    # finalizers can import modules.
    return {
        name: module
        for name, module in sys.modules.copy().items()
        if (place := _place(module)).startswith(starts) and not _is_installed(place)
    }


def _is_installed(place: str) -> bool:
    """Whether a module is part of a virtual environment, which can be inside a project."""
    return any(f"{os.sep}{name}{os.sep}" in place for name in ("site-packages", "dist-packages"))


def _place(module: Any) -> str:
    """The file of a module, or the folder of a namespace package."""
    known = getattr(module, "__dict__", {})
    if known.get("__file__"):
        return str(known["__file__"])
    try:
        return str(next(iter(known.get("__path__") or ()), ""))
    except KeyError:
        # A namespace package reads its path from its parent, which was removed.
        return ""


class ProjectModules:
    """The modules in `sys.modules` that belong to the loaded project, one project at a time.

    Projects are loaded from copies, one after another, and have modules of the same names. The code
    of the loaded project sees its own modules but not the modules of other projects.
    """

    def __init__(self) -> None:
        self._users_folders: set[Path] = set()
        self._installed: dict[str, ModuleType] = {}
        # Modules of the same names that tests have imported from a user's folder.
        self._covered: dict[str, ModuleType] = {}

    @property
    def installed(self) -> Mapping[str, ModuleType]:
        """The modules of the project that was loaded last, by name."""
        return dict(self._installed)

    def install(self, modules: Mapping[str, ModuleType]) -> None:
        """Add modules to the modules of the loaded project."""
        self._covered.update({name: sys.modules[name] for name in modules if name in sys.modules})
        sys.modules.update(modules)
        self._installed.update(modules)

    def remove(self) -> None:
        """Remove the modules of the project that was loaded last, and restore those it covered."""
        for name in self._installed:
            sys.modules.pop(name, None)
        self._installed.clear()
        sys.modules.update(self._covered)
        self._covered.clear()

    @contextmanager
    def configured_from(self, folders: Iterable[Path]) -> Iterator[None]:
        """Let the configuration in a user's folders import modules, and remove them afterwards."""
        self._users_folders.update(folders)
        hidden = _taken_out(self._users_folders)
        try:
            yield
        finally:
            _taken_out(self._users_folders)
            sys.modules.update(hidden)

    @contextmanager
    def imported_from(self, folder: Path) -> Iterator[None]:
        """Let a copied project import its modules afresh, and install them afterwards."""
        hidden = _taken_out(self._users_folders)
        try:
            yield
        finally:
            imported = _taken_out([folder])
            sys.modules.update(hidden)
            self.install(imported)


def _taken_out(folders: Iterable[Path]) -> dict[str, ModuleType]:
    """Remove the modules imported from these folders, so that the next import reads the files
    again."""
    modules = modules_in(folders)
    for name in modules:
        del sys.modules[name]
    return modules


project_modules = ProjectModules()
"""The project modules of this process, which has only one `sys.modules`."""
