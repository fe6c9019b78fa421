"""Assertions about assets: messages show the actual results, and typos are rejected."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import SqlmeshProject, build_sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.testing import (
    assert_check_failed,
    assert_check_passed,
    assert_materialized,
    assert_materialized_exactly,
    assert_not_materialized,
    assert_sqlmesh_status,
)

from .conftest import NEXT_DAY, Materialize

STATUS = "sqlmesh_execution_status"
NOT_DUE = "skipped: its cron was not due, next due 2024-01-07 00:00 UTC"
FAILED = "failed: its evaluation raised InjectedError: failed by the test"


@pytest.fixture
def result(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> dg.ExecuteInProcessResult:
    """The result of a run in which `shop.revenue` failed and `shop.weekly` was not due."""
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.revenue", times=1)
    return materialize_sqlmesh(warehouse)


def complaint(demand: Any, *arguments: Any, **keywords: Any) -> str:
    """What an assertion that does not hold says."""
    with pytest.raises(AssertionError) as raised:
        demand(*arguments, **keywords)
    return str(raised.value)


def test_a_key_is_a_string_a_list_or_an_asset_key(result: dg.ExecuteInProcessResult) -> None:
    orders = dg.AssetKey(["shop", "orders"])
    assert_materialized(result, "shop/orders", ["shop", "orders"], orders)
    assert_materialized_exactly(result, [orders, "shop/till"])


def test_materializations(result: dg.ExecuteInProcessResult) -> None:
    assert_not_materialized(result, "shop/revenue", "shop/weekly")
    assert complaint(assert_materialized, result, "shop/orders", "shop/weekly") == (
        f"shop/weekly was not materialized: {NOT_DUE}"
    )
    assert complaint(assert_not_materialized, result, "shop/orders") == (
        "shop/orders was materialized: executed in 1 batch: new interval"
    )
    assert complaint(assert_materialized_exactly, result, ["shop/revenue", "shop/till"]) == (
        f"shop/orders was materialized: executed in 1 batch: new interval\n"
        f"shop/revenue was not materialized: {FAILED}"
    )


def test_an_empty_list_asserts_that_nothing_was_materialized(
    result: dg.ExecuteInProcessResult,
) -> None:
    assert "shop/orders was materialized" in complaint(assert_materialized_exactly, result, [])


@pytest.mark.parametrize("demand", [assert_materialized, assert_not_materialized])
def test_at_least_one_asset_is_required(demand: Any, result: dg.ExecuteInProcessResult) -> None:
    with pytest.raises(TypeError, match="at least one asset key is required"):
        demand(result)


def test_a_single_key_is_not_accepted_as_a_list(result: dg.ExecuteInProcessResult) -> None:
    """A text would be taken for its letters."""
    with pytest.raises(TypeError, match=r"keys must be a list of keys, not 'shop/orders'"):
        assert_materialized_exactly(result, "shop/orders")


def test_typos_in_keys_are_rejected(result: dg.ExecuteInProcessResult) -> None:
    complaint = "no asset 'shop/oders'; did you mean shop/orders?"
    for demand, arguments in (
        (assert_materialized, ["shop/oders"]),
        (assert_not_materialized, ["shop/oders"]),
        (assert_materialized_exactly, [["shop/oders"]]),
        (assert_check_passed, ["shop/oders", STATUS]),
        (assert_check_failed, ["shop/oders", STATUS]),
        (assert_sqlmesh_status, ["shop/oders", "executed"]),
    ):
        with pytest.raises(LookupError) as raised:
            demand(result, *arguments)
        assert raised.value.args == (complaint,)
    with pytest.raises(LookupError, match="no asset 'x'; existing: raw/till, shop/orders"):
        assert_not_materialized(result, "x")
    with pytest.raises(LookupError, match=r"no check 'is_smal'; did you mean is_small\?"):
        assert_check_passed(result, "shop/revenue", "is_smal")
    with pytest.raises(ValueError, match="'exceuted'"):
        assert_sqlmesh_status(result, "shop/orders", "exceuted")
    with pytest.raises(ValueError, match="'cron'"):
        assert_sqlmesh_status(result, "shop/weekly", "skipped", "cron")
    with pytest.raises(ValueError, match="'warning'"):
        assert_check_failed(result, "shop/revenue", STATUS, "warning")


@pytest.mark.long
def test_checks(result: dg.ExecuteInProcessResult) -> None:
    assert_check_passed(result, "shop/orders", STATUS)
    assert_check_failed(result, "shop/revenue", STATUS)
    assert_check_failed(result, "shop/revenue", STATUS, "ERROR")
    assert_check_failed(result, "shop/revenue", STATUS, dg.AssetCheckSeverity.ERROR)
    assert complaint(assert_check_passed, result, "shop/revenue", STATUS) == (
        f"{STATUS} of shop/revenue failed: {FAILED}"
    )
    assert complaint(assert_check_failed, result, "shop/orders", STATUS) == (
        f"{STATUS} of shop/orders passed: executed in 1 batch: new interval"
    )
    assert complaint(assert_check_failed, result, "shop/revenue", STATUS, "WARN") == (
        f"{STATUS} of shop/revenue failed with ERROR, not WARN: {FAILED}"
    )
    assert complaint(assert_check_failed, result, "shop/revenue", "is_small") == (
        f"is_small of shop/revenue was not evaluated: {FAILED}"
    )


def test_statuses(result: dg.ExecuteInProcessResult) -> None:
    assert_sqlmesh_status(result, "shop/orders", "executed")
    assert_sqlmesh_status(result, "shop/weekly", "skipped", reason="cron_not_due")
    assert complaint(assert_sqlmesh_status, result, "shop/weekly", "executed") == (
        f"shop/weekly was {NOT_DUE}; expected executed"
    )
    assert complaint(assert_sqlmesh_status, result, "shop/weekly", "skipped", "up_to_date") == (
        f"shop/weekly was {NOT_DUE}; expected up_to_date, found cron_not_due"
    )
    assert complaint(assert_sqlmesh_status, result, "shop/orders", "executed", "cron_not_due") == (
        "shop/orders was executed in 1 batch: new interval; expected cron_not_due, found no reason"
    )


@pytest.mark.long
def test_a_retry_replaces_earlier_results(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    policy = dg.RetryPolicy(max_retries=1)
    warehouse = build_sqlmesh_assets(project=shop, name="warehouse", retry_policy=policy)
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.revenue", times=1)
    result = materialize_sqlmesh(warehouse)
    assert_check_passed(result, "shop/revenue", STATUS)
    assert_sqlmesh_status(result, "shop/revenue", "executed")


def test_results_of_dagster_itself() -> None:
    """Results of plain assets; for a selection, Dagster knows no others."""

    @dg.asset
    def coffee() -> None: ...

    @dg.asset(deps=[coffee, "beans"])
    def breakfast() -> None: ...

    @dg.asset_check(asset=coffee)
    def hot() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([coffee, breakfast], selection=[coffee], instance=instance)
        assert_materialized_exactly(result, ["coffee"])
        with pytest.raises(LookupError, match="no asset 'cofee'; did you mean coffee"):
            assert_not_materialized(result, "cofee")
        with pytest.raises(LookupError, match=f"coffee has no check '{STATUS}'; existing: none"):
            assert_sqlmesh_status(result, "coffee", "executed")

        job = dg.define_asset_job("morning", "*")
        defs = dg.Definitions(assets=[coffee, breakfast], asset_checks=[hot], jobs=[job])
        # The first versions have it only under its old name.
        find = getattr(defs, "resolve_job_def", None) or defs.get_job_def
        morning = find("morning").execute_in_process(instance=instance)
        assert_materialized(morning, "coffee", "breakfast")
        assert complaint(assert_check_passed, morning, "coffee", "hot") == (
            "hot of coffee failed: no description"
        )


def test_assets_that_are_not_selected_are_known(
    materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    @dg.asset(deps=[["shop", "report"]])
    def mail() -> None: ...

    result = materialize_sqlmesh(warehouse, mail, selection="shop/orders")
    assert_not_materialized(result, "mail", "shop/report")
    assert complaint(assert_materialized, result, "mail") == "mail was not materialized"
    assert complaint(assert_check_passed, result, "shop/report", STATUS) == (
        f"{STATUS} of shop/report was not evaluated"
    )
