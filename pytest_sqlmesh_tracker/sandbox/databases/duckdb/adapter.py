"""SQLMesh's adapter and connection for DuckDB, on the files of a sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, cast

import duckdb
from pydantic import PrivateAttr
from sqlglot import exp
from sqlmesh.core.config.connection import BaseDuckDBConnectionConfig, DuckDBConnectionConfig
from sqlmesh.core.engine_adapter.base import EngineAdapter
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.sandbox.databases.engine import (
    Column,
    RowQueries,
    SystemTables,
    TableName,
    quoted,
)
from pytest_sqlmesh_tracker.sandbox.options import SandboxError

from .column_types import stored, with_stored_types
from .connections import DuckDBConnections, path_of
from .rows import DuckDBRowQueries
from .system_tables import DuckDBSystemTables

_ROLLBACK = re.compile(r"\s*(ROLLBACK|ABORT)\b", re.IGNORECASE)


class SandboxDuckDBAdapter(DuckDBEngineAdapter):
    """The adapter that executes a sandbox's statements."""

    system: SystemTables = DuckDBSystemTables()
    rows: RowQueries = DuckDBRowQueries()

    @property
    def _connections(self) -> DuckDBConnections:
        connections: DuckDBConnections = self._extra_config["connections"]
        return connections

    @property
    def cursor(self) -> Any:
        """The cursor of this thread, on which SQL sees the sandbox's time."""
        cursor = super().cursor
        self._connections.macros.renew_if_moved(cursor)
        return cursor

    @property
    def connection(self) -> Any:
        """The connection that cursors are made from, on which SQL sees the sandbox's time."""
        connection = super().connection
        self._connections.macros.renew_if_moved(connection)
        return connection

    @contextmanager
    def transaction(self, condition: bool | None = None) -> Iterator[None]:
        """A transaction, as SQLMesh's."""
        begins = not self._connection_pool.is_transaction_active
        # What a transaction changes ends with it if it is rolled back.
        cursor = self.cursor
        try:
            with super().transaction(condition):
                yield
        except BaseException:
            if begins:
                self._connections.macros.rolled_back(cursor)
            raise

    def _execute(self, sql: str, *args: Any, **kwargs: Any) -> None:
        self._connections.executing(sql, self.cursor)
        tables = self._connections.external_tables
        tables.give_way(self, sql)
        try:
            super()._execute(sql, *args, **kwargs)
        except duckdb.Error as error:
            storable = (
                with_stored_types(sql, self._has_type) if self._connections.stand_in else None
            )
            if storable:
                super()._execute(storable, *args, **kwargs)
                return
            advice = tables.explain(self, sql, error)
            if advice is None:
                raise
            raise SQLMeshError(f"{advice}\n{error}") from error

    def _has_type(self, kind: str) -> bool:
        try:
            self.cursor.execute(f"SELECT CAST(NULL AS {kind})")
        except duckdb.Error:
            return False
        return True

    def stored_type(self, kind: exp.DataType) -> exp.DataType:
        """The type, or JSON in place of types that can hold any value."""
        replaced: Any = kind.transform(stored)
        return cast(exp.DataType, replaced)

    def execute_users(self, sql: str) -> list[tuple[Any, ...]]:
        """Execute what a test or its SQL files contain, and return the rows."""
        self._connections.executing(sql, self.cursor)
        self._connections.external_tables.give_way(self, sql)
        rows: list[tuple[Any, ...]] = self.cursor.execute(sql).fetchall()
        if _ROLLBACK.match(sql):
            self._connections.macros.rolled_back(self.cursor)
        return rows

    @contextmanager
    def scratch(self) -> Iterator[None]:
        """Undo on exit what is executed in this context, in a transaction."""
        cursor = self.cursor
        cursor.execute("BEGIN")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")
            self._connections.macros.rolled_back(cursor)

    def show_arrived(self, table: TableName, column: Column, present: str) -> TableName:
        """Put a view in the place of the table, which gets another name in its schema.

        Raises:
            SandboxError: DuckDB does not rename the table.
        """
        complete = replace(table, name=f"{table.name}__sqlmesh_tracker_arrivals")
        try:
            self.execute_users(f"ALTER TABLE {table.sql} RENAME TO {quoted(complete.name)}")
        except duckdb.DependencyException as error:
            raise SandboxError(
                f"arrivals: DuckDB can't rename {table.schema}.{table.name}, because it has an "
                "index, or a foreign key refers to it: drop these with setup="
            ) from error
        self.execute_users(
            f"CREATE VIEW {table.sql} AS "
            f"SELECT * FROM {complete.sql} WHERE {column.sql} <= {present}"
        )
        return complete

    def call(self, setup: Callable[[Any], Any]) -> None:
        """Call a test's function with a connection."""
        setup(self.cursor)

    def attach(self, catalogs: Iterable[str]) -> None:
        """Make the catalogs with these names that do not exist yet."""
        rows = self.fetchall("SELECT lower(database_name) FROM duckdb_databases()")
        for catalog in sorted(catalogs):
            if (catalog.lower(),) not in rows:
                self._create_catalog(exp.to_identifier(catalog, quoted=True))

    def _create_catalog(self, catalog_name: exp.Identifier) -> None:
        # SQLMesh would create the file in the current folder.
        file = exp.Literal.string(str(self._connections.catalog_file(catalog_name.output_name)))
        self.execute(exp.Attach(this=exp.alias_(file, catalog_name), exists=True))

    def _drop_catalog(self, catalog_name: exp.Identifier) -> None:
        # SQLMesh would delete a file of this name in the current folder.
        self.execute(exp.Detach(this=catalog_name, exists=True))
        self._connections.catalog_file(catalog_name.output_name).unlink(missing_ok=True)


