"""What the system tables of DuckDB show. DuckDB ignores the case of names."""

from __future__ import annotations

from typing import Any

import duckdb
from sqlglot import exp

from pytest_sqlmesh_tracker.sandbox.databases.engine import Relation, RelationKind, TableName

_OBJECTS = """
    SELECT database_name, schema_name || '.' || table_name FROM duckdb_tables() WHERE NOT internal
    UNION ALL
    SELECT database_name, schema_name || '.' || view_name FROM duckdb_views() WHERE NOT internal
    UNION ALL
    SELECT database_name, schema_name FROM duckdb_schemas()
    WHERE NOT internal AND schema_name <> 'main'
    UNION ALL
    SELECT database_name, schema_name || '.' || sequence_name FROM duckdb_sequences()
    UNION ALL
    SELECT database_name, schema_name || '.' || index_name FROM duckdb_indexes()
    UNION ALL
    SELECT database_name, schema_name || '.' || type_name FROM duckdb_types() WHERE NOT internal
    UNION ALL
    SELECT database_name, schema_name || '.' || function_name FROM duckdb_functions()
    WHERE NOT internal
"""


class DuckDBSystemTables:
    """The queries of DuckDB's system tables."""

    dialect = "duckdb"
    default_schema = "main"
    errors: tuple[type[Exception], ...] = (duckdb.Error,)

    def folded(self, name: str) -> str:
        """The name in lower case."""
        return name.lower()

    def catalogs(self, adapter: Any) -> list[str]:
        """The attached databases."""
        return [
            name for (name,) in adapter.fetchall("SELECT database_name FROM duckdb_databases()")
        ]

    def relations(self, adapter: Any) -> list[Relation]:
        """All tables and views that users or SQLMesh have created."""
        tables = "SELECT database_name, schema_name, table_name, 'TABLE', NULL FROM duckdb_tables()"
        views = "SELECT database_name, schema_name, view_name, 'VIEW', sql FROM duckdb_views()"
        query = f"{tables} WHERE NOT internal UNION ALL {views} WHERE NOT internal"
        return [
            Relation(catalog, schema, name, RelationKind(kind), sql)
            for catalog, schema, name, kind, sql in adapter.fetchall(query)
        ]

    def objects(self, adapter: Any) -> list[tuple[str, str]]:
        """The catalog and the qualified name of each object."""
        return list(adapter.fetchall(_OBJECTS))

    def has_schema(self, adapter: Any, table: exp.Table) -> bool:
        """Whether the schema of a table exists, in any catalog if the table names none."""
        query = f"SELECT 1 FROM duckdb_schemas() WHERE lower(schema_name) = {_lowered(table.db)}"
        if table.catalog:
            query += f" AND lower(database_name) = {_lowered(table.catalog)}"
        return bool(adapter.fetchone(query))

    def is_empty(self, adapter: Any, name: str) -> bool:
        """Whether a schema contains neither tables nor views."""
        condition = f"WHERE lower(schema_name) = {_lowered(name)}"
        return not adapter.fetchone(
            f"SELECT 1 FROM duckdb_tables() {condition} UNION ALL "
            f"SELECT 1 FROM duckdb_views() {condition}"
        )

    def is_readable(self, adapter: Any, table: exp.Table) -> bool:
        """Whether DuckDB can read the name: also a system table, or a relation that it does not
        list."""
        name = table.sql(dialect="duckdb", identify=True, comments=False)
        try:
            adapter.cursor.execute(f"SELECT 1 FROM {name} LIMIT 0")
        except duckdb.Error:
            return False
        return True

    def commented(self, adapter: Any, comment: str) -> list[TableName]:
        """The tables that have this comment."""
        rows = adapter.cursor.execute(
            "SELECT database_name, schema_name, table_name FROM duckdb_tables() "
            f"WHERE comment = {_literal(comment)}"
        ).fetchall()
        return [TableName(*row) for row in rows]

    def is_commented(self, adapter: Any, table: exp.Table, comment: str) -> bool:
        """Whether a table has this comment."""
        return any(
            (each.schema.lower(), each.name.lower()) == (table.db.lower(), table.name.lower())
            for each in self.commented(adapter, comment)
        )

    def is_missing(self, adapter: Any, table: exp.Table, error: Exception) -> bool:
        """Whether the table does not exist, according to DuckDB after the error."""
        return isinstance(error, duckdb.CatalogException | duckdb.BinderException) and not (
            self.is_readable(adapter, table)
        )

    def is_wrong_column(self, error: Exception) -> bool:
        """Whether a statement could not be bound."""
        return isinstance(error, duckdb.CatalogException | duckdb.BinderException)


def _literal(text: str) -> str:
    return exp.Literal.string(text).sql(dialect="duckdb")


def _lowered(name: str) -> str:
    return _literal(name.lower())
