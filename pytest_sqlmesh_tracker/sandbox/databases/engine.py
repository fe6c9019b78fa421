"""What sandboxes need of a database engine: its adapter, and what its system tables show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from sqlglot import exp


class RelationKind(str, Enum):
    """The kind of a relation, as written in `CREATE` and `DROP`."""

    TABLE = "TABLE"
    VIEW = "VIEW"
    MATERIALIZED_VIEW = "MATERIALIZED VIEW"


@dataclass(frozen=True)
class Relation:
    """A table or view; `sql` is the statement that creates the view."""

    catalog: str
    schema: str
    name: str
    kind: RelationKind
    sql: str | None = None


@dataclass(frozen=True)
class TableName:
    """The complete name of a table, as stored."""

    catalog: str
    schema: str
    name: str

    @property
    def sql(self) -> str:
        """The name as SQL, in quotes."""
        return qualified(self.catalog, self.schema, self.name)

    def folded(self, system: SystemTables) -> TableName:
        """The name in the form in which equal names are equal."""
        return TableName(*map(system.folded, (self.catalog, self.schema, self.name)))


class SystemTables(Protocol):
    """The queries of an engine's system tables, through the adapter of a sandbox."""

    dialect: str
    """SQLMesh's name of the engine's SQL dialect."""
    default_schema: str
    """The schema of names without one."""
    errors: tuple[type[Exception], ...]
    """What the engine's driver raises for statements that fail."""

    def folded(self, name: str) -> str:
        """A stored name in the form in which equal names are equal."""

    def catalogs(self, adapter: Any) -> list[str]:
        """The catalogs whose tables can be read."""

    def relations(self, adapter: Any) -> list[Relation]:
        """All tables and views that users or SQLMesh have created."""

    def objects(self, adapter: Any) -> list[tuple[str, str]]:
        """The catalog of each object, such as a table or a function, and its name with its schema;
        schemas themselves included."""

    def has_schema(self, adapter: Any, table: exp.Table) -> bool:
        """Whether the schema of a table exists."""

    def is_empty(self, adapter: Any, name: str) -> bool:
        """Whether a schema contains neither tables nor views."""

    def is_readable(self, adapter: Any, table: exp.Table) -> bool:
        """Whether a name can be read: also that of a system table."""

    def commented(self, adapter: Any, comment: str) -> list[TableName]:
        """The tables that have this comment."""

    def is_commented(self, adapter: Any, table: exp.Table, comment: str) -> bool:
        """Whether a table has this comment, also after a statement that failed."""

    def is_missing(self, adapter: Any, table: exp.Table, error: Exception) -> bool:
        """Whether a statement that reads the table failed because the table does not exist."""

    def is_wrong_column(self, error: Exception) -> bool:
        """Whether a statement failed because of a missing column, or a column's type."""


@dataclass(frozen=True)
class Column:
    """A column of a table; `type` is written as the engine shows it."""

    name: str
    type: str

    @property
    def sql(self) -> str:
        """The name as SQL, in quotes."""
        return quoted(self.name)


class RowQueries(Protocol):
    """How an engine writes queries on rows of any type."""

    text: str
    """The type of texts of any length."""

    def columns(self, adapter: Any, table: str) -> list[Column]:
        """The columns of a table, a view or a temporary table, whose name is SQL."""

    def of_documents(self, columns: Sequence[Column], documents: str) -> str:
        """A query of the rows that a JSON array contains.

        Args:
            columns: the columns of the query.
            documents: an array of JSON objects, whose keys are the positions of the columns.
        """

    def comparable(self, column: Column) -> str:
        """An expression that is equal where values of the column are, and that can be grouped and
        ordered."""

    def rounded(self, column: Column) -> str:
        """The column under its name; floating-point numbers are rounded, because a sum of them
        depends on their order."""

    def digest(self, query: str) -> str:
        """A query of the number of another query's rows, and of a digest of them, which does not
        depend on their order."""


class ExternalTables(Protocol):
    """The tables of external models, as far as executing statements affects them."""

    def give_way(self, adapter: Any, sql: str) -> None:
        """Drop the tables that a statement is about to create something in place of."""

    def explain(self, adapter: Any, sql: str, error: Exception) -> str | None:
        """Advice on a statement that failed because of such a table; None for other failures."""


class SandboxAdapter(Protocol):
    """An adapter of SQLMesh that executes a sandbox's statements."""

    system: SystemTables
    rows: RowQueries

    def scratch(self) -> AbstractContextManager[None]:
        """Undo on exit what `execute_users` does in this context, temporary tables included."""

    def attach(self, catalogs: Iterable[str]) -> None:
        """Make the catalogs with these names that do not exist yet, if the engine has several."""

    def stored_type(self, kind: exp.DataType) -> exp.DataType:
        """The type in which the engine stores values of this type."""

    def execute_users(self, sql: str) -> list[tuple[Any, ...]]:
        """Execute what a test or its SQL files contain, and return the rows.

        Raises:
            SQLMeshError: the SQL would write to something outside the sandbox.
            Exception: one of `system.errors`.
        """

    def show_arrived(self, table: TableName, column: Column, present: str) -> TableName:
        """Let a table show only the rows that have arrived.

        Args:
            column: the column with the time at which a row arrives.
            present: the present in the column's type, as SQL.

        Returns:
            The table with all rows, into which rows are inserted.

        Raises:
            Exception: one of `system.errors`.
        """

    def call(self, setup: Any) -> None:
        """Call a test's function with a connection of the engine's driver."""


def table_name(table: exp.Table, adapter: Any) -> TableName:
    """The complete name of a table."""
    schema = table.db or adapter.system.default_schema
    return TableName(table.catalog or adapter.default_catalog, schema, table.name)


def quoted(name: str) -> str:
    """A name as a quoted identifier, as both DuckDB and PostgreSQL write it."""
    return exp.to_identifier(name, quoted=True).sql(dialect="duckdb")


def qualified(*parts: str) -> str:
    """A name with its schema and catalog, in quotes."""
    return ".".join(map(quoted, parts))
