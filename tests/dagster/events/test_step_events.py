"""The events that a step reports to Dagster, for everything that SQLMesh can do with a model."""

from __future__ import annotations

from functools import wraps
from typing import Any

import dagster as dg
import pytest
from sqlmesh.core.snapshot import Snapshot, SnapshotEvaluator

from pytest_sqlmesh_tracker import ModelOutcome
from pytest_sqlmesh_tracker.dagster import SqlmeshProject, build_sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.events import emission
from pytest_sqlmesh_tracker.dagster.events.metadata import outcome_metadata
from pytest_sqlmesh_tracker.dagster.testing import (
    assert_check_failed,
    assert_check_passed,
    assert_materialized_exactly,
    assert_sqlmesh_status,
)
from pytest_sqlmesh_tracker.tracking.events.taps import MethodEvents
from tests.dagster.building import configured, planning, running
from tests.dagster.conftest import (
    DAILY_ASSETS,
    NEXT_DAY,
    Materialize,
    checks,
    facts,
    materialized,
    step_failure,
)

STATUS = "sqlmesh_execution_status"


@pytest.fixture
def next_day(sqlmesh_project: Any) -> Any:
    """The sandbox a day later: what is daily is due."""
    sqlmesh_project.travel(NEXT_DAY)
    return sqlmesh_project


def materialization(result: dg.ExecuteInProcessResult, key: str) -> dg.AssetMaterialization:
    (event,) = [
        event
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey.from_user_string(key)
    ]
    made: dg.AssetMaterialization = event.step_materialization_data.materialization
    return made


