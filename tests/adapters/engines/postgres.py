"""PostgreSQL: a real server, with the state in the same database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlmesh.core.config import PostgresConnectionConfig

from pytest_sqlmesh_tracker.sandbox.clusters.cluster import start_cluster
from pytest_sqlmesh_tracker.sandbox.clusters.databases import ClusterDatabases
from pytest_sqlmesh_tracker.sandbox.clusters.programs import find_programs

from .engine import Dialect, Engine

DIALECT = Dialect("postgres")
_ROLE, _DATABASE = "shop_owner", "wh"


@contextmanager
def start(_folder: Path) -> Iterator[Engine]:
    """A throw-away cluster, in a folder of its own."""
    with start_cluster(find_programs()) as cluster:
        databases = ClusterDatabases(cluster)
        databases.create_role(_ROLE)
        databases.create(_DATABASE, owner=_ROLE)
        databases.close()
        connection = PostgresConnectionConfig(
            host=cluster.host,
            port=cluster.port,
            user=_ROLE,
            password="",
            database=_DATABASE,
            concurrent_tasks=4,
        )
        yield Engine(dialect=DIALECT, connection=connection)
