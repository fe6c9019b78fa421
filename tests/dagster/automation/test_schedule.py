"""The due-only schedule: what it requests from Dagster, and the results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest
from packaging.version import Version

from pytest_sqlmesh_tracker import ProjectError
from pytest_sqlmesh_tracker.dagster import (
    SqlmeshProject,
    SqlmeshResource,
    build_sqlmesh_assets,
    build_sqlmesh_schedule,
    sqlmesh_assets,
)
from pytest_sqlmesh_tracker.dagster.automation import schedule as schedules
from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.dagster.running.tags import DUE_ONLY
from pytest_sqlmesh_tracker.dagster.testing import (
    assert_check_passed,
    assert_materialized_exactly,
    assert_sqlmesh_status,
)
from tests.dagster.conftest import (
    DAILY_ASSETS,
    NEXT_DAY,
    SUNDAY,
    checks,
    facts,
    materialized,
    step_failure,
)
from tests.dagster.models import model, project
from tests.dagster.ticks import UNFINISHED, Scheduled, evaluated, execute
from tests.databases import held
from tests.projects import Project, at

NOON = "2024-01-05 12:00"
CHECKS_ALONE = pytest.mark.skipif(
    Version(dg.__version__) < schedules._CHECKS_ALONE,
    reason="this Dagster requests no checks alone",
)


@pytest.fixture
def instance(stored_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """Dagster evaluates schedules on instances that are stored alone."""
    return stored_instance


@pytest.fixture
def site(
    sqlmesh_project: Any, instance: dg.DagsterInstance, warehouse: dg.AssetsDefinition
) -> Scheduled:
    return Scheduled(sqlmesh_project, instance, warehouse)


def names(keys: Any) -> list[str]:
    return sorted(key.to_user_string() for key in keys or ())


# -- what is due -----------------------------------------------------------------------------------


@pytest.mark.long
def test_due_models_are_requested_and_executed(site: Scheduled) -> None:
    site.project.travel(NEXT_DAY)
    request = site.requested()
    assert names(request.asset_selection) == DAILY_ASSETS
    assert request.tags["sqlmesh/environment"] == "prod"
    assert_materialized_exactly(site.execute(request), DAILY_ASSETS)
    # All of it is done.
    assert site.evaluate() == "nothing is due in prod; next due: 2024-01-07 00:00 UTC"


@pytest.mark.long
def test_nothing_is_due(site: Scheduled) -> None:
    site.project.travel(NOON)
    assert site.evaluate() == "nothing is due in prod; next due: 2024-01-06 00:00 UTC"


@pytest.mark.long
def test_keys_are_the_current_keys_of_the_assets(
    sqlmesh_project: Any, instance: dg.DagsterInstance, warehouse: dg.AssetsDefinition
) -> None:
    module = ModuleType("warehouse")
    vars(module)["warehouse"] = warehouse
    (renamed,) = dg.load_assets_from_modules([module], key_prefix="lake")
    assert isinstance(renamed, dg.AssetsDefinition)
    site = Scheduled(sqlmesh_project, instance, renamed)
    site.project.travel(NEXT_DAY)
    request = site.requested()
    assert names(request.asset_selection) == [f"lake/{key}" for key in DAILY_ASSETS]
    assert "lake/shop/orders:orders_exist" in names(request.asset_check_keys)
    assert_materialized_exactly(site.execute(request), [f"lake/{key}" for key in DAILY_ASSETS])


@pytest.mark.long
def test_a_selection_of_models(
    sqlmesh_project: Any, instance: dg.DagsterInstance, shop: SqlmeshProject
) -> None:
    revenue = build_sqlmesh_assets(project=shop, name="revenue", select="shop.revenue")
    site = Scheduled(sqlmesh_project, instance, revenue)
    site.project.travel(NEXT_DAY)
    # Asked for alone, it does not wait for what is upstream.
    site.project.hold("shop.orders")
    request = site.requested()
    assert names(request.asset_selection) == ["shop/revenue"]
    assert_materialized_exactly(site.execute(request), ["shop/revenue"])


# -- signals ---------------------------------------------------------------------------------------


@pytest.mark.long
def test_models_that_wait_for_a_signal_are_not_requested(site: Scheduled) -> None:
    site.project.hold("shop.orders")
    site.project.travel(NEXT_DAY)
    request = site.requested()
    assert names(request.asset_selection) == ["shop/till"]
    result = site.execute(request)
    assert_materialized_exactly(result, ["shop/till"])
    # The others still have a reason; the weekly model, which is not due, has none.
    reasons = {key: facts(check).get("sqlmesh/reason") for key, check in checks(result).items()}
    assert reasons == {
        "shop/orders": "signal_not_ready",
        "shop/report": "upstream_not_ready",
        "shop/revenue": "upstream_not_ready",
        "shop/till": None,
    }
    assert site.evaluate() == (
        "nothing is due in prod; waiting for a signal: shop.orders, shop.revenue, "
        "orders_exist, shop.report; next due: 2024-01-07 00:00 UTC"
    )


@pytest.mark.long
def test_a_check_passes_again_after_a_model_that_waited_was_executed(site: Scheduled) -> None:
    """The signal is ready when the run begins, but was not when the schedule was evaluated."""
    site.project.hold("shop.orders")
    site.project.travel(NEXT_DAY)
    waiting = checks(site.execute(site.requested()))["shop/orders"]
    site.project.travel(SUNDAY)
    request = site.requested()
    assert "shop/orders" not in names(request.asset_selection)
    site.project.release("shop.orders")
    result = site.execute(request)
    assert "shop/orders" in materialized(result)
    mended = checks(result)["shop/orders"]
    assert (waiting.passed, mended.passed) == (False, True)
    assert facts(mended)["sqlmesh/status"] == "executed"
    # Its audits ran as well.
    assert checks(result, "is_small")["shop/revenue"].passed


def test_a_long_list_of_waiting_models_is_shortened(site: Scheduled) -> None:
    site.project.hold("shop.*")
    site.project.travel(SUNDAY)
    # Neither an asset nor one of its checks is the audit of an external model.
    assert site.evaluate() == (
        "due, but Dagster can't request them alone: raw.till; waiting for a signal: "
        "shop.orders, shop.revenue, shop.till, shop.weekly, orders_exist and 1 more"
    )


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.long
def test_only_requested_models_are_shown_as_failed(site: Scheduled) -> None:
    site.project.fail("shop.revenue")
    site.project.travel(NEXT_DAY)
    request = site.requested()
    assert not site.execute(request).success
    # The report was due, and what it reads failed.
    assert names(site.shown_failed()) == ["shop/report", "shop/revenue"]
    # The weekly model would be, if it had been requested.
    site.repository.get_job("everything").execute_in_process(
        instance=site.instance, raise_on_error=False
    )
    assert "shop/weekly" in names(site.shown_failed())


@pytest.mark.long
def test_models_that_became_due_meanwhile_are_executed_and_reported(site: Scheduled) -> None:
    site.project.travel(NEXT_DAY)
    request = site.requested()
    site.project.travel(SUNDAY)
    result = site.execute(request)
    assert result.success
    assert sorted(materialized(result)) == [*DAILY_ASSETS, "shop/weekly"]


@pytest.mark.long
def test_a_failure_of_a_model_that_was_not_requested(site: Scheduled) -> None:
    site.project.travel(NEXT_DAY)
    request = site.requested()
    site.project.fail("shop.weekly")
    site.project.travel(SUNDAY)
    result = site.execute(request)
    assert_materialized_exactly(result, DAILY_ASSETS)
    assert "shop.weekly" in step_failure(result).description
    assert facts(checks(result)["shop/weekly"])["sqlmesh/reason"] == "error"
    assert names(site.shown_failed()) == []


# -- standalone audits -----------------------------------------------------------------------------


@pytest.mark.long
def test_a_standalone_audit_is_requested_when_it_is_due(site: Scheduled) -> None:
    site.project.travel(NEXT_DAY)
    request = site.requested()
    assert "shop/orders:orders_exist" in names(request.asset_check_keys)
    result = site.execute(request)
    assert_check_passed(result, "shop/orders", "orders_exist")
    assert_sqlmesh_status(result, "shop/orders", "executed")


def only_the_audit_is_left(site: Scheduled) -> None:
    """Everything due has run except the standalone audit: models are selected."""
    site.project.travel(NEXT_DAY)
    site.project.run(select_models=["shop.orders", "shop.revenue", "shop.report", "shop.till"])


@pytest.mark.long
@CHECKS_ALONE
def test_only_a_standalone_audit_is_due(site: Scheduled) -> None:
    only_the_audit_is_left(site)
    request = site.requested()
    assert request.asset_selection == []
    assert names(request.asset_check_keys) == ["shop/orders:orders_exist"]
    result = site.execute(request)
    assert materialized(result) == []
    assert_check_passed(result, "shop/orders", "orders_exist")


def test_a_dagster_version_that_cannot_request_only_checks(
    site: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "_CHECKS_ALONE", Version("99"))
    only_the_audit_is_left(site)
    skip_message = site.evaluate()
    assert str(skip_message).startswith("due, but Dagster can't request them alone: ")
    assert "orders_exist" in str(skip_message)
    assert str(skip_message).endswith("; next due: 2024-01-07 00:00 UTC")


def test_without_the_tag_only_checks_run_nothing(site: Scheduled) -> None:
    site.project.travel(NEXT_DAY)
    # Not `check`: Dagster's first versions would take it for a module of theirs.
    status = dg.AssetCheckKey(dg.AssetKey(["shop", "orders"]), STATUS_CHECK)
    request = dg.RunRequest(asset_selection=[], asset_check_keys=[status])
    assert site.execute(request).get_asset_check_evaluations() == []


# -- another run -----------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("selection", [None, [dg.AssetKey(["shop", "orders"])]])
@pytest.mark.parametrize("status", ["STARTING", "STARTED", "CANCELING"])
def test_an_unfinished_run(site: Scheduled, status: str, selection: Any) -> None:
    site.project.travel(NEXT_DAY)
    run = create_run(site, dg.DagsterRunStatus[status], "everything", selection)
    assert site.evaluate() == f"run {run.run_id[:8]} of prod is not finished"
    site.instance.delete_run(run.run_id)
    assert isinstance(site.evaluate(), dg.RunRequest)


def test_a_run_that_had_to_wait(site: Scheduled) -> None:
    site.project.travel(NEXT_DAY)
    run = create_run(site, dg.DagsterRunStatus.STARTED, "everything")
    site.instance.add_run_tags(run.run_id, {"sqlmesh/waits_for_plan": "1a2b3c4d5e"})
    words = f"run {run.run_id[:8]} of prod is not finished; it had to wait: {UNFINISHED}"
    assert site.evaluate() == words


@pytest.mark.long
@pytest.mark.parametrize("status", ["NOT_STARTED", "SUCCESS", "FAILURE", "CANCELED"])
def test_a_run_that_has_ended_or_never_started(site: Scheduled, status: str) -> None:
    site.project.travel(NEXT_DAY)
    create_run(site, dg.DagsterRunStatus[status], "everything")
    assert isinstance(site.evaluate(), dg.RunRequest)


def test_a_run_of_other_assets(
    sqlmesh_project: Any, instance: dg.DagsterInstance, warehouse: dg.AssetsDefinition
) -> None:
    @dg.asset
    def other() -> None:
        """Nothing of SQLMesh's."""

    site = Scheduled(sqlmesh_project, instance, warehouse, other)
    site.project.travel(NEXT_DAY)
    create_run(site, dg.DagsterRunStatus.STARTED, "everything", [other.key])
    assert isinstance(site.evaluate(), dg.RunRequest)


