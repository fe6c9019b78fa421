"""A copy of SQLMesh's state in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlglot import exp
from sqlmesh.core.config import DuckDBConnectionConfig
from sqlmesh.core.state_sync import EngineAdapterStateSync

from pytest_sqlmesh_tracker.tracking import compat


def copied_state(state: Any, cache: Path, default_catalog: str | None) -> EngineAdapterStateSync:
    """A copy of the state, in an in-memory database of its own. The state is only read.

    Args:
        state: SQLMesh's, in the version of the schema that the installed SQLMesh has.
        cache: a folder for SQLMesh's cache of models.
        default_catalog: the context's.
    """
    adapter = DuckDBConnectionConfig(concurrent_tasks=1).create_engine_adapter()
    copy = EngineAdapterStateSync(adapter, schema=state.schema, cache_dir=cache)
    compat.create_state(copy, default_catalog)
    for table, columns in _tables(copy):
        adapter.execute(exp.delete(table))
        quoted = [exp.column(name, quoted=True) for name in columns]
        query = exp.select(*quoted).from_(table)
        rows = state.engine_adapter.fetchall(query, quote_identifiers=True)
        if rows:
            names = ", ".join(name.sql(dialect="duckdb") for name in quoted)
            into = f"{table.sql(dialect='duckdb', identify=True)} ({names})"
            places = ", ".join("?" for _ in columns)
            adapter.cursor.executemany(f"INSERT INTO {into} VALUES ({places})", rows)
    return copy


def _tables(state: Any) -> Iterable[tuple[exp.Table, list[str]]]:
    """The tables of a state that plans and runs read, and their columns."""
    snapshots, environments = state.snapshot_state, state.environment_state
    for table, columns in (
        (snapshots.snapshots_table, snapshots._snapshot_columns_to_types),
        (snapshots.auto_restatements_table, snapshots._auto_restatement_columns_to_types),
        (state.interval_state.intervals_table, state.interval_state._interval_columns_to_types),
        (environments.environments_table, environments._environment_columns_to_types),
        (
            environments.environment_statements_table,
            environments._environment_statements_columns_to_types,
        ),
    ):
        yield table, list(columns)
