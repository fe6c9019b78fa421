"""A shop of models of each kind, some of which depend on the history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.projects import Project

RAW = """
CREATE SCHEMA raw;
CREATE TABLE raw.orders AS
SELECT range AS ts, epoch(range)::INT % 7 AS amount
FROM range(TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-08', INTERVAL 12 HOUR);
CREATE TABLE raw.nothing (ts TIMESTAMP);
"""
ORDERS = "SELECT ts, amount FROM shop.orders WHERE ts BETWEEN @start_dt AND @end_dt"
BY_DAY = (
    "SELECT ts::date::timestamp AS ts, SUM(amount) AS amount, SUM(amount / 3.0)::DOUBLE AS third "
    "FROM shop.orders WHERE ts BETWEEN @start_dt AND @end_dt GROUP BY 1"
)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project. Raw orders are in `raw.sql` beside its configuration."""
    project = Project(tmp_path_factory.mktemp("shop"))
    project.write("raw.sql", RAW)
    orders = "SELECT ts, amount FROM raw.orders WHERE ts BETWEEN @start_dt AND @end_dt"
    project.incremental("shop.orders", orders, cron="'@daily'")
    project.incremental("shop.by_day", BY_DAY, cron="'@daily'", grain="ts")
    total = "SELECT SUM(amount) AS amount FROM shop.by_day"
    project.model("shop.total", total, cron="'@weekly'", start="'2023-12-24'")
    project.model(
        "shop.versions",
        "SELECT amount AS id, COUNT(*) AS n, MAX(ts) AS updated_at FROM shop.orders GROUP BY 1",
        kind="SCD_TYPE_2_BY_TIME (unique_key id)",
        cron="'@daily'",
    )
    project.model("shop.appended", ORDERS, kind="INCREMENTAL_UNMANAGED", cron="'@daily'")
    project.model("shop.appended_twice", "SELECT COUNT(*) AS n FROM shop.appended", cron="'@daily'")
    loaded = "SELECT ts, @execution_dt::TIMESTAMP AS loaded_at FROM shop.orders "
    project.incremental(
        "shop.loaded", f"{loaded} WHERE ts BETWEEN @start_dt AND @end_dt", cron="'@daily'"
    )
    nothing = "SELECT ts FROM raw.nothing WHERE ts BETWEEN @start_dt AND @end_dt"
    project.incremental("shop.empty", nothing, cron="'@daily'")
    return project.path


@pytest.fixture(scope="session")
def lottery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one model, whose rows are random."""
    project = Project(tmp_path_factory.mktemp("lottery"))
    project.model("lottery.drawn", "SELECT random() AS number", cron="'@daily'")
    return project.path


@pytest.fixture(scope="session")
def options(shop: Path) -> dict[str, Any]:
    """What sandboxes of the shop are made of."""
    return {"path": str(shop), "at": "2024-01-02", "setup": str(shop / "raw.sql")}
