"""What the scheduler evaluates at a given time. The first plan was on Monday 2024-01-08, 09:05."""

from __future__ import annotations

import pytest

from pytest_sqlmesh_tracker import Sandbox

pytestmark = pytest.mark.sqlmesh_project(at="2024-01-08 09:05")

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


@pytest.mark.sqlmesh_project(plan=False)
def test_the_first_plan_loads_everything(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.plan()

    report.assert_executed("*")
    report.assert_executed("sales.orders", intervals=("2024-01-01", "2024-01-08 09:00"), batches=8)
    # Weeks end on Saturday: of this one nothing is booked yet.
    report.assert_executed("finance.*", intervals=("2024-01-01", "2024-01-07"))


def test_half_an_hour_later_only_half_hourly_models_run(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.run(at="2024-01-08 09:35")

    report.assert_only_executed(*HALF_HOURLY)
    report.assert_skipped(*HOURLY, *SIX_HOURLY, *DAILY, *WEEKLY, reason="cron_not_due")
    report.assert_skipped("reference.products", reason="no_changes")


def test_ten_minutes_later_nothing_is_due(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.run(at="2024-01-08 09:15")

    report.assert_nothing_executed()
    assert report.completion == "nothing_to_do"


def test_on_the_hour_the_hourly_models_run_too(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.run(at="2024-01-08 10:05")

    report.assert_only_executed(*HALF_HOURLY, *HOURLY)
    # Views arrive late: the hour that was loaded already is loaded again.
    report.assert_executed("web.sessions", intervals=("2024-01-08 08:00", "2024-01-08 10:00"))


def test_at_noon_purchasing_sees_the_stock(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.run(at="2024-01-08 12:05")

    report.assert_only_executed(*HALF_HOURLY, *HOURLY, *SIX_HOURLY)


def test_after_midnight_only_the_weekly_models_wait(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.run(at="2024-01-09 00:05")

    report.assert_outcomes(
        {
            "reference.products": "no_changes",
            **dict.fromkeys((*HALF_HOURLY, *HOURLY, *SIX_HOURLY, *DAILY), "executed"),
            **dict.fromkeys(WEEKLY, "cron_not_due"),
        },
        exact=True,
    )
    waiting = report["finance.weekly_revenue"]
    assert waiting.next_due is not None
    assert f"{waiting.next_due:%A %Y-%m-%d %H:%M}" == "Sunday 2024-01-14 00:00"


def test_a_run_that_ignores_cron_books_the_unfinished_week(
    sqlmesh_project: Sandbox,
) -> None:
    report = sqlmesh_project.run(at="2024-01-09 00:05", ignore_cron=True)

    report.assert_executed("finance.*", intervals=("2024-01-07", "2024-01-09"))


def test_on_sunday_a_whole_week_cascades(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.run(at="2024-01-14 00:05")

    report.assert_only_executed(*HALF_HOURLY, *HOURLY, *SIX_HOURLY, *DAILY, *WEEKLY)
    report.assert_execution_order(
        "web.page_views", "sales.orders", "sales.orders_daily", "finance.weekly_revenue"
    )
    report.assert_executed("finance.*", intervals=("2024-01-07", "2024-01-14"))


def test_after_an_outage_days_are_loaded_one_at_a_time(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.run(at="2024-01-11 09:05")

    report.assert_executed(
        "sales.orders", intervals=("2024-01-08 09:00", "2024-01-11 09:00"), batches=3
    )


def test_a_selected_model_includes_its_upstream_models(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.run(at="2024-01-08 10:05", select_models=["sales.orders"])

    report.assert_only_executed("web.page_views", "sales.orders")
    report.assert_skipped("web.sessions", "web.live_traffic", reason="not_selected")


def test_a_failed_hour_is_loaded_with_the_next_one(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.fail("sales.orders", times=1)

    report = sqlmesh_project.run(at="2024-01-08 10:05")

    report.assert_failed("sales.orders")
    report.assert_only_executed(*HALF_HOURLY, "web.sessions")

    report = sqlmesh_project.run(at="2024-01-08 11:05")

    report.assert_executed(
        "sales.orders", intervals=("2024-01-08 09:00", "2024-01-08 11:00"), batches=1
    )


def test_a_late_click_stream_holds_back_downstream_models(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.hold("web.page_views")

    report = sqlmesh_project.run(at="2024-01-08 10:05")

    report.assert_skipped("web.live_traffic", "sales.orders", reason="upstream_not_ready")
    # The hour that sessions loads again is not late.
    report.assert_only_executed("web.sessions")
    report.assert_executed("web.sessions", intervals=("2024-01-08 08:00", "2024-01-08 09:00"))

    sqlmesh_project.release("web.page_views")
    report = sqlmesh_project.run(at="2024-01-08 10:20")

    report.assert_only_executed(*HALF_HOURLY, *HOURLY)