class SandboxDuckDBConnection(DuckDBConnectionConfig):
    """The connection configuration of a gateway, on the sandbox's own files."""

    _connections: DuckDBConnections = PrivateAttr()
    _catalog: str | None = PrivateAttr(None)

    @classmethod
    def of(
        cls,
        original: Any,
        connections: DuckDBConnections,
        *,
        catalog: str | None = None,
        **files: Any,
    ) -> SandboxDuckDBConnection:
        """The connection `original` on other files: `database=` or `catalogs=`.

        Args:
            catalog: the default catalog, if not the file's.
        """
        settings = {name: getattr(original, name) for name in original.model_fields_set}
        kept = {
            name: value
            for name, value in settings.items()
            if name in cls.model_fields and name not in ("database", "catalogs", "type_", "token")
        }
        connection = cls(**kept, **files)
        connection._connections = connections
        connection._catalog = catalog
        return connection

    @property
    def _engine_adapter(self) -> type[EngineAdapter]:
        return SandboxDuckDBAdapter

    @property
    def _connection_factory(self) -> Callable[..., Any]:
        options = (self.catalogs or {}).get("memory")
        if options is not None:
            # An in-memory database has this name, so DuckDB silently ignores a request to attach
            # a file under it.
            return partial(self._connections.connect, database=path_of(options))
        return self._connections.connect

    @property
    def _extra_engine_config(self) -> dict[str, Any]:
        return {"connections": self._connections}

    @property
    def _cursor_init(self) -> Callable[[Any], None]:
        init = super()._cursor_init
        catalogs = self._connections.catalogs()

        def attach(cursor: Any) -> None:
            if init:
                init(cursor)
            self._connections.macros.install(cursor)
            for file in catalogs:
                path = exp.Literal.string(str(file)).sql(dialect="duckdb")
                cursor.execute(f"ATTACH IF NOT EXISTS {path} AS {quoted(file.stem)}")

        return attach

    def create_engine_adapter(
        self, register_comments_override: bool = False, concurrent_tasks: int | None = None
    ) -> EngineAdapter:
        """The sandbox's adapter for these files, which no other sandbox shares."""
        files = {path_of(options) for options in (self.catalogs or {}).values()}
        files |= {self.database} if self.database else set()

        def make() -> EngineAdapter:
            # The DuckDB class's own method would keep adapters for the process's lifetime.
            return super(BaseDuckDBConnectionConfig, self).create_engine_adapter(
                register_comments_override, concurrent_tasks=concurrent_tasks
            )

        adapter = self._connections.adapter(files, make)
        if self._catalog in (None, adapter.default_catalog):
            return adapter
        other = copy(adapter)
        other._default_catalog = self._catalog
        return other
