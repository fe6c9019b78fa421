"""The tables and views in a sandbox's databases, and the places of a project's tables in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlglot import exp

from .statements import quoted


class RelationKind(str, Enum):
    """The kind of a relation, as written in `CREATE` and `DROP`."""

    TABLE = "TABLE"
    VIEW = "VIEW"


@dataclass(frozen=True)
class Relation:
    """A table or view of a DuckDB database; `sql` is the statement that creates the view."""

    catalog: str
    schema: str
    name: str
    kind: RelationKind
    sql: str | None


@dataclass(frozen=True)
class TablePlace:
    """The place of a table of a project.

    Attributes:
        adapter: the adapter of the table's database.
        existing: the kind of the relation that already has the table's name, if any.
    """

    adapter: Any
    table: exp.Table
    existing: RelationKind | None

    def drop_existing(self) -> None:
        """Drop the relation that has the table's name, if any."""
        if self.existing:
            name = self.table.sql(dialect="duckdb")
            self.adapter.execute(f"DROP {self.existing.value} {name}")


class TablePlaces:
    """The places of tables in the databases of a project's gateways, read once when it is made.

    DuckDB ignores the case of names.
    """

    def __init__(self, adapters: Mapping[str, Any]) -> None:
        """Read the existing relations; the adapters are keyed by gateway."""
        self._adapters = adapters
        self._existing = {name: _by_catalog(adapter) for name, adapter in adapters.items()}

    def place(self, gateway: str, table: exp.Table) -> TablePlace | None:
        """The place of a table; None if its catalog is not attached."""
        adapter = self._adapters[gateway]
        catalog = (table.catalog or adapter.default_catalog).lower()
        relations = self._existing[gateway].get(catalog)
        if relations is None:
            return None
        return TablePlace(adapter, table, relations.get((table.db.lower(), table.name.lower())))


def _by_catalog(adapter: Any) -> dict[str, dict[tuple[str, str], RelationKind]]:
    """Catalog → (schema, name) → kind of relation; names are in lower case."""
    catalogs: dict[str, dict[tuple[str, str], RelationKind]] = {
        name.lower(): {}
        for (name,) in rows(adapter, "SELECT database_name FROM duckdb_databases()")
    }
    for relation in relations_in(adapter):
        place = relation.schema.lower(), relation.name.lower()
        catalogs[relation.catalog.lower()][place] = relation.kind
    return catalogs


def relations_in(adapter: Any) -> list[Relation]:
    """All tables and views that users or SQLMesh have created."""
    tables = "SELECT database_name, schema_name, table_name, 'TABLE', NULL FROM duckdb_tables()"
    views = "SELECT database_name, schema_name, view_name, 'VIEW', sql FROM duckdb_views()"
    query = f"{tables} WHERE NOT internal UNION ALL {views} WHERE NOT internal"
    return [
        Relation(catalog, schema, name, RelationKind(kind), sql)
        for catalog, schema, name, kind, sql in rows(adapter, query)
    ]


def shown_name(table: exp.Table, default_catalog: str | None) -> str:
    """A table's name as users write it, without the default catalog."""
    parts = table.parts[1:] if table.catalog and table.catalog == default_catalog else table.parts
    return ".".join(part.name for part in parts)


def rows(adapter: Any, sql: str) -> list[Any]:
    """The rows of a query."""
    fetched: list[Any] = adapter.fetchall(sql)
    return fetched


def qualified(*parts: str) -> str:
    """A name with its schema and catalog, in quotes."""
    return ".".join(map(quoted, parts))
