"""BigQuery: bqemulator, a server that executes BigQuery's SQL on DuckDB.

The server needs another sqlglot than SQLMesh, so its Python is one of another environment:
`SQLMESH_TRACKER_BQEMULATOR`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlglot import exp
from sqlmesh.core.config import BigQueryConnectionConfig
from sqlmesh.core.config.connection import BigQueryConnectionMethod
from sqlmesh.core.dialect import to_schema
from sqlmesh.core.engine_adapter.bigquery import BigQueryEngineAdapter
from sqlmesh.core.engine_adapter.shared import DataObject, DataObjectType

from pytest_sqlmesh_tracker.sandbox.clusters.watcher import Watcher

from .duckdb import state_in
from .engine import Dialect, Engine
from .ports import accepts_connections, free_port

DIALECT = Dialect("bigquery", integer="INT64")
_PROJECT = "wh"
# DuckDB's extension for geography would be downloaded, and the scenario does not need it.
_SERVER = """
import sys
from bqemulator.cli import main
from bqemulator.storage.engine import DuckDBEngine
DuckDBEngine._load_spatial = lambda self: None
sys.exit(main())
"""


@contextmanager
def start(folder: Path) -> Iterator[Engine]:
    """A server in memory, with one project."""
    with _server() as endpoint, patch.dict(os.environ, BIGQUERY_EMULATOR_HOST=endpoint):
        with _completed():
            connection = BigQueryConnectionConfig(
                method=BigQueryConnectionMethod.OAUTH_SECRETS,
                token="token",
                project=_PROJECT,
                location="US",
                # Some statements hang, and retries would hide it.
                job_execution_timeout_seconds=60,
            )
            yield Engine(
                dialect=DIALECT,
                connection=connection,
                state_connection=state_in(folder),
            )


@contextmanager
def _server() -> Iterator[str]:
    """A running server: its address."""
    python = os.environ["SQLMESH_TRACKER_BQEMULATOR"]
    rest, grpc = free_port(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="bqemulator-"))
    script = folder / "server.py"
    script.write_text(_SERVER)
    watcher = Watcher(folder, account=None, environment={**os.environ, "TZ": "UTC"})
    try:
        options = ["start", "--ephemeral", "--project", _PROJECT]
        ports = ["--rest-port", str(rest), "--grpc-port", str(grpc)]
        watcher.run(["true"], [python, str(script), *options, *ports])
        while not accepts_connections(rest):
            if not watcher.has_server:
                raise RuntimeError((folder / "log").read_text(errors="replace"))
            time.sleep(0.05)
        yield f"http://127.0.0.1:{rest}"
    finally:
        watcher.close()


@contextmanager
def _completed() -> Iterator[None]:
    """What SQLMesh needs and bqemulator does not do."""
    from google.api_core.exceptions import NotFound
    from google.cloud import bigquery

    to_sql = BigQueryEngineAdapter._to_sql

    def list_tables(
        self: Any, schema_name: Any, object_names: set[str] | None = None
    ) -> list[DataObject]:
        # INFORMATION_SCHEMA with an alias can't be parsed, but the API lists the tables, too.
        schema = to_schema(schema_name)
        catalog = schema.catalog or self.default_catalog
        try:
            tables = list(self.client.list_tables(f"{catalog}.{schema.db}"))
        except NotFound:
            return []
        return [
            DataObject(
                catalog=catalog,
                schema=schema.db,
                name=table.table_id,
                type=DataObjectType.from_str(table.table_type),
            )
            for table in tables
            if not object_names or table.table_id in object_names
        ]

    def to_plain_sql(self: Any, expression: Any, *args: Any, **kwargs: Any) -> str:
        # MERGE takes no qualified columns in SET.
        if isinstance(expression, exp.Merge):
            expression = expression.copy()
            for update in expression.find_all(exp.Update):
                for assignment in update.expressions:
                    assignment.this.set("table", None)
        return str(to_sql(self, expression, *args, **kwargs))

    def nothing(*_: Any, **__: Any) -> None:
        """No sessions, and no storage API: that would be Google's."""

    with ExitStack() as patches:
        for owner, name, replacement in (
            (BigQueryEngineAdapter, "_get_data_objects", list_tables),
            (BigQueryEngineAdapter, "_to_sql", to_plain_sql),
            (BigQueryEngineAdapter, "_begin_session", nothing),
            (bigquery.Client, "_ensure_bqstorage_client", nothing),
            # It rejects uploads of any type, `*/*`.
            (bigquery.client, "_GENERIC_CONTENT_TYPE", "application/octet-stream"),
        ):
            patches.enter_context(patch.object(owner, name, replacement))
        yield
