"""A dbt project's models as assets, and its tests as checks under dbt's own names."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from pytest_sqlmesh_tracker import Sandbox
from pytest_sqlmesh_tracker.dagster import SqlmeshProject, build_sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.testing import (
    Materialize,
    assert_check_failed,
    assert_check_passed,
    assert_materialized_exactly,
    assert_not_materialized,
    assert_sqlmesh_status,
)

SHOP = Path(__file__).parents[2] / "sample_projects" / "dbt_shop"
pytestmark = pytest.mark.sqlmesh_project(SHOP, at="2024-03-08 06:00", setup=SHOP / "raw.sql")

NIGHT = "2024-03-09 06:00"
ORDER_VALUES = "shop/order_values"


@pytest.fixture(scope="module")
def roastery() -> dg.AssetsDefinition:
    return build_sqlmesh_assets(project=SqlmeshProject(str(SHOP)))


def test_every_test_is_one_check(roastery: dg.AssetsDefinition) -> None:
    checks: dict[str, set[str]] = {}
    for key in roastery.check_keys:
        if key.name != "sqlmesh_execution_status":
            checks.setdefault(key.asset_key.to_user_string(), set()).add(key.name)
    singular = {"sales_add_up", "no_day_of_returns_alone"}
    assert checks[ORDER_VALUES] >= {"nothing_is_for_free", "no_small_orders"}
    assert checks["shop/price_history"] == {"not_null_price_history_price"}
    assert singular <= set().union(*checks.values())
    names = [name for of_asset in checks.values() for name in of_asset]
    assert len(names) == len(set(names)) == 13
    # A source has no asset, and so no check.
    assert "source_unique_web_orders_order_id" not in names


def test_a_night_materializes_models_and_runs_tests(
    roastery: dg.AssetsDefinition, sqlmesh_project: Sandbox, materialize_sqlmesh: Materialize
) -> None:
    sqlmesh_project.travel(NIGHT)
    sqlmesh_project.fail("sales_add_up")

    result = materialize_sqlmesh(roastery)

    assert result.success
    daily = ("stg_orders", "order_values", "daily_sales", "returns", "stock_orders")
    assert_materialized_exactly(result, [f"shop/{name}" for name in (*daily, "price_history")])
    assert_sqlmesh_status(result, "shop/best_sellers", "skipped", reason="cron_not_due")
    assert_check_passed(result, ORDER_VALUES, "nothing_is_for_free")
    assert_check_failed(result, ORDER_VALUES, "no_small_orders", severity="WARN")
    assert_check_passed(result, "shop/price_history", "not_null_price_history_price")
    (check,) = (key for key in roastery.check_keys if key.name == "sales_add_up")
    assert_check_failed(result, check.asset_key, "sales_add_up", severity="WARN")


def test_a_failing_blocking_test(
    roastery: dg.AssetsDefinition, sqlmesh_project: Sandbox, materialize_sqlmesh: Materialize
) -> None:
    sqlmesh_project.travel(NIGHT)
    sqlmesh_project.fail("shop.order_values", audit="nothing_is_for_free")

    result = materialize_sqlmesh(roastery)

    assert not result.success
    assert_not_materialized(result, ORDER_VALUES, "shop/daily_sales")
    assert_check_failed(result, ORDER_VALUES, "nothing_is_for_free", severity="ERROR")
    assert_sqlmesh_status(result, "shop/daily_sales", "skipped", reason="upstream_failed")


def test_a_selection_evaluates_nothing_upstream(
    roastery: dg.AssetsDefinition, sqlmesh_project: Sandbox, materialize_sqlmesh: Materialize
) -> None:
    sqlmesh_project.travel(NIGHT)

    result = materialize_sqlmesh(roastery, selection=["shop/returns"])

    assert result.success
    assert_materialized_exactly(result, ["shop/returns"])
