from typing import Any

from sqlmesh import ExecutionContext, model


@model(
    "market.price_forecast",
    kind="FULL",
    cron="@daily",
    owner="trading",
    description="What to pay per weekday: the mean of its last four prices.",
    grain="weekday",
    columns={"weekday": "INT", "cents_per_kwh": "DOUBLE"},
    depends_on=["market.prices"],
)
def execute(context: ExecutionContext, **_: Any) -> Any:
    table = context.resolve_table("market.prices")
    prices = context.fetchdf(
        f"SELECT DAYOFWEEK(price_date) AS weekday, cents_per_kwh FROM {table} ORDER BY price_date"
    )
    recent = prices.groupby("weekday").tail(4)
    return recent.groupby("weekday", as_index=False)["cents_per_kwh"].mean()
