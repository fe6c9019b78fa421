"""The fixture `materialize_sqlmesh`: the assets it accepts, and the resources it passes to them."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import (
    SqlmeshProject,
    SqlmeshResource,
    build_sqlmesh_assets,
    sqlmesh_assets,
)
from pytest_sqlmesh_tracker.dagster.testing import (
    assert_materialized,
    assert_materialized_exactly,
    assert_not_materialized,
    assert_sqlmesh_status,
)
from tests.projects import Project, at

from .conftest import DAILY_ASSETS, NEXT_DAY, Materialize, facts, materialized


@dg.asset(key=["raw", "till"])
def till() -> None:
    """What the till delivers, upstream of SQLMesh."""


@dg.asset(deps=[["shop", "report"]])
def mail(sqlmesh: SqlmeshResource) -> Any:
    """What reads the report, downstream of SQLMesh and by itself."""
    with sqlmesh.open() as context:
        frame = context.fetchdf("SELECT amount FROM shop.report")
    return dg.MaterializeResult(metadata={"amount": int(frame["amount"][0])})


def test_assets_upstream_and_downstream_of_models(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(till, warehouse, mail)
    assert result.success
    assert materialized(result)[0] == "raw/till"
    assert materialized(result)[-1] == "mail"
    assert_materialized_exactly(result, ["raw/till", *DAILY_ASSETS, "mail"])
    (event,) = result.asset_materializations_for_node("mail")
    assert facts(event)["amount"] == 40


def test_an_asset_downstream_of_a_failure_does_not_run(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.report")
    result = materialize_sqlmesh(warehouse, mail)
    assert_materialized(result, "shop/revenue")
    assert_not_materialized(result, "mail")


def test_two_groups_of_assets_with_a_resource_each(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    """Both are bound to the sandbox, whatever their names."""

    @sqlmesh_assets(project=shop, select="shop.orders")
    def first(context: dg.AssetExecutionContext, shop: SqlmeshResource) -> Any:
        yield from shop.run(context=context).stream()

    rest = build_sqlmesh_assets(project=shop, exclude="shop.orders", name="rest")
    sqlmesh_project.travel(NEXT_DAY)
    resources = {"shop": SqlmeshResource(project=SqlmeshProject("nowhere"))}
    result = materialize_sqlmesh(first, rest, resources=resources)
    assert result.success
    assert materialized(result)[0] == "shop/orders"
    assert_materialized_exactly(result, DAILY_ASSETS)


def test_other_resources_are_not_changed(
    materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    class Post(dg.ConfigurableResource[Any]):
        address: str

    @dg.asset
    def letter(post: Post) -> Any:
        return dg.MaterializeResult(metadata={"address": post.address})

    result = materialize_sqlmesh(warehouse, letter, resources={"post": Post(address="here")})
    assert result.success
    (event,) = result.asset_materializations_for_node("letter")
    assert facts(event)["address"] == "here"


def test_runs_of_one_test_share_an_instance(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    materialize_sqlmesh(warehouse, selection="shop/orders")
    orders = dg.AssetKey(["shop", "orders"])

    @dg.asset
    def seen(context: dg.AssetExecutionContext) -> Any:
        event = context.instance.get_latest_materialization_event(orders)
        return dg.MaterializeResult(metadata={"seen": event is not None})

    result = materialize_sqlmesh(seen)
    (event,) = result.asset_materializations_for_node("seen")
    assert facts(event)["seen"] is True


@pytest.mark.long
def test_a_model_that_the_test_changed(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    report = "MODEL (name shop.report, kind FULL, cron '@daily'); SELECT 1 AS amount"
    sqlmesh_project.write("models/shop.report.sql", report)
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(warehouse)
    assert_sqlmesh_status(result, "shop/report", "executed")
    # As it was planned.
    assert sqlmesh_project.fetch("SELECT amount FROM shop.report") == [(40,)]
    assert sqlmesh_project.tracker.last["shop.report"].local_edit
    sqlmesh_project.plan()
    sqlmesh_project.travel("+1 day")
    assert_materialized(materialize_sqlmesh(warehouse), "shop/report")
    assert sqlmesh_project.fetch("SELECT amount FROM shop.report") == [(1,)]


@pytest.mark.sqlmesh_project(gateway="four")
@pytest.mark.long
def test_several_models_at_once(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel("2024-01-07 00:05")
    sqlmesh_project.fail("shop.revenue", times=1)
    result = materialize_sqlmesh(warehouse)
    assert_materialized_exactly(result, ["shop/orders", "shop/till", "shop/weekly"])
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert_materialized_exactly(result, ["shop/revenue", "shop/report"])


def test_a_direct_call_of_the_function(tmp_path: Path) -> None:
    """As a unit test of an op may do it: on a project outside of any sandbox."""
    project = Project(tmp_path)
    project.model("shop.orders", "SELECT 1 AS id", cron="'@daily'")
    project.model("shop.weekly", "SELECT 1 AS id", cron="'@weekly'", start="'2023-12-01'")
    shop = SqlmeshProject(tmp_path)
    warehouse = build_sqlmesh_assets(project=shop, name="warehouse")
    with at("2024-01-05 00:05"):
        project.plan()
    project.context.close()
    with at(NEXT_DAY):
        context = dg.build_asset_context()
        called: Any = warehouse(context, sqlmesh=SqlmeshResource(project=shop))
        events = list(called)
    done = [event for event in events if isinstance(event, dg.MaterializeResult)]
    assert [event.asset_key for event in done] == [dg.AssetKey(["shop", "orders"])]
    passed = {e.asset_key: e.passed for e in events if isinstance(e, dg.AssetCheckResult)}
    assert passed == {spec.key: True for spec in warehouse.specs}


def test_an_op_without_sqlmesh(materialize_sqlmesh: Materialize) -> None:
    @dg.asset
    def plain(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> None:
        sqlmesh.run(context=context)

    resource = SqlmeshResource(project=SqlmeshProject("nowhere"))
    result = materialize_sqlmesh(plain, resources={"sqlmesh": resource})
    (failed,) = result.get_step_failure_events()
    assert "plain is not an op of @sqlmesh_assets" in str(failed.step_failure_data.error)


# -- in a user's session ---------------------------------------------------------------------------

TEST = """
from pathlib import Path

