"""A status check stays failed while what failed is missing, whatever a later run looks at."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker import AuditOutcome
from pytest_sqlmesh_tracker.dagster import SqlmeshProject, build_sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.events.checks import audit_check
from pytest_sqlmesh_tracker.dagster.events.earlier_events import standing_failures
from pytest_sqlmesh_tracker.dagster.testing import (
    assert_check_failed,
    assert_check_passed,
    assert_materialized,
    assert_sqlmesh_status,
    materializing,
)
from tests.builders import failed
from tests.dagster.building import configured, running
from tests.dagster.conftest import NEXT_DAY, Materialize, checks, facts

STATUS = "sqlmesh_execution_status"
BEFORE_IT = configured(end="2024-01-03")
"""A run that looks at nothing of what failed."""
STILL = (
    "skipped: it is outside the invocation's window; what an earlier run did not load is still "
    "missing (failed: its evaluation raised InjectedError: failed by the test)"
)


@pytest.fixture(params=["prod", "dev"])
def environment(request: pytest.FixtureRequest, sqlmesh_project: Any) -> str:
    """The environment that the assets are of, planned."""
    if request.param != "prod":
        sqlmesh_project.plan(request.param, include_unmodified=True)
    return str(request.param)


@pytest.fixture
def assets(shop: SqlmeshProject, environment: str) -> dg.AssetsDefinition:
    return build_sqlmesh_assets(project=shop, environment=environment, name="warehouse")


@pytest.mark.long
def test_it_stays_red_over_runs_that_leave_it_out(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, assets: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.orders", times=1)
    assert not materialize_sqlmesh(assets).success
    for _ in range(3):
        result = materialize_sqlmesh(assets, run_config=BEFORE_IT)
        assert result.success
        assert_check_failed(result, "shop/orders", STATUS, "ERROR")
        assert_check_failed(result, "shop/revenue", STATUS, "WARN")
        assert_check_passed(result, "shop/weekly", STATUS)
        assert checks(result)["shop/orders"].description == STILL

    result = materialize_sqlmesh(assets)
    assert_materialized(result, "shop/orders", "shop/revenue", "shop/report")
    assert_check_passed(result, "shop/orders", STATUS)
    assert_check_passed(materialize_sqlmesh(assets, run_config=BEFORE_IT), "shop/orders", STATUS)


def test_it_is_green_when_something_else_than_dagster_has_loaded_it(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    assets: dg.AssetsDefinition,
    environment: str,
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.orders", times=1)
    materialize_sqlmesh(assets)
    sqlmesh_project.run(environment).assert_executed("shop.orders")
    result = materialize_sqlmesh(assets, run_config=BEFORE_IT)
    assert_check_passed(result, "shop/orders", STATUS)
    assert_check_passed(result, "shop/revenue", STATUS)


@pytest.mark.parametrize("fault", ["audit", "signal"])
def test_whatever_it_was_that_left_it_missing(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    fault: str,
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    if fault == "audit":
        sqlmesh_project.fail("shop.revenue", audit="is_positive", times=1)
    else:
        sqlmesh_project.hold("shop.revenue")
    materialize_sqlmesh(warehouse)
    sqlmesh_project.release("shop.revenue")
    result = materialize_sqlmesh(warehouse, run_config=BEFORE_IT)
    severity = {"audit": "ERROR", "signal": "WARN"}[fault]
    assert_check_failed(result, "shop/revenue", STATUS, severity)
    assert_check_failed(result, "shop/report", STATUS, "WARN")
    assert (
        "what an earlier run did not load is still missing (skipped: "
        in checks(result)["shop/report"].description
    )
    assert_check_passed(result, "shop/orders", STATUS)


@pytest.mark.long
def test_what_failed_before_it_was_due(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    """It is missing, though a run that heeds cron finds nothing to do."""
    early = configured(ignore_cron=True)
    sqlmesh_project.fail("shop.weekly", times=1)
    assert_sqlmesh_status(materialize_sqlmesh(warehouse, run_config=early), "shop/weekly", "failed")
    for _ in range(2):
        result = materialize_sqlmesh(warehouse)
        assert_sqlmesh_status(result, "shop/weekly", "skipped", "cron_not_due")
        assert_check_failed(result, "shop/weekly", STATUS, "ERROR")
    assert_materialized(materialize_sqlmesh(warehouse, run_config=early), "shop/weekly")
    assert_check_passed(materialize_sqlmesh(warehouse), "shop/weekly", STATUS)


def test_a_later_failure_takes_its_place(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.orders", error="first", times=1)
    materialize_sqlmesh(warehouse)
    sqlmesh_project.fail("shop.orders", error="second", times=1)
    materialize_sqlmesh(warehouse)
    result = materialize_sqlmesh(warehouse, run_config=BEFORE_IT)
    assert facts(checks(result)["shop/orders"])["sqlmesh/still_missing"].endswith("second")


def test_a_selection_of_others_says_nothing_of_it(
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
def test_a_change_that_is_only_previewed_in_dev(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    """A preview has its own intervals: prod's do not stand in for them."""
    report = sqlmesh_project.path / "models/shop.revenue.sql"
    sqlmesh_project.write(
        "models/shop.revenue.sql", report.read_text().replace("SELECT ts,", "SELECT 1 AS one, ts,")
    )
    sqlmesh_project.plan("dev", forward_only=True, enable_preview=True, include_unmodified=True)
    dev = build_sqlmesh_assets(project=shop, environment="dev", name="warehouse")
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.revenue", times=1)
    assert_sqlmesh_status(materialize_sqlmesh(dev), "shop/revenue", "failed")
    sqlmesh_project.run("prod").assert_executed("shop.revenue")
    result = materialize_sqlmesh(dev, run_config=BEFORE_IT)
    assert_check_failed(result, "shop/revenue", STATUS, "ERROR")
    assert_sqlmesh_status(materialize_sqlmesh(dev), "shop/revenue", "executed")
    result = materialize_sqlmesh(dev, run_config=BEFORE_IT)
    assert_check_passed(result, "shop/revenue", STATUS)


