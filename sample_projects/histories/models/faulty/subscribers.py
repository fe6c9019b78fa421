from typing import Any

from sqlmesh import ExecutionContext, model
from sqlmesh.core.model.kind import ModelKindName


@model(
    "faulty.subscribers",
    kind={"name": ModelKindName.INCREMENTAL_BY_TIME_RANGE, "time_column": "day"},
    cron="@daily",
    description="How many subscribers there are at the end of each day.",
    grain="day",
    columns={"day": "DATE", "subscribers": "INT"},
    depends_on=["raw.subscriptions"],
)
def execute(context: ExecutionContext, start: Any, end: Any, **_: Any) -> Any:
    days = context.fetchdf(
        f"""
        SELECT changed_at::DATE AS day, SUM(change)::INT AS change
        FROM raw.subscriptions
        WHERE changed_at::DATE BETWEEN '{start:%Y-%m-%d}' AND '{end:%Y-%m-%d}'
        GROUP BY 1
        ORDER BY 1
        """
    )
    table = context.resolve_table("faulty.subscribers")
    before = context.fetchdf(f"SELECT subscribers FROM {table} ORDER BY day DESC LIMIT 1")
    days["subscribers"] = before["subscribers"].sum() + days["change"].cumsum()
    return days[["day", "subscribers"]]
