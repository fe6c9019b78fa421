"""`sqlmesh.plan`: first deployments, other environments, and errors of SQLMesh."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import SqlmeshProject, SqlmeshResource, sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.testing import (
    assert_check_failed,
    assert_check_passed,
    assert_materialized_exactly,
    assert_sqlmesh_status,
)
from tests.dagster.building import configured, planning, running
from tests.dagster.conftest import Materialize, checks, facts, step_failure

STATUS = "sqlmesh_execution_status"
ALL = ["shop/orders", "shop/report", "shop/revenue", "shop/till", "shop/weekly"]
UNPLANNED = pytest.mark.sqlmesh_project(plan=False)


class Wishes(dg.Config):
    """The options of a user's function."""

    weekly: bool = False


def only_line(result: dg.ExecuteInProcessResult) -> str:
    """What the one `Failure` of a step says, in one line."""
    assert not result.success
    description = str(step_failure(result).description)
    assert "\n" not in description
    return description


@UNPLANNED
@pytest.mark.long
def test_a_first_deployment(materialize_sqlmesh: Materialize, shop: SqlmeshProject) -> None:
    result = materialize_sqlmesh(planning(shop))
    assert result.success
    assert_materialized_exactly(result, ALL)
    assert_check_passed(result, "shop/orders", "orders_exist")
    assert_check_passed(result, "shop/revenue", "is_positive")


