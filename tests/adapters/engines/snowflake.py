"""Snowflake: fakesnow, which executes Snowflake's SQL on DuckDB in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from string import Template
from typing import Any
from unittest.mock import patch

from sqlmesh.core.config import SnowflakeConnectionConfig
from sqlmesh.core.engine_adapter.snowflake import SnowflakeEngineAdapter

from .duckdb import state_in
from .engine import Dialect, Engine

DIALECT = Dialect("snowflake", integer="INT")


@contextmanager
def start(folder: Path) -> Iterator[Engine]:
    """An account in memory, with one database."""
    import fakesnow

    with _completed(), fakesnow.patch():
        connection = SnowflakeConnectionConfig(
            account="shop",
            user="shop",
            password="shop",
            database="wh",
            concurrent_tasks=4,
            # fakesnow can't comment on views.
            register_comments=False,
        )
        yield Engine(
            dialect=DIALECT,
            connection=connection,
            state_connection=state_in(folder),
        )


@contextmanager
def _completed() -> Iterator[None]:
    """What SQLMesh needs and fakesnow does not do."""
    from fakesnow import fakes, info_schema, instance

    create_table = SnowflakeEngineAdapter.create_table
    write_pandas = fakes.write_pandas
    connect = instance.FakeSnow.connect
    tables = info_schema.SQL_CREATE_INFORMATION_SCHEMA_TABLES_VIEW

    def create_lasting_table(self: Any, *args: Any, **kwargs: Any) -> None:
        # DuckDB's temporary tables are in a catalog of their own.
        if kwargs.get("table_kind") == "TEMPORARY TABLE":
            del kwargs["table_kind"]
        create_table(self, *args, **kwargs)

    def overwrite_with_pandas(
        conn: Any, df: Any, table_name: str, *args: Any, overwrite: bool = False, **kwargs: Any
    ) -> Any:
        # fakesnow's appends to the table.
        if overwrite:
            parts = (kwargs.get("database"), kwargs.get("schema"), table_name)
            conn.cursor().execute(f"DELETE FROM {'.'.join(part for part in parts if part)}")
        return write_pandas(conn, df, table_name, *args, **kwargs)

    def connect_with_schema(
        self: Any, database: Any = None, schema: Any = None, **more: Any
    ) -> Any:
        # MERGE needs a current schema.
        return connect(self, database, schema or "PUBLIC", **more)

    # fakesnow lists no views.
    listed = tables.template.replace(
        "from duckdb_tables tables",
        "from (SELECT database_name, schema_name, table_name, estimated_size, 'BASE TABLE' AS kind"
        " FROM duckdb_tables UNION ALL"
        " SELECT database_name, schema_name, view_name, 0, 'VIEW' FROM duckdb_views) tables",
    ).replace("'BASE TABLE' AS \"TABLE_TYPE\"", 'tables.kind AS "TABLE_TYPE"')
    assert listed.count("kind") == 2, "this fakesnow lists its tables in another way"
    with ExitStack() as patches:
        for owner, name, replacement in (
            (SnowflakeEngineAdapter, "create_table", create_lasting_table),
            (fakes, "write_pandas", overwrite_with_pandas),
            (instance.FakeSnow, "connect", connect_with_schema),
            (info_schema, "SQL_CREATE_INFORMATION_SCHEMA_TABLES_VIEW", Template(listed)),
        ):
            patches.enter_context(patch.object(owner, name, replacement))
        yield
