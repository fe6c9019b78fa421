"""One project with rows of many types, on DuckDB and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import Sandbox
from pytest_sqlmesh_tracker.sandbox.databases.postgres.server import PostgresServer
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from tests.postgres import missing
from tests.projects import Project
from tests.sandbox.building import IN_POSTGRES, ON_TWO_ENGINES, Sandboxes, project

ORDERS = """
SELECT id, day, amount, note
FROM (VALUES
  (1, CAST('2024-01-01' AS DATE), CAST(8 AS DECIMAL(10, 2)), CAST('first' AS TEXT)),
  (2, CAST('2024-01-02' AS DATE), CAST(9.5 AS DECIMAL(10, 2)), NULL),
  (3, CAST('2024-01-02' AS DATE), NULL, 'it''s')
) AS orders(id, day, amount, note)
"""


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Orders, which have a grain, and what is read from them."""
    made: Project = project(tmp_path_factory.mktemp("shop"), ON_TWO_ENGINES, IN_POSTGRES)
    made.write(
        "external_models.yaml",
        "- {name: raw.events, columns: {id: int, ts: timestamp, seen_at: timestamp}}\n",
    )
    made.model("shop.orders", ORDERS, grain="id")
    made.model("shop.per_day", "SELECT day, COUNT(*) AS orders FROM shop.orders GROUP BY day")
    made.model(
        "shop.latest",
        "SELECT id, ts FROM raw.events",
        kind="INCREMENTAL_BY_UNIQUE_KEY (unique_key id)",
        cron="'@daily'",
    )
    made.model("shop.pieces", "SELECT id FROM shop.orders", kind="EMBEDDED")
    made.write(
        "audits/orders_exist.sql",
        "AUDIT (name orders_exist, standalone true);\n\n"
        "SELECT 1 AS one WHERE NOT EXISTS (SELECT * FROM shop.orders)\n",
    )
    return made.path


@pytest.fixture(params=["duckdb", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    """The gateway of the sandbox."""
    if request.param == "postgres":
        try:
            PostgresServer().check()
        except SandboxError:
            missing("PostgreSQL")
    return str(request.param)


@pytest.fixture
def sandbox(shop: Path, sandboxes: Sandboxes, engine: str) -> Iterator[Sandbox]:
    with sandboxes(shop, gateway=engine) as made:
        yield made
