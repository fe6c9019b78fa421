"""DuckDB as a sandbox opens it: its own copy of each file, and nothing outside its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import duckdb
from pydantic import PrivateAttr
from sqlglot import exp
from sqlmesh.core.config.connection import BaseDuckDBConnectionConfig, DuckDBConnectionConfig
from sqlmesh.core.engine_adapter.base import EngineAdapter
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.sandbox.clock import Clock

from .column_types import with_stored_types
from .statements import check_stays_in, quoted


class ExternalTables(Protocol):
    """The tables of external models, as far as executing statements affects them."""

    def give_way(self, adapter: Any, sql: str) -> None:
        """Drop the tables that a statement is about to create something in place of."""

    def explain(self, adapter: Any, sql: str, error: duckdb.Error) -> str | None:
        """Advice on a statement that failed because of such a table; None for other failures."""


class Connections:
    """The open databases of one sandbox, with one adapter for each file."""

    def __init__(
        self, folder: Path, clock: Clock, external_tables: ExternalTables, *, stand_in: bool = False
    ) -> None:
        """Start without an open database.

        Args:
            folder: the folder of the sandbox's files; statements can't attach others for writing.
            external_tables: the tables that give way to what statements create.
            stand_in: whether DuckDB stands in for another warehouse, which has other types.
        """
        self.folder = folder
        self.stand_in = stand_in
        self.clock = clock
        self.external_tables = external_tables
        self._adapters: dict[str, EngineAdapter] = {}
        self._opened: list[duckdb.DuckDBPyConnection] = []

    def connect(self, **arguments: Any) -> duckdb.DuckDBPyConnection:
        """Open a database."""
        self._opened.append(duckdb.connect(**arguments))
        return self._opened[-1]

    def adapter(self, files: set[str], make: Callable[[], EngineAdapter]) -> EngineAdapter:
        """The adapter that has one of the files open, or a new one.

        Gateways that share a file share the adapter, as in SQLMesh
        (sqlmesh/core/config/connection.py, `create_engine_adapter`).
        """
        open_already = [self._adapters[file] for file in files if file in self._adapters]
        adapter = open_already[0] if open_already else make()
        self._adapters.update(dict.fromkeys(files, adapter))
        return adapter

    def executing(self, sql: str) -> None:
        """Check a statement that is about to be executed, and advance the clock.

        Raises:
            SQLMeshError: it would write to a database or a file outside the sandbox.
        """
        self.clock.executing()
        check_stays_in(self.folder, sql)

    def catalogs(self) -> list[Path]:
        """The files of catalogs that SQLMesh created."""
        return sorted(self._catalogs.glob("*.db"))

    def catalog_file(self, name: str) -> Path:
        """The file of a catalog that SQLMesh creates for an environment."""
        self._catalogs.mkdir(exist_ok=True)
        return self._catalogs / f"{name}.db"

    @property
    def _catalogs(self) -> Path:
        return self.folder / "catalogs"

    def close(self, *, checkpoint: bool = False) -> None:
        """Close all; with `checkpoint`, write everything to the files, so that they can be
        copied."""
        for connection in self._opened:
            # A database that was aborted can be closed, but can't execute anything.
            with suppress(duckdb.Error):
                if checkpoint:
                    _checkpoint(connection)
                else:
                    # The files will be deleted, so nothing more needs to be written to them.
                    connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        for adapter in self._adapters.values():
            adapter.close()
        self._adapters.clear()
        self._opened.clear()


def _checkpoint(connection: duckdb.DuckDBPyConnection) -> None:
    databases = "SELECT database_name FROM duckdb_databases() WHERE NOT internal AND NOT readonly"
    for (name,) in connection.execute(databases).fetchall():
        connection.execute(f"CHECKPOINT {quoted(name)}")


def path_of(options: Any) -> str:
    """The path of an attached catalog, from its configuration: a path, or options with one."""
    path: str = options if isinstance(options, str) else options.path
    return path


class SandboxAdapter(DuckDBEngineAdapter):
    """The adapter that executes a sandbox's statements."""

    @property
    def _connections(self) -> Connections:
        connections: Connections = self._extra_config["connections"]
        return connections

    def _execute(self, sql: str, *args: Any, **kwargs: Any) -> None:
        self._connections.executing(sql)
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


class SandboxConnection(DuckDBConnectionConfig):
    """The connection configuration of a gateway, on the sandbox's own files."""

    _connections: Connections = PrivateAttr()
    _catalog: str | None = PrivateAttr(None)

    @classmethod
    def of(
        cls, original: Any, connections: Connections, *, catalog: str | None = None, **files: Any
    ) -> SandboxConnection:
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
        return SandboxAdapter

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
