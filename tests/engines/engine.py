"""The engine that the projects of tests run on, which an environment variable chooses."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from .databases import NAME, Database, DuckDBFile

VARIABLE = "SQLMESH_TRACKER_ENGINE"


@dataclass(frozen=True)
class ErrorNames:
    """The names of the engine's exceptions."""

    missing_table: str
    missing_column: str
    missing_type: str
    constraint: str
    """The one for a violated unique index of SQLMesh's state."""


@dataclass(frozen=True)
class Engine:
    """Where the tables of projects are, and where their state is.

    Attributes:
        dialect: the dialect of models that have none of their own.
        unreachable: the settings of a connection that only sandboxes replace.
        has_server: whether any of it is in PostgreSQL.
        has_state_elsewhere: whether the state is in another database than the tables.
    """

    name: str
    dialect: str
    unreachable: Mapping[str, object]
    errors: ErrorNames
    has_server: bool
    has_state_elsewhere: bool = False

    def databases(self, project: Path) -> ProjectDatabases:
        """The databases of the project in a folder."""
        if not self.has_server:
            file = DuckDBFile(project)
            return ProjectDatabases(file, file)
        from .servers import SERVERS

        of_server = SERVERS.database_of(project)
        return ProjectDatabases(
            DuckDBFile(project) if self.has_state_elsewhere else of_server, of_server
        )

    def databases_ended(self) -> AbstractContextManager[None]:
        """At the end, drop the databases of the projects that have come since."""
        if not self.has_server:
            return nullcontext()
        from .servers import SERVERS

        return SERVERS.lent()


@dataclass(frozen=True)
class ProjectDatabases:
    """The database with the tables of one project, and that with its state: mostly the same."""

    tables: Database
    state: Database

    def all(self) -> Iterator[Database]:
        """Each of them once."""
        yield self.tables
        if self.state is not self.tables:
            yield self.state

    def copied(self, project: Path) -> ProjectDatabases:
        """Copies for a copy of the project's folder, which is made afterwards."""
        state = self.state.copied(project)
        same = self.state is self.tables
        return ProjectDatabases(state if same else self.tables.copied(project), state)

    def code_in_state(self, sql: str, *, adapter: str, indentation: int) -> str:
        """The Python with which a project's own code changes SQLMesh's state.

        Args:
            adapter: the expression for the engine adapter there.
            indentation: the number of spaces before the second line and those that follow.
        """
        if self.state is self.tables:
            return f"{adapter}.execute({sql!r})"
        settings = self.state.connection(1)
        address = {key: settings[key] for key in ("host", "port", "user", "database")}
        lines = (
            "import psycopg2",
            f"other = psycopg2.connect(**{address!r})",
            f"other.cursor().execute({sql!r})",
            "other.commit()",
            "other.close()",
        )
        return f"\n{' ' * indentation}".join(lines)

    def config(self, *, start: str, concurrent_tasks: int, dialect: str) -> str:
        """The text of a project's `config.yaml`: models that begin on a day."""
        gateway = {"connection": self.tables.connection(concurrent_tasks)}
        if self.state is not self.tables:
            gateway["state_connection"] = self.state.connection(concurrent_tasks)
        return CONFIG.format(gateway=json.dumps(gateway), start=start, dialect=dialect)


CONFIG = """
gateways:
  local: {gateway}
default_gateway: local
model_defaults:
  dialect: {dialect}
  start: {start}
disable_anonymized_analytics: true
"""

_OF_DUCKDB = ErrorNames(
    missing_table="CatalogException",
    missing_column="BinderException",
    missing_type="CatalogException",
    constraint="ConstraintException",
)
_OF_DUCKDB_AND_POSTGRES = replace(_OF_DUCKDB, constraint="UniqueViolation")
_IN_MEMORY = {"type": "duckdb"}
_NOWHERE = {
    "type": "postgres",
    "host": "warehouse.invalid",
    "port": 5432,
    "user": "shop",
    "password": "secret-of-nobody",
    "database": NAME,
}
DUCKDB = Engine("duckdb", "duckdb", _IN_MEMORY, _OF_DUCKDB, has_server=False)
POSTGRES = Engine(
    "postgres",
    "postgres",
    _NOWHERE,
    ErrorNames(
        missing_table="UndefinedTable",
        missing_column="UndefinedColumn",
        missing_type="UndefinedObject",
        constraint="UniqueViolation",
    ),
    has_server=True,
)
STATE_IN_POSTGRES = Engine(
    "duckdb-with-state-in-postgres",
    "duckdb",
    _IN_MEMORY,
    _OF_DUCKDB_AND_POSTGRES,
    has_server=True,
    has_state_elsewhere=True,
)
ENGINES = {each.name: each for each in (DUCKDB, POSTGRES, STATE_IN_POSTGRES)}
ENGINE = ENGINES[os.environ.get(VARIABLE, DUCKDB.name)]
"""The engine of this process."""


def only_duckdb(reason: str) -> pytest.MarkDecorator:
    """The marker of tests about DuckDB itself, which say nothing about other engines."""
    return pytest.mark.skipif(ENGINE is not DUCKDB, reason=f"only with DuckDB: {reason}")
