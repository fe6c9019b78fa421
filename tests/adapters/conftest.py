"""The scenario, played once on DuckDB and once on the engine that is tried.

`make engines ENGINE=snowflake` tries an engine in an environment of its own. Without a name, it is
PostgreSQL, whose driver and server are in the environment of all tests.
"""

from __future__ import annotations

import os

import pytest

from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from tests.postgres import missing

from .engines import ENGINES
from .scenario import History, play

ENGINE = os.environ.get("SQLMESH_TRACKER_ADAPTER", "postgres")


@pytest.fixture(scope="session")
def on_duckdb(tmp_path_factory: pytest.TempPathFactory) -> History:
    """What took place on DuckDB."""
    folder = tmp_path_factory.mktemp("duckdb")
    with ENGINES["duckdb"](folder) as engine:
        return play(engine, folder)


@pytest.fixture(scope="session")
def on_engine(tmp_path_factory: pytest.TempPathFactory) -> History:
    """What took place on the engine that is tried."""
    folder = tmp_path_factory.mktemp(ENGINE)
    try:
        with ENGINES[ENGINE](folder) as engine:
            return play(engine, folder)
    except SandboxError:
        missing("PostgreSQL")
