"""DuckDB as a sandbox opens it: each file its own, nothing outside of the sandbox's folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from copy import copy
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from pydantic import PrivateAttr
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import TokenError
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]
from sqlmesh.core.config.connection import BaseDuckDBConnectionConfig, DuckDBConnectionConfig
from sqlmesh.core.engine_adapter.base import EngineAdapter
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.sandbox.clock import Clock

from .column_types import with_stored_types

if TYPE_CHECKING:
    from .externals import EmptyTables

_LEADS_OUT = re.compile(r"\b(ATTACH|COPY|EXPORT)\b", re.IGNORECASE)
"""What statements have that open or write files; few do, and those are looked at closely."""


class Connections:
    """The databases of one sandbox that are open, one adapter for each file."""

    def __init__(
        self, folder: Path, clock: Clock, empty_tables: EmptyTables, *, stand_in: bool = False
    ) -> None:
        """Nothing is open yet.

        Args:
            folder: where the sandbox's files are; statements can attach no others for writing.
            empty_tables: give way to what statements create.
            stand_in: for another warehouse, with types that DuckDB does not have.
        """
        self.folder = folder
        self.stand_in = stand_in
        self.clock = clock
        self.empty_tables = empty_tables
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
            SQLMeshError: it would write to a database or a file outside of the sandbox.
        """
        self.clock.executing()
        if _LEADS_OUT.search(sql):
            for statement in statements(sql):
                self._check(statement)

    def _check(self, statement: list[Token]) -> None:
        words = words_of(statement)
        if words[0] == "ATTACH" and not self._attaches_harmlessly(statement):
            # Not the statement itself: it can hold passwords.
            raise SQLMeshError(
                "a sandbox attaches local DuckDB files alone, and those from outside of it only "
                f"READ_ONLY; a statement attaches {_named(statement)}"
            )
        if words[0] == "EXPORT" or (words[0] == "COPY" and not self._copies_harmlessly(statement)):
            raise SQLMeshError(
                f"a sandbox writes no files outside of its folder, as a statement with {words[0]} "
                "would"
            )

    def _attaches_harmlessly(self, statement: list[Token]) -> bool:
        path = _text(statement[1:])
        if path in ("", ":memory:"):
            return True
        words = words_of(statement)
        options = words[words.index("(") :] if "(" in words else []
        kinds = [kind for word, kind in pairwise(options) if word == "TYPE"]
        if path is None or is_remote(path) or kinds not in ([], ["DUCKDB"]):
            return False
        after = options[options.index("READ_ONLY") + 1] if "READ_ONLY" in options else None
        return after in (",", ")", "TRUE") or self._own(path)

    def _copies_harmlessly(self, statement: list[Token]) -> bool:
        words = words_of(statement)
        if "TO" not in words or words[1:3] == ["FROM", "DATABASE"]:
            return True
        last = len(words) - words[::-1].index("TO")
        return self._own(_text(statement[last : last + 1]))

    def _own(self, path: str | None) -> bool:
        own = self.folder.resolve()
        return path is not None and not is_remote(path) and own in Path(path).resolve().parents

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


def statements(sql: str) -> Iterator[list[Token]]:
    """The tokens of each statement, without comments: SQLMesh puts some in front.

    Raises:
        SQLMeshError: DuckDB's dialect can't read it.
    """
    statement: list[Token] = []
    try:
        tokens = DuckDB().tokenize(sql)
    except TokenError as error:
        raise SQLMeshError(f"a sandbox can't tell what a statement attaches: {error}") from error
    for token in tokens:
        if token.token_type != TokenType.SEMICOLON:
            statement.append(token)
        elif statement:
            yield statement
            statement = []
    if statement:
        yield statement


def _text(tokens: list[Token]) -> str | None:
    """The first of the tokens that is a text in quotes."""
    return next((token.text for token in tokens if token.token_type == TokenType.STRING), None)


def words_of(tokens: list[Token]) -> list[str]:
    """The tokens in capitals; an empty one for what is in quotes."""
    quoted = (TokenType.STRING, TokenType.IDENTIFIER)
    return ["" if token.token_type in quoted else token.text.upper() for token in tokens]


def _named(statement: list[Token]) -> str:
    """What a statement attaches, without what may be secret."""
    words = words_of(statement)
    return statement[words.index("AS") + 1].text if "AS" in words[:-1] else "a database"


def is_remote(path: str) -> bool:
    """Whether a DuckDB path is no local file: `md:…`, `s3://…`, `ducklake:…`."""
    return bool(re.match(r"[a-z][a-z0-9+]+:", path, re.I))


def path_of(options: Any) -> str:
    """The path of an attached catalog: what a configuration has for it, or has in it."""
    path: str = options if isinstance(options, str) else options.path
    return path


class SandboxAdapter(DuckDBEngineAdapter):
    """Executes for a sandbox."""

    @property
    def _connections(self) -> Connections:
        connections: Connections = self._extra_config["connections"]
        return connections

    def _execute(self, sql: str, *args: Any, **kwargs: Any) -> None:
        self._connections.executing(sql)
        tables = self._connections.empty_tables
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
        """Make catalogs of these names, where there are none."""
        rows = self.fetchall("SELECT lower(database_name) FROM duckdb_databases()")
        for catalog in sorted(catalogs):
            if (catalog.lower(),) not in rows:
                self._create_catalog(exp.to_identifier(catalog, quoted=True))

    def _create_catalog(self, catalog_name: exp.Identifier) -> None:
        # SQLMesh would make the file in the current folder.
        file = exp.Literal.string(str(self._connections.catalog_file(catalog_name.output_name)))
        self.execute(exp.Attach(this=exp.alias_(file, catalog_name), exists=True))

    def _drop_catalog(self, catalog_name: exp.Identifier) -> None:
        # SQLMesh would delete a file of this name in the current folder.
        self.execute(exp.Detach(this=catalog_name, exists=True))
        self._connections.catalog_file(catalog_name.output_name).unlink(missing_ok=True)


class SandboxConnection(DuckDBConnectionConfig):
    """The configuration of a gateway's connection whose files are the sandbox's own."""

    _connections: Connections = PrivateAttr()
    _catalog: str | None = PrivateAttr(None)

    @classmethod
    def of(
        cls, original: Any, connections: Connections, *, catalog: str | None = None, **files: Any
    ) -> SandboxConnection:
        """The connection `original` on other files: `database=` or `catalogs=`.

        Args:
            catalog: the default one, if not that of the file.
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
            # DuckDB ignores, without a word, that a file is to be attached under this name, which
            # a database in memory has.
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
            # Not the DuckDB class's own method, which keeps adapters for the process's lifetime.
            return super(BaseDuckDBConnectionConfig, self).create_engine_adapter(
                register_comments_override, concurrent_tasks=concurrent_tasks
            )

        adapter = self._connections.adapter(files, make)
        if self._catalog in (None, adapter.default_catalog):
            return adapter
        other = copy(adapter)
        other._default_catalog = self._catalog
        return other
