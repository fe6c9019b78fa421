"""The databases of projects: a DuckDB file, or a database of a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .servers import Server

NAME = "wh"
"""The name of every database, which is in the fully qualified names of models."""


class Database(Protocol):
    """What one project has loaded, or its state."""

    def connection(self, concurrent_tasks: int) -> dict[str, object]:
        """The settings of the connection, as in SQLMesh's configuration."""

    def has_tables(self) -> bool:
        """Whether any table has been created in it; it must not be open."""

    def keep(self, key: str) -> None:
        """Keep a copy of it, which must not be open, until the session ends."""

    def restore(self, key: str) -> bool:
        """Replace it with the copy that was kept, and return whether there is one."""

    def execute(self, sql: str) -> None:
        """Execute statements through another connection than the project's."""

    def use(self, disconnect: Callable[[], None]) -> None:
        """Let the project connect to it instead of to one of its copies, or the reverse.

        Args:
            disconnect: what closes the project's connections before another one is used.
        """

    def copied(self, project: Path) -> Database:
        """A copy of it for a copy of the project's folder, which is made afterwards."""

    def drop(self) -> None:
        """Drop it, whatever is connected to it."""


class DuckDBFile:
    """A file in the project's folder, by default called `wh.db`."""

    def __init__(self, project: Path, name: str = NAME) -> None:
        self.file = project / f"{name}.db"

    def connection(self, concurrent_tasks: int) -> dict[str, object]:
        return {
            "type": "duckdb",
            "database": str(self.file),
            "concurrent_tasks": concurrent_tasks,
            # More than one takes longer for a handful of rows.
            "connector_config": {"threads": 1},
        }

    def has_tables(self) -> bool:
        if not self.file.exists():
            return False
        import duckdb

        with duckdb.connect(str(self.file)) as connection:
            return bool(connection.execute("FROM duckdb_tables()").fetchall())

    def keep(self, key: str) -> None:
        assert not self.file.with_name(f"{self.file.name}.wal").exists(), "it is not complete yet"
        copyfile(self.file, Path(_kept_files().name, key))

    def restore(self, key: str) -> bool:
        kept = Path(_kept_files().name, key)
        if kept.exists():
            copyfile(kept, self.file)
        return kept.exists()

    def execute(self, sql: str) -> None:
        import duckdb

        with duckdb.connect(str(self.file)) as connection:
            connection.execute(sql)

    def use(self, disconnect: Callable[[], None]) -> None:
        """Do nothing: copies have their own files."""

    def copied(self, project: Path) -> DuckDBFile:
        return DuckDBFile(project)

    def drop(self) -> None:
        """Do nothing: the file is removed with the project's folder."""


class ServerDatabase:
    """A database of a server. It is called `wh` as long as no other one of that server is used."""

    def __init__(self, server: Server, template: str) -> None:
        """Make it as a copy of another one, without using it."""
        self.server = server
        self.is_dropped = False
        self._parked = server.new_name()
        self._disconnect: Callable[[], None] | None = None
        server.databases.copy(template, self._parked)

    def use(self, disconnect: Callable[[], None] | None = None) -> None:
        """Give it the name by which projects connect, and another one to the one that has it."""
        self._disconnect = disconnect
        used = self.server.used
        if used is self:
            return
        if used is not None:
            used._park()
        self.server.databases.rename(self._parked, NAME)
        self.server.used = self

    def _park(self) -> None:
        if self._disconnect is not None:
            self._disconnect()
        self.server.databases.rename(NAME, self._parked)
        self.server.used = None

    def copied(self, project: Path) -> ServerDatabase:  # noqa: ARG002
        """A copy that takes turns with it."""
        if self.server.used is not self:
            return ServerDatabase(self.server, self._parked)
        if self._disconnect is not None:
            self._disconnect()
        return ServerDatabase(self.server, NAME)

    def drop(self) -> None:
        if self.is_dropped:
            return
        self.is_dropped = True
        name = self._parked
        if self.server.used is self:
            name = NAME
            self.server.used = None
        self.server.end_sessions(name)
        self.server.databases.drop(name)

    def connection(self, concurrent_tasks: int) -> dict[str, object]:
        return {**self.server.connection, "database": NAME, "concurrent_tasks": concurrent_tasks}

    def has_tables(self) -> bool:
        return bool(self.server.query(NAME, "SELECT 1 FROM duckdb_tables()"))

    def keep(self, key: str) -> None:
        self.server.databases.copy(NAME, _kept(key))

    def restore(self, key: str) -> bool:
        if _kept(key) not in self.server.databases.names():
            return False
        self.server.databases.drop(NAME)
        self.server.databases.copy(_kept(key), NAME)
        return True

    def execute(self, sql: str) -> None:
        self.server.query(NAME, sql)


def _kept(key: str) -> str:
    # Names have at most 63 bytes.
    return f"kept {key[:32]}"


@cache
def _kept_files() -> TemporaryDirectory[str]:
    """The folder of this process's files, which is removed when the process ends."""
    return TemporaryDirectory(prefix="planned-databases-")
