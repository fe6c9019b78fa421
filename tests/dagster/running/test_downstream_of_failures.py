"""In a run with a failed model, assets downstream of other models can run: the executor decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import SqlmeshProject, SqlmeshResource, build_sqlmesh_assets
from tests.dagster.conftest import DAILY, materialized
from tests.projects import Project, at

jobs: list[dg.JobDefinition] = []


# What Dagster executes: it looks a job up by the name of a function, once.
def by_default() -> dg.JobDefinition:
    return jobs[-1]


def without_upstream_success() -> dg.JobDefinition:
    return jobs[-1]


def _executor(*, waits_for_success: bool) -> dg.ExecutorDefinition:
    if waits_for_success:
        return dg.in_process_executor
    # The oldest Dagster always waits for it.
    pytest.importorskip("dagster._core.execution.step_dependency_config")
    config = {"step_dependency_config": {"require_upstream_step_success": False}}
    made: dg.ExecutorDefinition = dg.in_process_executor.configured(config)
    return made


def _below(name: str, *models: str) -> dg.AssetsDefinition:
    make = dg.asset(name=name, deps=[["shop", model] for model in models])
    made: dg.AssetsDefinition = make(lambda: None)
    return made


@pytest.mark.parametrize(
    ("job", "below"),
    [(by_default, []), (without_upstream_success, ["letters", "stamps"])],
    ids=["by default", "without upstream success"],
)
def test_assets_downstream_of_executed_models(
    tmp_path: Path, job: Callable[[], dg.JobDefinition], below: list[str]
) -> None:
    """Nothing below a model that failed, was blocked or was not due is materialized."""
    executor = _executor(waits_for_success=job is by_default)
    project = Project(tmp_path)
    project.model("shop.orders", "SELECT 8 AS amount", cron=DAILY)
    project.model("shop.costs", "SELECT amount FROM raw.costs", cron=DAILY)
    project.model("shop.revenue", "SELECT amount FROM shop.costs", cron=DAILY)
    weekly = {"cron": "'@weekly'", "start": "'2023-12-01'"}
    project.model("shop.weekly", "SELECT amount FROM shop.orders", **weekly)
    with at("2024-01-05 00:05"):
        project.execute("CREATE SCHEMA raw; CREATE TABLE raw.costs AS SELECT 1 AS amount")
        assert project.plan().completion == "success"
    shop = SqlmeshProject(tmp_path)
    stamps: dg.AssetsDefinition = dg.asset(name="stamps", deps=["letters"])(lambda: None)
    definitions = dg.Definitions(
        assets=[
            build_sqlmesh_assets(project=shop, name="warehouse"),
            _below("letters", "orders"),
            stamps,
            _below("of_what_failed", "costs"),
            _below("of_what_was_blocked", "revenue"),
            _below("of_what_was_not_due", "weekly"),
            _below("of_good_and_failed", "orders", "costs"),
        ],
        resources={"sqlmesh": SqlmeshResource(project=shop)},
        jobs=[dg.define_asset_job("all", executor_def=executor)],
    )
    jobs.append(definitions.get_repository_def().get_job("all"))
    with at("2024-01-06 00:05"), dg.DagsterInstance.ephemeral() as instance:
        project.execute("DROP TABLE raw.costs")
        result: Any = dg.execute_job(dg.reconstructable(job), instance=instance)
    assert not result.success
    assert materialized(result) == ["shop/orders", *below]
