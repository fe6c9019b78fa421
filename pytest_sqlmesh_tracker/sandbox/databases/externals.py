"""The tables of external models: empty ones where the databases have none.

They stand in for a warehouse's tables. What the project itself creates under such a name, in
`before_all` or in a model's statements, replaces them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import duckdb
from sqlglot import exp
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]
from sqlmesh.core.dialect import schema_
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.sandbox.options import SandboxError

from .column_types import stored
from .inference import Undeclared, undeclared, unknown_tables
from .relations import TablePlaces, qualified
from .statements import statements, words_of

_MARK = "empty, made by pytest-sqlmesh-tracker for an external model"
"""The comment on these tables: it is copied and rolled back with them."""


class EmptyTables:
    """The empty tables of a project's external models, in the databases of a sandbox."""

    def __init__(self) -> None:
        """Start without tables."""
        # The schemas and names that a statement must mention before the database is queried.
        self._names: frozenset[tuple[str, str]] = frozenset()
        self._schemas: frozenset[str] = frozenset()
        self._undeclared: tuple[Undeclared, ...] = ()

    def copy(self) -> EmptyTables:
        """The same tables in a copy of the databases; tables added later are independent."""
        return copy(self)

    def create(self, context: Any) -> None:
        """Create the tables whose names are not in use.

        They have the columns that external models declare. Tables that no model declares have the
        columns that the queries read.

        Raises:
            SandboxError: a table can't be created.
        """
        adapters, selected = context.engine_adapters, context.selected_gateway
        places = TablePlaces(adapters)
        for model in context.models.values():
            if model.kind.is_external and model.columns_to_types:
                place = places.place(model.gateway or selected, model.fully_qualified_table)
                if place and not place.existing:
                    self._create(place.adapter, place.table, model.columns_to_types, model.name)
        places = TablePlaces(adapters)
        missing: dict[exp.Table, Any] = {}
        for unknown in unknown_tables(context.models):
            place = places.place(unknown.gateway or selected, unknown.table)
            if place and not (place.existing or _is_readable(place.adapter, place.table)):
                missing[place.table] = place.adapter
        self._undeclared = undeclared(missing, context.models, context.default_catalog)
        for each in self._undeclared:
            if each.columns:
                self._create(missing[each.table], each.table, each.columns, each.name)

    def _create(
        self, adapter: Any, table: exp.Table, declared: Mapping[str, exp.DataType], name: str
    ) -> None:
        columns = {column: kind.transform(stored) for column, kind in declared.items()}
        schema = schema_(table.args["db"], table.args.get("catalog"))
        try:
            if not adapter.fetchone(_schema_query(table)):
                adapter.create_schema(schema)
                self._schemas |= {table.db.lower()}
            adapter.create_table(table, columns)
            adapter.execute(f"COMMENT ON TABLE {_sql(table)} IS '{_MARK}'")
        except duckdb.Error as error:
            first, *_ = str(error).splitlines()
            raise SandboxError(
                f"the external model {name} can't be created as an empty table: {first}; "
                "create the table with setup="
            ) from error
        self._names |= {(table.db.lower(), table.name.lower())}

    def give_way(self, adapter: Any, sql: str) -> None:
        """Drop the tables that a statement is about to create something in place of."""
        if not (self._names and _creates(sql)):
            return
        try:
            created = [each for tokens in statements(sql) if (each := _Created.by(tokens))]
        except SQLMeshError:
            # DuckDB reports what is wrong with it.
            return
        for each in created:
            for table in self._in_place_of(adapter, each):
                adapter.execute(f"DROP TABLE {table}")
            if each.kind == "SCHEMA" and each.names[-1].lower() in self._schemas:
                name = qualified(*each.names)
                if not adapter.fetchone(_content_query(each.names)):
                    adapter.execute(f"DROP SCHEMA IF EXISTS {name}")

    def _in_place_of(self, adapter: Any, created: _Created) -> Iterator[str]:
        """The empty tables, as SQL, that have the name of what is created."""
        *schema, name = (part.lower() for part in created.names)
        if created.kind == "SCHEMA":
            condition = f"lower(schema_name) = {_literal(name)}"
        elif ((schema or ["main"])[-1], name) in self._names:
            condition = f"lower(table_name) = {_literal(name)}"
            condition += f" AND lower(schema_name) = {_literal((schema or ['main'])[-1])}"
            schema = schema[:-1]
        else:
            return
        catalog = _literal(schema[0] if schema else adapter.default_catalog.lower())
        for place in adapter.fetchall(
            "SELECT database_name, schema_name, table_name FROM duckdb_tables() "
            f"WHERE comment = '{_MARK}' AND lower(database_name) = {catalog} AND {condition}"
        ):
            table = qualified(*place)
            if not adapter.fetchone(f"SELECT 1 FROM {table} LIMIT 1"):
                yield table

    def explained_in(self, error: str) -> list[Undeclared]:
        """The tables whose advice an error's text contains. SQLMesh passes on only the text of an
        exception."""
        return [each for each in self._undeclared if each.advice in error]

    def explain(self, adapter: Any, sql: str, error: duckdb.Error) -> str | None:
        """Advice on a statement that failed because no model declares a table."""
        if not isinstance(error, duckdb.CatalogException | duckdb.BinderException):
            return None
        for each in self._undeclared:
            if _sql(each.table).lower() in sql.lower() and _is_to_blame(adapter, each):
                return each.advice
        return None


