"""The databases of a project, and its configuration on copies of them.

Every gateway that is kept has DuckDB files in the sandbox, or a database on a PostgreSQL server of
the session; gateways that could reach another database are rejected or left out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlglot import exp
from sqlmesh.core.config import Config, DuckDBConnectionConfig
from sqlmesh.core.config.connection import ConnectionConfig

from pytest_sqlmesh_tracker.sandbox.clock import Clock
from pytest_sqlmesh_tracker.sandbox.options import DatabaseState, SandboxError

from .connections import Connections
from .duckdb.adapter import SandboxDuckDBConnection
from .duckdb.clock_macros import ClockMacros
from .duckdb.connections import DuckDBConnections, path_of
from .duckdb.statements import is_remote
from .engine import ExternalTables
from .postgres.connections import PostgresConnections
from .postgres.gateways import PostgresGateway
from .postgres.server import PostgresDatabase, PostgresServer
from .warehouse import Warehouse

WAYS_OUT = (
    "A sandbox works only with DuckDB files and PostgreSQL. Choose such a gateway of the project "
    "with gateway=, or override the fixture sqlmesh_project_config to return a Config that has one."
)


@dataclass(frozen=True)
class _File:
    """A database file: its place below the sandbox's folder, and the user's file, if any."""

    below: str
    source: Path | None


class Databases:
    """The databases of a project's gateways, and their places in a sandbox's folder."""

    def __init__(
        self,
        configs: Mapping[Path, Config],
        gateway: str | None,
        *,
        state: DatabaseState,
        warehouse: Warehouse | None = None,
        server: PostgresServer | None = None,
    ) -> None:
        """Read them from the configuration of each of the project's paths.

        Args:
            state: what the sandbox takes from the user's files.
            warehouse: the project's own warehouse, which the configuration stands in for.
            server: the server of databases in PostgreSQL; by default, one of their own.

        Raises:
            SandboxError: the gateway is missing, or is neither DuckDB with local files nor
                PostgreSQL, or PostgreSQL's server can't be started.
        """
        first = next(iter(configs.values()))
        # Each of the project's own gateways → the configuration's gateway that stands in for it.
        self._stand_ins: dict[str, str] = {}
        self._warehouse = warehouse
        if warehouse:
            stand_in = _existing(first.default_gateway_name, first)
            missing = [name for name in warehouse.gateways if name not in first.gateways]
            self._stand_ins = dict.fromkeys(missing, stand_in)
            configs = {path: self._with_stand_ins(config) for path, config in configs.items()}
            first = next(iter(configs.values()))
        self._configs = configs
        self._state = state
        self._files: dict[tuple[str, str], _File] = {}
        """The databases, by gateway and path as configured."""
        self.server = server or PostgresServer()
        self._postgres: dict[str, PostgresGateway] = {}
        """The gateways in PostgreSQL, by name."""
        self._state_files: dict[str, _File] = {}
        """The databases with the state, by gateway, where the gateway has one for the state."""
        self.gateway = _existing(gateway or first.default_gateway_name, first)
        self.left_out: dict[str, str] = {}
        self.state_schema = first.get_gateway(self.gateway).state_schema or "main"
        for folder, config in configs.items():
            for name in config.gateways:
                self._examine(name, config, folder)

    def _with_stand_ins(self, config: Config) -> Config:
        more = {name: config.gateways[each] for name, each in self._stand_ins.items()}
        return config.copy(update={"gateways": {**config.gateways, **more}})

    @property
    def external_gateway(self) -> str:
        """The gateway whose external models belong to the project."""
        if self._warehouse and self.gateway not in self._warehouse.gateways:
            return self._warehouse.default or self.gateway
        return self.gateway

    @property
    def stands_in(self) -> bool:
        """Whether the databases stand in for another warehouse."""
        return self._warehouse is not None

    def catalogs(self, models: Iterable[Any] = ()) -> set[str]:
        """The catalogs of the warehouse, of models, and of the tables that models read."""
        if self._warehouse is None:
            return set()
        names = {name for model in models for name in (model.fqn, *model.depends_on)}
        catalogs = {exp.to_table(name).catalog for name in names}
        return {each for each in {*catalogs, *self._warehouse.gateways.values()} if each}

    def _examine(self, name: str, config: Config, folder: Path) -> None:
        connection = config.get_connection(name)
        postgres = PostgresGateway.of(connection)
        why = self._why_not_on_server(name, postgres) if postgres else _why_not(connection)
        if why and name == self.gateway:
            raise SandboxError(f"the gateway {name or 'of the project'} {why}.\n{WAYS_OUT}")
        if why:
            self.left_out[name] = why
            return
        if postgres:
            self._postgres[name] = postgres
        else:
            for path in _files_of(connection):
                self._add(name, path, folder)
        state = config.get_gateway(name).state_connection
        if state is not None:
            self._add_state(name, state, folder)

    def _why_not_on_server(self, name: str, postgres: PostgresGateway) -> str | None:
        """Why a sandbox can't have the gateway's database on its server; None if it can."""
        if self._state is DatabaseState.KEEP and name == self.gateway:
            raise SandboxError(
                f"state='keep': the gateway {name!r} is in PostgreSQL, which sandboxes do not "
                "copy; only local DuckDB files can be kept"
            )
        other = next((n for n, p in self._postgres.items() if postgres.conflicts_with(p)), None)
        if other is not None:
            return f"has a database of the same name as the gateway {other} on another server"
        try:
            self.server.check()
        except SandboxError as error:
            return f"is in PostgreSQL, but {error}"
        return None

    @property
    def of_postgres(self) -> dict[str, PostgresDatabase]:
        """The databases of the gateways in PostgreSQL, by name."""
        gateways = list(self._postgres.values())
        return {each.database: each.merged(gateways) for each in gateways}

    def connections(
        self,
        folder: Path,
        clock: Clock,
        external_tables: ExternalTables,
        templates: Mapping[str, str],
        parked: Mapping[str, str],
        *,
        of_template: bool = False,
    ) -> Connections:
        """The connections of a sandbox in this folder, before any is opened.

        Args:
            external_tables: the tables that give way to what statements create.
            templates: the template of each PostgreSQL database that has one.
            parked: the copy of each PostgreSQL database that has been made.
            of_template: whether the sandbox is a template itself.
        """
        return Connections(
            folder,
            DuckDBConnections(
                folder,
                ClockMacros(clock, is_read=not of_template),
                external_tables,
                stand_in=self.stands_in,
            ),
            PostgresConnections(
                self.server,
                self.of_postgres.values(),
                templates,
                clock,
                external_tables,
                parked=parked,
            ),
        )

    def drop(self, templates: Mapping[str, str]) -> None:
        """Drop the templates of PostgreSQL databases."""
        for template in templates.values():
            self.server.drop_template(template)

    def _add(self, gateway: str, path: str, folder: Path) -> None:
        if gateway in self._stand_ins:
            self._files[gateway, path] = self._files[self._stand_ins[gateway], path]
            return
        # In-memory databases of two gateways are distinct; files are identified by their location.
        source = None if path.startswith(":memory:") else _located(path, folder)
        same = (file for file in self._files.values() if source and file.source == source)
        # The catalog is named after the file, so the file keeps its name.
        in_memory = f"{self._catalog_of(self.gateway) or 'memory'}.db"
        new = _File(f"databases/{len(self._files)}/{source.name if source else in_memory}", source)
        self._files.setdefault((gateway, path), next(same, new))

    def _catalog_of(self, gateway: str) -> str | None:
        if self._warehouse is None:
            return None
        catalogs = self._warehouse.gateways
        return catalogs.get(gateway if gateway in catalogs else self._warehouse.default or "")

    def _add_state(self, gateway: str, state: Any, folder: Path) -> None:
        local = isinstance(state, DuckDBConnectionConfig) and not _why_not(state)
        keep = self._state is DatabaseState.KEEP
        if keep and not local:
            raise SandboxError(
                f"state='keep': the state of gateway {gateway!r} is in {state.type_}, which "
                "sandboxes do not read; only state in a local DuckDB file can be kept"
            )
        path = next(_files_of(state)) if local else ":memory:"
        if keep:
            self._add(gateway, path, folder)
            self._state_files[gateway] = self._files[gateway, path]
        else:
            name = "state.db" if path.startswith(":memory:") else Path(path).name
            new = _File(f"databases/state{len(self._state_files)}/{name}", None)
            self._state_files.setdefault(gateway, new)

    def copy_sources(self, folder: Path) -> dict[Path, Path]:
        """Copy the user's files below the folder, without opening them.

        Returns:
            The path of each copy → the user's file.
        """
        copied = {}
        for file in {*self._files.values(), *self._state_files.values()}:
            target = folder / file.below
            target.parent.mkdir(parents=True, exist_ok=True)
            if self._state is DatabaseState.EMPTY:
                continue
            if file.source and file.source.is_file():
                shutil.copyfile(file.source, target)
                copied[target] = file.source
                log = file.source.with_name(file.source.name + ".wal")
                if log.is_file():
                    shutil.copyfile(log, target.with_name(target.name + ".wal"))
        return copied

    def configs(self, connections: Connections, variables: Mapping[str, Any]) -> dict[Path, Config]:
        """The project's configuration in a sandbox, by the project's paths.

        Args:
            connections: the sandbox's connections, in whose folder the files are.
            variables: values that override the project's own.
        """
        # A test must not notify anybody.
        silent: dict[str, Any] = {"gateways": {}, "notification_targets": [], "users": []}
        return {
            path: config.copy(update=silent).copy(
                update={
                    "gateways": dict(self._gateways(config, connections, variables)),
                    "default_gateway": self.gateway,
                    "default_connection": None,
                    "default_test_connection_": _harmless(config.default_test_connection_),
                    "variables": {**config.variables, **variables},
                    "disable_anonymized_analytics": True,
                    # Caches are below the project's copy.
                    "cache_dir": None,
                },
                # A test's changes to its configuration must not reach other tests.
                deep=True,
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
                "test_connection": _harmless(gateway.test_connection),
                "variables": {**gateway.variables, **variables},
            }
            state = gateway.state_connection
            if state is not None:
                like = next(
                    (c for c in (state, connection) if isinstance(c, DuckDBConnectionConfig)), None
                )
                file = str(connections.folder / self._state_files[name].below)
                changes["state_connection"] = SandboxDuckDBConnection.of(
                    like or DuckDBConnectionConfig(), connections.duckdb, database=file
                )
            yield name, gateway.copy(update=changes)

    def _connection(
        self, gateway: str, original: Any, connections: Connections
    ) -> ConnectionConfig:
        if gateway in self._postgres:
            postgres = self._postgres[gateway]
            return postgres.connection(self.of_postgres[postgres.database], connections.postgres)

        def place(path: str) -> str:
            return str(connections.folder / self._files[gateway, path].below)

        if not original.catalogs:
            path = original.database or ":memory:"
            catalog = self._catalog_of(gateway) if path.startswith(":memory:") else None
            return SandboxDuckDBConnection.of(
                original, connections.duckdb, catalog=catalog, database=place(path)
            )
        catalogs = {}
        for alias, options in original.catalogs.items():
            file = place(_catalog_path(alias, path_of(options)))
            # Copies can be written to, even if the user's own file must not be.
            changes = {"path": file, "read_only": False}
            catalogs[alias] = file if isinstance(options, str) else options.copy(update=changes)
        return SandboxDuckDBConnection.of(original, connections.duckdb, catalogs=catalogs)


def _existing(gateway: str, config: Config) -> str:
    """The gateway with this name, ignoring case, as the configuration spells it."""
    for name in config.gateways:
        if name.lower() == gateway.lower():
            return name
    names = ", ".join(filter(None, config.gateways)) or "one without a name"
    raise SandboxError(f"no gateway {gateway!r}: the project has {names}")


def _located(path: str, folder: Path) -> Path:
    """A database's file: relative to the current folder, as in SQLMesh, or to the project's."""
    below = Path(path).expanduser()
    return (below if below.exists() else folder / below).resolve()


def _catalog_path(alias: str, path: str) -> str:
    """The path of an attached catalog, with the alias of an in-memory one: each of these is a
    separate database."""
    return f":memory:{alias}" if path == ":memory:" else path


def _files_of(connection: Any) -> Iterator[str]:
    for alias, options in (connection.catalogs or {}).items():
        yield _catalog_path(alias, path_of(options))
    if not connection.catalogs:
        yield connection.database or ":memory:"


def _harmless(test_connection: Any) -> Any:
    """The connection for unit tests if it is an in-memory DuckDB; None stands for SQLMesh's own."""
    if not isinstance(test_connection, DuckDBConnectionConfig) or _why_not(test_connection):
        return None
    in_memory = all(path.startswith(":memory:") for path in _files_of(test_connection))
    return test_connection if in_memory else None


def _why_not(connection: Any) -> str | None:
    """Why a sandbox can't use a connection; None if it can."""
    if not isinstance(connection, DuckDBConnectionConfig):
        return f"is {connection.type_}, neither DuckDB nor PostgreSQL"
    if connection.database and is_remote(connection.database):
        return f"has a database that is not a local file: {_masked(connection.database)}"
    for alias, options in (connection.catalogs or {}).items():
        path = path_of(options)
        kind = "duckdb" if isinstance(options, str) else options.type.lower()
        if kind != "duckdb" or is_remote(path):
            return f"attaches {alias}, which is not a local DuckDB file but {_masked(path, kind)}"
    return None


def _masked(path: str, kind: str = "duckdb") -> str:
    """The kind of path, without the secrets that it can contain."""
    return path.split(":")[0] if kind == "duckdb" else kind
