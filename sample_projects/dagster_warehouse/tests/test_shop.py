"""What Dagster shows of the shop. The first plan was on Monday 2024-01-08, 09:05."""

from __future__ import annotations

import pytest

from pytest_sqlmesh_tracker import Sandbox
from pytest_sqlmesh_tracker.dagster.testing import (
    Materialize,
    assert_check_failed,
    assert_check_passed,
    assert_materialized,
    assert_materialized_exactly,
    assert_not_materialized,
    assert_sqlmesh_status,
)
from sample_projects.dagster_warehouse.definitions import revenue_mail, shop_models

pytestmark = pytest.mark.sqlmesh_project("sample_projects/cron_cascade", at="2024-01-08 09:05")


def test_half_an_hour_later_two_assets_are_materialized(
    sqlmesh_project: Sandbox, materialize_sqlmesh: Materialize
) -> None:
    sqlmesh_project.travel("2024-01-08 09:35")

    result = materialize_sqlmesh(shop_models)

    assert result.success
    assert_materialized_exactly(result, ["web/page_views", "web/live_traffic"])
    assert_sqlmesh_status(result, "sales/orders", "skipped", reason="cron_not_due")


def test_orders_fail_and_executed_models_stay_materialized(
    sqlmesh_project: Sandbox, materialize_sqlmesh: Materialize
) -> None:
    sqlmesh_project.travel("2024-01-09 00:05")
    sqlmesh_project.fail("sales.orders", error="the till is closed")

    result = materialize_sqlmesh(shop_models)

    assert not result.success
    assert_materialized(result, "web/page_views", "web/sessions")
    assert_not_materialized(result, "sales/orders", "sales/orders_daily")
    assert_check_failed(result, "sales/orders", "sqlmesh_execution_status", severity="ERROR")
    assert_sqlmesh_status(result, "sales/orders_daily", "skipped", reason="upstream_failed")


def test_the_next_run_loads_failed_models(
    sqlmesh_project: Sandbox, materialize_sqlmesh: Materialize
) -> None:
    sqlmesh_project.travel("2024-01-08 10:05")
    sqlmesh_project.fail("sales.orders", times=1)
    assert not materialize_sqlmesh(shop_models).success

    result = materialize_sqlmesh(shop_models)

    assert result.success
    assert_materialized_exactly(result, ["sales/orders"])
    assert_check_passed(result, "sales/orders", "sqlmesh_execution_status")


def test_an_audit_is_a_check(sqlmesh_project: Sandbox, materialize_sqlmesh: Materialize) -> None:
    sqlmesh_project.travel("2024-01-08 10:05")
    sqlmesh_project.fail("sales.orders", audit="positive_amount")

    result = materialize_sqlmesh(shop_models)

    assert_check_failed(result, "sales/orders", "positive_amount")
    assert_not_materialized(result, "sales/orders")


def test_the_mail_is_sent_when_a_week_is_booked(
    sqlmesh_project: Sandbox, materialize_sqlmesh: Materialize
) -> None:
    sqlmesh_project.travel("2024-01-09 00:05")
    assert_not_materialized(materialize_sqlmesh(shop_models, revenue_mail), "finance/revenue_mail")

    sqlmesh_project.travel("2024-01-14 00:05")
    assert_materialized(materialize_sqlmesh(shop_models, revenue_mail), "finance/revenue_mail")


def test_a_single_model_is_materialized(
    sqlmesh_project: Sandbox, materialize_sqlmesh: Materialize
) -> None:
    sqlmesh_project.travel("2024-01-08 10:05")

    result = materialize_sqlmesh(shop_models, selection="web/page_views")

    assert_materialized_exactly(result, ["web/page_views"])
