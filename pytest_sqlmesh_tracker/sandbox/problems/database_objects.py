"""What the user's files brought into a sandbox's databases, and which tables models lack there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlglot import exp

from pytest_sqlmesh_tracker.sandbox.databases.relations import shown_name


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
    """The objects in the copies of the user's DuckDB files.

    Args:
        sources: the file of each copy → the user's own file.
    """
    if not sources:
        return ()
    objects: dict[Inherited, None] = {}
    for adapter in adapters:
        attached = adapter.fetchall("SELECT database_name, path FROM duckdb_databases()")
        files = {name: sources.get(Path(path)) for name, path in attached if path}
        for database, name in adapter.system.objects(adapter):
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
        gateway: {
            (adapter.system.folded(database), adapter.system.folded(name))
            for database, name in adapter.system.objects(adapter)
        }
        for gateway, adapter in context.used_adapters.items()
    }
    missing: dict[str, None] = {}
    for fqn in models:
        model = context.models.get(fqn)
        for name in sorted(model.depends_on) if model else ():
            read = context.models.get(name)
            if read is not None and not read.kind.is_external:
                continue
            table = exp.to_table(name)
            gateway = model.gateway or context.selected_gateway
            folded = context.used_adapters[gateway].system.folded
            place = folded(table.catalog), folded(f"{table.db}.{table.name}")
            if place not in existing[gateway]:
                missing[shown_name(table, context.default_catalog)] = None
    return list(missing)
