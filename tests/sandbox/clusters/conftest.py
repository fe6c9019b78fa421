"""Real servers: that of this machine, and that of the wheel."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.sandbox.clusters.cluster import Cluster, start_cluster
from pytest_sqlmesh_tracker.sandbox.clusters.databases import ClusterDatabases
from pytest_sqlmesh_tracker.sandbox.clusters.programs import Programs
from tests.postgres import installed_programs, rows_of


@pytest.fixture(scope="session", params=["machine", "wheel"])
def programs(request: pytest.FixtureRequest) -> Programs:
    """Debian's PostgreSQL 15 in CI, and the wheel's 18."""
    return installed_programs(request.param)


@pytest.fixture(scope="session")
def cluster(programs: Programs) -> Iterator[Cluster]:
    """A cluster for all tests that leave it running."""
    with start_cluster(programs) as cluster:
        yield cluster


@pytest.fixture
def databases(cluster: Cluster) -> Iterator[ClusterDatabases]:
    """The databases of that cluster; those that a test has made are dropped."""
    databases = ClusterDatabases(cluster)
    databases.create_role("shop_owner")
    yield databases
    for name in databases.names():
        databases.drop(name)
    databases.close()


@pytest.fixture
def query(cluster: Cluster) -> Callable[..., list[tuple[object, ...]]]:
    """Execute a statement in a database, as its owner by default, and return the rows."""

    def execute(database: str, sql: str, user: str = "shop_owner") -> list[tuple[object, ...]]:
        return rows_of(cluster, database, sql, user=user)

    return execute


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody can write to, as `/tmp` is one."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o777 | stat.S_ISVTX)
    yield folder
    shutil.rmtree(folder)
