"""What the user's files brought into a sandbox's databases, and which tables models lack there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlglot import exp

from pytest_sqlmesh_tracker.sandbox.databases.relations import shown_name

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


@dataclass(frozen=True)
class Inherited:
    """A table, view, schema or another object that comes from one of the user's databases.

    Attributes:
        name: qualified by the schema, except for schemas and for what is in `main`.
        file: the user's own file.
    """

    name: str
    file: Path


def inherited(adapters: Iterable[Any], sources: Mapping[Path, Path]) -> tuple[Inherited, ...]:
    """The objects in the copies of the user's databases.

    Args:
        sources: the file of each copy → the user's own file.
    """
    if not sources:
        return ()
    objects: dict[Inherited, None] = {}
    for adapter in adapters:
        attached = adapter.fetchall("SELECT database_name, path FROM duckdb_databases()")
        files = {name: sources.get(Path(path)) for name, path in attached if path}
        for database, name in adapter.fetchall(_OBJECTS):
            file = files.get(database)
            if file is not None:
                objects[Inherited(name.removeprefix("main."), file)] = None
    return tuple(objects)


def missing_tables(context: Any, models: Iterable[str]) -> list[str]:
    """The names of missing tables and views that models read, except for the project's models.

    Args:
        models: fully qualified names.
    """
    existing = {
        gateway: {(database.lower(), name.lower()) for database, name in adapter.fetchall(_OBJECTS)}
        for gateway, adapter in context.engine_adapters.items()
    }
    missing: dict[str, None] = {}
    for fqn in models:
        model = context.models.get(fqn)
        for name in sorted(model.depends_on) if model else ():
            read = context.models.get(name)
            if read is not None and not read.kind.is_external:
                continue
            table = exp.to_table(name)
            place = (table.catalog.lower(), f"{table.db}.{table.name}".lower())
            if place not in existing[model.gateway or context.selected_gateway]:
                missing[shown_name(table, context.default_catalog)] = None
    return list(missing)
