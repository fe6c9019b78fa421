from typing import Any

from sqlmesh import ExecutionContext, model


@model(
    "sales.demand_forecast",
    kind="FULL",
    cron="@daily",
    owner="data_science",
    description="Orders per product to expect tomorrow: the mean of the last seven days with any.",
    grain="product_id",
    columns={"product_id": "INT", "expected_orders": "DOUBLE"},
    depends_on=["sales.orders_daily"],
)
def execute(context: ExecutionContext, **_: Any) -> Any:
    table = context.resolve_table("sales.orders_daily")
    daily = context.fetchdf(f"SELECT product_id, orders FROM {table} ORDER BY order_date")
    recent = daily.groupby("product_id").tail(7)
    means = recent.groupby("product_id", as_index=False)["orders"].mean()
    return means.rename(columns={"orders": "expected_orders"})