def test_what_can_not_be_looked_up_is_not_taken_for_mended(
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
    result = materialize_sqlmesh(warehouse, run_config=BEFORE_IT)
    assert_check_failed(result, "shop/orders", STATUS, "ERROR")


@pytest.mark.long
def test_an_instance_that_is_stored(
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
        result = materialize(warehouse, run_config=BEFORE_IT)
    assert_check_failed(result, "shop/orders", STATUS, "ERROR")
    assert checks(result)["shop/orders"].description == STILL


def test_the_check_of_an_audit_that_could_not_be_run() -> None:
    broken = AuditOutcome(name="known", blocking=False, passed=False, error="IOException: x")
    made = failed("shop.revenue", error=broken.error, audits=(broken,))
    key = dg.AssetCheckKey(dg.AssetKey(["shop", "revenue"]), "known")
    check = audit_check(made, broken, key)
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert check.description == "could not be run: IOException: x"


def test_a_check_of_the_same_name_from_another_source(instance: dg.DagsterInstance) -> None:
    """It has none of the metadata, so there is nothing to look up."""
    orders = dg.AssetKey(["shop", "orders"])
    evaluation = dg.AssetCheckEvaluation(
        asset_key=orders, check_name=STATUS, passed=False, metadata={}
    )
    instance.report_runless_asset_event(evaluation)
    assert standing_failures(instance, [orders, dg.AssetKey("without_checks")]) == {}


@pytest.mark.long
def test_a_run_of_another_environment_mends_nothing_in_this_one(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    """The assets are the same ones, whichever environment their function runs."""
    prod, dev = (running(shop, environment=name) for name in ("prod", "dev"))
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.write(
        "models/shop.orders.sql",
        (sqlmesh_project.path / "models/shop.orders.sql")
        .read_text()
        .replace("SELECT ", "SELECT 1 AS one, ", 1),
    )
    sqlmesh_project.plan("dev", include_unmodified=True)
    sqlmesh_project.run("dev").assert_executed("shop.orders")
    sqlmesh_project.fail("shop.orders", times=1)
    assert_sqlmesh_status(materialize_sqlmesh(prod), "shop/orders", "failed")
    result = materialize_sqlmesh(dev)
    assert_sqlmesh_status(result, "shop/orders", "skipped", "cron_not_due")
    assert_check_failed(result, "shop/orders", STATUS, "ERROR")
    assert_sqlmesh_status(materialize_sqlmesh(prod), "shop/orders", "executed")
