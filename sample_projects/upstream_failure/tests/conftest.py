"""What the tests start from: the deliveries of a healthy month, loaded before the first plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection

RAW = Path(__file__).parents[1] / "raw.sql"


@pytest.fixture(scope="session")
def sqlmesh_project_setup() -> Callable[[DuckDBPyConnection], object]:
    return deliver


def deliver(connection: DuckDBPyConnection) -> object:
    # A sandbox starts from the local database, if there is one: this replaces its raw data.
    return connection.execute(RAW.read_text())
