"""The examples of the chapter on sandboxes, run as they stand, next to copies of the projects."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.documents

ROOT = Path(__file__).parents[2]
CHAPTER = (ROOT / "docs" / "sandbox.md").read_text()
[MODEL] = re.findall(r"^```sql\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)
"""The model that an example is about."""
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)

ON_SNOWFLAKE = {
    "config.yaml": """
        gateways:
          production: {connection: {type: snowflake, account: shop, database: PROD}}
        model_defaults: {dialect: snowflake, start: 2024-01-01}
        """,
    "external_models.yaml": """
        - name: '"PROD"."RAW"."ORDERS"'
          gateway: production
          columns: {ID: 'DECIMAL(38, 0)', AMOUNT: 'DECIMAL(38, 0)', ORDERED_AT: TIMESTAMPNTZ}
        """,
    "models/daily.sql": """
        MODEL (
          name sales.daily,
          kind INCREMENTAL_BY_TIME_RANGE (time_column day),
          cron '@daily'
        );

        SELECT ordered_at::DATE AS day, SUM(amount) AS amount, IFF(COUNT(*) > 1, 'many', 'one') AS n
        FROM raw.orders
        WHERE ordered_at::DATE BETWEEN @start_ds AND @end_ds
        GROUP BY 1
        """,
}
ON_POSTGRES = {
    "config.yaml": """
        gateways:
          production:
            connection:
              type: postgres
              host: "{{ env_var('SHOP_HOST') }}"
              port: 5432
              user: "{{ env_var('SHOP_USER') }}"
              password: "{{ env_var('SHOP_PASSWORD') }}"
              database: shop
        model_defaults: {dialect: postgres, start: 2024-01-01}
        """,
    "external_models.yaml": """
        - name: raw.orders
          columns: {id: INT, amount: INT, ordered_at: TIMESTAMP}
        """,
    "models/daily.sql": """
        MODEL (
          name sales.daily,
          kind INCREMENTAL_BY_TIME_RANGE (time_column day),
          cron '@daily'
        );

        SELECT ordered_at::DATE AS day, SUM(amount)::INT AS amount
        FROM raw.orders
        WHERE ordered_at::DATE BETWEEN @start_ds AND @end_ds
        GROUP BY 1
        """,
}
LATE_CLICKS = {
    "config.yaml": """
        gateways: {local: {connection: {type: duckdb}}}
        model_defaults: {dialect: duckdb, start: 2024-01-01}
        """,
    "external_models.yaml": """
        - name: raw.clicks
          columns: {clicked_at: TIMESTAMP, seen_at: TIMESTAMP}
        """,
    "models/clicks_per_day.sql": MODEL,
}
PROJECTS = {
    "late_clicks": LATE_CLICKS,
    "on_snowflake": ON_SNOWFLAKE,
    "on_postgres": ON_POSTGRES,
}


def test_every_example_passes(pytester: pytest.Pytester, planned_project: Path) -> None:  # noqa: ARG001
    ignore = shutil.ignore_patterns("tests", "__pycache__", ".cache")
    shutil.copytree(ROOT / "sample_projects", pytester.path / "sample_projects", ignore=ignore)
    for project, files in PROJECTS.items():
        for name, text in files.items():
            file = pytester.path / project / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    for number, example in enumerate(EXAMPLES):
        (pytester.path / f"test_example_{number}.py").write_text(example)
    pytester.makeini("[pytest]\nfilterwarnings = ignore\naddopts = --strict-markers")
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(passed=23)
    assert len(EXAMPLES) == 18
