"""What the scheduler evaluates at a given time. The first plan was on Monday 2024-01-08, 09:05."""

from __future__ import annotations

from typing import Any

import time_machine
from sqlmesh import Context

from pytest_sqlmesh_tracker import (
    Tracker,
    assert_executed,
    assert_execution_order,
    assert_nothing_executed,
    assert_only_executed,
    assert_outcomes,
    assert_skipped,
)

HALF_HOURLY = ("web.page_views", "web.live_traffic")
HOURLY = ("web.sessions", "sales.orders")
SIX_HOURLY = ("sales.stock_levels",)
DAILY = (
    "sales.orders_daily",
    "sales.bestsellers",
    "sales.demand_forecast",
    "marketing.customers",
)
WEEKLY = ("marketing.segments", "finance.weekly_revenue")


def run_at(time: str, shop: Context, **options: Any) -> None:
    with time_machine.travel(f"{time}Z", tick=True):
        shop.run(**options)


def test_the_first_plan_loads_everything(new_shop: Context, sqlmesh_tracker: Tracker) -> None:
    with time_machine.travel("2024-01-08 09:05Z", tick=True):
        new_shop.plan(auto_apply=True, no_prompts=True)

    assert_executed(sqlmesh_tracker, "*")
    assert_executed(
        sqlmesh_tracker, "sales.orders", intervals=("2024-01-01", "2024-01-08 09:00"), batches=8
    )
    # Weeks end on Saturday: of this one nothing is booked yet.
    assert_executed(sqlmesh_tracker, "finance.*", intervals=("2024-01-01", "2024-01-07"))


def test_half_an_hour_later_only_half_hourly_models_run(
    shop: Context, sqlmesh_tracker: Tracker
) -> None:
    run_at("2024-01-08 09:35", shop)

    assert_only_executed(sqlmesh_tracker, *HALF_HOURLY)
    assert_skipped(sqlmesh_tracker, *HOURLY, *SIX_HOURLY, *DAILY, *WEEKLY, reason="cron_not_due")
    assert_skipped(sqlmesh_tracker, "reference.products", reason="no_changes")


def test_ten_minutes_later_there_is_nothing_to_do(shop: Context, sqlmesh_tracker: Tracker) -> None:
    run_at("2024-01-08 09:15", shop)

    assert_nothing_executed(sqlmesh_tracker)
    assert sqlmesh_tracker.last.completion == "nothing_to_do"


def test_on_the_hour_the_hourly_models_run_too(shop: Context, sqlmesh_tracker: Tracker) -> None:
    run_at("2024-01-08 10:05", shop)

    assert_only_executed(sqlmesh_tracker, *HALF_HOURLY, *HOURLY)
    # Views arrive late: the hour that was loaded already is loaded again.
    assert_executed(
        sqlmesh_tracker, "web.sessions", intervals=("2024-01-08 08:00", "2024-01-08 10:00")
    )


def test_at_noon_purchasing_sees_the_stock(shop: Context, sqlmesh_tracker: Tracker) -> None:
    run_at("2024-01-08 12:05", shop)

    assert_only_executed(sqlmesh_tracker, *HALF_HOURLY, *HOURLY, *SIX_HOURLY)


def test_after_midnight_only_the_weekly_models_wait(
    shop: Context, sqlmesh_tracker: Tracker
) -> None:
    run_at("2024-01-09 00:05", shop)

    assert_outcomes(
        sqlmesh_tracker,
        {
            "reference.products": "no_changes",
            **dict.fromkeys((*HALF_HOURLY, *HOURLY, *SIX_HOURLY, *DAILY), "executed"),
            **dict.fromkeys(WEEKLY, "cron_not_due"),
        },
        exact=True,
    )
    waiting = sqlmesh_tracker.last["finance.weekly_revenue"]
    assert waiting.next_due is not None
    assert f"{waiting.next_due:%A %Y-%m-%d %H:%M}" == "Sunday 2024-01-14 00:00"


def test_a_run_that_ignores_cron_books_the_unfinished_week(
    shop: Context, sqlmesh_tracker: Tracker
) -> None:
    run_at("2024-01-09 00:05", shop, ignore_cron=True)

    assert_executed(sqlmesh_tracker, "finance.*", intervals=("2024-01-07", "2024-01-09"))


def test_on_sunday_a_whole_week_cascades(shop: Context, sqlmesh_tracker: Tracker) -> None:
    run_at("2024-01-14 00:05", shop)

    assert_only_executed(sqlmesh_tracker, *HALF_HOURLY, *HOURLY, *SIX_HOURLY, *DAILY, *WEEKLY)
    assert_execution_order(
        sqlmesh_tracker,
        "web.page_views",
        "sales.orders",
        "sales.orders_daily",
        "finance.weekly_revenue",
    )
    assert_executed(sqlmesh_tracker, "finance.*", intervals=("2024-01-07", "2024-01-14"))


def test_an_outage_is_caught_up_a_day_at_a_time(shop: Context, sqlmesh_tracker: Tracker) -> None:
    run_at("2024-01-11 09:05", shop)

    assert_executed(
        sqlmesh_tracker,
        "sales.orders",
        intervals=("2024-01-08 09:00", "2024-01-11 09:00"),
        batches=3,
    )


def test_a_selected_model_brings_its_upstream_along(
    shop: Context, sqlmesh_tracker: Tracker
) -> None:
    run_at("2024-01-08 10:05", shop, select_models=["sales.orders"])

    assert_only_executed(sqlmesh_tracker, "web.page_views", "sales.orders")
    assert_skipped(sqlmesh_tracker, "web.sessions", "web.live_traffic", reason="not_selected")
