"""The tables and views of a history, and how files of older versions are migrated.

What users query are the views `invocations`, `outcomes`, `batches` and `audits`. What they show is
stored in the schema `sqlmesh_tracker`: new reports as JSON in `recent`, older ones in a table for
each view. Appending to tables of so many columns takes DuckDB about three times as long as
appending one text, so reports are moved into the tables many at a time. No table has an index,
which DuckDB would rewrite with each report: `number`, by which reports and all that belongs to them
are in order, lets it skip what is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_sqlmesh_tracker.version import __version__

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SCHEMA = "sqlmesh_tracker"
READ = "temp"
"""The schema of the views that a connection reads: the stored reports, and pending ones."""


@dataclass(frozen=True, eq=False)
class Table:
    """One of the four views, and what is stored for it."""

    name: str
    keys: Mapping[str, str]
    """The columns that say what a row belongs to, and their types."""
    columns: Mapping[str, str]
    """The columns that have the fields of reports, and their types."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Column → field, where their names differ."""

    @property
    def stored(self) -> dict[str, str]:
        """The columns of the table in the schema `sqlmesh_tracker`."""
        return {"number": "BIGINT", **self.keys, **self.columns}

    @property
    def in_json(self) -> dict[str, str]:
        """The columns whose values are in the JSON of `recent`."""
        outside = ("number", "id", "invocation_id", "test", "source")
        return {c: t for c, t in self.stored.items() if c not in outside}


INVOCATIONS = Table(
    "invocations",
    {"id": "UUID", "test": "VARCHAR", "source": "VARCHAR"},
    {
        "schema_version": "INTEGER",
        "command": "VARCHAR",
        "environment": "VARCHAR",
        "arguments": "JSON",
        "execution_time": "TIMESTAMPTZ",
        "started_at": "TIMESTAMPTZ",
        "finished_at": "TIMESTAMPTZ",
        "completion": "VARCHAR",
        "error": "VARCHAR",
        "removed": "JSON",
        "environment_state": "JSON",
        "project_files": "VARCHAR",
        "project_files_note": "VARCHAR",
        "superseded": "BOOLEAN",
    },
)
OUTCOMES = Table(
    "outcomes",
    {"invocation_id": "UUID", "model": "VARCHAR", "position": "INTEGER"},
    {
        "fqn": "VARCHAR",
        "kind": "VARCHAR",
        "file": "VARCHAR",
        "cron": "VARCHAR",
        "undetermined_cron": "BOOLEAN",
        "safe_cron": "VARCHAR",
        "status": "VARCHAR",
        "reason": "VARCHAR",
        "reasons": "JSON",
        "evidence": "JSON",
        "message": "VARCHAR",
        "note": "VARCHAR",
        "partial": "BOOLEAN",
        "local_edit": "BOOLEAN",
        "stubbed": "BOOLEAN",
        "cause": "VARCHAR",
        "causes": "JSON",
        "cause_evidence": "JSON",
        "intervals_by_cause": "JSON",
        "restated_by": "JSON",
        "changed_by": "JSON",
        "loaded_through": "TIMESTAMPTZ",
        "waiting_since": "TIMESTAMPTZ",
        "next_due": "TIMESTAMPTZ",
        "held_back": "JSON",
        "upstream_behind": "JSON",
        "blocked_by": "JSON",
        "signals": "JSON",
        "change_category": "VARCHAR",
        "error": "VARCHAR",
        "failed_step": "VARCHAR",
        "rows": "BIGINT",
        "bytes": "BIGINT",
        "duration": "INTERVAL",
        "started_at": "TIMESTAMPTZ",
        "finished_at": "TIMESTAMPTZ",
        "start_order": "BIGINT",
        "upstream": "JSON",
    },
)
BATCHES = Table(
    "batches",
    {"invocation_id": "UUID", "model": "VARCHAR", "position": "INTEGER"},
    {
        "round": "BIGINT",
        "batch_index": "BIGINT",
        "interval_start": "TIMESTAMPTZ",
        "interval_end": "TIMESTAMPTZ",
        "status": "VARCHAR",
        "duration": "INTERVAL",
        "rows": "BIGINT",
        "bytes": "BIGINT",
        "audits_passed": "BIGINT",
        "audits_failed": "BIGINT",
        "unrecorded": "BOOLEAN",
    },
    {"batch_index": "index", "interval_start": "start", "interval_end": "end"},
)
AUDITS = Table(
    "audits",
    {"invocation_id": "UUID", "model": "VARCHAR", "position": "INTEGER"},
    {
        "name": "VARCHAR",
        "arguments": "JSON",
        "blocking": "BOOLEAN",
        "passed": "BOOLEAN",
        "rows_failed": "BIGINT",
        "error": "VARCHAR",
    },
)
TABLES = (INVOCATIONS, OUTCOMES, BATCHES, AUDITS)
IDS = (
    f"(SELECT number, id, test FROM {SCHEMA}.invocations "
    f"UNION ALL SELECT number, id, test FROM {SCHEMA}.recent)"
)
"""A query for which reports there are, which reads little."""

