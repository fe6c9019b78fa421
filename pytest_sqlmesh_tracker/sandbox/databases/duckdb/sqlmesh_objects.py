"""What SQLMesh has created in the user's databases: its state, its tables, and views of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from pytest_sqlmesh_tracker.sandbox.clock import shown
from pytest_sqlmesh_tracker.sandbox.databases.engine import Relation, qualified, quoted
from pytest_sqlmesh_tracker.sandbox.databases.relations import TablePlaces
from pytest_sqlmesh_tracker.sandbox.options import SandboxError

_OWN_SCHEMAS = "sqlmesh__"
"""The prefix of the schemas of SQLMesh's tables (`physical_schema` of a snapshot)."""
_OWN_TABLE = re.compile(r".+__\d+(__\w+)?|sqlmesh_md5__\w+", re.IGNORECASE)
"""SQLMesh's names for the versions of a model's table, whatever the name of the schema."""
_STATE = re.compile(
    r"_(snapshots|environments|intervals|versions|auto_restatements|environment_statements"
    r"|plan_dags|seeds)(_backup)?"
)


@dataclass(frozen=True)
class _History:
    """Where SQLMesh has put tables and views, according to its states; names are in lower case.

    Attributes:
        schemas: the schemas of the tables of models' versions.
        in_place: catalog, schema and name of the tables that have their models' own names.
    """

    schemas: frozenset[str]
    in_place: frozenset[tuple[str, str, str]]
    environments: frozenset[str]


def remove_state(adapter: Any, state_schema: str, physical_schemas: Iterable[str]) -> None:
    """Drop SQLMesh's state, its tables, and the views that read them.

    Args:
        physical_schemas: where the project's tables are, beside SQLMesh's own names for them.
    """
    relations = adapter.system.relations(adapter)
    states = {
        (relation.catalog, relation.schema)
        for relation in relations
        if (relation.schema, relation.name) == (state_schema, "_snapshots")
    }
    history = _read_history(adapter, states, physical_schemas)
    for relation in relations:
        catalog, schema, name = relation.catalog, relation.schema, relation.name
        of_state = (catalog, schema) in states and _STATE.fullmatch(name)
        if of_state or _is_own(relation, history):
            kind = relation.kind.value
            adapter.execute(f"DROP {kind} IF EXISTS {qualified(catalog, schema, name)}")
    for catalog, schema in adapter.fetchall(
        "SELECT database_name, schema_name FROM duckdb_schemas()"
    ):
        if schema.startswith(_OWN_SCHEMAS):
            adapter.execute(f"DROP SCHEMA IF EXISTS {qualified(catalog, schema)} CASCADE")


def _read_history(
    adapter: Any, states: Iterable[tuple[str, str]], physical_schemas: Iterable[str]
) -> _History:
    schemas = {schema.lower() for schema in physical_schemas}
    in_place: set[tuple[str, str, str]] = set()
    environments: set[str] = set()
    for catalog, schema in states:
        snapshots = qualified(catalog, schema, "_snapshots")
        for (text,) in adapter.fetchall(f"SELECT snapshot FROM {snapshots}"):
            snapshot = json.loads(text)
            if snapshot.get("physical_schema"):
                schemas.add(snapshot["physical_schema"].lower())
            # Without virtual environments, tables have their models' names.
            if snapshot["node"].get("virtual_environment_mode") == "dev_only":
                table = exp.to_table(snapshot["name"].lower(), dialect="duckdb")
                in_place.add((table.catalog, table.db, table.name))
        names = adapter.fetchall(f"SELECT name FROM {qualified(catalog, schema, '_environments')}")
        environments.update(name.lower() for (name,) in names)
    return _History(frozenset(schemas), frozenset(in_place), frozenset(environments))


def _is_own(relation: Relation, history: _History) -> bool:
    """Whether SQLMesh created a table or view for a model, a version of it, or an environment."""
    catalog, schema, name = (
        part.lower() for part in (relation.catalog, relation.schema, relation.name)
    )
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
    """Drop the relations that have the names of the models' views.

    Args:
        selected: the gateway of models that do not name one.
    """
    places = TablePlaces(adapters)
    for model in models:
        if not (model.kind.is_external or model.kind.is_embedded):
            place = places.place(model.gateway or selected, model.fully_qualified_table)
            if place:
                place.drop_existing()


def check_kept_state(adapter: Any, state_schema: str, at: datetime) -> None:
    """Reject a time before the end of what the state records as loaded.

    Raises:
        SandboxError: `at` is earlier than the end of the newest interval.
    """
    exists = "SELECT 1 FROM duckdb_tables() WHERE table_name = '_intervals' AND schema_name = "
    if not adapter.fetchall(exists + exp.Literal.string(state_schema).sql()):
        return
    ((newest,),) = adapter.fetchall(f"SELECT max(end_ts) FROM {quoted(state_schema)}._intervals")
    if newest and newest > at.timestamp() * 1000:
        latest = datetime.fromtimestamp(newest / 1000, tz=timezone.utc)
        raise SandboxError(
            f"state='keep': the state has data loaded through {shown(latest)}, which is later than "
            f"at={shown(at)}"
        )
