"""Spark in local mode: a JVM in this process's care, with Hive's catalog in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlmesh.core.config import SparkConnectionConfig

from .duckdb import state_in
from .engine import Dialect, Engine

DIALECT = Dialect("spark")


@contextmanager
def start(folder: Path) -> Iterator[Engine]:
    """A session of two threads; its files and its catalog are in the folder."""
    from pyspark.sql import SparkSession

    metastore = f"jdbc:derby:;databaseName={folder / 'metastore'};create=true"
    connection = SparkConnectionConfig(
        config={
            "spark.master": "local[2]",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "OFF",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder}",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "1",
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.hadoop.javax.jdo.option.ConnectionURL": metastore,
        },
        concurrent_tasks=4,
    )
    try:
        yield Engine(
            dialect=DIALECT,
            connection=connection,
            state_connection=state_in(folder),
            # Plain tables have no MERGE; those of Delta and Iceberg do.
            left_out=frozenset({"customers"}),
        )
    finally:
        session = SparkSession.getActiveSession()
        if session is not None:
            session.stop()
