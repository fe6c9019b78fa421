"""PostgreSQL servers of this process.

The name of a database is part of the fully qualified names of its tables, so the databases of all
projects have the same name, and each project has a server of its own while it is used.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from pytest_sqlmesh_tracker.sandbox.clusters.client import MAINTENANCE
from pytest_sqlmesh_tracker.sandbox.clusters.cluster import start_cluster
from pytest_sqlmesh_tracker.sandbox.clusters.databases import ClusterDatabases
from tests.postgres import installed_programs, rows_of

from .databases import NAME, ServerDatabase

PROGRAMS = "SQLMESH_TRACKER_POSTGRES_PROGRAMS"
"""The environment variable for whose programs are used: `wheel` (the default) or `machine`."""
_OWNER = "shop_owner"
_EMPTY = "an empty database"
_FUNCTIONS = Path(__file__).with_name("functions.sql")


class Server:
    """A running server. Its databases belong to a role without the rights of a superuser."""

    def __init__(self) -> None:
        self.cluster = start_cluster(installed_programs(os.environ.get(PROGRAMS, "wheel")))
        atexit.register(self.cluster.close)
        self.databases = ClusterDatabases(self.cluster)
        self.databases.create_role(_OWNER)
        self.databases.create(NAME, owner=_OWNER)
        self.query(NAME, _FUNCTIONS.read_text())
        self.databases.make_template(NAME, _EMPTY)
        self.used: ServerDatabase | None = None
        """The database that has the name by which projects connect."""
        self._numbers = count(1)

    @property
    def connection(self) -> dict[str, object]:
        """The settings of SQLMesh's connections, without a database."""
        return {
            "type": "postgres",
            "host": self.cluster.host,
            "port": self.cluster.port,
            "user": _OWNER,
            "password": "is-not-checked",
        }

    def query(self, database: str, sql: str) -> list[tuple[Any, ...]]:
        """Execute statements as the owner of the databases, and return the rows of the last."""
        return rows_of(self.cluster, database, sql, user=_OWNER)

    def administer(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Execute a statement as the superuser, outside of the projects' databases."""
        cursor = self._maintenance.cursor()
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []

    @cached_property
    def _maintenance(self) -> Any:
        return self.cluster.connect(MAINTENANCE)

    def new_name(self) -> str:
        """A name for a database while another one is used."""
        return f"parked {next(self._numbers)}"

    def new_database(self) -> ServerDatabase:
        """An empty database."""
        return ServerDatabase(self, _EMPTY)

    def end_sessions(self, database: str) -> int:
        """End all connections to a database, and return how many there were."""
        ended = self.administer(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", database
        )
        return len(ended)


class Servers:
    """The servers that are running, and the databases of the projects that use them."""

    def __init__(self) -> None:
        self._all: list[Server] = []
        self._databases: dict[Path, ServerDatabase] = {}

    def database_of(self, project: Path) -> ServerDatabase:
        """The database of the project in a folder, on a server that no other project uses."""
        database = self._databases.get(project)
        if database is None or database.is_dropped:
            free = [server for server in self._all if server.used is None]
            if not free:
                free = [Server()]
                self._all += free
            database = free[0].new_database()
            database.use()
            self._databases[project] = database
        return database

    @contextmanager
    def lent(self) -> Iterator[None]:
        """At the end, drop the databases of the projects that have come since."""
        before = set(self._databases)
        try:
            yield
        finally:
            for project in self._databases.keys() - before:
                self._databases.pop(project).drop()


SERVERS = Servers()