@UNPLANNED
@pytest.mark.long
def test_a_first_deployment_with_a_failed_model(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    sqlmesh_project.fail("shop.revenue", times=1)
    result = materialize_sqlmesh(planning(shop))
    assert_materialized_exactly(result, ["shop/orders", "shop/till", "shop/weekly"])
    assert step_failure(result).description.splitlines()[0] == (
        "SQLMesh plan of prod: 1 model failed, 1 skipped as a result"
    )
    result = materialize_sqlmesh(planning(shop))
    assert_materialized_exactly(result, ["shop/revenue", "shop/report"])


def test_a_deployment_to_dev(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    report = "MODEL (name shop.report, kind FULL, cron '@daily'); SELECT 1 AS amount"
    sqlmesh_project.write("models/shop.report.sql", report)
    result = materialize_sqlmesh(planning(shop, environment="dev", include_unmodified=True))
    assert result.success
    assert_materialized_exactly(result, ["shop/report"])
    assert facts(checks(result)["shop/report"])["sqlmesh/status"] == "executed"
    assert facts(checks(result)["shop/orders"])["sqlmesh/environment"] == "dev"
    assert materialize_sqlmesh(running(shop, environment="dev")).success


def test_a_plan_without_changes(materialize_sqlmesh: Materialize, shop: SqlmeshProject) -> None:
    result = materialize_sqlmesh(planning(shop))
    assert result.success
    assert_materialized_exactly(result, [])
    assert_sqlmesh_status(result, "shop/orders", "skipped", "no_changes")
    assert_check_passed(result, "shop/orders", STATUS)


@UNPLANNED
def test_a_skipped_backfill(materialize_sqlmesh: Materialize, shop: SqlmeshProject) -> None:
    result = materialize_sqlmesh(planning(shop, skip_backfill=True, no_gaps=True))
    assert_materialized_exactly(result, [])
    assert_sqlmesh_status(result, "shop/orders", "skipped", "backfill_skipped")
    assert_check_passed(result, "shop/orders", STATUS)


@UNPLANNED
def test_an_empty_backfill(materialize_sqlmesh: Materialize, shop: SqlmeshProject) -> None:
    """It marks data as loaded that is not."""
    result = materialize_sqlmesh(planning(shop, empty_backfill=True))
    assert_materialized_exactly(result, [])
    assert_sqlmesh_status(result, "shop/orders", "skipped", "backfill_emptied")
    assert_check_failed(result, "shop/orders", STATUS, "WARN")


def test_a_failing_unit_test(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    sqlmesh_project.write(
        "tests/test_report.yaml",
        """
        test_report:
          model: shop.report
          inputs: {shop.revenue: {rows: [{ts: 2024-01-01, amount: 1}]}}
          outputs: {query: {rows: [{amount: 2}]}}
        """,
    )
    result = materialize_sqlmesh(planning(shop, skip_tests=False))
    assert only_line(result).startswith("SQLMesh plan of prod: PlanError: 1 of 1 unit test failed")
    assert_check_failed(result, "shop/orders", STATUS, "ERROR")
    assert_sqlmesh_status(result, "shop/orders", "interrupted", "command_failed")


def test_a_run_of_a_missing_environment(
    materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    result = materialize_sqlmesh(running(shop, environment="nowhere"))
    assert "nowhere" in only_line(result)
    assert only_line(result).startswith("SQLMesh run of nowhere: ")


def test_an_argument_unknown_to_sqlmesh(
    materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    description = only_line(materialize_sqlmesh(running(shop, ignore_crons=True)))
    assert "ignore_crons" in description


def test_failing_statements_of_before_all(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    """Nothing is evaluated then; of what was not due, that is known already."""
    sqlmesh_project.execute("CREATE TABLE gate AS SELECT 1 AS open")
    sqlmesh_project.context.config.before_all = ["SELECT open FROM gate"]
    sqlmesh_project.context.load()
    sqlmesh_project.plan()
    sqlmesh_project.execute("DROP TABLE gate")
    sqlmesh_project.travel("2024-01-06 00:05")
    result = materialize_sqlmesh(running(shop))
    assert "gate" in only_line(result)
    assert_materialized_exactly(result, [])
    assert_sqlmesh_status(result, "shop/orders", "interrupted", "command_failed")
    assert_check_failed(result, "shop/orders", STATUS, "ERROR")
    assert_sqlmesh_status(result, "shop/weekly", "skipped", "cron_not_due")


# -- run config ------------------------------------------------------------------------------------


def test_ignore_cron(materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition) -> None:
    result = materialize_sqlmesh(warehouse, run_config=configured(ignore_cron=True))
    assert_materialized_exactly(result, ["shop/weekly"])
    assert_sqlmesh_status(result, "shop/orders", "skipped", "up_to_date")


def test_models_of_the_function_take_precedence_over_the_selection(
    materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    """They are SQLMesh's own selectors, and are passed on unchanged."""
    again = planning(shop, restate_models=["shop.rep*"])
    result = materialize_sqlmesh(again, selection="shop/orders")
    assert_materialized_exactly(result, ["shop/report"])


def test_a_plan_of_some_changed_models(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    for name in ("report", "till"):
        model = f"MODEL (name shop.{name}, kind FULL, cron '@daily'); SELECT 1 AS amount"
        sqlmesh_project.write(f"models/shop.{name}.sql", model)
    result = materialize_sqlmesh(planning(shop), selection="shop/till")
    assert result.success
    assert_materialized_exactly(result, ["shop/till"])


def test_a_window(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel("2024-01-07 00:05")
    window = configured(start="2024-01-05", end="2024-01-05")
    result = materialize_sqlmesh(warehouse, selection="shop/orders", run_config=window)
    assert_materialized_exactly(result, ["shop/orders"])
    assert facts(checks(result)["shop/orders"])["sqlmesh/intervals"] == "2024-01-05"


def test_a_restatement_also_evaluates_downstream_models(
    materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    """As SQLMesh does, even if it is not selected."""
    again = configured(restate=["shop.rev*"], start="2024-01-03")
    result = materialize_sqlmesh(warehouse, selection="shop/revenue", run_config=again)
    assert result.success
    assert_materialized_exactly(result, ["shop/revenue", "shop/report"])
    assert sorted(checks(result)) == ["shop/revenue"]
    assert facts(checks(result)["shop/revenue"])["sqlmesh/intervals"] == "2024-01-03 .. 2024-01-04"


def test_a_restatement_of_an_unknown_model(
    materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    result = materialize_sqlmesh(warehouse, run_config=configured(restate=["shop.oders"]))
    assert only_line(result) == ("no model 'shop.oders' in the project; did you mean shop.orders?")
    assert checks(result) == {}


def test_a_plan_follows_the_run_config(
    materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    again = configured(restate=["shop.report"])
    result = materialize_sqlmesh(planning(shop), run_config=again)
    assert_materialized_exactly(result, ["shop/report"])


def test_a_restatement_by_a_function_with_arguments_of_a_run(
    materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    again = configured(restate=["shop.report"])
    result = materialize_sqlmesh(running(shop, no_auto_upstream=False), run_config=again)
    assert_materialized_exactly(result, ["shop/report"])


def test_a_function_with_its_own_config(
    materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    @sqlmesh_assets(project=shop)
    def warehouse(
        context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource, config: Wishes
    ) -> Any:
        yield from sqlmesh.run(context=context, ignore_cron=config.weekly).stream()

    result = materialize_sqlmesh(warehouse, run_config=configured(weekly=True))
    assert_materialized_exactly(result, ["shop/weekly"])
