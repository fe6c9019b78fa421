"""The tables of external models: empty ones where the databases have none.

They stand in for a warehouse's tables. What the project itself creates under such a name, in
`before_all` or in a model's statements, replaces them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]
from sqlmesh.core.dialect import schema_
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.sandbox.options import SandboxError

from .engine import SystemTables, TableName, qualified, table_name
from .inference import Undeclared, undeclared, unknown_tables
from .relations import TablePlaces
from .tokens import statements, words_of

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
        # Those that rows arrive in, by folded name → the name that the test has for it.
        self._arriving: Mapping[TableName, str] = {}

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
        adapters, selected = context.used_adapters, context.selected_gateway
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
            if place and not (
                place.existing or place.adapter.system.is_readable(place.adapter, place.table)
            ):
                missing[place.table] = place.adapter
        self._undeclared = undeclared(missing, context.models, context.default_catalog)
        for each in self._undeclared:
            if each.columns:
                self._create(missing[each.table], each.table, each.columns, each.name)

    def _create(
        self, adapter: Any, table: exp.Table, declared: Mapping[str, exp.DataType], name: str
    ) -> None:
        system: SystemTables = adapter.system
        columns = {column: adapter.stored_type(kind) for column, kind in declared.items()}
        schema = schema_(table.args["db"], table.args.get("catalog"))
        try:
            if not system.has_schema(adapter, table):
                adapter.create_schema(schema)
                self._schemas |= {system.folded(table.db)}
            adapter.create_table(table, columns)
            adapter.execute(f"COMMENT ON TABLE {_sql(table, system)} IS '{_MARK}'")
        except system.errors as error:
            first, *_ = str(error).splitlines()
            raise SandboxError(
                f"the external model {name} can't be created as an empty table: {first}; "
                "create the table with setup="
            ) from error
        self._names |= {(system.folded(table.db), system.folded(table.name))}

    def keep_arriving(self, table: TableName, name: str, adapter: Any) -> None:
        """From now on, reject statements that would replace this table, if it is one of these."""
        folded = table.folded(adapter.system)
        if (folded.schema, folded.name) in self._names:
            self._arriving = {**self._arriving, folded: name}

    def has_inferred(self, table: TableName, adapter: Any) -> bool:
        """Whether this is one of these tables, with columns that no model declares."""
        folded = table.folded(adapter.system)
        return any(
            table_name(each.table, adapter).folded(adapter.system) == folded
            for each in self._undeclared
        )

    def give_way(self, adapter: Any, sql: str) -> None:
        """Drop the tables that a statement is about to create something in place of.

        Raises:
            SQLMeshError: rows arrive in such a table over time.
        """
        system: SystemTables = adapter.system
        if not (self._names and _creates(sql)):
            return
        try:
            created = [
                each for tokens in statements(sql, system.dialect) if (each := _Created.by(tokens))
            ]
        except SQLMeshError:
            # The database reports what is wrong with it.
            return
        for each in created:
            self._check_not_arriving(adapter, each)
            for table in self._in_place_of(adapter, each):
                adapter.execute(f"DROP TABLE {table}")
            schema = each.names[-1]
            if (
                each.kind == "SCHEMA"
                and system.folded(schema) in self._schemas
                and system.is_empty(adapter, schema)
            ):
                adapter.execute(f"DROP SCHEMA IF EXISTS {qualified(*each.names)}")

    def _in_place_of(self, adapter: Any, created: _Created) -> Iterator[str]:
        """The empty tables, as SQL, that have the name of what is created."""
        system: SystemTables = adapter.system
        place = created.place(adapter)
        if place.name and (place.schema, place.name) not in self._names:
            return
        for each in system.commented(adapter, _MARK):
            if _contains(place, each.folded(system)) and not adapter.fetchone(
                f"SELECT 1 FROM {each.sql} LIMIT 1"
            ):
                yield each.sql

    def _check_not_arriving(self, adapter: Any, created: _Created) -> None:
        place = created.place(adapter)
        for table, name in self._arriving.items():
            if _contains(place, table):
                raise SQLMeshError(
                    f"a statement creates {'the schema of ' if not place.name else ''}{name}, in "
                    "which rows arrive over time (arrivals=): create the table with setup= instead"
                )

    def explained_in(self, error: str) -> list[Undeclared]:
        """The tables whose advice an error's text contains. SQLMesh passes on only the text of an
        exception."""
        return [each for each in self._undeclared if each.advice in error]

    def explain(self, adapter: Any, sql: str, error: Exception) -> str | None:
        """Advice on a statement that failed because no model declares a table."""
        system: SystemTables = adapter.system
        for each in self._undeclared:
            if _sql(each.table, system).lower() not in sql.lower():
                continue
            if (
                system.is_wrong_column(error) and system.is_commented(adapter, each.table, _MARK)
                if each.columns
                else system.is_missing(adapter, each.table, error)
            ):
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

    def place(self, adapter: Any) -> TableName:
        """Its complete name, folded; that of a schema has no name of a table."""
        system: SystemTables = adapter.system
        *outer, name = self.names
        if self.kind == "SCHEMA":
            *outer, schema, name = *outer, name, ""
        else:
            *outer, schema = outer or [system.default_schema]
        catalog = outer[0] if outer else adapter.default_catalog
        return TableName(catalog, schema, name).folded(system)


def _contains(place: TableName, table: TableName) -> bool:
    """Whether a place is a table's, or its schema."""
    return place in (table, replace(table, name=""))


def _creates(sql: str) -> bool:
    words = sql.upper()
    return "CREATE" in words or "DROP" in words


def _sql(table: exp.Table, system: SystemTables) -> str:
    return table.sql(dialect=system.dialect, identify=True, comments=False)
