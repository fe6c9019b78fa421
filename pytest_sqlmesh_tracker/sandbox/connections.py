"""DuckDB as a sandbox opens it: each file its own, nothing outside of the sandbox's folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
from pydantic import PrivateAttr
from sqlglot import exp
from sqlmesh.core.config.connection import BaseDuckDBConnectionConfig, DuckDBConnectionConfig
from sqlmesh.core.engine_adapter.base import EngineAdapter
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter
from sqlmesh.utils.errors import SQLMeshError

from .clock import Clock

_ATTACH = re.compile(r"\s*ATTACH\b[^']*'(?P<path>[^']*)'(?P<options>.*)", re.I | re.S)


class Connections:
    """The databases of one sandbox that are open, one adapter for each file."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Nothing is open yet.

        Args:
            folder: where the sandbox's files are; statements can attach no others for writing.
        """
        self.folder = folder
        self.clock = clock
        self._adapters: dict[str, EngineAdapter] = {}
        self._opened: list[duckdb.DuckDBPyConnection] = []

    def connect(self, **arguments: Any) -> duckdb.DuckDBPyConnection:
        """Open a database."""
        self._opened.append(duckdb.connect(**arguments))
        return self._opened[-1]

    def adapter(self, files: set[str], make: Callable[[], EngineAdapter]) -> EngineAdapter:
        """The adapter that has one of the files open, or a new one.

        Gateways that share a file share the adapter, as SQLMesh has it
        (sqlmesh/core/config/connection.py, `create_engine_adapter`).
        """
        open_already = [self._adapters[file] for file in files if file in self._adapters]
        adapter = open_already[0] if open_already else make()
        self._adapters.update(dict.fromkeys(files, adapter))
        return adapter

    def executing(self, sql: str) -> None:
        """A statement is about to be executed.

        Raises:
            SQLMeshError: it would open a database outside of the sandbox for writing.
        """
        self.clock.executing()
        attach = _ATTACH.match(sql)
        if attach and not self._harmless(attach["path"], attach["options"]):
            raise SQLMeshError(
                f"a sandbox attaches no database from outside, except READ_ONLY: {sql.strip()}"
            )

    def _harmless(self, path: str, options: str) -> bool:
        if path == ":memory:" or re.search(r"\bREAD_ONLY\b(?!\s+(false|0))", options, re.I):
            return "TYPE" not in options.upper() and not is_remote(path)
        return not is_remote(path) and self.folder in Path(path).resolve().parents

    def catalogs(self) -> list[Path]:
        """The files of catalogs that SQLMesh created."""
        return sorted(self._catalogs.glob("*.db"))

    def catalog_file(self, name: str) -> Path:
        """Where a catalog goes that SQLMesh creates: for environments that are catalogs."""
        self._catalogs.mkdir(exist_ok=True)
        return self._catalogs / f"{name}.db"

    @property
    def _catalogs(self) -> Path:
        return self.folder / "catalogs"

    def close(self, *, checkpoint: bool = False) -> None:
        """Close all; with `checkpoint`, everything is in the files, for others to copy."""
        for connection in self._opened:
            # An aborted database can be closed, but not be told anything.
            with suppress(duckdb.Error):
                if checkpoint:
                    _checkpoint(connection)
                else:
                    # The files are deleted: what is not in them yet need not be written.
                    connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        for adapter in self._adapters.values():
            adapter.close()
        self._adapters.clear()
        self._opened.clear()


def _checkpoint(connection: duckdb.DuckDBPyConnection) -> None:
    databases = "SELECT database_name FROM duckdb_databases() WHERE NOT internal AND NOT readonly"
    for (name,) in connection.execute(databases).fetchall():
        connection.execute(f"CHECKPOINT {quoted(name)}")


def quoted(name: str) -> str:
    """A name as an identifier of DuckDB."""
    return exp.to_identifier(name, quoted=True).sql(dialect="duckdb")


def is_remote(path: str) -> bool:
    """Whether a DuckDB path is no local file: `md:…`, `s3://…`, `ducklake:…`."""
    return bool(re.match(r"[a-z][a-z0-9+]+:", path, re.I))


class SandboxAdapter(DuckDBEngineAdapter):
    """Executes for a sandbox."""

    @property
    def _connections(self) -> Connections:
        connections: Connections = self._extra_config["connections"]
        return connections

    def _execute(self, sql: str, *args: Any, **kwargs: Any) -> None:
        self._connections.executing(sql)
        super()._execute(sql, *args, **kwargs)

    def _create_catalog(self, catalog_name: exp.Identifier) -> None:
        # SQLMesh would make the file in the current folder.
        file = exp.Literal.string(str(self._connections.catalog_file(catalog_name.output_name)))
        self.execute(exp.Attach(this=exp.alias_(file, catalog_name), exists=True))


class SandboxConnection(DuckDBConnectionConfig):
    """The configuration of a gateway's connection whose files are the sandbox's own."""

    _connections: Connections = PrivateAttr()

    @classmethod
    def of(cls, original: Any, connections: Connections, **files: Any) -> SandboxConnection:
        """The connection `original` on other files: `database=` or `catalogs=`."""
        settings = {name: getattr(original, name) for name in original.model_fields_set}
        kept = {
            name: value
            for name, value in settings.items()
            if name in cls.model_fields and name not in ("database", "catalogs", "type_", "token")
        }
        connection = cls(**kept, **files)
        connection._connections = connections
        return connection

    @property
    def _engine_adapter(self) -> type[EngineAdapter]:
        return SandboxAdapter

    @property
    def _connection_factory(self) -> Callable[..., Any]:
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
                cursor.execute(f"ATTACH IF NOT EXISTS '{file}' AS {quoted(file.stem)}")

        return attach

    def create_engine_adapter(
        self, register_comments_override: bool = False, concurrent_tasks: int | None = None
    ) -> EngineAdapter:
        """The sandbox's adapter for these files, which no other sandbox shares."""
        options = (path for path in (self.catalogs or {}).values())
        files = {option if isinstance(option, str) else option.path for option in options}
        files |= {self.database} if self.database else set()

        def make() -> EngineAdapter:
            # Not the DuckDB class's own method, which keeps adapters for the process's lifetime.
            return super(BaseDuckDBConnectionConfig, self).create_engine_adapter(
                register_comments_override, concurrent_tasks=concurrent_tasks
            )

        return self._connections.adapter(files, make)
