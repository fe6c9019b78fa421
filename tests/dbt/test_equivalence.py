"""The same shop as a dbt project and as a plain SQLMesh project has the same outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version
from sqlmesh import Context
from sqlmesh import __version__ as sqlmesh_version

from pytest_sqlmesh_tracker import ModelOutcome, RunReport, sqlmesh_run_tracker
from tests.projects import at

from .conftest import CONFIG, write_files

AS_DBT = {
    "config.py": CONFIG,
    "profiles.yml": """
shop:
  target: local
  outputs: {local: {type: duckdb, path: FOLDER/shop.duckdb, schema: shop}}
""",
    "dbt_project.yml": """
name: shop
version: '1.0'
profile: shop
models: {+start: 2023-12-24, +cron: "@daily", +materialized: table}
seeds: {+start: 2023-12-24}
""",
    "seeds/people.csv": "id,name\n1,Ann\n2,Bob\n",
    "models/orders.sql": "select id, customer, amount from {{ source('raw', 'orders') }}",
    "models/by_id.sql": """
{{ config(materialized='incremental', unique_key='id') }} select id, amount from {{ ref('orders') }}
""",
    "models/now.sql": """
{{ config(materialized='view') }} select count(*) as n from {{ ref('by_id') }}
""",
    "models/weekly.sql": "{{ config(cron='@weekly') }} select sum(n) as n from {{ ref('now') }}",
    "models/schema.yml": """
version: 2
sources:
  - {name: raw, tables: [{name: orders}]}
models:
  - name: orders
    columns:
      - name: amount
        data_tests: [positive, {positive: {name: not_tiny, least: 2, config: {severity: warn}}}]
""",
    "tests/generic/positive.sql": """
{% test positive(model, column_name, least=0) %}
select * from {{ model }} where {{ column_name }} <= {{ least }}
{% endtest %}
""",
    "tests/buyers_exist.sql": """
select * from {{ ref('orders') }} where customer not in (select id from {{ ref('people') }})
""",
}
FILES_OF_DBT = {
    "shop.people": "seeds/people.csv",
    "shop.orders": "models/orders.sql",
    "shop.by_id": "models/by_id.sql",
    "shop.now": "models/now.sql",
    "shop.weekly": "models/weekly.sql",
    "buyers_exist": "tests/buyers_exist.sql",
}
# SQLMesh's defaults for dbt models are written out here: partial intervals, and the lookback.
AS_SQLMESH = {
    "config.yaml": """
gateways: {local: {connection: {type: duckdb, database: FOLDER/shop.duckdb}}}
model_defaults: {dialect: duckdb, start: 2023-12-24, cron: "@daily"}
disable_anonymized_analytics: true
""",
    "seeds/people.csv": AS_DBT["seeds/people.csv"],
    "models/people.sql": "MODEL (name shop.people, kind SEED (path '../seeds/people.csv'))",
    "models/orders.sql": """
MODEL (name shop.orders, kind FULL, allow_partials TRUE, audits (positive_orders_amount, not_tiny));
SELECT id, customer, amount FROM raw.orders
""",
    "models/by_id.sql": """
MODEL (
  name shop.by_id,
  kind INCREMENTAL_BY_UNIQUE_KEY (unique_key id, lookback 1),
  allow_partials TRUE
);
SELECT id, amount FROM shop.orders
""",
    "models/now.sql": """
MODEL (name shop.now, kind VIEW, allow_partials TRUE);
SELECT COUNT(*) AS n FROM shop.by_id
""",
    "models/weekly.sql": """
MODEL (name shop.weekly, kind FULL, cron '@weekly', allow_partials TRUE);
SELECT SUM(n) AS n FROM shop.now
""",
    "audits/audits.sql": """
AUDIT (name positive_orders_amount); SELECT * FROM @this_model WHERE amount <= 0;

AUDIT (name not_tiny, blocking FALSE); SELECT * FROM @this_model WHERE amount <= 2;

AUDIT (name buyers_exist, standalone TRUE);
SELECT * FROM shop.orders WHERE customer NOT IN (SELECT id FROM shop.people);
""",
}


def history(folder: Path) -> Iterator[RunReport]:
    """A week of the shop: healthy, with an unknown buyer, with a bad amount, repaired."""
    with closing(Context(paths=[str(folder)])) as context:
        adapter: Any = context.engine_adapter
        adapter.execute("CREATE SCHEMA raw")
        adapter.execute("CREATE TABLE raw.orders AS SELECT 1 AS id, 1 AS customer, 9 AS amount")
        with sqlmesh_run_tracker(context) as tracker:
            with at("2024-01-03 06:00"):
                context.plan(auto_apply=True, no_prompts=True)
                yield tracker.last
                context.run()
                yield tracker.last
            adapter.execute("INSERT INTO raw.orders VALUES (2, 7, 1)")
            with at("2024-01-04 06:00"):
                context.run()
                yield tracker.last
            adapter.execute("INSERT INTO raw.orders VALUES (3, 1, 0)")
            with at("2024-01-07 06:00"):
                context.run()
                yield tracker.last
            adapter.execute("DELETE FROM raw.orders WHERE id = 3")
            with at("2024-01-07 07:00"):
                context.run()
                yield tracker.last
                context.run(ignore_cron=True, select_models=["shop.orders"])
                yield tracker.last
                context.plan(restate_models=["shop.by_id"], auto_apply=True, no_prompts=True)
                yield tracker.last


def to_the_minute(moment: datetime) -> datetime:
    """dbt's models have intervals that are not complete, until the moment of the run."""
    return moment.replace(second=0, microsecond=0)


def times(outcome: ModelOutcome) -> list[object]:
    """Not of seeds: SQLMesh's first versions ignore a start that dbt gives them."""
    if outcome.kind == "seed":
        return []
    loaded = outcome.loaded_through and to_the_minute(outcome.loaded_through)
    batches = [(each.start, to_the_minute(each.end), each.status) for each in outcome.batches]
    return [loaded, *batches]


def facts(report: RunReport) -> dict[str, object]:
    """What is the same of both, by the models' names."""
    return {
        name: (
            outcome.status,
            outcome.reasons,
            outcome.blocked_by,
            outcome.kind,
            outcome.cron,
            outcome.next_due,
            [(to_the_minute(start), to_the_minute(end)) for start, end in outcome.held_back],
            times(outcome),
            sorted((each.name, each.blocking, each.rows_failed) for each in outcome.audits),
        )
        for name, outcome in report.outcomes.items()
    }


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Path, Path]:
    made = []
    for name, files in (("dbt", AS_DBT), ("sqlmesh", AS_SQLMESH)):
        folder = tmp_path / name
        placed = {file: text.replace("FOLDER", str(folder)) for file, text in files.items()}
        made.append(write_files(folder, placed))
    return made[0], made[1]


@pytest.mark.skipif(
    Version(sqlmesh_version) < Version("0.236"), reason="dbt's models have other properties there"
)
def test_the_same_week(twins: tuple[Path, Path]) -> None:
    of_dbt, of_sqlmesh = map(history, twins)
    commands = []
    for theirs in of_dbt:
        commands.append(theirs.command)
        assert {name: outcome.file for name, outcome in theirs.outcomes.items()} == FILES_OF_DBT
        assert "shop.orders" in theirs.outcomes
        assert facts(theirs) == facts(next(of_sqlmesh))
    assert commands == ["plan", "run", "run", "run", "run", "run", "plan"]
    assert next(of_sqlmesh, None) is None