@dataclass(frozen=True)
class _Created:
    """The object that a statement creates, or drops as a view: its kind and name parts."""

    kind: str
    names: tuple[str, ...]

    @classmethod
    def by(cls, statement: list[Token]) -> _Created | None:
        """The object that this statement creates, unless it is temporary."""
        words = words_of(statement)
        position = next((i for i, w in enumerate(words) if w in ("TABLE", "VIEW", "SCHEMA")), None)
        if position is None or position > 4 or {"TEMP", "TEMPORARY"} & set(words[:position]):
            return None
        kind, names = words[position], statement[position + 1 :]
        checked = words[position + 1 : position + 2] == ["IF"]
        if words[0] == "DROP":
            if kind != "VIEW":
                return None
            names = names[2:] if checked else names
        elif words[0] == "CREATE":
            if kind == "SCHEMA" and checked:
                return None
            names = names[3:] if checked else names
        else:
            return None
        parts = names[:1]
        while len(names) > 2 and names[1].token_type == TokenType.DOT:
            names = names[2:]
            parts.append(names[0])
        return cls(kind, tuple(part.text for part in parts)) if parts else None


def _creates(sql: str) -> bool:
    words = sql.upper()
    return "CREATE" in words or "DROP" in words


def _is_to_blame(adapter: Any, undeclared: Undeclared) -> bool:
    """Whether the table is missing, or is an empty one whose columns were inferred."""
    table = undeclared.table
    comments = adapter.cursor.execute(
        f"SELECT comment FROM duckdb_tables() WHERE lower(table_name) = "
        f"{_literal(table.name.lower())} AND lower(schema_name) = {_literal(table.db.lower())}"
    ).fetchall()
    return (_MARK,) in comments if undeclared.columns else not _is_readable(adapter, table)


def _is_readable(adapter: Any, table: exp.Table) -> bool:
    """Whether DuckDB can read the name: a system table, or a relation that it does not list."""
    try:
        adapter.cursor.execute(f"SELECT 1 FROM {_sql(table)} LIMIT 0")
    except duckdb.Error:
        return False
    return True


def _schema_query(table: exp.Table) -> str:
    catalog = f" AND lower(database_name) = {_literal(table.catalog.lower())}"
    return (
        f"SELECT 1 FROM duckdb_schemas() WHERE lower(schema_name) = {_literal(table.db.lower())}"
        + (catalog if table.catalog else "")
    )


def _content_query(schema: tuple[str, ...]) -> str:
    """A query for whether a schema, optionally qualified by its catalog, contains anything."""
    name = _literal(schema[-1].lower())
    return (
        f"SELECT 1 FROM duckdb_tables() WHERE lower(schema_name) = {name} UNION ALL "
        f"SELECT 1 FROM duckdb_views() WHERE lower(schema_name) = {name}"
    )


def _literal(text: str) -> str:
    return exp.Literal.string(text).sql(dialect="duckdb")


def _sql(table: exp.Table) -> str:
    return table.sql(dialect="duckdb", identify=True, comments=False)
