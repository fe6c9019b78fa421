"""DuckDB files, opened so that nothing can be written to them, and so that none is created."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlmesh.core.config import Config, DuckDBConnectionConfig
from sqlmesh.core.config.connection import DuckDBAttachOptions

_MEMORY = ":memory:"
_OWN_CATALOGS = ("memory", "system", "temp")
"""The catalogs that DuckDB has itself, so that no file can be attached under their names."""


def read_only(config: Config) -> Config:
    """The configuration, with all its DuckDB files opened for reading only.

    Processes that only read a file can do so at the same time. In place of a file that does not
    exist, there is an empty database in memory, as SQLMesh would create one.
    """
    gateways = config.gateways
    if isinstance(gateways, dict):
        reading: Any = {name: _gateway(gateway) for name, gateway in gateways.items()}
    else:
        reading = _gateway(gateways)
    default = _connection(config.default_connection)
    return config.copy(update={"gateways": reading, "default_connection": default})


def _gateway(gateway: Any) -> Any:
    connections = ("connection", "state_connection")
    return gateway.copy(update={name: _connection(getattr(gateway, name)) for name in connections})


def _connection(connection: Any) -> Any:
    # Not of subclasses: MotherDuck has no files.
    if type(connection) is not DuckDBConnectionConfig:
        return connection
    files: dict[str, Any] = dict(connection.catalogs or {})
    if connection.database:
        catalog = connection.get_catalog() or ""
        if catalog.lower() in _OWN_CATALOGS:
            exists = Path(connection.database).exists()
            return connection if exists else connection.copy(update={"database": _MEMORY})
        files = {catalog: connection.database}
    catalogs = {name: _attached(file) for name, file in files.items()}
    return connection.copy(update={"database": None, "catalogs": catalogs or None})


def _attached(file: Any) -> Any:
    path = file if isinstance(file, str) else file.path
    if path == _MEMORY or path.startswith("md:") or "://" in path:
        return file
    if isinstance(file, str):
        file = DuckDBAttachOptions(type="duckdb", path=file)
    if file.type != "duckdb":
        return file
    if not Path(file.path).exists():
        return file.copy(update={"path": _MEMORY})
    return file.copy(update={"read_only": True})
