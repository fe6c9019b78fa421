"""Assets whose keys get a prefix after they were built."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import SqlmeshProject, SqlmeshResource, sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.testing import (
    assert_check_passed,
    assert_materialized_exactly,
    assert_sqlmesh_status,
)
from tests.dagster.conftest import NEXT_DAY, Materialize, materialized


@pytest.fixture
def prefixed(shop: SqlmeshProject) -> Any:
    """The shop's assets, as a module of them is loaded for Europe."""

    @sqlmesh_assets(project=shop)
    def warehouse(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Any:
        yield from sqlmesh.run(context=context, no_auto_upstream=False).stream()

    module = ModuleType("warehouse")
    vars(module)["warehouse"] = warehouse
    (assets,) = dg.load_assets_from_modules([module], key_prefix="eu")
    return assets


@pytest.mark.long
def test_everything_is_reported_with_the_prefixed_keys(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, prefixed: Any
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(prefixed)
    assert result.success
    daily = ["eu/shop/orders", "eu/shop/report", "eu/shop/revenue", "eu/shop/till"]
    assert_materialized_exactly(result, daily)
    assert_sqlmesh_status(result, "eu/shop/weekly", "skipped", "cron_not_due")
    # A standalone audit, and one of a model.
    assert_check_passed(result, "eu/shop/orders", "orders_exist")
    assert_check_passed(result, "eu/shop/revenue", "is_positive")


@pytest.mark.long
def test_unselected_models_are_reported_with_the_prefixed_keys(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, prefixed: Any
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(prefixed, selection="eu/shop/revenue")
    assert result.success
    assert "eu/shop/orders" in materialized(result)
    assert all(key.startswith("eu/") for key in materialized(result))
