"""Records what the planning of a template reads beyond its own copy of the project."""

from __future__ import annotations

import glob
import io
import os
import pathlib
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import duckdb
from sqlmesh.core import constants

from .duckdb_log import DuckDBLog

_IGNORED = re.compile(
    r"(COLUMNS|LINES|TERM|COLORTERM|NO_COLOR|FORCE_COLOR|PYTEST_(CURRENT_TEST|VERSION|ADDOPTS)|_)"
)
"""Variables that describe the terminal and the test, which change all the time."""
_OWN = "pytest_sqlmesh_tracker."
_CLUSTERS = f"{_OWN}sandbox.clusters."
_OF_WORKER = "PYTEST_XDIST"


class _RecordedEnvironment(type(os.environ)):  # type: ignore[misc]
    """`os.environ` while a template is planned."""

    recorder: Recorder | None = None

    def __getitem__(self, name: str) -> str:
        self._record(name)
        value: str = super().__getitem__(name)
        return value

    def __contains__(self, name: object) -> bool:
        self._record(name)
        return bool(super().__contains__(name))

    def __iter__(self) -> Iterator[str]:
        if self.recorder and not _caller().startswith(_OWN):
            self.recorder.reads_all_variables()
        return iter(super().__iter__())

    def _record(self, name: object) -> None:
        if self.recorder and isinstance(name, str) and not _caller().startswith(_OWN):
            self.recorder.reads_variable(name, self._data.get(self.encodekey(name)))


_KEEP_FUNCTIONS = [
    vars(module)[name]
    for module, name in (
        (pathlib, "_NormalAccessor"),
        (glob, "_Globber"),
        (glob, "_StringGlobber"),
    )
    if name in vars(module)
]
"""Classes of some Python versions that have kept functions of `os` since they were imported."""
_OF_CONNECTIONS = {name for name in vars(duckdb.DuckDBPyConnection) if not name.startswith("_")}
_OBSTACLES = (
    (sqlite3, ("connect",), "opened an SQLite database"),
    (os, ("system", "fork", "posix_spawn"), "started a process"),
    (os, ("chdir", "fchdir"), "changed the working folder"),
    (
        duckdb,
        ("default_connection", *sorted(_OF_CONNECTIONS & vars(duckdb).keys())),
        "used the default connection of DuckDB",
    ),
)
"""Functions, and what calling them means."""
_BETWEEN = (__name__, "os", Mapping.__module__, "pathlib", "glob", "contextlib")
_INSTALLED_PACKAGES = ("importlib", "pkgutil", "pkg_resources", "zipfile", "zipp")
"""Modules that list folders in search of packages; what is installed is an input anyway."""


def _caller() -> str:
    """The module that uses the environment or a folder, beyond the modules that it calls for it."""
    frame = sys._getframe(1)
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith(_BETWEEN):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__"))


