"""What the tests start from: a week of orders, delivered before the first plan."""

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
    return connection.execute(RAW.read_text())
