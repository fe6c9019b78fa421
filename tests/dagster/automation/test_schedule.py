"""The due-only schedule: what it asks Dagster for, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest
from packaging.version import Version

from pytest_sqlmesh_tracker.dagster import (
    ProjectError,
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
    _bound,
    assert_check_passed,
    assert_materialized_exactly,
    assert_sqlmesh_status,
)
from tests.dagster.conftest import checks, facts, materialized, step_failure
from tests.dagster.models import model, project
from tests.dagster.ticks import UNFINISHED, evaluated, execute, shown_failed
from tests.projects import Project, at
from tests.tracking.queries.test_process import held

NEXT_DAY, SUNDAY, NOON = "2024-01-06 00:05", "2024-01-07 00:05", "2024-01-05 12:00"
DAILY = ["shop/orders", "shop/report", "shop/revenue", "shop/till"]
CHECKS_ALONE = pytest.mark.skipif(
    Version(dg.__version__) < schedules._CHECKS_ALONE,
    reason="this Dagster requests no checks alone",
)


class Site:
    """The shop's assets, a schedule of them, and a Dagster instance, on the test's sandbox."""

    def __init__(self, sqlmesh_project: Any, instance: dg.DagsterInstance, *assets: Any) -> None:
        self.shop, self.instance, self.assets = sqlmesh_project, instance, assets[0]
        self.schedule = build_sqlmesh_schedule(self.assets, "5 * * * *")
        self.repository = dg.Definitions(
            assets=assets,
            schedules=[self.schedule],
            resources={"sqlmesh": _bound(sqlmesh_project)},
            jobs=[dg.define_asset_job("all_assets", selection="*")],
        ).get_repository_def()

    def tick(self) -> dg.RunRequest | str:
        return evaluated(self.repository, self.schedule, self.instance)

    def requested(self) -> dg.RunRequest:
        request = self.tick()
        assert isinstance(request, dg.RunRequest), request
        return request

    def execute(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        return execute(self.repository, self.schedule, request, self.instance)

    def shown_failed(self) -> list[str]:
        return names(shown_failed(self.instance, self.assets.keys))


@pytest.fixture
def site(
    sqlmesh_project: Any, instance: dg.DagsterInstance, warehouse: dg.AssetsDefinition
) -> Site:
    return Site(sqlmesh_project, instance, warehouse)


def names(keys: Any) -> list[str]:
    return sorted(key.to_user_string() for key in keys or ())


# -- what is due -----------------------------------------------------------------------------------


def test_what_is_due_is_requested_and_executed(site: Site) -> None:
    site.shop.travel(NEXT_DAY)
    request = site.requested()
    assert names(request.asset_selection) == DAILY
    assert request.tags["sqlmesh/environment"] == "prod"
    assert_materialized_exactly(site.execute(request), DAILY)
    # All of it is done.
    assert site.tick() == "nothing of prod is due; next: 2024-01-07 00:00 UTC"


def test_nothing_is_due(site: Site) -> None:
    site.shop.travel(NOON)
    assert site.tick() == "nothing of prod is due; next: 2024-01-06 00:00 UTC"


def test_keys_are_those_that_the_assets_have_by_now(
    sqlmesh_project: Any, instance: dg.DagsterInstance, warehouse: dg.AssetsDefinition
) -> None:
    module = ModuleType("warehouse")
    vars(module)["warehouse"] = warehouse
    (renamed,) = dg.load_assets_from_modules([module], key_prefix="lake")
    site = Site(sqlmesh_project, instance, renamed)
    site.shop.travel(NEXT_DAY)
    request = site.requested()
    assert names(request.asset_selection) == [f"lake/{key}" for key in DAILY]
    assert "lake/shop/orders:orders_exist" in names(request.asset_check_keys)
    assert_materialized_exactly(site.execute(request), [f"lake/{key}" for key in DAILY])


def test_some_of_the_models(
    sqlmesh_project: Any, instance: dg.DagsterInstance, shop: SqlmeshProject
) -> None:
    revenue = build_sqlmesh_assets(project=shop, name="revenue", select="shop.revenue")
    site = Site(sqlmesh_project, instance, revenue)
    site.shop.travel(NEXT_DAY)
    # Asked for alone, it does not wait for what is upstream.
    site.shop.hold("shop.orders")
    request = site.requested()
    assert names(request.asset_selection) == ["shop/revenue"]
    assert_materialized_exactly(site.execute(request), ["shop/revenue"])


# -- signals ---------------------------------------------------------------------------------------


def test_what_waits_for_a_signal_is_not_requested(site: Site) -> None:
    site.shop.hold("shop.orders")
    site.shop.travel(NEXT_DAY)
    request = site.requested()
    assert names(request.asset_selection) == ["shop/till"]
    result = site.execute(request)
    assert_materialized_exactly(result, ["shop/till"])
    # Why the others were not is told all the same; of the weekly model, which is not due, nothing.
    told = {key: facts(check).get("sqlmesh/reason") for key, check in checks(result).items()}
    assert told == {
        "shop/orders": "signal_not_ready",
        "shop/report": "upstream_not_ready",
        "shop/revenue": "upstream_not_ready",
        "shop/till": None,
    }
    assert site.tick() == (
        "nothing of prod is due; waiting for a signal: shop.orders, shop.revenue, "
        "orders_exist, shop.report; next: 2024-01-07 00:00 UTC"
    )


def test_what_waited_and_is_executed_after_all_is_told_as_mended(site: Site) -> None:
    """The signal is ready when the run begins; when the schedule asked, it was not."""
    site.shop.hold("shop.orders")
    site.shop.travel(NEXT_DAY)
    waiting = checks(site.execute(site.requested()))["shop/orders"]
    site.shop.travel(SUNDAY)
    request = site.requested()
    assert "shop/orders" not in names(request.asset_selection)
    site.shop.release("shop.orders")
    result = site.execute(request)
    assert "shop/orders" in materialized(result)
    mended = checks(result)["shop/orders"]
    assert (waiting.passed, mended.passed) == (False, True)
    assert facts(mended)["sqlmesh/status"] == "executed"
    # Its audits ran as well.
    assert checks(result, "is_small")["shop/revenue"].passed


def test_many_models_that_wait(site: Site) -> None:
    site.shop.hold("shop.*")
    site.shop.travel(SUNDAY)
    # Neither an asset nor one of its checks is the audit of an external model.
    assert site.tick() == (
        "nothing is due that Dagster can request alone, only raw.till; waiting for a signal: "
        "shop.orders, shop.revenue, shop.till, shop.weekly, orders_exist and 1 more"
    )


# -- failures --------------------------------------------------------------------------------------


def test_nothing_is_shown_as_failed_that_did_not_fail(site: Site) -> None:
    site.shop.fail("shop.revenue")
    site.shop.travel(NEXT_DAY)
    request = site.requested()
    assert not site.execute(request).success
    # The report was due, and what it reads failed.
    assert site.shown_failed() == ["shop/report", "shop/revenue"]
    # The weekly model would be, if it had been asked for.
    site.repository.get_job("all_assets").execute_in_process(
        instance=site.instance, raise_on_error=False
    )
    assert "shop/weekly" in site.shown_failed()


def test_what_came_due_meanwhile_is_executed_and_told(site: Site) -> None:
    site.shop.travel(NEXT_DAY)
    request = site.requested()
    site.shop.travel(SUNDAY)
    result = site.execute(request)
    assert result.success
    assert sorted(materialized(result)) == [*DAILY, "shop/weekly"]


def test_a_failure_of_what_was_not_requested(site: Site) -> None:
    site.shop.travel(NEXT_DAY)
    request = site.requested()
    site.shop.fail("shop.weekly")
    site.shop.travel(SUNDAY)
    result = site.execute(request)
    assert_materialized_exactly(result, DAILY)
    assert "shop.weekly" in step_failure(result).description
    assert facts(checks(result)["shop/weekly"])["sqlmesh/reason"] == "error"
    assert site.shown_failed() == []


# -- standalone audits -----------------------------------------------------------------------------


def test_a_standalone_audit_is_requested_when_it_is_due(site: Site) -> None:
    site.shop.travel(NEXT_DAY)
    request = site.requested()
    assert "shop/orders:orders_exist" in names(request.asset_check_keys)
    result = site.execute(request)
    assert_check_passed(result, "shop/orders", "orders_exist")
    assert_sqlmesh_status(result, "shop/orders", "executed")


def only_the_audit_is_left(site: Site) -> None:
    """Of what was due, all has run but the standalone audit: models are selected."""
    site.shop.travel(NEXT_DAY)
    site.shop.run(select_models=["shop.orders", "shop.revenue", "shop.report", "shop.till"])


@CHECKS_ALONE
def test_a_standalone_audit_that_alone_is_due(site: Site) -> None:
    only_the_audit_is_left(site)
    request = site.requested()
    assert request.asset_selection == []
    assert names(request.asset_check_keys) == ["shop/orders:orders_exist"]
    result = site.execute(request)
    assert materialized(result) == []
    assert_check_passed(result, "shop/orders", "orders_exist")


def test_a_dagster_that_requests_no_checks_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "_CHECKS_ALONE", Version("99"))
    only_the_audit_is_left(site)
    said = site.tick()
    assert str(said).startswith("nothing is due that Dagster can request alone, only ")
    assert "orders_exist" in str(said)
    assert str(said).endswith("; next: 2024-01-07 00:00 UTC")


def test_without_the_tag_checks_alone_run_nothing(site: Site) -> None:
    site.shop.travel(NEXT_DAY)
    # Not `check`: Dagster's first versions would take it for a module of theirs.
    status = dg.AssetCheckKey(dg.AssetKey(["shop", "orders"]), STATUS_CHECK)
    request = dg.RunRequest(asset_selection=[], asset_check_keys=[status])
    assert site.execute(request).get_asset_check_evaluations() == []


# -- another run -----------------------------------------------------------------------------------


@pytest.mark.parametrize("selection", [None, [dg.AssetKey(["shop", "orders"])]])
@pytest.mark.parametrize("status", ["STARTING", "STARTED", "CANCELING"])
def test_a_run_that_is_not_finished(site: Site, status: str, selection: Any) -> None:
    site.shop.travel(NEXT_DAY)
    run = create_run(site, dg.DagsterRunStatus[status], "all_assets", selection)
    assert site.tick() == f"run {run.run_id[:8]} of prod is not finished"
    site.instance.delete_run(run.run_id)
    assert isinstance(site.tick(), dg.RunRequest)


def test_a_run_that_had_to_wait(site: Site) -> None:
    site.shop.travel(NEXT_DAY)
    run = create_run(site, dg.DagsterRunStatus.STARTED, "all_assets")
    site.instance.add_run_tags(run.run_id, {"sqlmesh/waits_for_plan": "1a2b3c4d5e"})
    words = f"run {run.run_id[:8]} of prod is not finished; it had to wait: {UNFINISHED}"
    assert site.tick() == words


@pytest.mark.parametrize("status", ["NOT_STARTED", "SUCCESS", "FAILURE", "CANCELED"])
def test_a_run_that_is_over_or_was_never_begun(site: Site, status: str) -> None:
    site.shop.travel(NEXT_DAY)
    create_run(site, dg.DagsterRunStatus[status], "all_assets")
    assert isinstance(site.tick(), dg.RunRequest)


def test_a_run_of_other_assets(
    sqlmesh_project: Any, instance: dg.DagsterInstance, warehouse: dg.AssetsDefinition
) -> None:
    @dg.asset
    def other() -> None:
        """Nothing of SQLMesh's."""

    site = Site(sqlmesh_project, instance, warehouse, other)
    site.shop.travel(NEXT_DAY)
    create_run(site, dg.DagsterRunStatus.STARTED, "all_assets", [other.key])
    assert isinstance(site.tick(), dg.RunRequest)


