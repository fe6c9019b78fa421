"""Which databases a project has, and its configuration on copies of them.

Every gateway that is kept has DuckDB files of the sandbox; what could reach another database is
refused or left out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlmesh.core.config import Config, DuckDBConnectionConfig

from .connections import Connections, SandboxConnection, is_remote
from .options import SqlmeshProjectError

WAYS_OUT = (
    "A sandbox works on DuckDB files alone. Choose a DuckDB gateway of the project with gateway=, "
    "or override the fixture sqlmesh_project_config to return a Config that has one."
)


@dataclass(frozen=True)
class _File:
    """A database file: where it is below the sandbox's folder, and the user's own, if any."""

    below: str
    source: Path | None


class Databases:
    """The databases of a project's gateways, and where they go in a sandbox's folder."""

    def __init__(self, configs: Mapping[Path, Config], gateway: str | None, *, keep: bool) -> None:
        """Find them in the configuration of each of the project's paths.

        Args:
            keep: whether the state is kept that the files hold.

        Raises:
            SqlmeshProjectError: the gateway is missing, or is no DuckDB with local files.
        """
        first = next(iter(configs.values()))
        self._configs = configs
        self._keep = keep
        self._files: dict[Any, _File] = {}
        self.gateway = (gateway or first.default_gateway_name).lower()
        self.left_out: dict[str, str] = {}
        self.state_schema = first.get_gateway(self._existing(first)).state_schema or "main"
        for config in configs.values():
            for name in config.gateways:
                self._examine(name, config)

    def _existing(self, config: Config) -> str:
        if self.gateway not in config.gateways:
            names = ", ".join(filter(None, config.gateways)) or "one without a name"
            raise SqlmeshProjectError(f"no gateway {self.gateway!r}: the project has {names}")
        return self.gateway

    def _examine(self, name: str, config: Config) -> None:
        connection = config.get_connection(name)
        why = _why_not(connection)
        if why and name == self.gateway:
            raise SqlmeshProjectError(f"the gateway {name or 'of the project'} {why}.\n{WAYS_OUT}")
        if why:
            self.left_out[name] = why
            return
        for file in _files_of(connection):
            self._file(name, file)
        state = config.get_gateway(name).state_connection
        if state is not None:
            self._state_file(name, state)

    def _file(self, gateway: str, path: str) -> _File:
        # In-memory databases of two gateways are two; files are what they are on disk.
        memory = path.startswith(":memory:")
        key: Any = (gateway, path) if memory else Path(path).resolve()
        if key not in self._files:
            # The catalog is called after the file, so the name stays.
            name = "memory.db" if memory else Path(path).name
            source = None if memory else key
            self._files[key] = _File(f"databases/{len(self._files)}/{name}", source)
        return self._files[key]

    def _state_file(self, gateway: str, state: Any) -> _File:
        local = isinstance(state, DuckDBConnectionConfig) and not _why_not(state)
        if self._keep and not local:
            raise SqlmeshProjectError(
                f"state='keep': the state of gateway {gateway!r} is in {state.type_}, and no "
                "sandbox reads it; only a state in a local DuckDB file can be kept"
            )
        if local and self._keep:
            return self._file(gateway, next(iter(_files_of(state))))
        name = Path(state.database).name if local and state.database else "state.db"
        key = ("state", gateway)
        return self._files.setdefault(key, _File(f"databases/state_{gateway}/{name}", None))

    def copy_sources(self, folder: Path) -> None:
        """Copy the user's files below the folder; they are not opened."""
        for file in self._files.values():
            target = folder / file.below
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.source and file.source.is_file():
                shutil.copyfile(file.source, target)
                log = file.source.with_name(file.source.name + ".wal")
                if log.is_file():
                    shutil.copyfile(log, target.with_name(target.name + ".wal"))

    def configs(self, connections: Connections, variables: Mapping[str, Any]) -> dict[Path, Config]:
        """The project's configuration in a sandbox, by the project's paths.

        Args:
            connections: those of the sandbox, in whose folder the files are.
            variables: that override the project's own.
        """
        return {
            path: config.copy(
                update={
                    "gateways": dict(self._gateways(config, connections, variables)),
                    "default_gateway": self.gateway,
                    "default_connection": None,
                    "default_test_connection_": None,
                    "variables": {**config.variables, **variables},
                    # Nobody is told of what a test does.
                    "notification_targets": [],
                    "users": [],
                    "disable_anonymized_analytics": True,
                    # Caches are below the project's copy.
                    "cache_dir": None,
                }
            )
            for path, config in self._configs.items()
        }

    def _gateways(
        self, config: Config, connections: Connections, variables: Mapping[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        for name, gateway in config.gateways.items():
            if name in self.left_out:
                continue
            connection = config.get_connection(name)
            changes: dict[str, Any] = {
                "connection": self._connection(name, connection, connections),
                "test_connection": None,
                "variables": {**gateway.variables, **variables},
            }
            state = gateway.state_connection
            if state is not None:
                own = state if isinstance(state, DuckDBConnectionConfig) else connection
                file = str(connections.folder / self._state_file(name, state).below)
                changes["state_connection"] = SandboxConnection.of(own, connections, database=file)
            yield name, gateway.copy(update=changes)

    def _connection(
        self, gateway: str, original: Any, connections: Connections
    ) -> SandboxConnection:
        def place(path: str) -> str:
            return str(connections.folder / self._file(gateway, path).below)

        if not original.catalogs:
            database = place(original.database or ":memory:")
            return SandboxConnection.of(original, connections, database=database)
        catalogs = {}
        for alias, options in original.catalogs.items():
            if isinstance(options, str):
                catalogs[alias] = place(_own(alias, options))
            else:
                catalogs[alias] = options.copy(update={"path": place(_own(alias, options.path))})
        return SandboxConnection.of(original, connections, catalogs=catalogs)


def _own(alias: str, path: str) -> str:
    """The path of an attached catalog; each one in memory is a database of its own."""
    return f":memory:{alias}" if path == ":memory:" else path


def _files_of(connection: Any) -> Iterator[str]:
    for alias, options in (connection.catalogs or {}).items():
        yield _own(alias, options if isinstance(options, str) else options.path)
    if not connection.catalogs:
        yield connection.database or ":memory:"


def _why_not(connection: Any) -> str | None:
    """Why a connection is none that a sandbox can have; None if it can."""
    if type(connection).__name__ == "MotherDuckConnectionConfig":
        return "is MotherDuck"
    if not isinstance(connection, DuckDBConnectionConfig):
        return f"is {connection.type_}, not DuckDB"
    if connection.database and is_remote(connection.database):
        return f"has a database that is no local file: {_masked(connection.database)}"
    for alias, options in (connection.catalogs or {}).items():
        path, kind = (
            (options, "duckdb") if isinstance(options, str) else (options.path, options.type)
        )
        if kind != "duckdb" or is_remote(path):
            return f"attaches {alias}, which is no local DuckDB file but {_masked(path, kind)}"
    return None


def _masked(path: str, kind: str = "duckdb") -> str:
    """What a path is, without the secrets that it can hold."""
    return path.split(":")[0] if kind == "duckdb" else kind
