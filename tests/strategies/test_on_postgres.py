"""Histories and drawn rows on PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from pytest_sqlmesh_tracker import SandboxError, Sandboxes
from pytest_sqlmesh_tracker.sandbox.databases.postgres.server import PostgresServer
from pytest_sqlmesh_tracker.strategies import assert_history_independent, histories, model_rows
from tests.postgres import missing
from tests.sandbox.building import IN_POSTGRES, ON_TWO_ENGINES, project

pytestmark = pytest.mark.long

RAW = """
CREATE SCHEMA raw;
CREATE TABLE raw.visits AS SELECT ts, extract(day FROM ts)::int AS day
FROM generate_series(TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-07 12:00', INTERVAL '12 hours') ts;
"""
VISITS = "SELECT ts, day FROM raw.visits WHERE ts BETWEEN @start_dt AND @end_dt"
BY_DAY = (
    "SELECT CAST(ts AS DATE)::TIMESTAMP AS ts, SUM(day / 3.0)::DOUBLE PRECISION AS third "
    "FROM site.visits WHERE ts BETWEEN @start_dt AND @end_dt GROUP BY 1"
)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What sandboxes of a project in PostgreSQL are made of."""
    try:
        PostgresServer().check()
    except SandboxError:
        missing("PostgreSQL")
    made = project(tmp_path_factory.mktemp("site"), ON_TWO_ENGINES, IN_POSTGRES)
    made.write("raw.sql", RAW)
    made.write(
        "external_models.yaml",
        "- name: raw.people\n  grain: id\n  columns: {id: int, name: text, born: date, "
        "height: real, seen: timestamptz, balance: 'decimal(10, 2)', photo: bytea, key: uuid}\n",
    )
    made.incremental("site.visits", VISITS, cron="'@daily'")
    made.incremental("site.by_day", BY_DAY, cron="'@daily'")
    made.model("site.appended", VISITS, kind="INCREMENTAL_UNMANAGED", cron="'@daily'")
    made.model(
        "site.versions",
        "SELECT day AS id, MAX(ts) AS updated_at FROM site.visits GROUP BY 1",
        kind="SCD_TYPE_2_BY_TIME (unique_key id)",
        cron="'@daily'",
    )
    raw = str(Path(made.path, "raw.sql"))
    return {"path": str(made.path), "gateway": "postgres", "at": "2024-01-02", "setup": raw}


@pytest.mark.nightly
def test_models_that_depend_on_the_history_are_found(
    sqlmesh_project_factory: Sandboxes, options: dict[str, Any]
) -> None:
    drawing = histories(days=2)
    with pytest.raises(AssertionError, match=r"site\.appended depends on history, .*: 2 too"):
        assert_history_independent(
            sqlmesh_project_factory, histories=drawing, examples=0, select=["*"], **options
        )
    assert_history_independent(
        sqlmesh_project_factory,
        ["site.visits", "site.by_day", "site.versions"],
        histories=drawing,
        examples=2,
        select=["*"],
        **options,
    )


def test_the_database_has_the_rows_that_were_drawn(
    sqlmesh_project_factory: Sandboxes, options: dict[str, Any]
) -> None:
    with sqlmesh_project_factory(**options) as sandbox:
        people = sandbox.context.get_model("raw.people")

        @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
        @given(model_rows(people))
        def inserted(rows: list[dict[str, Any]]) -> None:
            sandbox.execute("DELETE FROM raw.people")
            sandbox.insert("raw.people", rows)
            sandbox.assert_rows("raw.people", rows)

        inserted()