def create_run(
    site: Site, status: dg.DagsterRunStatus, job: str, selection: Any = None
) -> dg.DagsterRun:
    """A run that the instance knows of; its log says what it has planned."""
    definition = site.repository.get_job(job)
    if selection:
        definition = definition.get_subset(asset_selection=set(selection))
    return site.instance.create_run_for_job(definition, status=status)


def test_a_plan_that_is_being_applied(site: Site) -> None:
    site.shop.execute(
        "UPDATE sqlmesh._environments SET finalized_ts = NULL, plan_id = '1a2b3c4d5e'"
    )
    assert site.tick() == UNFINISHED


# -- in a process of its own -----------------------------------------------------------------------


def test_a_tick_with_a_process_of_its_own(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    written = Project(tmp_path)
    written.incremental("s.orders", "SELECT @start_dt::TIMESTAMP AS ts", cron="'@daily'")
    shop = SqlmeshProject(tmp_path)
    assets = build_sqlmesh_assets(project=shop)
    schedule = build_sqlmesh_schedule(assets, "5 * * * *")
    resources = {"sqlmesh": SqlmeshResource(project=shop)}
    repository = dg.Definitions(
        assets=[assets], schedules=[schedule], resources=resources
    ).get_repository_def()
    with at(NEXT_DAY), pytest.raises(ProjectError, match=r"environment prod of .* is not planned"):
        evaluated(repository, schedule, instance)
    with at("2024-01-05 00:05"):
        written.plan()
    written.context.close()
    with at(NEXT_DAY):
        with held(tmp_path / "wh.db"):
            said = evaluated(repository, schedule, instance)
        assert str(said).endswith(": another process has the database")
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


def test_a_schedule_has_the_name_and_the_times_that_it_is_given() -> None:
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
def test_the_resource_is_that_of_the_function(resource: str) -> None:
    functions: dict[str, Callable[..., Any]] = {}
    # A parameter's name can't be given otherwise.
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

    with pytest.raises(dg.DagsterInvalidDefinitionError, match="shop has 0 parameters"):
        build_sqlmesh_schedule(shop, "@hourly")


def test_assets_that_are_not_of_sqlmesh() -> None:
    @dg.asset
    def other() -> None:
        """Nothing of SQLMesh's."""

    for given in (other, dg.AssetsDefinition(specs=[dg.AssetSpec("another")])):
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="build_sqlmesh_schedule takes"):
            build_sqlmesh_schedule(given, "@hourly")


def test_the_tag_is_part_of_the_contract() -> None:
    assert DUE_ONLY == "sqlmesh/due_only"
