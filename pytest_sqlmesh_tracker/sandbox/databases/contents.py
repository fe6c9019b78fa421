"""What a sandbox's databases hold before the first plan: the user's raw data, and no more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import duckdb
from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.sandbox.clock import shown
from pytest_sqlmesh_tracker.sandbox.options import SandboxError

from .connections import quoted

_Wanted = TypeVar("_Wanted")
Setup = Callable[[duckdb.DuckDBPyConnection], Any]

_OWN_SCHEMAS = "sqlmesh__"
"""How SQLMesh begins the names of schemas for its tables (`physical_schema` of a snapshot)."""
_OWN_TABLE = re.compile(r".+__\d+(__\w+)?|sqlmesh_md5__\w+", re.IGNORECASE)
"""What SQLMesh calls a version of a model's table, also where its schema has another name."""
_STATE = re.compile(
    r"_(snapshots|environments|intervals|versions|auto_restatements|environment_statements"
    r"|plan_dags|seeds)(_backup)?"
)


class _Relation(NamedTuple):
    """A table or view of a database; `sql` is that of a view."""

    catalog: str
    schema: str
    name: str
    kind: str
    sql: str | None


class _History(NamedTuple):
    """What a state tells of where SQLMesh has put tables and views; all in small letters."""

    schemas: set[str]
    in_place: set[tuple[str, str, str]]
    environments: set[str]


def remove_state(adapter: Any, state_schema: str, physical_schemas: Iterable[str]) -> None:
    """Drop what SQLMesh made: its state, its tables, and the views that read them.

    Args:
        physical_schemas: where the project's tables are, beside SQLMesh's own names for them.
    """
    relations = _relations(adapter)
    states = {(r.catalog, r.schema) for r in relations if r[1:3] == (state_schema, "_snapshots")}
    history = _History({schema.lower() for schema in physical_schemas}, set(), set())
    for catalog, schema in states:
        _read_history(adapter, catalog, schema, history)
    for relation in relations:
        of_state = relation[:2] in states and _STATE.fullmatch(relation.name)
        if of_state or _is_own(relation, history):
            adapter.execute(f"DROP {relation.kind} IF EXISTS {_name(*relation[:3])}")
    for catalog, schema in _rows(
        adapter, "SELECT database_name, schema_name FROM duckdb_schemas()"
    ):
        if schema.startswith(_OWN_SCHEMAS):
            adapter.execute(f"DROP SCHEMA IF EXISTS {_name(catalog, schema)} CASCADE")


def _read_history(adapter: Any, catalog: str, schema: str, history: _History) -> None:
    for (text,) in _rows(adapter, f"SELECT snapshot FROM {_name(catalog, schema, '_snapshots')}"):
        snapshot = json.loads(text)
        if snapshot.get("physical_schema"):
            history.schemas.add(snapshot["physical_schema"].lower())
        # Without virtual environments, tables are where the models' names say.
        if snapshot["node"].get("virtual_environment_mode") == "dev_only":
            table = exp.to_table(snapshot["name"].lower(), dialect="duckdb")
            history.in_place.add((table.catalog, table.db, table.name))
    names = _rows(adapter, f"SELECT name FROM {_name(catalog, schema, '_environments')}")
    history.environments.update(name.lower() for (name,) in names)


def _is_own(relation: _Relation, history: _History) -> bool:
    """Whether a table or view is SQLMesh's: a model's, a version's of it, or an environment's."""
    catalog, schema, name = (part.lower() for part in relation[:3])
    if _is_version(schema, name, history) or (catalog, schema, name) in history.in_place:
        return True
    if relation.sql is None:
        return False
    for end in (f"__{environment}" for environment in history.environments):
        by_schema = (catalog, schema.removesuffix(end), name)
        if history.in_place & {by_schema, (catalog, schema, name.removesuffix(end))}:
            return True
    return _reads_version(relation.sql, history)


def _is_version(schema: str, name: str, history: _History) -> bool:
    schema = schema.lower()
    return schema.startswith(_OWN_SCHEMAS) or bool(
        schema in history.schemas and _OWN_TABLE.fullmatch(name)
    )


def _reads_version(sql: str, history: _History) -> bool:
    if not any(schema in sql.lower() for schema in {_OWN_SCHEMAS, *history.schemas}):
        return False
    try:
        tables = parse_one(sql, dialect="duckdb").find_all(exp.Table)
        return any(_is_version(table.db, table.name, history) for table in tables)
    except SqlglotError:
        return False


