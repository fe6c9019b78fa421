"""What the system tables of PostgreSQL show. SQLMesh quotes names, so their case matters."""

from __future__ import annotations

from typing import Any

import psycopg2
from sqlglot import exp

from pytest_sqlmesh_tracker.sandbox.databases.engine import Relation, RelationKind, TableName

from .clock_functions import SCHEMA

_SCHEMAS = f"nspname !~ '^pg_' AND nspname NOT IN ('information_schema', '{SCHEMA}')"
_RELATIONS = f"""
    SELECT current_database(), nspname, relname, relkind::text,
           CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(pg_class.oid) END
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'f', 'v', 'm') AND {_SCHEMAS}
"""
_KINDS = {"v": RelationKind.VIEW, "m": RelationKind.MATERIALIZED_VIEW}
_OBJECTS = f"""
    SELECT current_database(), nspname || '.' || relname
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE {_SCHEMAS}
    UNION ALL
    SELECT current_database(), nspname || '.' || proname
    FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace WHERE {_SCHEMAS}
    UNION ALL
    SELECT current_database(), nspname FROM pg_namespace WHERE {_SCHEMAS}
"""
_COMMENTED = f"""
    SELECT current_database(), nspname, relname
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind = 'r' AND {_SCHEMAS} AND obj_description(pg_class.oid, 'pg_class') =
"""
# Codes rather than classes: psycopg2 has the classes only where it was imported first.
_UNDEFINED_TABLE = "42P01"
_WRONG_COLUMN = (
    "42703",  # undefined_column
    "42883",  # undefined_function
    "42804",  # datatype_mismatch
    "42846",  # cannot_coerce
)


class PostgresSystemTables:
    """The queries of PostgreSQL's system tables."""

    dialect = "postgres"
    default_schema = "public"
    errors: tuple[type[Exception], ...] = (psycopg2.Error,)

    def folded(self, name: str) -> str:
        """The name itself."""
        return name

    def catalogs(self, adapter: Any) -> list[str]:
        """The database of the connection."""
        return [adapter.default_catalog]

    def relations(self, adapter: Any) -> list[Relation]:
        """All tables and views that users or SQLMesh have created."""
        return [
            Relation(catalog, schema, name, _KINDS.get(kind, RelationKind.TABLE), sql)
            for catalog, schema, name, kind, sql in adapter.fetchall(_RELATIONS)
        ]

    def objects(self, adapter: Any) -> list[tuple[str, str]]:
        """The catalog and the qualified name of each object."""
        return list(adapter.fetchall(_OBJECTS))

    def has_schema(self, adapter: Any, table: exp.Table) -> bool:
        """Whether the schema of a table exists."""
        return bool(
            adapter.fetchone(f"SELECT 1 FROM pg_namespace WHERE nspname = {_literal(table.db)}")
        )

    def is_empty(self, adapter: Any, name: str) -> bool:
        """Whether a schema contains neither tables nor views."""
        return not adapter.fetchone(
            "SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
            f"WHERE nspname = {_literal(name)}"
        )

    def is_readable(self, adapter: Any, table: exp.Table) -> bool:
        """Whether the name is that of a table or view, also of a system table."""
        ((readable,),) = adapter.fetchall(_readable(table))
        return bool(readable)

    def commented(self, adapter: Any, comment: str) -> list[TableName]:
        """The tables that have this comment."""
        return [TableName(*row) for row in adapter.fetchall(_COMMENTED + _literal(comment))]

    def is_commented(self, adapter: Any, table: exp.Table, comment: str) -> bool:
        """Whether a table has this comment, in what is committed: a failed statement has ended its
        transaction."""
        rows = adapter.separate_rows(_COMMENTED + _literal(comment))
        return any((schema, name) == (table.db, table.name) for _, schema, name in rows)

    def is_missing(self, adapter: Any, table: exp.Table, error: Exception) -> bool:
        """Whether a table is missing, and this is one that does not exist."""
        if getattr(error, "pgcode", None) != _UNDEFINED_TABLE:
            return False
        ((readable,),) = adapter.separate_rows(_readable(table))
        return not readable

    def is_wrong_column(self, error: Exception) -> bool:
        """Whether a column does not exist, or has a type that an expression does not take."""
        return getattr(error, "pgcode", None) in _WRONG_COLUMN


def _readable(table: exp.Table) -> str:
    name = exp.table_(table.this, db=table.args.get("db")).sql("postgres", identify=True)
    return f"SELECT to_regclass({_literal(name)}) IS NOT NULL"


def _literal(text: str) -> str:
    return exp.Literal.string(text).sql(dialect="postgres")
