"""The gateways of a project whose databases are in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlmesh.core.config.connection import ConnectionConfig

from .connections import PostgresConnections
from .server import PostgresDatabase

_TYPES = ("postgres", "gcp_postgres")
_UNKNOWN = (None, "", "None")
"""Settings from environment variables that tests don't have."""
_OPTIONS = ("concurrent_tasks", "register_comments", "pretty_sql")
_DEFAULT = "postgres"
"""The database and the user, if they are unknown."""


@dataclass(frozen=True)
class PostgresGateway:
    """A gateway in PostgreSQL.

    Attributes:
        server: what tells the user's servers apart.
        role: the role that the user takes on, if any.
        options: what SQLMesh itself reads from the connection.
    """

    database: str
    server: str
    user: str
    role: str | None
    options: dict[str, Any] = field(hash=False)

    @classmethod
    def of(cls, connection: Any) -> PostgresGateway | None:
        """The gateway with this connection, of the sandbox or of SQLMesh; None if the database is
        not PostgreSQL."""
        if connection.type_ not in _TYPES:
            return None
        database = connection.get_catalog()
        server = next(
            (
                value
                for name in ("server", "instance_connection_string")
                if (value := getattr(connection, name, None))
            ),
            None,
        )
        role = getattr(connection, "role", None)
        return cls(
            database=_DEFAULT if database in _UNKNOWN else database,
            server=server or f"{connection.host}:{connection.port}",
            user=_DEFAULT if connection.user in _UNKNOWN else connection.user,
            role=None if role in _UNKNOWN else role,
            options={
                name: getattr(connection, name)
                for name in _OPTIONS
                if name in connection.model_fields_set
            },
        )

    def conflicts_with(self, other: PostgresGateway) -> bool:
        """Whether the two have databases of the same name on different servers."""
        return self.database == other.database and self.server != other.server

    def merged(self, gateways: Iterable[PostgresGateway]) -> PostgresDatabase:
        """The gateway's database, with the roles of all gateways that have it."""
        same = [each for each in gateways if each.database == self.database]
        roles = {role for each in same for role in (each.user, each.role) if role}
        first = same[0]
        return PostgresDatabase(self.database, first.role or first.user, frozenset(roles))

    def connection(
        self, database: PostgresDatabase, connections: PostgresConnections
    ) -> ConnectionConfig:
        """SQLMesh's configuration of the connection to the sandbox's database."""
        # The driver is not a dependency of the package.
        from .adapter import SandboxPostgresConnection

        return SandboxPostgresConnection.of(
            database,
            user=self.user,
            role=self.role,
            connections=connections,
            options=self.options,
        )
