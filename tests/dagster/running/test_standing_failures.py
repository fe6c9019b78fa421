"""A failed status check fails again in later runs, as long as the failed interval is missing."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import SqlmeshProject, build_sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.events.earlier_events import standing_failures
from pytest_sqlmesh_tracker.dagster.testing import (
    assert_check_failed,
    assert_check_passed,
    assert_materialized,
    assert_sqlmesh_status,
    materializing,
)
from tests.dagster.building import configured, running
from tests.dagster.conftest import NEXT_DAY, Materialize, checks, facts

STATUS = "sqlmesh_execution_status"
EARLIER_DAYS_ONLY = configured(end="2024-01-03")
"""The run config of a run whose window ends before what failed."""
STILL_MISSING = (
    "skipped: its missing intervals are outside the invocation's window; what an earlier run did "
    "not load is still missing (failed: its evaluation raised InjectedError: failed by the test)"
)


@pytest.fixture(params=["prod", "dev"])
def environment(request: pytest.FixtureRequest, sqlmesh_project: Any) -> str:
    """The environment of the assets, planned."""
    if request.param != "prod":
        sqlmesh_project.plan(request.param, include_unmodified=True)
    return str(request.param)


@pytest.fixture
def assets(shop: SqlmeshProject, environment: str) -> dg.AssetsDefinition:
    return build_sqlmesh_assets(project=shop, environment=environment, name="warehouse")


def add_column(sqlmesh_project: Any, model: str) -> None:
    """Change the model's query."""
    file = sqlmesh_project.path / f"models/{model}.sql"
    changed = file.read_text().replace("SELECT ", "SELECT 1 AS one, ", 1)
    sqlmesh_project.write(f"models/{model}.sql", changed)