def create_run(
    site: Scheduled, status: dg.DagsterRunStatus, job: str, selection: Any = None
) -> dg.DagsterRun:
    """A run that the instance has recorded; its log lists what it planned."""
    definition = site.repository.get_job(job)
    if selection:
        definition = definition.get_subset(asset_selection=set(selection))
    return site.instance.create_run_for_job(definition, status=status)


def test_a_plan_that_is_being_applied(site: Scheduled) -> None:
    site.project.execute(
        "UPDATE sqlmesh._environments SET finalized_ts = NULL, plan_id = '1a2b3c4d5e'"
    )
    assert site.evaluate() == UNFINISHED


# -- in a separate process -------------------------------------------------------------------------


@pytest.mark.processes
def test_a_tick_queries_sqlmesh_in_a_separate_process(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    written = Project(tmp_path)
    written.incremental("s.orders", "SELECT @start_dt::TIMESTAMP AS ts", cron="'@daily'")
    shop = SqlmeshProject(tmp_path)
    assets = build_sqlmesh_assets(project=shop)
    schedule = build_sqlmesh_schedule(assets, "5 * * * *")
    resources = {"sqlmesh": SqlmeshResource(project=shop)}
    repository = dg.Definitions(
        assets=[assets], schedules=[schedule], resources=resources
    ).get_repository_def()
    with (
        at(NEXT_DAY),
        pytest.raises(ProjectError, match=r"prod of .* has not been planned"),
    ):
        evaluated(repository, schedule, instance)
    with at("2024-01-05 00:05"):
        written.plan()
    written.context.close()
    with at(NEXT_DAY):
        with held(tmp_path / "wh.db"):
            skip_message = evaluated(repository, schedule, instance)
        assert str(skip_message).endswith(": another process has locked the database")
        request = evaluated(repository, schedule, instance)
        assert isinstance(request, dg.RunRequest)
        result = execute(repository, schedule, request, instance)
    assert materialized(result) == ["s/orders"]


# -- how it is made --------------------------------------------------------------------------------


def test_schedules_of_two_environments() -> None:
    shop = project(model("shop.orders"))
    of = [build_sqlmesh_assets(project=shop, environment=name) for name in ("prod", "dev")]
    schedules = [build_sqlmesh_schedule(assets, "5 * * * *") for assets in of]
    assert [schedule.name for schedule in schedules] == ["shop_prod_due", "shop_dev_due"]
    assert schedules[0].default_status is dg.DefaultScheduleStatus.STOPPED


def test_a_schedule_has_the_configured_name_and_cron() -> None:
    assets = build_sqlmesh_assets(project=project(model("shop.orders")))
    schedule = build_sqlmesh_schedule(
        assets,
        ["0 * * * *", "30 0 * * *"],
        name="hourly",
        execution_timezone="Europe/Berlin",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    assert (schedule.name, schedule.execution_timezone) == ("hourly", "Europe/Berlin")
    assert schedule.cron_schedule == ["0 * * * *", "30 0 * * *"]
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


@pytest.mark.parametrize("resource", ["sqlmesh", "warehouse_of_ours"])
def test_the_schedule_uses_the_resource_of_the_function(resource: str) -> None:
    functions: dict[str, Callable[..., Any]] = {}
    # A parameter can't be named in any other way.
    exec(
        f"def run(context, {resource}: SqlmeshResource): ...",
        {"SqlmeshResource": SqlmeshResource},
        functions,
    )
    assets = sqlmesh_assets(project=project(model("shop.orders")))(functions["run"])
    assert build_sqlmesh_schedule(assets, "@hourly").required_resource_keys == {resource}


def test_a_function_without_the_resource() -> None:
    @sqlmesh_assets(project=project(model("shop.orders")))
    def shop(context: dg.AssetExecutionContext) -> None: ...

    with pytest.raises(dg.DagsterInvalidDefinitionError, match="must have exactly one parameter"):
        build_sqlmesh_schedule(shop, "@hourly")


def test_assets_without_sqlmesh_are_rejected() -> None:
    @dg.asset
    def other() -> None:
        """Nothing of SQLMesh's."""

    for assets in (other, dg.AssetsDefinition(specs=[dg.AssetSpec("another")])):
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="schedule requires assets"):
            build_sqlmesh_schedule(assets, "@hourly")


def test_the_tag_has_its_documented_name() -> None:
    assert DUE_ONLY == "sqlmesh/due_only"
