"""The connections of a sandbox to its PostgreSQL databases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from sqlmesh.core.engine_adapter.base import EngineAdapter

from pytest_sqlmesh_tracker.sandbox.clock import Clock
from pytest_sqlmesh_tracker.sandbox.databases.engine import ExternalTables

from .clock_functions import DatabaseClock
from .privileged import privileged
from .server import PostgresDatabase, PostgresServer, SandboxDatabase


class PostgresConnections:
    """The databases of one sandbox, and the adapters that are connected to them."""

    def __init__(
        self,
        server: PostgresServer,
        databases: Iterable[PostgresDatabase],
        templates: Mapping[str, str],
        clock: Clock,
        external_tables: ExternalTables,
        *,
        parked: Mapping[str, str],
    ) -> None:
        """Connect to nothing yet.

        Args:
            templates: the template of each database that has one.
            external_tables: the tables that give way to what statements create.
            parked: the name of each database that exists already, under another name.
        """
        self.clock = clock
        self.external_tables = external_tables
        self._server = server
        self._adapters: list[EngineAdapter] = []
        databases = list(databases)
        self._users = frozenset(role for each in databases for role in each.roles)
        self._databases = {
            each.name: SandboxDatabase(
                server,
                each,
                templates.get(each.name),
                self._disconnect,
                parked=parked.get(each.name),
            )
            for each in databases
        }
        self._clocks = {
            name: DatabaseClock(clock, partial(server.connect_to_maintain, name))
            for name in self._databases
        }

    def connect(self, *, database: str, user: str) -> Any:
        """A connection to one of the databases, on which SQL sees the sandbox's time."""
        connection = self._databases[database].connect(user)
        connection.clock = self._clocks[database]
        connection.clock.renew()
        return connection

    def with_server_rights(self, sql: str, database: str) -> str:
        """Create the roles and the extensions that only a superuser can create.

        Returns:
            The rest of the SQL, which the user executes.
        """
        needs = privileged(sql)
        self._server.create_roles(needs.roles, members=self._users)
        self._server.create_extensions(database, needs.extensions)
        return needs.sql

    def add(self, adapter: EngineAdapter) -> EngineAdapter:
        """Close the adapter's connections when the sandbox ends."""
        self._adapters.append(adapter)
        return adapter

    @contextmanager
    def used(self) -> Iterator[None]:
        """Reject other sandboxes of the same databases meanwhile."""
        with ExitStack() as stack:
            for database in self._databases.values():
                stack.enter_context(database.used())
            yield

    def make_templates(self) -> dict[str, str]:
        """Close all connections, and make the databases templates.

        Returns:
            The template of each database that was used.
        """
        self._disconnect()
        templates = {name: each.make_template() for name, each in self._databases.items()}
        return {name: template for name, template in templates.items() if template is not None}

    def copies(self) -> dict[str, str]:
        """Copy each database that exists.

        Returns:
            The name of each copy, under which it is parked.

        Raises:
            SandboxError: the sandbox is using a database, or it can't be copied.
        """
        copies = {name: each.copy() for name, each in self._databases.items()}
        return {name: copy for name, copy in copies.items() if copy is not None}

    def close(self) -> None:
        """Close all connections, and drop the databases that are not templates."""
        self._disconnect()
        for database in self._databases.values():
            database.drop()

    def _disconnect(self) -> None:
        for adapter in self._adapters:
            adapter.close()
        for clock in self._clocks.values():
            clock.close()
