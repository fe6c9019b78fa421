"""The inputs of a template that are known before it is planned."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from sqlmesh.core.loader import SqlMeshLoader

from pytest_sqlmesh_tracker.process.state import SettingsChanges
from pytest_sqlmesh_tracker.sandbox.options import ProjectOptions
from pytest_sqlmesh_tracker.sandbox.templates.project import CopiedProject

from .digests import digest, digest_of_file, digest_of_files, files_below
from .installed import is_installed
from .modules import check_readers
from .values import UnkeepableError, plain_options, setup_files, setup_values

_LARGEST_DATABASE = 1 << 30
"""Bytes of local databases."""
_TESTS = ("test_*.py", "*_test.py", "conftest.py")
_READ_BY_SQLMESH = {"audits", "linter", "macros", "materializations", "models", "signals"}
"""Folders in which SQLMesh imports every module, also one that is named like a test."""
_REPORTS = ("*.log", ".coverage*", "junit*.xml")


@dataclass(frozen=True)
class Inputs:
    """Everything that is known beforehand of what a template is made from.

    Attributes:
        options: the options of the template.
        root: the folder that relative paths of the options start from.
        project: the project, with a fresh copy of its files and databases.
        settings: what reading the configuration has changed in the process.
        setup: the function that loads data.
    """

    options: ProjectOptions
    root: Path
    project: CopiedProject
    settings: SettingsChanges
    setup: Any

    @property
    def projects(self) -> str:
        """The project's paths, as messages name them."""
        paths = (self.root / path for path in self.options.paths)
        shown = (p.relative_to(self.root) if p.is_relative_to(self.root) else p for p in paths)
        return ", ".join(map(str, shown))

    @property
    def name(self) -> str:
        """The digest of what tells templates apart in a session, whatever their content."""
        setup = getattr(self.setup, "__qualname__", "")
        return digest(plain_options(self.options), *map(str, self.project.configs), setup)

    @property
    def key(self) -> str:
        """The digest of all contents.

        Raises:
            UnkeepableError: not all can be compared with those of other sessions.
        """
        self._check()
        copy = self.project.folder / "project"
        databases = [*files_below(self.project.folder / "databases")]
        if sum(file.stat().st_size for file in databases) > _LARGEST_DATABASE:
            raise UnkeepableError("its local databases are larger than 1 GB")
        return digest(
            self.name,
            str(Path.cwd()),
            *(str(each) for each in time.tzname),
            *versions(),
            *(f"{n}={v}" for n, v in sorted(self.settings.variables.items())),
            *self.settings.first_entries,
            *self.settings.last_entries,
            *(config.fingerprint for config in self.project.configs.values()),
            *(self.project.databases.gateway, self.project.databases.external_gateway),
            *self._server_programs(),
            *sorted(self.project.databases.catalogs()),
            digest_of_files(copy, (f for f in files_below(copy) if not is_test(f, copy))),
            digest_of_files(self.project.folder, databases),
            *(digest_of_file(self.root / file) for file in self.options.setup),
            *(setup_values(self.setup) for _ in [0] if self.setup is not None),
            *(digest_of_file(file) for file in sorted(self.setup_files)),
        )

    def _server_programs(self) -> Iterator[str]:
        """The server that databases in PostgreSQL are on: another can't use its data folder."""
        databases = self.project.databases
        if databases.of_postgres:
            yield str(databases.server.programs.folder.resolve())
            yield databases.server.programs.build

    def _check(self) -> None:
        if self.options.at is None:
            raise UnkeepableError("it is planned as of now; set at=")
        if any(c.loader is not SqlMeshLoader for c in self.project.configs.values()):
            raise UnkeepableError("it is loaded by dbt's loader, or one of its own")
        check_readers(self.texts)

    @property
    def texts(self) -> list[str]:
        """The Python code of the project and of its set-up."""
        copy = self.project.folder / "project"
        own = [f for f in copy.rglob("*.py") if not is_test(f, copy)]
        return [_text(file) for file in (*own, *self.setup_files)]

    @property
    def setup_files(self) -> set[Path]:
        """The files with the code of the function that loads data."""
        return set(setup_files(self.setup)) if self.setup is not None else set()


def is_test(file: Path, folder: Path) -> bool:
    """Whether only pytest and other tools read a file of a project's copy in this folder."""
    parts = file.relative_to(folder).parts
    if _READ_BY_SQLMESH.intersection(parts[:-1]):
        return False
    return any(fnmatch(parts[-1], pattern) for pattern in (*_TESTS, *_REPORTS))


def versions() -> Iterator[str]:
    """The Python version, and everything that is installed, with its version."""
    yield sys.version
    yield platform.platform()
    for folder in dict.fromkeys(sys.path):
        try:
            names = sorted(os.listdir(folder or "."))  # noqa: PTH208
        except OSError:
            continue
        yield from (name for name in names if name.endswith((".dist-info", ".egg-info")))
    # In an editable installation, the code changes without the version.
    here = Path(__file__).parents[3]
    if not is_installed(str(here)):
        yield digest_of_files(here, here.rglob("*.py"))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