@pytest.mark.long
def test_a_failed_check_fails_again_in_runs_without_the_failed_interval(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, assets: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.orders", times=1)
    assert not materialize_sqlmesh(assets).success
    # The second one reads the check that the first one evaluated.
    for _ in range(2):
        result = materialize_sqlmesh(assets, run_config=EARLIER_DAYS_ONLY)
        assert result.success
        assert_check_failed(result, "shop/orders", STATUS, "ERROR")
        assert_check_failed(result, "shop/revenue", STATUS, "WARN")
        assert_check_passed(result, "shop/weekly", STATUS)
        assert checks(result)["shop/orders"].description == STILL_MISSING

    result = materialize_sqlmesh(assets)
    assert_materialized(result, "shop/orders", "shop/revenue", "shop/report")
    assert_check_passed(result, "shop/orders", STATUS)
    assert_check_passed(
        materialize_sqlmesh(assets, run_config=EARLIER_DAYS_ONLY), "shop/orders", STATUS
    )


def test_a_check_passes_after_the_failed_interval_was_loaded_outside_of_dagster(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    assets: dg.AssetsDefinition,
    environment: str,
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.orders", times=1)
    materialize_sqlmesh(assets)
    sqlmesh_project.run(environment).assert_executed("shop.orders")
    result = materialize_sqlmesh(assets, run_config=EARLIER_DAYS_ONLY)
    assert_check_passed(result, "shop/orders", STATUS)
    assert_check_passed(result, "shop/revenue", STATUS)


@pytest.mark.parametrize("cause", ["audit", "signal"])
def test_a_check_that_failed_because_of_an_audit_or_a_signal_keeps_its_severity(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    cause: str,
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    if cause == "audit":
        sqlmesh_project.fail("shop.revenue", audit="is_positive", times=1)
    else:
        sqlmesh_project.hold("shop.revenue")
    materialize_sqlmesh(warehouse)
    sqlmesh_project.release("shop.revenue")
    result = materialize_sqlmesh(warehouse, run_config=EARLIER_DAYS_ONLY)
    severity = {"audit": "ERROR", "signal": "WARN"}[cause]
    assert_check_failed(result, "shop/revenue", STATUS, severity)
    assert_check_failed(result, "shop/report", STATUS, "WARN")
    assert (
        "what an earlier run did not load is still missing (skipped: "
        in checks(result)["shop/report"].description
    )
    assert_check_passed(result, "shop/orders", STATUS)


@pytest.mark.long
def test_a_failure_stands_until_the_interval_that_failed_early_is_loaded(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    """A run that obeys cron finds nothing to do, but the interval is still missing."""
    early = configured(ignore_cron=True)
    sqlmesh_project.fail("shop.weekly", times=1)
    assert_sqlmesh_status(materialize_sqlmesh(warehouse, run_config=early), "shop/weekly", "failed")
    for _ in range(2):
        result = materialize_sqlmesh(warehouse)
        assert_sqlmesh_status(result, "shop/weekly", "skipped", "cron_not_due")
        assert_check_failed(result, "shop/weekly", STATUS, "ERROR")
    assert_materialized(materialize_sqlmesh(warehouse, run_config=early), "shop/weekly")
    assert_check_passed(materialize_sqlmesh(warehouse), "shop/weekly", STATUS)


def test_a_later_failure_replaces_an_earlier_one(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.orders", error="first", times=1)
    materialize_sqlmesh(warehouse)
    sqlmesh_project.fail("shop.orders", error="second", times=1)
    materialize_sqlmesh(warehouse)
    result = materialize_sqlmesh(warehouse, run_config=EARLIER_DAYS_ONLY)
    assert facts(checks(result)["shop/orders"])["sqlmesh/still_missing"].endswith("second")


def test_a_run_of_other_models_does_not_evaluate_the_failed_check(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.orders", times=1)
    materialize_sqlmesh(warehouse)
    result = materialize_sqlmesh(warehouse, selection="shop/till")
    assert sorted(checks(result)) == ["shop/till"]
    result = materialize_sqlmesh(warehouse, selection="shop/orders")
    assert_sqlmesh_status(result, "shop/orders", "executed")


@pytest.mark.long
def test_a_failure_of_a_preview_stands_after_prod_was_loaded(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    """A preview has intervals of its own."""
    add_column(sqlmesh_project, "shop.revenue")
    sqlmesh_project.plan("dev", forward_only=True, enable_preview=True, include_unmodified=True)
    dev = build_sqlmesh_assets(project=shop, environment="dev", name="warehouse")
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.revenue", times=1)
    assert_sqlmesh_status(materialize_sqlmesh(dev), "shop/revenue", "failed")
    sqlmesh_project.run("prod").assert_executed("shop.revenue")
    result = materialize_sqlmesh(dev, run_config=EARLIER_DAYS_ONLY)
    assert_check_failed(result, "shop/revenue", STATUS, "ERROR")
    assert_sqlmesh_status(materialize_sqlmesh(dev), "shop/revenue", "executed")
    result = materialize_sqlmesh(dev, run_config=EARLIER_DAYS_ONLY)
    assert_check_passed(result, "shop/revenue", STATUS)


def test_a_failure_stands_if_missing_intervals_cannot_be_determined(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> None:
        raise ConnectionError("the state can't be read")

    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.orders", times=1)
    materialize_sqlmesh(warehouse)
    monkeypatch.setattr("pytest_sqlmesh_tracker.dagster.running.invocation.still_missing", broken)
    result = materialize_sqlmesh(warehouse, run_config=EARLIER_DAYS_ONLY)
    assert_check_failed(result, "shop/orders", STATUS, "ERROR")


@pytest.mark.long
def test_a_failure_stands_in_a_stored_instance(
    sqlmesh_project: Any,
    warehouse: dg.AssetsDefinition,
    stored_instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in production: events come back from a database."""
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.orders", times=1)
    monkeypatch.setattr(dg.DagsterInstance, "ephemeral", lambda: dg.DagsterInstance.get())
    with materializing(sqlmesh_project) as materialize:
        run = materialize(warehouse).dagster_run
        assert run in [record.dagster_run for record in stored_instance.get_run_records()]
        result = materialize(warehouse, run_config=EARLIER_DAYS_ONLY)
    assert_check_failed(result, "shop/orders", STATUS, "ERROR")
    assert checks(result)["shop/orders"].description == STILL_MISSING


def test_a_check_without_a_record_states_no_failure(instance: dg.DagsterInstance) -> None:
    """Something else than this package has evaluated a check of the same name."""
    orders = dg.AssetKey(["shop", "orders"])
    evaluation = dg.AssetCheckEvaluation(
        asset_key=orders, check_name=STATUS, passed=False, metadata={}
    )
    instance.report_runless_asset_event(evaluation)
    assert standing_failures(instance, [orders, dg.AssetKey("without_checks")]) == {}


@pytest.mark.long
def test_a_failure_stands_after_a_run_of_another_environment(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    """The assets are the same ones, whichever environment their function runs."""
    prod, dev = (running(shop, environment=name) for name in ("prod", "dev"))
    sqlmesh_project.travel(NEXT_DAY)
    add_column(sqlmesh_project, "shop.orders")
    sqlmesh_project.plan("dev", include_unmodified=True)
    sqlmesh_project.run("dev").assert_executed("shop.orders")
    sqlmesh_project.fail("shop.orders", times=1)
    assert_sqlmesh_status(materialize_sqlmesh(prod), "shop/orders", "failed")
    result = materialize_sqlmesh(dev)
    assert_sqlmesh_status(result, "shop/orders", "skipped", "cron_not_due")
    assert_check_failed(result, "shop/orders", STATUS, "ERROR")
    assert_sqlmesh_status(materialize_sqlmesh(prod), "shop/orders", "executed")