import pytest
from pytest_sqlmesh_tracker.dagster import SqlmeshProject, build_sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.testing import assert_check_failed, assert_not_materialized

pytestmark = pytest.mark.sqlmesh_project(at="2024-01-05 00:05")


def test_a_failure(sqlmesh_project, materialize_sqlmesh):
    warehouse = build_sqlmesh_assets(project=SqlmeshProject(Path(__file__).parent))
    sqlmesh_project.fail("shop.orders")
    sqlmesh_project.travel("+1 day")
    result = materialize_sqlmesh(warehouse)
    assert_not_materialized(result, "shop/orders")
    assert_check_failed(result, "shop/orders", "sqlmesh_execution_status", severity="ERROR")
"""
WITHOUT = """
import sys

import pytest


@pytest.fixture(autouse=True)
def no_dagster(monkeypatch):
    monkeypatch.setitem(sys.modules, "dagster", None)


@pytest.mark.sqlmesh_project(at="2024-01-05 00:05")
def test_it(materialize_sqlmesh):
    raise AssertionError("not reached")
"""


@pytest.fixture
def user(pytester: pytest.Pytester) -> pytest.Pytester:
    project = Project(pytester.path)
    project.model("shop.orders", "SELECT 1 AS id", cron="'@daily'")
    pytester.makeini("[pytest]\nfilterwarnings = ignore\naddopts = --strict-markers")
    return pytester


@pytest.mark.processes
def test_a_test_of_a_user(user: pytest.Pytester) -> None:
    user.makepyfile(TEST)
    user.runpytest_subprocess("-p", "no:xdist").assert_outcomes(passed=1)


@pytest.mark.processes
@pytest.mark.nightly
def test_without_dagster(user: pytest.Pytester) -> None:
    user.makepyfile(WITHOUT)
    result = user.runpytest_subprocess("-p", "no:xdist")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        "materialize_sqlmesh: pytest_sqlmesh_tracker.dagster requires Dagster: pip install *"
    )
    assert "Traceback" not in result.stdout.str()
