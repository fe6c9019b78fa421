"""The tests and assets of a user with strict types. They are type-checked, and never run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typing_extensions import assert_type

from pytest_sqlmesh_tracker import (
    Batch,
    Cause,
    Forecast,
    GatePolicy,
    GateResult,
    GateRule,
    ModelOutcome,
    PredictedRun,
    Reason,
    RunReport,
    Sandbox,
    Sandboxes,
    Status,
    Tracker,
    UnknownModelError,
    assert_executed,
    assert_outcomes,
    assert_skipped,
    dump_reports,
    load_reports,
    sqlmesh_run_tracker,
    track_all,
    why,
)
from pytest_sqlmesh_tracker.dagster import (
    ModelDefinition,
    SqlmeshProject,
    SqlmeshResource,
    SqlmeshTranslator,
    build_sqlmesh_assets,
    build_sqlmesh_schedule,
    build_sqlmesh_sensor,
    sqlmesh_assets,
)
from pytest_sqlmesh_tracker.dagster.testing import (
    Materialize,
    assert_check_passed,
    assert_materialized,
    assert_sqlmesh_status,
)
from pytest_sqlmesh_tracker.strategies import assert_history_independent, histories

pytestmark = pytest.mark.sqlmesh_project(at="2024-01-08 09:05")


def test_a_night(sqlmesh_project: Sandbox, sqlmesh_tracker: Tracker) -> None:
    report = sqlmesh_project.run(at="2024-01-09 00:05", ignore_cron=False)
    assert_type(report, RunReport)
    report.assert_executed("sales.orders", cause=Cause.NEW_INTERVAL)
    report.assert_skipped("finance.*", reason=Reason.CRON_NOT_DUE)
    report.assert_outcomes({"sales.orders": "executed", "finance.weekly": Reason.CRON_NOT_DUE})
    assert_executed(sqlmesh_tracker, "sales.orders", intervals=("2024-01-08", "2024-01-09"))
    assert_skipped(report, "finance.weekly_revenue", reason="cron_not_due")
    assert_outcomes(sqlmesh_tracker, {"sales.orders": Status.EXECUTED}, exact=False)

    outcome = report["sales.orders"]
    assert_type(outcome, ModelOutcome)
    assert_type(outcome.status, Status)
    assert_type(outcome.reason, Reason | None)
    assert_type(outcome.next_due, datetime | None)
    assert_type(outcome.duration, timedelta | None)
    assert_type(outcome.rows, int | None)
    assert_type(outcome.batches, tuple[Batch, ...])
    assert_type(outcome.blocked_by, tuple[str, ...])
    assert outcome.held_back[0].start < outcome.batches[0].end
    assert report.by_reason["cron_not_due"] == report.skipped
    assert_type(report.skipped, frozenset[str])
    assert_type(report.explain("sales.orders"), str)
    assert_type(sqlmesh_tracker.last, RunReport)
    assert_type(sqlmesh_tracker.run_models, set[str])
    assert sqlmesh_tracker.get_results()["run_models"] == ["sales.orders"]


def test_time_data_and_faults(sqlmesh_project: Sandbox, sqlmesh_sandboxes: Sandboxes) -> None:
    sqlmesh_project.fail("sales.orders", error="the till is closed")
    sqlmesh_project.fail("sales.orders", error=ValueError("closed"), after_write=True)
    sqlmesh_project.hold("web.page_views")
    sqlmesh_project.release("web.page_views")
    sqlmesh_project.travel(timedelta(days=1))
    sqlmesh_project.insert("raw.orders", [{"id": 1, "amount": 2.5}])
    sqlmesh_project.stub("raw.http", [{"id": 1}])
    sqlmesh_project.write("models/orders.sql", "MODEL (name sales.orders); SELECT 1 AS id")
    assert_type(sqlmesh_project.plan(), RunReport)
    assert_type(sqlmesh_project.rows("sales.orders"), list[dict[str, Any]])
    sqlmesh_project.assert_rows("sales.orders", [{"id": 1}], columns=["id"])
    assert_type(sqlmesh_project.now, datetime)
    assert_type(sqlmesh_project.run_until("2024-01-12", every="1 day"), list[RunReport])
    forecast = sqlmesh_project.forecast("2024-01-20", every=timedelta(hours=1))
    assert_type(forecast, Forecast)
    forecast.assert_ticks("sales.orders", forecast.ticks("sales.orders"))
    with sqlmesh_sandboxes(at="2024-01-08") as other:
        assert_type(other, Sandbox)
        other.copy().close()
    with pytest.raises(UnknownModelError):
        sqlmesh_project.run().assert_executed("sales.order")


@pytest.fixture(scope="module")
def shop(sqlmesh_project_factory: Sandboxes) -> Sandbox:
    return sqlmesh_project_factory("shop", at="2024-01-08", plan=True)


def test_files_and_gate(shop: Sandbox, tmp_path: Path) -> None:
    report = shop.run()
    policy = GatePolicy(rules=[GateRule(models="sales.*", deny=["cron_not_due"])])
    result = policy.evaluate(report)
    assert_type(result, GateResult)
    assert [finding.message for finding in result.findings] == ["sales.orders was not due"]
    dump_reports(tmp_path / "night.json", [report, ("test_night", report)])
    for entry in load_reports(tmp_path / "night.json"):
        loaded = entry[1] if isinstance(entry, tuple) else entry
        assert_type(loaded, RunReport)
    assert RunReport.from_json(report.to_json()) == report
    now = why(shop.path)
    assert_type(now, PredictedRun)
    assert_type(now["sales.orders"], ModelOutcome)


def test_contexts_of_their_own(sqlmesh_project: Sandbox) -> None:
    executed: list[str] = []
    context = sqlmesh_project.context
    with sqlmesh_run_tracker(
        context, on_executed=lambda outcome: executed.append(outcome.name)
    ) as tracker:
        context.run()
    assert_type(tracker, Tracker)
    with track_all() as everything:
        context.run()
    assert_type(everything.reports, list[RunReport])


def test_any_history(sqlmesh_sandboxes: Sandboxes) -> None:
    assert_history_independent(
        sqlmesh_sandboxes, ["sales.orders"], histories=histories(3), examples=5
    )


class Translator(SqlmeshTranslator):
    """Assets with an owner."""

    def get_owners(self, model: ModelDefinition) -> Sequence[str]:
        """The owners."""
        return [*super().get_owners(model), "team:sales"]


project = SqlmeshProject("shop")


@sqlmesh_assets(project=project, environment="prod", translator=Translator())
def warehouse(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Iterator[object]:
    yield from sqlmesh.run(context=context).stream()


assets = build_sqlmesh_assets(project=project, name="without_a_body")
assert_type(assets, dg.AssetsDefinition)
assert_type(warehouse, dg.AssetsDefinition)
definitions = dg.Definitions(
    assets=[assets],
    schedules=[build_sqlmesh_schedule(assets, "*/5 * * * *")],
    sensors=[build_sqlmesh_sensor(assets)],
    resources={"sqlmesh": SqlmeshResource(project=project)},
)


def test_assets(materialize_sqlmesh: Materialize) -> None:
    result = materialize_sqlmesh(warehouse, selection=["sales/orders"])
    assert_type(result, dg.ExecuteInProcessResult)
    assert_materialized(result, "sales/orders")
    assert_check_passed(result, "sales/orders", "sqlmesh_execution_status")
    assert_sqlmesh_status(result, ["sales", "orders"], "executed", reason=None)
