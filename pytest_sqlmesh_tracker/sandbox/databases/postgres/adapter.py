"""SQLMesh's adapter and connection for PostgreSQL, on the databases of a sandbox."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_INERROR
from pydantic import PrivateAttr
from sqlglot import exp
from sqlmesh.core.config.connection import PostgresConnectionConfig
from sqlmesh.core.engine_adapter.base import EngineAdapter
from sqlmesh.core.engine_adapter.postgres import PostgresEngineAdapter
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.sandbox.clusters.databases import missing_extension
from pytest_sqlmesh_tracker.sandbox.databases.engine import (
    Column,
    RowQueries,
    SystemTables,
    TableName,
)

from .connections import PostgresConnections
from .rows import PostgresRowQueries
from .server import PostgresDatabase
from .system_tables import PostgresSystemTables


class SandboxPostgresAdapter(PostgresEngineAdapter):
    """The adapter that executes a sandbox's statements."""

    system: SystemTables = PostgresSystemTables()
    rows: RowQueries = PostgresRowQueries()

    @property
    def _connections(self) -> PostgresConnections:
        connections: PostgresConnections = self._extra_config["connections"]
        return connections

    def _execute(self, sql: str, *args: Any, **kwargs: Any) -> None:
        self._connections.clock.executing()
        sql = self._connections.with_server_rights(sql, self.default_catalog or "")
        self._connections.external_tables.give_way(self, sql)
        with self._errors_explained(sql):
            super()._execute(sql, *args, **kwargs)

    def _fetch_native_df(self, *args: Any, **kwargs: Any) -> Any:
        # SQLMesh ignores this warning with `catch_warnings`, which a task ends for all of them.
        # Where warnings are errors, a model would fail. pytest restores the filters.
        warnings.filterwarnings(
            "ignore", ".*pandas only supports SQLAlchemy connectable", category=UserWarning
        )
        return super()._fetch_native_df(*args, **kwargs)

    def attach(self, catalogs: Iterable[str]) -> None:
        """Do nothing: PostgreSQL reads only one database at a time."""

    def stored_type(self, kind: exp.DataType) -> exp.DataType:
        """The type itself; values of any type are stored as JSON, as sqlglot translates them."""
        return kind

    def execute_users(self, sql: str) -> list[tuple[Any, ...]]:
        """Execute what a test or its SQL files contain, commit it, and return the rows."""
        self._connections.clock.executing()
        if self.connection.info.transaction_status == TRANSACTION_STATUS_INERROR:
            # SQLMesh does not end a transaction that was interrupted, as by Ctrl-C.
            self._connection_pool.rollback()
        with self._connections.used(), self.transaction():
            sql = self._connections.with_server_rights(sql, self.default_catalog or "")
            self._connections.external_tables.give_way(self, sql)
            with self._errors_explained(sql):
                self.cursor.execute(sql)
            return list(self.cursor.fetchall()) if self.cursor.description else []

    @contextmanager
    def scratch(self) -> Iterator[None]:
        """Undo on exit what is executed in this context, in a transaction."""
        if self.connection.info.transaction_status == TRANSACTION_STATUS_INERROR:
            self._connection_pool.rollback()
        with self._connections.used():
            self._connection_pool.begin()
            try:
                yield
            finally:
                self._connection_pool.rollback()

    def show_arrived(self, table: TableName, column: Column, present: str) -> TableName:
        """Hide the other rows by a policy. It also applies to views that read the table already."""
        table_literal = exp.Literal.string(table.sql).sql(dialect="postgres")
        ((secured,),) = self.fetchall(
            f"SELECT relrowsecurity FROM pg_class WHERE oid = {table_literal}::regclass"
        )
        # The subquery is evaluated once for each query, rather than for each row.
        condition = f"{column.sql} <= (SELECT {present})"
        policy = f"CREATE POLICY {{}} ON {table.sql} AS {{}} USING ({{}}) WITH CHECK (true)"
        statements = [
            f"ALTER TABLE {table.sql} ENABLE ROW LEVEL SECURITY",
            # Otherwise, the owner of the table would see all rows.
            f"ALTER TABLE {table.sql} FORCE ROW LEVEL SECURITY",
            policy.format("sqlmesh_tracker_arrivals", "RESTRICTIVE", condition),
        ]
        if not secured:
            # A restrictive policy only limits what another one permits.
            statements.append(policy.format("sqlmesh_tracker_all_rows", "PERMISSIVE", "true"))
        for statement in statements:
            self.execute_users(statement)
        return table

    def call(self, setup: Callable[[Any], Any]) -> None:
        """Call a test's function with a connection of psycopg2, and commit what it did."""
        with self._connections.used():
            try:
                setup(self.connection)
                self.connection.commit()
            except BaseException:
                self.connection.rollback()
                raise

    def separate_rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query, through a connection of its own: it also works in a transaction that
        has failed, and doesn't see what is not committed."""
        connection = self._connections.connect(
            database=self.default_catalog or "", user=self._extra_config["user"]
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                rows: list[tuple[Any, ...]] = cursor.fetchall()
                return rows
        finally:
            connection.close()

    @contextmanager
    def _errors_explained(self, sql: str) -> Iterator[None]:
        try:
            yield
        except psycopg2.Error as error:
            advice = _advice(error) or self._connections.external_tables.explain(self, sql, error)
            if advice is None:
                raise
            raise SQLMeshError(f"{advice}\n{error}") from error


_UNDEFINED_OBJECT = "42704"
_MISSING_ROLE = re.compile(r'role "(.+)" does not exist')


def _advice(error: psycopg2.Error) -> str | None:
    """Advice on a statement that needs what the session's server does not have."""
    extension = missing_extension(error)
    if extension:
        return f"the PostgreSQL server does not have the extension {extension}"
    role = _MISSING_ROLE.match(str(error))
    if role and error.pgcode == _UNDEFINED_OBJECT:
        return (
            f"the sandbox's PostgreSQL server does not have the role {role[1]}: create it with "
            "CREATE ROLE in a file of setup="
        )
    if str(error).startswith("permission denied to create role"):
        return (
            "a sandbox creates roles only by a plain statement, such as CREATE ROLE reader, and "
            "without rights"
        )
    return None


class SandboxPostgresConnection(PostgresConnectionConfig):
    """The connection configuration of a gateway, on the sandbox's own server."""

    _connections: PostgresConnections = PrivateAttr()

    @classmethod
    def of(
        cls,
        database: PostgresDatabase,
        *,
        user: str,
        role: str | None,
        connections: PostgresConnections,
        options: dict[str, Any],
    ) -> SandboxPostgresConnection:
        """The connection to a database.

        Args:
            role: the role that the user takes on, if any.
            options: what SQLMesh itself reads from the user's configuration, such as
                `concurrent_tasks`.
        """
        connection = cls(
            host="",
            port=5432,
            user=user,
            password="",
            role=role,
            database=database.name,
            **options,
        )
        connection._connections = connections
        return connection

    @property
    def _engine_adapter(self) -> type[EngineAdapter]:
        return SandboxPostgresAdapter

    @property
    def _connection_kwargs_keys(self) -> set[str]:
        return {"database", "user"}

    @property
    def _connection_factory(self) -> Callable[..., Any]:
        return self._connections.connect

    @property
    def _extra_engine_config(self) -> dict[str, Any]:
        return {"connections": self._connections, "user": self.user}

    def create_engine_adapter(
        self, register_comments_override: bool = False, concurrent_tasks: int | None = None
    ) -> EngineAdapter:
        """An adapter, whose connections are closed with the sandbox."""
        adapter = super().create_engine_adapter(
            register_comments_override, concurrent_tasks=concurrent_tasks
        )
        return self._connections.add(adapter)
