"""Retries run what the first try did not complete, and do not overwrite its results."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import SqlmeshProject, build_sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.testing import (
    assert_materialized,
    assert_materialized_exactly,
    assert_not_materialized,
    assert_sqlmesh_status,
)
from tests.dagster.conftest import DAILY_ASSETS, NEXT_DAY, Materialize, checks, materialized

RESTATE = {"ops": {"warehouse": {"config": {"restate": ["shop.orders"], "start": "2024-01-04"}}}}


@pytest.fixture
def warehouse(shop: SqlmeshProject) -> dg.AssetsDefinition:
    """The shop, tried twice."""
    return build_sqlmesh_assets(
        project=shop, name="warehouse", retry_policy=dg.RetryPolicy(max_retries=1)
    )


def verdicts(result: dg.ExecuteInProcessResult, key: str) -> list[bool]:
    """Whether each status check of an asset passed, in order."""
    return [
        each.passed
        for each in result.get_asset_check_evaluations()
        if each.asset_key.to_user_string() == key and each.check_name == "sqlmesh_execution_status"
    ]


def attempts(result: dg.ExecuteInProcessResult) -> int:
    return 1 + sum(event.is_step_restarted for event in result.all_events)


def test_a_retry_runs_failed_and_blocked_models(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.revenue", times=1)
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert attempts(result) == 2
    # Each once.
    assert sorted(materialized(result)) == DAILY_ASSETS
    assert sqlmesh_project.tracker.last.executed == {"shop.revenue", "shop.report"}
    assert verdicts(result, "shop/orders") == [True]
    assert verdicts(result, "shop/revenue") == [False, True]
    assert verdicts(result, "shop/report") == [False, True]
    assert verdicts(result, "shop/weekly") == [True, True]


@pytest.mark.long
def test_executed_models_stay_executed_if_the_retry_fails_as_a_whole(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    """Then SQLMesh looks at nothing, and every model is interrupted."""
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.revenue", times=1)
    run = sqlmesh_project.context.run
    calls: list[int] = []

    def run_once(*args: Any, **kwargs: Any) -> Any:
        calls.append(len(calls))
        if len(calls) > 1:
            kwargs["end"] = "no date"
        return run(*args, **kwargs)

    sqlmesh_project.context.run = run_once
    result = materialize_sqlmesh(warehouse)
    assert not result.success
    assert attempts(result) == 2
    assert verdicts(result, "shop/orders") == [True]
    assert verdicts(result, "shop/weekly") == [True, False]


def test_assets_of_other_ops_run_after_the_retry(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    @dg.asset(deps=[["shop", "orders"]])
    def of_the_first_try() -> None: ...

    @dg.asset(deps=[["shop", "report"]])
    def of_the_second_try() -> None: ...

    sqlmesh_project.travel("2024-01-07 00:05")
    sqlmesh_project.fail("shop.revenue", times=1)
    result = materialize_sqlmesh(warehouse, of_the_first_try, of_the_second_try)
    assert result.success
    assert_materialized(result, "of_the_second_try")


def test_failed_audits_are_not_retried(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    """They would find the same rows."""
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.revenue", audit="is_positive", times=1)
    result = materialize_sqlmesh(warehouse)
    assert not result.success
    assert attempts(result) == 1


def test_an_error_next_to_failed_audits_is_retried(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.revenue", audit="is_positive", times=1)
    sqlmesh_project.fail("shop.till", times=1)
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert attempts(result) == 2
    assert sorted(materialized(result)) == DAILY_ASSETS


def test_a_restatement_continues_where_the_first_try_ended(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    """Even where SQLMesh considers the failed intervals loaded, as they were before."""
    sqlmesh_project.fail("shop.revenue", times=1)
    result = materialize_sqlmesh(warehouse, run_config=RESTATE)
    assert result.success
    assert attempts(result) == 2
    assert_materialized(result, "shop/orders", "shop/revenue", "shop/report")
    assert "shop.orders" not in sqlmesh_project.tracker.last.executed
    assert sqlmesh_project.tracker.last.executed >= {"shop.revenue", "shop.report"}
    assert materialized(result).count("shop/orders") == 1


def test_a_restatement_without_results_starts_over(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.fail("shop.orders", times=1)
    result = materialize_sqlmesh(warehouse, run_config=RESTATE)
    assert result.success
    assert_materialized(result, "shop/orders", "shop/revenue", "shop/report")
    assert sqlmesh_project.tracker.last.executed >= {"shop.orders", "shop.revenue", "shop.report"}


def test_a_failed_run_that_is_reexecuted_from_failure(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    """As another run of Dagster: it reports everything."""
    once = build_sqlmesh_assets(project=shop, name="warehouse")
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.revenue", times=1)
    assert not materialize_sqlmesh(once).success
    again = materialize_sqlmesh(once)
    assert again.success
    assert_materialized_exactly(again, ["shop/revenue", "shop/report"])
    assert_sqlmesh_status(again, "shop/orders", "skipped", "cron_not_due")
    assert_not_materialized(again, "shop/orders")
    assert checks(again)["shop/orders"].passed