def _is_for_server() -> bool:
    """Whether this is part of starting or using the PostgreSQL server of the sandbox itself.

    The package of clusters calls no code of users.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith(_CLUSTERS):
            return True
        frame = frame.f_back
    return False


class Recorder:
    """What was read, by kind.

    Attributes:
        variables: the environment variables, with the values that were read.
        stamps: the files, with the size and the time of the last change when they were first read.
        folders: the folders that were listed.
        obstacles: why the template can't be kept, in words.
    """

    def __init__(self) -> None:
        self.variables: dict[str, str | None] = {}
        self.stamps: dict[str, tuple[int, int] | None] = {}
        self.folders: set[str] = set()
        self.obstacles: list[str] = []
        self.duckdb = DuckDBLog()
        self._modules = set(sys.modules)
        self._originals: dict[int, tuple[Any, Any]] = {}

    @contextmanager
    def recording(self) -> Iterator[Recorder]:
        """Record what this process reads inside the `with` block.

        SQLMesh loads models in this process meanwhile: what others read could not be recorded.
        """
        environment: Any = os.environ
        kind = type(environment)
        with ExitStack() as patches:
            for owner, name, replacement in self._replacements():
                patches.enter_context(_replaced(owner, name, replacement))
            _RecordedEnvironment.recorder = self
            environment.__class__ = _RecordedEnvironment
            try:
                yield self
            finally:
                environment.__class__ = kind
                _RecordedEnvironment.recorder = None
                self._remove_replacements()

    def _replacements(self) -> Iterator[tuple[Any, str, Any]]:
        yield constants, "MAX_FORK_WORKERS", 1
        opened = self._before(open, self._reads_file)
        listed = self._before(os.listdir, self._lists_folder)
        scanned = self._before(os.scandir, self._lists_folder)
        for owner in _KEEP_FUNCTIONS:
            for name, new in (("open", opened), ("listdir", listed), ("scandir", scanned)):
                if name in vars(owner):
                    yield owner, name, staticmethod(new)
        for loader in (SourceFileLoader, SourcelessFileLoader):
            yield loader, "get_data", self._of_loader(loader.get_data)
        for owner, name in ((socket.socket, "connect"), (socket.socket, "connect_ex")):
            yield owner, name, self._obstructed(getattr(owner, name), "opened a connection")
        started = self._obstructed(subprocess.Popen.__init__, "started a process")
        yield subprocess.Popen, "__init__", started
        functions: list[tuple[Any, Any]] = [
            (open, opened),
            (io.open_code, self._before(io.open_code, self._reads_file)),
            (os.open, self._before(os.open, self._reads_file)),
            (os.listdir, listed),
            (os.scandir, scanned),
            (duckdb.connect, self._replacement(duckdb.connect, self._connect)),
        ]
        driver: Any = sys.modules.get("psycopg2")
        if driver is not None:
            new = self._obstructed(driver.connect, "opened a connection")
            functions.append((driver.connect, new))
        for owner, names, words in _OBSTACLES:
            for function in (vars(owner)[name] for name in names if name in vars(owner)):
                functions.append((function, self._obstructed(function, words)))
        yield from self._in_modules(functions)

    def _in_modules(self, functions: list[tuple[Any, Any]]) -> Iterator[tuple[Any, str, Any]]:
        """Replace functions in all modules, also those that have imported the functions."""
        replacements = {id(function): (function, new) for function, new in functions}
        self._originals = {id(new): (new, function) for function, new in functions}
        for module, name, value in _variables():
            if id(value) in replacements:
                yield module, name, replacements[id(value)][1]

    def _remove_replacements(self) -> None:
        """Restore functions in modules that have imported the replacements meanwhile."""
        for module, name, value in _variables():
            if id(value) in self._originals:
                setattr(module, name, self._originals[id(value)][1])

    @staticmethod
    def _replacement(function: Callable[..., Any], call: Callable[..., Any]) -> Any:
        """A function that SQLMesh serializes as the one that it replaces: with its import."""

        @wraps(function)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            return call(*args, **kwargs)

        return replacement

    def _before(self, function: Callable[..., Any], record: Callable[[Any], None]) -> Any:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            record(args[0] if args else kwargs.get("file", kwargs.get("path", ".")))
            return function(*args, **kwargs)

        return call

    def _of_loader(self, get_data: Callable[..., Any]) -> Any:
        def call(loader: Any, path: str) -> Any:
            # Instead of the source, Python can read its bytecode.
            self._reads_file(loader.path if path.endswith(".pyc") else path)
            return get_data(loader, path)

        return call

    def _obstructed(self, function: Callable[..., Any], words: str) -> Any:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not _is_for_server():
                self.obstacles.append(words)
            return function(*args, **kwargs)

        return call

    def _connect(self, *args: Any, **kwargs: Any) -> Any:
        connection = _connect_to_duckdb(*args, **kwargs)
        if not _caller().startswith(_OWN):
            self.obstacles.append("opened a DuckDB database")
        elif not self.duckdb.observe(connection):
            self.obstacles.append("used a DuckDB that does not log which files it reads")
        return connection

    def _reads_file(self, path: Any) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            place = _absolute(path)
            if place not in self.stamps and not _is_for_server():
                self.stamps[place] = stamp(place)

    def _lists_folder(self, path: Any) -> None:
        if _is_for_server():
            return
        if isinstance(path, int):
            self.obstacles.append("listed a folder by its descriptor")
        elif not _caller().startswith(_INSTALLED_PACKAGES):
            self.folders.add(_absolute(path or "."))

    def reads_variable(self, name: str, value: Any) -> None:
        """Note that a variable was read."""
        if _is_for_server():
            return
        if name.startswith(_OF_WORKER):
            self.obstacles.append(f"read {name}")
        elif not _IGNORED.fullmatch(name):
            self.variables.setdefault(name, None if value is None else os.fsdecode(value))

    def reads_all_variables(self) -> None:
        """Note that all variables were read at once."""
        self.obstacles.append("read all environment variables at once")

    @property
    def imported(self) -> Mapping[str, Any]:
        """The modules that were first imported meanwhile, by name."""
        return {n: m for n, m in sys.modules.copy().items() if n not in self._modules}


def _absolute(path: str | bytes | os.PathLike[Any]) -> str:
    # `Path.resolve` would follow links, which can be changed.
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100


def _variables() -> Iterator[tuple[Any, str, Any]]:
    """The global variables of all modules but this package's own."""
    for name, module in sys.modules.copy().items():
        # Through `_io`, imports read bytecode, for which loaders read the source.
        if isinstance(module, ModuleType) and name != "_io" and not name.startswith(_OWN):
            for variable, value in list(vars(module).items()):
                yield module, variable, value


_connect_to_duckdb = duckdb.connect


@contextmanager
def _replaced(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    inherited = name not in vars(owner)
    # Not by `getattr`, which would unwrap static methods.
    before = vars(owner).get(name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        if inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def stamp(path: str | Path) -> tuple[int, int] | None:
    """The size of a file and the time of its last change, in nanoseconds; None without a file."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
