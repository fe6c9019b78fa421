"""The open DuckDB files of a sandbox, which are all its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
from sqlmesh.core.engine_adapter.base import EngineAdapter

from pytest_sqlmesh_tracker.sandbox.databases.engine import ExternalTables, quoted

from .clock_macros import VERSION, ClockMacros
from .statements import check_stays_in

_CHECKPOINT_WAITS = VERSION < (1, 5)
"""Whether a checkpoint waits, without end, while the rows of another cursor's query are read."""


class DuckDBConnections:
    """The open databases of one sandbox, with one adapter for each file."""

    def __init__(
        self,
        folder: Path,
        macros: ClockMacros,
        external_tables: ExternalTables,
        *,
        stand_in: bool = False,
    ) -> None:
        """Start without an open database.

        Args:
            folder: the folder of the sandbox's files; statements can't attach others for writing.
            macros: what shows the sandbox's time to statements.
            external_tables: the tables that give way to what statements create.
            stand_in: whether DuckDB stands in for another warehouse, which has other types.
        """
        self.folder = folder
        self.stand_in = stand_in
        self.macros = macros
        self.external_tables = external_tables
        self._adapters: dict[str, EngineAdapter] = {}
        self._opened: list[duckdb.DuckDBPyConnection] = []

    def connect(self, **arguments: Any) -> duckdb.DuckDBPyConnection:
        """Open a database, whose sessions are in UTC unless they set another time zone."""
        connection = duckdb.connect(**arguments)
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        self._opened.append(connection)
        return connection

    def adapter(self, files: set[str], make: Callable[[], EngineAdapter]) -> EngineAdapter:
        """The adapter that has one of the files open, or a new one.

        Gateways that share a file share the adapter, as in SQLMesh
        (sqlmesh/core/config/connection.py, `create_engine_adapter`).
        """
        open_already = [self._adapters[file] for file in files if file in self._adapters]
        adapter = open_already[0] if open_already else make()
        self._adapters.update(dict.fromkeys(files, adapter))
        return adapter

    def executing(self, sql: str, cursor: Any) -> None:
        """Check a statement that a cursor is about to execute, and advance the clock.

        Raises:
            SQLMeshError: it would write to a database or a file outside the sandbox.
        """
        check_stays_in(self.folder, sql)
        self.macros.executing(cursor, sql)

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

    def checkpoint(self) -> None:
        """Write what is committed from the logs to the files, so that copies are opened fast."""
        if _CHECKPOINT_WAITS:
            return
        folders = self.folder / "databases", self._catalogs
        if any(log.stat().st_size for folder in folders for log in folder.glob("**/*.wal")):
            for connection in self._opened:
                # With an open transaction, it stays in the log, which is copied as well.
                with suppress(duckdb.Error):
                    _checkpoint(connection.cursor())

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
