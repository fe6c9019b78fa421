"""A web shop and a subscription business: SQLMesh projects, what feeds them, what reads them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster import SqlmeshProject, SqlmeshResource, sqlmesh_assets

SAMPLES = Path(__file__).parents[1]
SHOP = SqlmeshProject(SAMPLES / "cron_cascade")
SUBSCRIPTIONS = SqlmeshProject(SAMPLES / "upstream_failure")


@sqlmesh_assets(project=SHOP)
def shop_models(context: dg.AssetExecutionContext, shop: SqlmeshResource) -> Iterator[Any]:
    """The shop's models; in a run with the tag `deploy`, what changed in the project."""
    command = shop.plan if context.has_tag("deploy") else shop.run
    yield from command(context=context).stream()


@dg.asset(
    key=["finance", "revenue_mail"],
    group_name="finance",
    deps=[["finance", "weekly_revenue"]],
    automation_condition=dg.AutomationCondition.eager(),
)
def revenue_mail(shop: SqlmeshResource) -> Any:
    """What finance reads about the revenue of all weeks."""
    with shop.open() as context:
        found = context.fetchdf("SELECT SUM(revenue) AS revenue FROM finance.weekly_revenue")
    return dg.MaterializeResult(metadata={"revenue": float(found["revenue"][0])})


@dg.multi_asset(
    specs=[
        dg.AssetSpec(["raw", table], group_name="raw")
        for table in ("customers", "payments", "bank_statements")
    ]
)
def deliveries(subscriptions: SqlmeshResource) -> Iterator[Any]:
    """What the CRM, the payment provider and the bank deliver."""
    with subscriptions.open() as context:
        context.engine_adapter.cursor.execute((SAMPLES / "upstream_failure/raw.sql").read_text())
    for table in ("customers", "payments", "bank_statements"):
        yield dg.MaterializeResult(asset_key=["raw", table])


@sqlmesh_assets(project=SUBSCRIPTIONS, retry_policy=dg.RetryPolicy(max_retries=1))
def subscription_models(
    context: dg.AssetExecutionContext, subscriptions: SqlmeshResource
) -> Iterator[Any]:
    """The subscriptions' models; in a run with the tag `deploy`, what changed in the project."""
    command = subscriptions.plan if context.has_tag("deploy") else subscriptions.run
    yield from command(context=context).stream()


defs = dg.Definitions(
    assets=[shop_models, revenue_mail, deliveries, subscription_models],
    jobs=[
        dg.define_asset_job("shop", dg.AssetSelection.assets(shop_models)),
        dg.define_asset_job(
            "subscriptions", dg.AssetSelection.assets(deliveries, subscription_models)
        ),
    ],
    resources={
        "shop": SqlmeshResource(project=SHOP),
        "subscriptions": SqlmeshResource(project=SUBSCRIPTIONS),
    },
)
