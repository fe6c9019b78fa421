"""Environments in PostgreSQL: planned once for all tests of a process, copied for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.sandbox.clusters.cluster import start_cluster
from pytest_sqlmesh_tracker.sandbox.clusters.databases import ClusterDatabases
from pytest_sqlmesh_tracker.sandbox.clusters.programs import find_programs

from .warehouses import OWNER, Warehouse, planned, variables


@pytest.fixture(scope="session")
def databases() -> Iterator[ClusterDatabases]:
    """The databases of a cluster."""
    with start_cluster(find_programs()) as cluster, pytest.MonkeyPatch.context() as patch:
        for name, value in variables(cluster).items():
            patch.setenv(name, value)
        databases = ClusterDatabases(cluster)
        databases.create_role(OWNER)
        yield databases
        databases.close()


@pytest.fixture(scope="session")
def _separate(databases: ClusterDatabases, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return planned(tmp_path_factory.mktemp("separate"), databases, alike=False)


@pytest.fixture(scope="session")
def _alike(databases: ClusterDatabases, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return planned(tmp_path_factory.mktemp("alike"), databases, alike=True)


@pytest.fixture
def warehouse(_separate: Warehouse, tmp_path: Path) -> Iterator[Warehouse]:
    """Four environments with tables of their own, planned, with all intervals missing."""
    with _separate.copied(tmp_path) as copy:
        yield copy


@pytest.fixture
def warehouse_of_shared_tables(_alike: Warehouse, tmp_path: Path) -> Iterator[Warehouse]:
    """The same, but the environments have the same versions, and so the same tables."""
    with _alike.copied(tmp_path) as copy:
        yield copy
