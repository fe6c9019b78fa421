"""Tables whose rows arrive over time: a row is there once the sandbox's clock has reached the value
of one of its columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from pytest_sqlmesh_tracker.models.index import ModelIndex, is_glob, unquoted
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from pytest_sqlmesh_tracker.suggestions import did_you_mean

from .engine import Column, RelationKind, TableName, table_name

_REMEDY = "declare its columns in external_models.yaml, or create the table with setup="
_IN_UTC = "(now() AT TIME ZONE 'UTC')"
_TYPES = exp.DataType.Type
_PRESENT = {
    _TYPES.TIMESTAMPTZ: "now()",
    _TYPES.DATE: f"CAST({_IN_UTC} AS DATE)",
    **dict.fromkeys(
        (
            *(_TYPES.TIMESTAMP, _TYPES.TIMESTAMPNTZ, _TYPES.DATETIME),
            *(_TYPES.TIMESTAMP_S, _TYPES.TIMESTAMP_MS, _TYPES.TIMESTAMP_NS),
        ),
        _IN_UTC,
    ),
}
"""The sandbox's time in the type of a column. What has no time zone is in UTC, whatever the zone of
the session."""


@dataclass(frozen=True)
class Arrival:
    """A table that shows only the rows that have arrived.

    Attributes:
        gateway: the gateway of its database.
        shown: the name under which the rows are read.
        complete: the table with all rows, which inserted rows must reach.
        column: the column with the time at which a row arrives.
        has_default: whether the database fills this column if a row lacks it.
    """

    gateway: str
    shown: TableName
    complete: TableName
    column: str
    has_default: bool


@dataclass(frozen=True)
class Arrivals:
    """The tables of a template whose rows arrive over time, and of all its copies."""

    tables: tuple[Arrival, ...] = ()

    def of(self, table: exp.Table, adapter: Any, adapters: Mapping[str, Any]) -> Arrival | None:
        """The arrival of a table's rows; None if they are all there.

        Args:
            adapter: the adapter of the table's database.
            adapters: all adapters, by gateway.
        """
        system = adapter.system
        place = table_name(table, adapter).folded(system)
        for each in self.tables:
            if adapters[each.gateway] is adapter and each.shown.folded(system) == place:
                return each
        return None


@dataclass(frozen=True)
class _Place:
    """An existing table, and the gateway of its database."""

    gateway: str
    table: TableName


def let_rows_arrive(context: Any, columns: Mapping[str, str], models: ModelIndex[Any]) -> Arrivals:
    """Let tables show only the rows that have arrived.

    Args:
        columns: the name of each table → the column with the time at which a row arrives.
        models: the models that the context has loaded.

    Raises:
        SandboxError: a table or a column does not exist, or rows can't arrive in it.
    """
    if not columns:
        return Arrivals()
    existing = _ExistingTables(context, models)
    places: dict[_Place, str] = {}
    for name in columns:
        place = existing.place(name)
        if place is None:
            continue
        other = places.setdefault(place, name)
        if other != name:
            raise SandboxError(f"arrivals: {other!r} and {name!r} are the same table")
    # The names and types are checked before any table is changed.
    checked = {place: _column(context, place, name, columns) for place, name in places.items()}
    return Arrivals(
        tuple(
            _arrival(context, place, places[place], column, present)
            for place, (column, present) in checked.items()
        )
    )


def _column(
    context: Any, place: _Place, name: str, columns: Mapping[str, str]
) -> tuple[Column, str]:
    """The column of a table, and the sandbox's time in its type."""
    adapter = context.engine_adapters[place.gateway]
    folded = adapter.system.folded
    by_name = {folded(each.name): each for each in adapter.rows.columns(adapter, place.table.sql)}
    inferred = context.empty_tables.has_inferred(place.table, adapter)
    remedy = f"; its columns are inferred from the queries that read it: {_REMEDY}"
    column = by_name.get(folded(columns[name]))
    if column is None:
        known = [each.name for each in by_name.values()]
        hint = did_you_mean(columns[name], known, f"it has {', '.join(known)}")
        raise SandboxError(
            f"arrivals: {name} has no column {columns[name]!r}; {hint}{remedy if inferred else ''}"
        )
    try:
        kind = exp.DataType.build(column.type, dialect=adapter.system.dialect, udt=True)
    except SqlglotError:
        kind = exp.DataType.build("unknown")
    present = _PRESENT.get(kind.this)
    if present is None:
        raise SandboxError(
            f"arrivals: the column {column.name} of {name} must be a DATE or a TIMESTAMP, with or "
            f"without time zone, not {column.type}{remedy if inferred else ''}"
        )
    return column, present


def _arrival(context: Any, place: _Place, name: str, column: Column, present: str) -> Arrival:
    adapter = context.engine_adapters[place.gateway]
    has_default = _has_default(adapter, place.table, column)
    try:
        complete = adapter.show_arrived(place.table, column, present)
    except adapter.system.errors as error:
        first, *_ = str(error).splitlines()
        raise SandboxError(
            f"arrivals: the rows of {name} can't arrive over time: {first}"
        ) from error
    context.empty_tables.keep_arriving(place.table, name, adapter)
    return Arrival(place.gateway, place.table, complete, column.name, has_default)


