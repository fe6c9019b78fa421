"""When Dagster runs assets of other ops downstream of models with different cadences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import (
    ModelDefinition,
    SqlmeshProject,
    SqlmeshResource,
    SqlmeshTranslator,
    build_sqlmesh_assets,
    sqlmesh_assets,
)
from pytest_sqlmesh_tracker.dagster.testing import assert_materialized_exactly
from tests.dagster.conftest import (
    DAILY,
    DAILY_ASSETS,
    NEXT_DAY,
    SUNDAY,
    Materialize,
    checks,
    materialized,
)
from tests.dagster.daemons import Daemon
from tests.projects import Project, at

EAGER = dg.AutomationCondition.eager()


@dg.asset(deps=[["shop", "report"], ["shop", "weekly"]], automation_condition=EAGER)
def dashboard() -> None: ...


@dg.asset(deps=[["shop", "orders"]], automation_condition=EAGER)
def letters() -> None: ...


@dg.asset(deps=[["shop", "revenue"]], automation_condition=EAGER)
def forecast() -> None: ...


BELOW = dashboard, letters, forecast


class Scheduled(SqlmeshTranslator):
    """A schedule requests the models."""

    def get_automation_condition(self, model: ModelDefinition) -> None: ...


@pytest.fixture(scope="module")
def scheduled(shop: SqlmeshProject) -> dg.AssetsDefinition:
    return build_sqlmesh_assets(project=shop, name="warehouse", translator=Scheduled())


def steps(result: Any) -> dict[str, str]:
    """Step → how it ended."""
    ended = [e for e in result.all_events if e.is_step_success or e.is_step_failure]
    skipped = [e for e in result.all_events if e.is_step_skipped]
    return {e.step_key: e.event_type_value.removeprefix("STEP_") for e in [*ended, *skipped]}


class TestWithinOneRun:
    """All of it in one job."""

    @pytest.mark.long
    def test_an_op_runs_when_all_of_its_upstream_assets_are_materialized(
        self,
        sqlmesh_project: Any,
        materialize_sqlmesh: Materialize,
        warehouse: dg.AssetsDefinition,
    ) -> None:
        sqlmesh_project.travel(NEXT_DAY)
        on_saturday = steps(materialize_sqlmesh(warehouse, *BELOW))
        sqlmesh_project.travel(SUNDAY)
        on_sunday = steps(materialize_sqlmesh(warehouse, *BELOW))
        assert on_saturday["dashboard"] == "SKIPPED"
        assert on_saturday["letters"] == on_saturday["forecast"] == "SUCCESS"
        assert set(on_sunday.values()) == {"SUCCESS"}

    @pytest.mark.long
    def test_after_a_failure_the_same_job_skips_ops_downstream_of_materialized_assets(
        self,
        sqlmesh_project: Any,
        materialize_sqlmesh: Materialize,
        warehouse: dg.AssetsDefinition,
    ) -> None:
        sqlmesh_project.travel(SUNDAY)
        sqlmesh_project.fail("shop.revenue", times=1)
        assert steps(materialize_sqlmesh(warehouse, *BELOW)) == {"warehouse": "FAILURE"}
        assert steps(materialize_sqlmesh(warehouse, *BELOW)) == {
            "warehouse": "SUCCESS",
            "letters": "SKIPPED",
            "dashboard": "SKIPPED",
            "forecast": "SUCCESS",
        }

    @pytest.mark.long
    def test_a_retry_within_the_run_runs_all_downstream_ops(
        self, sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
    ) -> None:
        policy = dg.RetryPolicy(max_retries=1)
        retried = build_sqlmesh_assets(project=shop, name="warehouse", retry_policy=policy)
        sqlmesh_project.travel(SUNDAY)
        sqlmesh_project.fail("shop.revenue", times=1)
        ended = steps(materialize_sqlmesh(retried, *BELOW))
        assert {step: ended[step] for step in ("dashboard", "letters", "forecast")} == {
            "dashboard": "SUCCESS",
            "letters": "SUCCESS",
            "forecast": "SUCCESS",
        }


@pytest.mark.long
def test_a_restatement_starts_over_in_another_run(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    run_config = {
        "ops": {"warehouse": {"config": {"restate": ["shop.orders"], "start": "2024-01-04"}}}
    }
    sqlmesh_project.fail("shop.revenue", times=1)
    first = materialize_sqlmesh(warehouse, run_config=run_config)
    again = materialize_sqlmesh(warehouse, run_config=run_config)
    assert "shop/orders" in materialized(first)
    assert {"shop/orders", "shop/revenue", "shop/report"} <= set(materialized(again))


# -- executed again from its failure -----------------------------------------------------------

jobs: list[dg.JobDefinition] = []


def job() -> dg.JobDefinition:
    """What Dagster executes again; it looks it up by the name of this function."""
    return jobs[-1]


@pytest.mark.long
def test_a_run_reexecuted_from_failure_completes_the_rest(tmp_path: Path) -> None:
    """As another run, which reports its own work; what is below the first one is skipped."""
    project = Project(tmp_path)
    project.model("shop.orders", "SELECT 8 AS amount", cron=DAILY)
    project.model("shop.costs", "SELECT amount FROM raw.costs", cron=DAILY)
    project.model("shop.revenue", "SELECT o.amount FROM shop.orders o, shop.costs", cron=DAILY)
    with at("2024-01-05 00:05"):
        project.execute("CREATE SCHEMA raw; CREATE TABLE raw.costs AS SELECT 1 AS amount")
        project.plan()
    shop = SqlmeshProject(tmp_path)
    definitions = dg.Definitions(
        assets=[build_sqlmesh_assets(project=shop, name="warehouse"), letters, forecast],
        resources={"sqlmesh": SqlmeshResource(project=shop)},
        jobs=[dg.define_asset_job("all", executor_def=dg.in_process_executor)],
    )
    jobs.append(definitions.get_repository_def().get_job("all"))
    with at("2024-01-06 00:05"), dg.DagsterInstance.ephemeral() as instance:
        project.execute("DROP TABLE raw.costs")
        first: Any = dg.execute_job(dg.reconstructable(job), instance=instance)
        project.execute("CREATE TABLE raw.costs AS SELECT 1 AS amount")
        again: Any = dg.execute_job(
            dg.reconstructable(job),
            instance=instance,
            reexecution_options=dg.ReexecutionOptions.from_failure(first.run_id, instance),
        )
    assert steps(first) == {"warehouse": "FAILURE"}
    assert steps(again) == {"warehouse": "SUCCESS", "forecast": "SUCCESS", "letters": "SKIPPED"}
    assert materialized(first) == ["shop/orders"]
    assert materialized(again) == ["shop/costs", "shop/revenue", "forecast"]
    orders = checks(again)["shop/orders"]
    assert orders.passed
    assert str(orders.description).startswith("skipped: its cron was not due")


# -- eager ---------------------------------------------------------------------------------------


@pytest.fixture
def instance(sqlmesh_project: Any, materialize_sqlmesh: Materialize) -> dg.DagsterInstance:  # noqa: ARG001
    """The one on which all of a test is materialized."""
    instances: list[dg.DagsterInstance] = []

    @dg.asset
    def look(context) -> None:  # type: ignore[no-untyped-def]
        # Dagster does not resolve annotations, and those of this module are strings.
        instances.append(context.instance)

    materialize_sqlmesh(look)
    return instances[0]


def daemon_of(instance: dg.DagsterInstance, *assets: dg.AssetsDefinition) -> Daemon:
    """Dagster's automation, which has looked at these assets once."""
    unused = {"sqlmesh": dg.ResourceDefinition.none_resource()}
    daemon = Daemon(instance, dg.Definitions(assets=assets, resources=unused))
    daemon.look()
    return daemon