def remove_models(adapters: Mapping[str, Any], models: Iterable[Any], selected: str) -> None:
    """Drop what stands where the views of the models go."""
    own = [
        (model.gateway or selected, model.fully_qualified_table, model)
        for model in models
        if not (model.kind.is_external or model.kind.is_embedded)
    ]
    for adapter, table, existing, _ in places(adapters, own):
        if existing:
            adapter.execute(f"DROP {existing} {table.sql(dialect='duckdb')}")


def load_setup(
    connection: duckdb.DuckDBPyConnection, files: Iterable[Path], check: Callable[[str], None]
) -> None:
    """Execute SQL files, in this order.

    Args:
        check: raises `SQLMeshError` of what a sandbox does not execute.

    Raises:
        SandboxError: a file is missing, or a statement of it is refused.
    """
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
            check(text)
            connection.execute(text)
        except OSError:
            raise SandboxError(f"setup: no file {file}") from None
        except (duckdb.Error, SQLMeshError) as error:
            first, *_ = str(error).splitlines()
            raise SandboxError(f"setup: {file.name} failed: {first}") from error


def call_setup(connection: duckdb.DuckDBPyConnection, setup: Setup) -> None:
    """Let the user's function load data.

    Raises:
        SandboxError: the function raised.
    """
    try:
        setup(connection)
    except Exception as error:
        raise SandboxError(
            f"the function of sqlmesh_project_setup failed: {type(error).__name__}: {error}"
        ) from error


def places(
    adapters: Mapping[str, Any], wanted: Iterable[tuple[str, exp.Table, _Wanted]]
) -> Iterator[tuple[Any, exp.Table, str | None, _Wanted]]:
    """Of each table that is wanted: its adapter, the table, what stands there, and what wants it.

    Tables in catalogs that are not attached have no place.
    """
    relations = {name: _in_small_letters(adapter) for name, adapter in adapters.items()}
    for gateway, table, wants in wanted:
        adapter, there = adapters[gateway], relations[gateway]
        catalog = (table.catalog or adapter.default_catalog).lower()
        if catalog in there:
            existing = there[catalog].get((table.db.lower(), table.name.lower()))
            yield adapter, table, existing, wants


def _in_small_letters(adapter: Any) -> dict[str, dict[tuple[str, str], str]]:
    """Catalog → (schema, name) → what it is: DuckDB ignores case."""
    found: dict[str, dict[tuple[str, str], str]] = {
        name.lower(): {}
        for (name,) in _rows(adapter, "SELECT database_name FROM duckdb_databases()")
    }
    for catalog, schema, name, kind, _ in _relations(adapter):
        found[catalog.lower()][schema.lower(), name.lower()] = kind
    return found


def _relations(adapter: Any) -> list[_Relation]:
    tables = "SELECT database_name, schema_name, table_name, 'TABLE', NULL FROM duckdb_tables()"
    views = "SELECT database_name, schema_name, view_name, 'VIEW', sql FROM duckdb_views()"
    listed = f"{tables} WHERE NOT internal UNION ALL {views} WHERE NOT internal"
    return [_Relation(*row) for row in _rows(adapter, listed)]


def check_kept_state(adapter: Any, state_schema: str, at: datetime) -> None:
    """Refuse a time before what the state has as loaded.

    Raises:
        SandboxError: `at` is earlier than the newest interval.
    """
    exists = "SELECT 1 FROM duckdb_tables() WHERE table_name = '_intervals' AND schema_name = "
    if not _rows(adapter, exists + exp.Literal.string(state_schema).sql()):
        return
    ((newest,),) = _rows(adapter, f"SELECT max(end_ts) FROM {quoted(state_schema)}._intervals")
    if newest and newest > at.timestamp() * 1000:
        latest = datetime.fromtimestamp(newest / 1000, tz=timezone.utc)
        raise SandboxError(
            f"state='keep': the state has data loaded through {shown(latest)}, which at="
            f"{shown(at)} is earlier than"
        )


def _rows(adapter: Any, sql: str) -> list[Any]:
    rows: list[Any] = adapter.fetchall(sql)
    return rows


def _name(*parts: str) -> str:
    return ".".join(map(quoted, parts))