@pytest.mark.long
def test_executed_models_are_materialized(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel("2024-01-07 00:05")
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert_materialized_exactly(result, [*DAILY_ASSETS, "shop/weekly"])
    # In topological order.
    assert materialized(result)[0] in ("shop/orders", "shop/till")
    assert_sqlmesh_status(result, "shop/orders", "executed")

    orders = materialization(result, "shop/orders")
    metadata = facts(orders)
    assert metadata["sqlmesh/status"] == "executed"
    assert metadata["sqlmesh/environment"] == "prod"
    assert metadata["sqlmesh/intervals"] == "2024-01-05 .. 2024-01-06"
    assert metadata["sqlmesh/batches"] == 2
    assert metadata["sqlmesh/duration"] > 0
    assert [column.name for column in metadata["dagster/column_schema"].columns] == ["ts", "amount"]
    (reference,) = metadata["dagster/code_references"].code_references
    assert reference.file_path.endswith("models/shop.orders.sql")
    lineage = facts(materialization(result, "shop/revenue"))["dagster/column_lineage"]
    (source,) = lineage.deps_by_column["amount"]
    assert (source.asset_key, source.column_name) == (dg.AssetKey(["shop", "orders"]), "amount")
    assert_check_passed(result, "shop/orders", STATUS)
    assert checks(result)["shop/orders"].description == "executed in 2 batches: new interval"


@pytest.mark.long
@pytest.mark.usefixtures("next_day")
def test_each_execution_has_another_data_version(
    materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    """Even an execution of the same interval."""
    again = {"ops": {"warehouse": {"config": {"restate": ["shop.report"]}}}}
    results = [materialize_sqlmesh(warehouse), materialize_sqlmesh(warehouse, run_config=again)]
    versions = {
        (materialization(result, "shop/report").tags or {})["dagster/data_version"]
        for result in results
    }
    assert len(versions) == 2
    assert_materialized_exactly(results[1], ["shop/report"])


def test_an_expected_skip_passes(
    materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert_materialized_exactly(result, [])
    assert_sqlmesh_status(result, "shop/weekly", "skipped", "cron_not_due")
    weekly = checks(result)["shop/weekly"]
    assert weekly.passed
    assert weekly.description == "skipped: its cron was not due, next due 2024-01-07 00:00 UTC"
    metadata = facts(weekly)
    assert metadata["sqlmesh/reason"] == "cron_not_due"
    assert metadata["sqlmesh/next_due"] == "2024-01-07T00:00:00+00:00"
    assert metadata["sqlmesh/message"] == weekly.description
    assert metadata["sqlmesh/environment"] == "prod"


def test_materialization_and_check_have_environment_and_execution_time(
    next_day: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    """As soon as they are reported, before there is a report."""
    result = materialize_sqlmesh(warehouse)
    moment = next_day.tracker.last.execution_time.isoformat()
    (event,) = result.asset_materializations_for_node("warehouse")[:1]
    for metadata in (facts(checks(result)[event.asset_key.to_user_string()]), facts(event)):
        assert metadata["sqlmesh/status"] == "executed"
        assert metadata["sqlmesh/environment"] == "prod"
        assert metadata["sqlmesh/execution_time"] == moment


def test_an_unexpected_skip_warns(
    next_day: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    next_day.hold("shop.orders")
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert_materialized_exactly(result, ["shop/till"])
    assert_check_failed(result, "shop/orders", STATUS, "WARN")
    assert_sqlmesh_status(result, "shop/orders", "skipped", "signal_not_ready")
    orders = checks(result)["shop/orders"]
    assert orders.description == (
        "skipped: its signal was not ready (held_by_test); held back: 2024-01-05"
    )
    assert facts(orders)["sqlmesh/signals"] == "held_by_test (2024-01-05)"
    assert_sqlmesh_status(result, "shop/revenue", "skipped", "upstream_not_ready")
    assert_check_failed(result, "shop/revenue", STATUS, "WARN")
    assert facts(checks(result)["shop/revenue"])["sqlmesh/blocked_by"] == "shop.orders"


def test_a_failure_fails_the_step_once_and_keeps_materializations(
    next_day: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    next_day.fail("shop.revenue", error="the till is closed")
    result = materialize_sqlmesh(warehouse)
    assert not result.success
    assert_materialized_exactly(result, ["shop/orders", "shop/till"])
    assert_check_failed(result, "shop/revenue", STATUS, "ERROR")
    assert_check_failed(result, "shop/report", STATUS, "WARN")
    failure = step_failure(result)
    assert failure.description.splitlines() == [
        "SQLMesh run of prod: 1 model failed, 1 skipped as a result",
        "  shop.revenue  failed: its evaluation raised InjectedError: the till is closed",
    ]
    assert facts(failure) == {"sqlmesh/failed": "shop.revenue", "sqlmesh/completion": "failure"}


def test_a_partial_failure_is_not_a_materialization(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel("2024-01-07 00:05")
    sqlmesh_project.fail("shop.orders", batch=1)
    result = materialize_sqlmesh(warehouse)
    assert_materialized_exactly(result, ["shop/till"])
    metadata = facts(checks(result)["shop/orders"])
    assert metadata["sqlmesh/status"] == "failed"
    assert (metadata["sqlmesh/intervals"], metadata["sqlmesh/batches"]) == ("2024-01-05", 1)


def test_several_failures_raise_one_failure(
    next_day: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    next_day.fail("shop.till", error="no paper")
    next_day.fail("shop.revenue", audit="is_positive")
    failure = step_failure(materialize_sqlmesh(warehouse))
    assert failure.description.splitlines()[0] == (
        "SQLMesh run of prod: 2 models failed, 1 skipped as a result"
    )
    assert "\n  shop.revenue  failed: a blocking audit failed (is_positive)" in failure.description
    assert "\n  shop.till     failed: its evaluation raised" in failure.description


def test_an_error_in_the_tracker_fails_no_run(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    shop: SqlmeshProject,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What SQLMesh did is then unknown, and reported as unknown."""
    monkeypatch.setattr(MethodEvents, "deciding", wraps(MethodEvents.deciding)(_broken))
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(running(shop, fail_on_unknown=False))
    assert result.success
    assert_materialized_exactly(result, [])
    assert_sqlmesh_status(result, "shop/orders", "unknown")
    assert_check_failed(result, "shop/orders", STATUS, "ERROR")

    sqlmesh_project.travel("+1 day")
    result = materialize_sqlmesh(running(shop, fail_on_unknown=True))
    assert not result.success
    assert "unknown" in step_failure(result).description


def test_an_error_in_the_events_of_one_model_affects_no_other(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaking(outcome: ModelOutcome, *args: Any) -> Any:
        return _broken() if outcome.name == "shop.till" else outcome_metadata(outcome, *args)

    monkeypatch.setattr(emission, "outcome_metadata", breaking)
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert_materialized_exactly(result, [key for key in DAILY_ASSETS if key != "shop/till"])
    assert_sqlmesh_status(result, "shop/till", "unknown")
    assert_check_failed(result, "shop/till", STATUS, "ERROR")


def _broken(*_: Any, **__: Any) -> None:
    raise RuntimeError("an error in the tracker")


@pytest.mark.parametrize("audit", ["is_positive", "at_least"])
def test_a_blocking_audit(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    audit: str,
) -> None:
    """It fails its model; each call of it with arguments is a separate check."""
    names = {"is_positive": ["is_positive"], "at_least": ["at_least_1", "at_least_2"]}[audit]
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.revenue", audit=audit)
    result = materialize_sqlmesh(warehouse)
    assert_materialized_exactly(result, ["shop/orders", "shop/till"])
    assert_sqlmesh_status(result, "shop/revenue", "failed", "audit_failed")
    for name in ("is_positive", "is_small", "at_least_1", "at_least_2"):
        if name in names:
            assert_check_failed(result, "shop/revenue", name, "ERROR")
            assert checks(result, name)["shop/revenue"].description == "found 1 row"
        else:
            assert_check_passed(result, "shop/revenue", name)
    assert "a blocking audit failed" in step_failure(result).description


def test_a_non_blocking_audit(
    next_day: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    next_day.fail("shop.revenue", audit="is_small")
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert_materialized_exactly(result, DAILY_ASSETS)
    assert_check_failed(result, "shop/revenue", "is_small", "WARN")
    assert_check_passed(result, "shop/revenue", STATUS)


def test_an_audit_that_did_not_run_is_not_evaluated(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    assert checks(materialize_sqlmesh(warehouse), "is_positive") == {}
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.revenue")
    assert checks(materialize_sqlmesh(warehouse), "is_positive") == {}


@pytest.mark.long
def test_a_standalone_audit_is_a_check_of_an_asset_that_it_reads(
    next_day: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    assert_check_passed(materialize_sqlmesh(warehouse), "shop/orders", "orders_exist")
    next_day.travel("+1 day")
    next_day.fail("orders_exist")
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert_check_failed(result, "shop/orders", "orders_exist", "WARN")
    assert_check_passed(result, "shop/orders", STATUS)


def test_an_external_model_with_audits_is_not_an_asset_and_fails_its_readers(
    next_day: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    next_day.fail("raw.till", audit="is_positive")
    result = materialize_sqlmesh(warehouse)
    assert_materialized_exactly(result, ["shop/orders", "shop/report", "shop/revenue"])
    assert_sqlmesh_status(result, "shop/till", "skipped", "upstream_failed")
    assert facts(step_failure(result))["sqlmesh/failed"] == "raw.till"


def test_a_plan_of_changed_audits_materializes_nothing(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    model = sqlmesh_project.path / "models/shop.revenue.sql"
    sqlmesh_project.write(
        "models/shop.revenue.sql", model.read_text().replace("(is_positive, ", "(")
    )

    result = materialize_sqlmesh(planning(shop))
    assert result.success
    assert_materialized_exactly(result, [])
    assert_sqlmesh_status(result, "shop/revenue", "audited")
    assert_check_passed(result, "shop/revenue", STATUS)
    assert_check_passed(result, "shop/revenue", "at_least_1")
    assert checks(result, "is_positive") == {}


def test_models_upstream_of_the_selection_that_ran_are_reported(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    warehouse = running(shop, no_auto_upstream=False)
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(warehouse, selection="shop/revenue")
    assert result.success
    assert_materialized_exactly(result, ["shop/orders", "shop/revenue"])
    assert sorted(checks(result)) == ["shop/revenue"]


def test_a_model_that_was_deleted_locally(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize
) -> None:
    """The environment still runs it, until the next plan."""
    (sqlmesh_project.path / "models/shop.till.sql").unlink()
    sqlmesh_project.context.load()
    warehouse = build_sqlmesh_assets(project=SqlmeshProject(sqlmesh_project.path), name="warehouse")
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert sorted(materialized(result)) == DAILY_ASSETS
    assert sorted(checks(result)) == ["shop/orders", "shop/report", "shop/revenue", "shop/weekly"]


def test_a_run_of_everything_reports_models_that_are_not_assets(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    """For example, models of other projects in the same environment."""
    sqlmesh_project.write(
        "models/other.sql", "MODEL (name other.new, kind FULL, cron '@daily'); SELECT 1 AS id"
    )
    sqlmesh_project.plan()
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert sorted(materialized(result)) == ["other/new", *DAILY_ASSETS]


def test_a_model_is_recorded_before_the_next_one_starts(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story: list[tuple[str, str]] = []
    evaluate, handle = SnapshotEvaluator.evaluate, dg.DagsterInstance.handle_new_event

    def evaluating(self: SnapshotEvaluator, snapshot: Snapshot, *args: Any, **rest: Any) -> Any:
        key = "/".join(snapshot.name.replace('"', "").split(".")[1:])
        if key in DAILY_ASSETS:
            story.append(("starts", key))
        return evaluate(self, snapshot, *args, **rest)

    def handling(self: dg.DagsterInstance, event: Any, *args: Any, **rest: Any) -> Any:
        handled = handle(self, event, *args, **rest)
        stored = event.dagster_event
        if stored and stored.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            story.append(("is on record", stored.asset_key.to_user_string()))
        return handled

    monkeypatch.setattr(SnapshotEvaluator, "evaluate", evaluating)
    monkeypatch.setattr(dg.DagsterInstance, "handle_new_event", handling)
    sqlmesh_project.travel(NEXT_DAY)
    assert materialize_sqlmesh(warehouse).success
    assert len(story) == 2 * len(DAILY_ASSETS)
    for started, recorded in zip(story[::2], story[1::2], strict=True):
        assert (started[0], recorded[0]) == ("starts", "is on record")
        assert started[1] == recorded[1]


def test_causes_are_reported(
    materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    result = materialize_sqlmesh(warehouse, run_config=configured(restate=["shop.orders"]))
    for metadata in (
        facts(materialization(result, "shop/revenue")),
        facts(checks(result)["shop/revenue"]),
    ):
        assert metadata["sqlmesh/cause"] == "restated"
        assert metadata["sqlmesh/restated_by"] == "shop.orders"
    assert "sqlmesh/cause" not in facts(checks(result)["shop/till"])


@pytest.mark.usefixtures("next_day")
def test_a_model_that_ran_ahead_of_upstream_passes_and_is_reported(
    materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    result = materialize_sqlmesh(warehouse, selection=["shop/revenue"])
    revenue = checks(result)["shop/revenue"]
    assert revenue.passed
    words = "evaluated ahead of shop.orders, which had not loaded 2024-01-05"
    assert revenue.description == f"executed in 1 batch: new interval; {words}"
    assert facts(revenue)["sqlmesh/upstream_behind"] == "shop.orders (2024-01-05)"


def test_waiting_since_is_reported(
    next_day: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    next_day.hold("shop.orders")
    metadata = facts(checks(materialize_sqlmesh(warehouse))["shop/orders"])
    assert metadata["sqlmesh/waiting_since"] == "2024-01-06T00:00:00+00:00"
