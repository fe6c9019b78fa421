"""A shop in Dagster: a deployment, a run that was not due, and a run in which a model failed."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from tests.dagster.sites import SECONDS, Installation
from tests.projects import Project

RAW = """
CREATE OR REPLACE TABLE raw.orders AS
SELECT range AS ordered_at, epoch(range)::INT AS id, id % 97 AS customer_id, 20 + id % 80 AS amount
FROM range(now()::TIMESTAMP - INTERVAL 2 DAY, now()::TIMESTAMP, INTERVAL 10 MINUTE);

CREATE OR REPLACE TABLE raw.payments AS
SELECT ordered_at AS paid_at, id AS order_id, amount::TEXT AS amount FROM raw.orders;
"""
BAD_PAYMENT = """
INSERT INTO raw.payments SELECT MAX(paid_at), 4711, 'n/a' FROM raw.payments;
"""
EXTERNAL = """
- name: raw.orders
  columns: {ordered_at: timestamp, id: int, customer_id: int, amount: int}
- name: raw.payments
  columns: {paid_at: timestamp, order_id: int, amount: text}
"""
DEFINITIONS = """
import os
from pathlib import Path

import dagster as dg
from pytest_sqlmesh_tracker.dagster import SqlmeshProject, SqlmeshResource, sqlmesh_assets

SITE = Path(os.environ["SITE"])
project = SqlmeshProject(SITE)
DUE = ["sales/orders", "sales/customers", "finance/payments", "finance/revenue"]
RAW = [dg.AssetSpec(["raw", name], group_name="raw") for name in ("orders", "payments")]


@dg.multi_asset(specs=RAW)
def deliveries(sqlmesh: SqlmeshResource):
    with sqlmesh.open() as context:
        context.engine_adapter.cursor.execute((SITE / "raw.sql").read_text())
    for spec in RAW:
        yield dg.MaterializeResult(asset_key=spec.key)


@sqlmesh_assets(project=project)
def warehouse(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource):
    if context.has_tag("deploy"):
        planned = sqlmesh.plan(context=context, execution_time="2 hours ago")
        yield from planned.stream()
    else:
        yield from sqlmesh.run(context=context).stream()


@dg.asset(key=["finance", "revenue_mail"], group_name="finance", deps=[["finance", "revenue"]])
def revenue_mail():
    "What finance reads every morning."


defs = dg.Definitions(
    assets=[deliveries, warehouse, revenue_mail],
    resources={"sqlmesh": SqlmeshResource(project=project)},
    executor=dg.in_process_executor,
    jobs=[
        dg.define_asset_job("deploy", "*", tags={"deploy": "true"}),
        dg.define_asset_job("weekly", ["finance/weekly_revenue", "marketing/segments"]),
        dg.define_asset_job("due", [*DUE, "raw/orders", "raw/payments"]),
    ],
)
"""
HOURLY = "'@hourly'"


class Shop(Installation):
    """Models that are due, since the deployment was two hours ago, and weekly ones that are not."""

    def __init__(self, path: Path) -> None:
        super().__init__(Project(path))
        start = _days_from_now(-28).date()
        config = self.project.databases.config(
            start=str(start), concurrent_tasks=1, dialect="duckdb"
        )
        self.project.write("config.yaml", f"project: shop\n{config}")
        self.project.write("external_models.yaml", EXTERNAL)
        self.project.write("raw.sql", RAW)
        self.project.write("defs.py", DEFINITIONS)
        self._write_models()
        self.project.execute("CREATE SCHEMA raw")
        self.close()
        self.create_home()

    def _write_models(self) -> None:
        # Neither in the two hours since the deployment nor while the tests run.
        weekly = f"'0 6 * * {_days_from_now(3).isoweekday() % 7}'"
        write = self.project.model
        write(
            "sales.orders",
            "SELECT ordered_at, id, customer_id, amount FROM raw.orders\n"
            "WHERE ordered_at BETWEEN @start_ts AND @end_ts",
            kind="INCREMENTAL_BY_TIME_RANGE (time_column ordered_at)",
            cron=HOURLY,
            owner="sales",
            description="'One row per order.'",
            audits="(not_null(columns := (id, amount)), unique_values(columns := (id)))",
        )
        write(
            "sales.customers",
            "SELECT customer_id, COUNT(*) AS orders, SUM(amount) AS amount FROM sales.orders\n"
            "GROUP BY 1",
            cron=HOURLY,
            owner="sales",
            description="'Everyone who ever bought anything.'",
        )
        write(
            "finance.payments",
            "SELECT paid_at, order_id, amount::INT AS amount FROM raw.payments",
            cron=HOURLY,
            owner="finance",
            description="'What the payment provider has booked.'",
            audits="(unique_values(columns := (order_id)))",
        )
        write(
            "finance.revenue",
            "SELECT orders.ordered_at::DATE AS day, SUM(payments.amount) AS revenue\n"
            "FROM sales.orders AS orders JOIN finance.payments AS payments\n"
            "ON payments.order_id = orders.id GROUP BY 1",
            cron=HOURLY,
            owner="finance",
            description="'Paid orders per day.'",
        )
        write(
            "finance.weekly_revenue",
            "SELECT DATE_TRUNC('week', day) AS week, SUM(revenue) AS revenue FROM finance.revenue\n"
            "GROUP BY 1",
            cron=weekly,
            owner="finance",
            description="'Booked once a week.'",
        )
        write(
            "marketing.segments",
            "SELECT customer_id, IF(orders >= 10, 'regular', 'occasional') AS segment\n"
            "FROM sales.customers",
            cron=weekly,
            owner="marketing",
            description="'Who gets which newsletter.'",
        )

    def deliver_a_bad_payment(self) -> None:
        self.project.write("raw.sql", RAW + BAD_PAYMENT)

    def succeeds(self, job: str) -> bool:
        """Execute a job to its end."""
        with self.execute(job) as process:
            return bool(process.wait(SECONDS) == 0)


def _days_from_now(days: int) -> datetime:
    return datetime.now(timezone.utc) + timedelta(days=days)