@pytest.fixture
def daemon(instance: dg.DagsterInstance, scheduled: dg.AssetsDefinition) -> Daemon:
    """One that has seen all assets materialized once."""
    for key in (*scheduled.keys, *(asset.key for asset in BELOW)):
        instance.report_runless_asset_event(dg.AssetMaterialization(key))
    return daemon_of(instance, scheduled, *BELOW)


class TestInSeparateJobs:
    """`eager` below SQLMesh's models, which something else requests."""

    @pytest.mark.long
    def test_each_upstream_update_requests_them(
        self,
        sqlmesh_project: Any,
        materialize_sqlmesh: Materialize,
        scheduled: dg.AssetsDefinition,
        daemon: Daemon,
    ) -> None:
        assert daemon.look() == set()
        sqlmesh_project.travel(NEXT_DAY)
        assert_materialized_exactly(materialize_sqlmesh(scheduled), DAILY_ASSETS)
        assert daemon.look() == {"dashboard", "letters", "forecast"}
        assert daemon.look() == set()

    @pytest.mark.long
    def test_after_a_failure_they_are_requested_when_their_upstream_is_materialized(
        self,
        sqlmesh_project: Any,
        materialize_sqlmesh: Materialize,
        scheduled: dg.AssetsDefinition,
        daemon: Daemon,
    ) -> None:
        sqlmesh_project.travel(NEXT_DAY)
        sqlmesh_project.fail("shop.revenue", times=1)
        assert not materialize_sqlmesh(scheduled).success
        assert daemon.look() == {"letters"}
        assert materialize_sqlmesh(scheduled).success
        assert daemon.look() == {"dashboard", "forecast"}

    def test_they_wait_until_a_run_ends(
        self, instance: dg.DagsterInstance, scheduled: dg.AssetsDefinition, daemon: Daemon
    ) -> None:
        run = daemon.begin_run(frozenset(scheduled.keys))
        instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "report"]))
        assert daemon.look() == set()
        instance.report_run_canceled(run)
        assert daemon.look() == {"dashboard"}

    @pytest.mark.long
    def test_they_wait_until_all_upstream_assets_exist(
        self,
        sqlmesh_project: Any,
        materialize_sqlmesh: Materialize,
        scheduled: dg.AssetsDefinition,
        instance: dg.DagsterInstance,
    ) -> None:
        """Planned outside of Dagster, a weekly model keeps them waiting for a week."""
        daemon = daemon_of(instance, scheduled, *BELOW)
        sqlmesh_project.travel(NEXT_DAY)
        materialize_sqlmesh(scheduled)
        assert daemon.look() == {"letters", "forecast"}
        sqlmesh_project.travel(SUNDAY)
        materialize_sqlmesh(scheduled)
        assert "dashboard" in daemon.look()

    @pytest.mark.sqlmesh_project(plan=False)
    @pytest.mark.long
    def test_deployed_by_dagster_they_do_not_wait(
        self, materialize_sqlmesh: Materialize, instance: dg.DagsterInstance, shop: SqlmeshProject
    ) -> None:
        @sqlmesh_assets(project=shop, translator=Scheduled())
        def warehouse(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Iterator[Any]:
            yield from sqlmesh.plan(context=context).stream()

        daemon = daemon_of(instance, warehouse, *BELOW)
        assert materialize_sqlmesh(warehouse).success
        assert daemon.look() == {"dashboard", "letters", "forecast"}

    @pytest.mark.long
    def test_a_run_outside_of_dagster_does_not_request_them(
        self, sqlmesh_project: Any, instance: dg.DagsterInstance, daemon: Daemon
    ) -> None:
        sqlmesh_project.travel(NEXT_DAY)
        assert "shop.report" in sqlmesh_project.run().executed
        assert daemon.look() == set()
        instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "report"]))
        assert daemon.look() == {"dashboard"}


@pytest.mark.long
def test_one_sensor_requests_models_and_downstream_assets_in_one_run(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
) -> None:
    """If another model fails in that run, what is below a model that executed is lost."""
    instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "weekly"]))
    daemon = daemon_of(instance, warehouse, *BELOW)
    daemon.look("2024-01-05 23:50")
    sqlmesh_project.travel(NEXT_DAY)
    requested = daemon.look(NEXT_DAY)
    assert requested == {*DAILY_ASSETS, "dashboard", "letters", "forecast"}
    sqlmesh_project.fail("shop.revenue", times=1)
    failed = materialize_sqlmesh(warehouse, *BELOW, selection=sorted(requested))
    assert steps(failed) == {"warehouse": "FAILURE"}
    assert daemon.look("2024-01-06 00:06") == set()
    assert_materialized_exactly(materialize_sqlmesh(warehouse), ["shop/revenue", "shop/report"])
    assert daemon.look("2024-01-06 00:07") == {"dashboard", "forecast"}