RECENT = "number BIGINT, id UUID, test VARCHAR, source VARCHAR, report VARCHAR, size BIGINT"
"""The columns of reports whose rows are in JSON."""
EXACT = "number BIGINT, report VARCHAR"
"""The columns of reports whose rows do not have all of them."""


_LATER = frozenset({(OUTCOMES.name, "file")})
"""The columns of tables that were added after the first version."""


def _create(table: Table) -> str:
    first = {n: type_ for n, type_ in table.stored.items() if (table.name, n) not in _LATER}
    columns = ", ".join(f'"{name}" {type_}' for name, type_ in first.items())
    return f"CREATE TABLE {SCHEMA}.{table.name} ({columns})"


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        f"CREATE SCHEMA {SCHEMA}",
        f"CREATE TABLE {SCHEMA}.version (version INTEGER)",
        f"INSERT INTO {SCHEMA}.version VALUES (0)",
        f"CREATE TABLE {SCHEMA}.recent ({RECENT})",
        f"CREATE TABLE {SCHEMA}.exact ({EXACT})",
        *map(_create, TABLES),
    ),
    (f"ALTER TABLE {SCHEMA}.outcomes ADD COLUMN file VARCHAR",),
)
"""The statements that lead to each version from the one before, from version 1 on. The statements
of a released version must not change: a new column is an `ALTER TABLE` of a new version, and
is one of `_LATER`."""
VERSION = len(MIGRATIONS)


class NotAHistoryError(ValueError):
    """A file is not a history that this version can read or append to; the message is one line."""


def version_of(connection: DuckDBPyConnection) -> int:
    """The schema version of a history; 0 for a database without tables.

    Raises:
        NotAHistoryError: the database has other tables, or a newer version has written it.
    """
    import duckdb

    try:
        [version] = connection.execute(f"SELECT version FROM {SCHEMA}.version").fetchone() or (0,)
    except duckdb.CatalogException:
        tables = connection.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables "
            "WHERE table_catalog = current_database() ORDER BY ALL"
        ).fetchall()
        if not tables:
            return 0
        raise NotAHistoryError(
            f"not a history: this DuckDB database has other tables, such as {tables[0][0]}"
        ) from None
    if version > VERSION:
        raise NotAHistoryError(
            f"the history has schema version {version}, but pytest-sqlmesh-tracker {__version__} "
            f"reads versions up to {VERSION}; upgrade pytest-sqlmesh-tracker"
        )
    return int(version)


def migrate(connection: DuckDBPyConnection, version: int) -> None:
    """Bring a database from a version to the current one, within the transaction that is open."""
    if version == VERSION:
        return
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    for table in TABLES:
        for statement in _views(table):
            connection.execute(statement)
    connection.execute(f"UPDATE {SCHEMA}.version SET version = {VERSION}")


def _views(table: Table) -> Iterator[str]:
    """The view of what `recent` has, of that and what is stored, and what users query of it."""
    name = table.name
    yield f"CREATE OR REPLACE VIEW {SCHEMA}.recent_{name} AS {recent_rows(table)}"
    yield (
        f"CREATE OR REPLACE VIEW {SCHEMA}.all_{name} AS SELECT * FROM {SCHEMA}.{name} "
        f"UNION ALL BY NAME SELECT * FROM {SCHEMA}.recent_{name}"
    )
    columns = ", ".join(f'"{column}"' for column in table.stored if column != "number")
    yield f"CREATE OR REPLACE VIEW main.{name} AS SELECT {columns} FROM {SCHEMA}.all_{name}"


def recent_rows(table: Table, recent: str = f"{SCHEMA}.recent") -> str:
    """The query for the rows of a view that are in the JSON of `recent`, or of a table like it."""
    types = {column: _in_json(table, type_) for column, type_ in table.in_json.items()}
    read = ", ".join(f'"{column}": ["{type_}"]' for column, type_ in types.items())
    keys = "id, test, source" if table is INVOCATIONS else "id AS invocation_id"
    values = ", ".join(_value(column, type_) for column, type_ in table.in_json.items())
    return (
        f"SELECT number, {keys}, {values} FROM (SELECT * EXCLUDE (report), "
        f"from_json(report->'$.{table.name}', '{{{read}}}') AS item FROM {recent})"
    )


def _in_json(table: Table, type_: str) -> str:
    """The type that a value has in the JSON of `recent`."""
    if type_ == "INTERVAL":
        # In microseconds.
        return "BIGINT"
    # Arguments can have numbers of any size, which DuckDB keeps in texts only.
    return "VARCHAR" if type_ == "JSON" and table is INVOCATIONS else type_


def _value(column: str, type_: str) -> str:
    # Several lists are unnested side by side.
    value = f'unnest(item."{column}")'
    if type_ == "INTERVAL":
        value = f"to_microseconds({value})"
    return f'CAST({value} AS {type_}) AS "{column}"'
