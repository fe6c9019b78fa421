"""What a sandbox's databases hold before the first plan: the user's raw data, and no more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from .clock import shown
from .connections import quoted
from .options import SqlmeshProjectError

Setup = Callable[[duckdb.DuckDBPyConnection], Any]

_OWN_SCHEMAS = "sqlmesh__"
"""How SQLMesh begins the names of schemas for its tables (`physical_schema` of a snapshot)."""


def remove_state(adapter: Any, state_schema: str, physical_schemas: Iterable[str]) -> None:
    """Drop what SQLMesh made: its state, its tables, and the views that read them.

    Args:
        physical_schemas: where the project's tables are, beside SQLMesh's own names for them.
    """
    own = set(physical_schemas)
    schemas = _rows(adapter, "SELECT database_name, schema_name FROM duckdb_schemas()")
    tables = "SELECT database_name, schema_name, table_name FROM duckdb_tables()"
    state = {
        (c, s)
        for c, s, table in _rows(adapter, tables)
        if (s, table) == (state_schema, "_snapshots")
    }
    for catalog, schema in state:
        own |= _physical_schemas(adapter, catalog, schema)
    doomed = {(c, s) for c, s in schemas if s.startswith(_OWN_SCHEMAS) or s in own}
    if state:
        views = "SELECT database_name, schema_name, view_name, sql FROM duckdb_views()"
        for catalog, schema, view, sql in _rows(adapter, f"{views} WHERE NOT internal"):
            if _reads(sql, {schema for _, schema in doomed}):
                adapter.execute(f"DROP VIEW IF EXISTS {_name(catalog, schema, view)}")
    for catalog, schema in doomed | state:
        if schema == "main":
            _drop_state_tables(adapter, catalog)
        else:
            adapter.execute(f"DROP SCHEMA IF EXISTS {_name(catalog, schema)} CASCADE")


def _physical_schemas(adapter: Any, catalog: str, schema: str) -> set[str]:
    """The schemas of the tables that the state has, as it has written them down."""
    found = set()
    for (snapshot,) in _rows(
        adapter, f"SELECT snapshot FROM {_name(catalog, schema, '_snapshots')}"
    ):
        own = json.loads(snapshot).get("physical_schema")
        # Without virtual environments, tables are where the models' names say.
        if own and own.startswith(_OWN_SCHEMAS):
            found.add(own)
    return found


def _reads(sql: str, schemas: set[str]) -> bool:
    try:
        return any(
            table.db in schemas for table in parse_one(sql, dialect="duckdb").find_all(exp.Table)
        )
    except SqlglotError:
        return False


def _drop_state_tables(adapter: Any, catalog: str) -> None:
    tables = "SELECT database_name, table_name FROM duckdb_tables() WHERE schema_name = 'main'"
    for database, table in _rows(adapter, tables):
        if database == catalog and table.startswith("_"):
            adapter.execute(f"DROP TABLE IF EXISTS {_name(catalog, 'main', table)}")


def remove_models(adapters: Mapping[str, Any], models: Iterable[Any], selected: str) -> None:
    """Drop what stands where the views of the models go."""
    for adapter, table, found, model in _places(adapters, models, selected):
        if found and not (model.kind.is_external or model.kind.is_embedded):
            adapter.execute(f"DROP {found} {table.sql(dialect='duckdb')}")


def load_setup(connection: duckdb.DuckDBPyConnection, files: Iterable[Path]) -> None:
    """Execute SQL files, in this order.

    Raises:
        SqlmeshProjectError: a file is missing, or DuckDB refuses a statement of it.
    """
    for file in files:
        try:
            connection.execute(file.read_text(encoding="utf-8"))
        except OSError:
            raise SqlmeshProjectError(f"setup: no file {file}") from None
        except duckdb.Error as error:
            raise SqlmeshProjectError(f"setup: {file.name} failed: {error}") from error


def create_external_tables(
    adapters: Mapping[str, Any], models: Iterable[Any], selected: str
) -> None:
    """Create the tables of external models that declare their columns, empty, where they miss."""
    for adapter, table, found, model in _places(adapters, models, selected):
        if model.kind.is_external and model.columns_to_types and not found:
            adapter.create_schema(exp.table_(table.args["db"], catalog=table.args.get("catalog")))
            adapter.create_table(table, model.columns_to_types)


def _places(
    adapters: Mapping[str, Any], models: Iterable[Any], selected: str
) -> Iterator[tuple[Any, exp.Table, str | None, Any]]:
    """Of each model: its adapter, its name in the database, what stands there, and the model.

    Models in catalogs that are not attached have no place.
    """
    relations = {name: _relations(adapter) for name, adapter in adapters.items()}
    for model in models:
        gateway = model.gateway or selected
        table = model.fully_qualified_table
        adapter, there = adapters[gateway], relations[gateway]
        catalog = (table.catalog or adapter.default_catalog).lower()
        if catalog in there:
            found = there[catalog].get((table.db.lower(), table.name.lower()))
            yield adapter, table, found, model


def _relations(adapter: Any) -> dict[str, dict[tuple[str, str], str]]:
    """Catalog → (schema, name) → what it is, in small letters: DuckDB ignores case."""
    found: dict[str, dict[tuple[str, str], str]] = {
        name.lower(): {}
        for (name,) in _rows(adapter, "SELECT database_name FROM duckdb_databases()")
    }
    for kind in ("table", "view"):
        listed = f"SELECT database_name, schema_name, {kind}_name FROM duckdb_{kind}s()"
        for catalog, schema, name in _rows(adapter, listed):
            found[catalog.lower()][schema.lower(), name.lower()] = kind.upper()
    return found


def check_kept_state(adapter: Any, state_schema: str, at: datetime) -> None:
    """Refuse a time before what the state has as loaded.

    Raises:
        SqlmeshProjectError: `at` is earlier than the newest interval.
    """
    exists = "SELECT 1 FROM duckdb_tables() WHERE table_name = '_intervals' AND schema_name = "
    if not _rows(adapter, exists + exp.Literal.string(state_schema).sql()):
        return
    ((newest,),) = _rows(adapter, f"SELECT max(end_ts) FROM {quoted(state_schema)}._intervals")
    if newest and newest > at.timestamp() * 1000:
        latest = datetime.fromtimestamp(newest / 1000, tz=timezone.utc)
        raise SqlmeshProjectError(
            f"state='keep': the state has data loaded through {shown(latest)}, which at="
            f"{shown(at)} is earlier than"
        )


def _rows(adapter: Any, sql: str) -> list[Any]:
    rows: list[Any] = adapter.fetchall(sql)
    return rows


def _name(*parts: str) -> str:
    return ".".join(map(quoted, parts))
