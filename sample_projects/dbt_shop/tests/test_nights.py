"""Nights of the roastery, run by SQLMesh. Planned on Friday, 2024-03-08, with the week before."""

from __future__ import annotations

import pytest

from pytest_sqlmesh_tracker import GatePolicy, Sandbox

pytestmark = pytest.mark.sqlmesh_project(at="2024-03-08 06:00")

SINGULAR = ("sales_add_up", "no_day_of_returns_alone")
BEANS_ARE_KNOWN = "relationships_stg_orders_bean_id__bean_id__ref_beans_"
OF_WHAT_SQLMESH_DOES_NOT_EVALUATE = (
    "source_unique_web_orders_order_id",
    "not_null_price_history_price",
)


def order(project: Sandbox, order_id: int, day: str, bean_id: int = 1, bags: int = 1) -> None:
    """An order comes in."""
    project.execute(
        f"INSERT INTO web.orders VALUES ({order_id}, '{day} 12:00', {bean_id}, {bags}, 'shipped')"
    )


def test_a_night_evaluates_daily_models_and_runs_every_test(
    sqlmesh_project: Sandbox,
) -> None:
    order(sqlmesh_project, 100, "2024-03-08")

    report = sqlmesh_project.run(at="2024-03-09 06:00")

    daily = ("stg_orders", "order_values", "daily_sales", "returns", "stock_orders")
    report.assert_only_executed(*(f"shop.{name}" for name in daily), "shop.price_history")
    report.assert_skipped("shop.best_sellers", reason="cron_not_due")
    report.assert_skipped("shop.beans", reason="no_changes")
    report.assert_skipped("shop.kept_orders", reason="not_evaluatable")
    assert report.audited == {*SINGULAR, BEANS_ARE_KNOWN, *OF_WHAT_SQLMESH_DOES_NOT_EVALUATE}


def test_an_incremental_model_adds_its_day(sqlmesh_project: Sandbox) -> None:
    order(sqlmesh_project, 100, "2024-03-08", bags=2)

    sqlmesh_project.run(at="2024-03-09 06:00")

    assert sqlmesh_project.fetch(
        "SELECT count(*), max(day)::TEXT, arg_max(orders, day) FROM shop.daily_sales"
    ) == [(8, "2024-03-08", 1)]


def test_a_duplicate_order_stops_downstream_models(sqlmesh_project: Sandbox) -> None:
    order(sqlmesh_project, 1, "2024-03-08")

    report = sqlmesh_project.run(at="2024-03-09 06:00")

    report.assert_audit_failed("shop.order_values", "unique_order_values_order_id")
    report.assert_failed("shop.order_values", reason="audit_failed")
    report.assert_skipped("shop.daily_sales", reason="upstream_failed")
    report.assert_audit_failed("source_unique_web_orders_order_id")
    assert report["sales_add_up"].blocked_by == ("shop.order_values",)


def test_a_test_with_severity_warn_stops_nothing(sqlmesh_project: Sandbox) -> None:
    order(sqlmesh_project, 100, "2024-03-08", bean_id=4)

    report = sqlmesh_project.run(at="2024-03-09 06:00")

    report.assert_executed("shop.order_values", "shop.daily_sales")
    report.assert_audit_failed("shop.order_values", "no_small_orders")
    verdict = GatePolicy().evaluate(report)
    assert verdict.passed
    assert "no_small_orders" in "\n".join(warning.message for warning in verdict.warnings)


def test_a_singular_test_of_two_models(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.fail("sales_add_up")

    report = sqlmesh_project.run(at="2024-03-09 06:00")

    report.assert_audit_failed("sales_add_up")
    report.assert_executed("shop.daily_sales")


def test_a_test_with_a_custom_name_fails_on_request(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.fail("shop.order_values", audit="nothing_is_for_free")

    report = sqlmesh_project.run(at="2024-03-09 06:00")

    report.assert_audit_failed("shop.order_values", "nothing_is_for_free")
    report.assert_executed("shop.returns")
    report.assert_skipped("shop.daily_sales", "shop.stock_orders", reason="upstream_failed")


def test_tests_of_a_held_model_wait_for_it(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.hold("shop.returns")

    report = sqlmesh_project.run(at="2024-03-09 06:00")

    report.assert_skipped("shop.returns", reason="signal_not_ready")
    report.assert_skipped("no_day_of_returns_alone", reason="upstream_not_ready")


def test_a_changed_model_runs_its_own_tests_now_and_singular_tests_at_night(
    sqlmesh_project: Sandbox,
) -> None:
    sqlmesh_project.write(
        "models/marts/returns.sql",
        "{{ config(materialized='table') }}\n"
        "select day, count(*) as returned, sum(bags) as bags\n"
        "from {{ ref('stg_orders') }} where status = 'returned' group by day",
    )

    report = sqlmesh_project.plan(at="2024-03-08 07:00")

    report.assert_only_executed("shop.returns")
    report.assert_skipped("no_day_of_returns_alone", reason="reused")
    assert not report.by_reason["not_in_environment"]
    night = sqlmesh_project.run(at="2024-03-09 06:00")
    assert "no_day_of_returns_alone" in night.audited


def test_a_model_that_is_not_planned_yet(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.write(
        "models/marts/bags.sql", "select sum(bags) as n from {{ ref('returns') }}"
    )
    sqlmesh_project.write(
        "tests/bags_are_counted.sql", "select * from {{ ref('bags') }} where n < 0"
    )

    report = sqlmesh_project.run(at="2024-03-09 06:00")

    assert report.by_reason["not_in_environment"] == {"shop.bags", "bags_are_counted"}