def _has_default(adapter: Any, table: TableName, column: Column) -> bool:
    parts = {
        "table_catalog": table.catalog,
        "table_schema": table.schema,
        "table_name": table.name,
        "column_name": column.name,
    }
    conditions = [
        f"{part} = {exp.Literal.string(value).sql(dialect=adapter.system.dialect)}"
        for part, value in parts.items()
    ]
    return bool(
        adapter.fetchone(
            f"SELECT 1 FROM information_schema.columns WHERE {' AND '.join(conditions)} "
            "AND (column_default IS NOT NULL OR is_generated = 'ALWAYS')"
        )
    )


class _ExistingTables:
    """The tables and views in the databases of a project, before its plan."""

    def __init__(self, context: Any, models: ModelIndex[Any]) -> None:
        self._context = context
        self._models = models
        self._kinds = {
            _Place(gateway, TableName(each.catalog, each.schema, each.name)): each.kind
            for gateway, adapter in context.used_adapters.items()
            for each in adapter.system.relations(adapter)
        }

    def place(self, name: str) -> _Place | None:
        """The table with this name; None for an external model that `select` leaves out.

        Raises:
            SandboxError: the name is that of a model or a view, or of no table or several.
        """
        external = self._external(name)
        places = list(self._with_name(name, external))
        if len(places) > 1:
            names = ", ".join(f"{each.table.sql} ({each.gateway})" for each in places)
            raise SandboxError(f"arrivals: {name!r} matches several tables: {names}")
        if not places and external is not None:
            raise SandboxError(f"arrivals: {name} has no table: {_REMEDY}")
        if not places and self._is_left_out(name):
            return None
        if not places:
            # It may be the right name of a table that is yet to be created.
            hint = did_you_mean(name, self._known(), "")
            remedy = f"{hint} Otherwise, {_REMEDY}" if hint else _REMEDY
            raise SandboxError(f"arrivals: no table {name!r} exists before the plan; {remedy}")
        (place,) = places
        if self._kinds[place] is not RelationKind.TABLE:
            raise SandboxError(f"arrivals: {name} is a view: name the table that it reads")
        return place

    def _external(self, name: str) -> Any:
        """The external model with this name, if any.

        Raises:
            SandboxError: it is the name of another model, or of several.
        """
        matching = [] if is_glob(name) else self._models.candidates(name)
        matching = [each for each in matching if each.kind != "audit"]
        if len(matching) > 1:
            raise SandboxError(f"arrivals: {self._models.complaint(name)}")
        if not matching:
            return None
        (match,) = matching
        if match.kind != "external":
            stub = "" if match.kind == "seed" else ", or give the model other data with stub="
            raise SandboxError(
                f"arrivals: {name} is a model that SQLMesh evaluates: name a table that models "
                f"read{stub}"
            )
        return self._context.models[match.fqn]

    def _with_name(self, name: str, external: Any) -> Iterator[_Place]:
        """The tables and views with this name: those of the selected gateway, or else of others."""
        selected = self._context.selected_gateway
        gateways = dict.fromkeys((selected, *self._context.used_adapters))
        if external is not None:
            gateways = {external.gateway or selected: None}
        seen: set[tuple[int, TableName]] = set()
        for gateway in gateways:
            adapter = self._context.used_adapters[gateway]
            for place in self._in_gateway(gateway, adapter, name, external):
                # Gateways with the same file share an adapter.
                if (id(adapter), place.table) not in seen:
                    seen.add((id(adapter), place.table))
                    yield place
            if seen and gateway == selected:
                return

    def _in_gateway(self, gateway: str, adapter: Any, name: str, external: Any) -> list[_Place]:
        """The tables and views with this name, in the same case if there is one."""
        try:
            table = (
                external.fully_qualified_table
                if external is not None
                else exp.to_table(name, dialect=adapter.system.dialect)
            )
        except SqlglotError:
            return []
        wanted = table_name(table, adapter)
        places = [
            place
            for place in self._kinds
            if place.gateway == gateway and _caseless(place.table) == _caseless(wanted)
        ]
        system = adapter.system
        exact = [p for p in places if p.table.folded(system) == wanted.folded(system)]
        return exact or places

    def _is_left_out(self, name: str) -> bool:
        selection = self._context.selection
        left_out = selection.loaded - self._context.models.keys() if selection else ()
        end = f".{unquoted(name)}".casefold()
        return any(f".{unquoted(fqn)}".casefold().endswith(end) for fqn in left_out)

    def _known(self) -> list[str]:
        """The names of tables, and of models, which another error explains."""
        adapters = self._context.used_adapters
        tables = [
            ".".join(
                part
                for part in (place.table.catalog, place.table.schema, place.table.name)
                if part != adapters[place.gateway].default_catalog
            )
            for place, kind in self._kinds.items()
            if kind is RelationKind.TABLE
        ]
        return [*tables, *(model.name for model in self._context.models.values())]


def _caseless(table: TableName) -> TableName:
    return TableName(table.catalog.casefold(), table.schema.casefold(), table.name.casefold())
