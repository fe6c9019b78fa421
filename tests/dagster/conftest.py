"""A shop in SQLMesh as assets: tests materialize them on a sandbox of it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from shutil import copytree
from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import SqlmeshProject, build_sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.dagster.testing import Materialize as Materialize
from tests.projects import ONE_AND_FOUR, Project, read_between, rows_every

# Sessions of pytester forget what was first imported in them, and these can be loaded but once.
for once in ("pandas", "duckdb", "sqlmesh"):
    import_module(once)

MORNING = "2024-01-05 00:05"
"""All is loaded: the next day is due at midnight, the next week on Sunday, the 7th."""
NEXT_DAY, SUNDAY = "2024-01-06 00:05", "2024-01-07 00:05"
DAILY_ASSETS = ["shop/orders", "shop/report", "shop/revenue", "shop/till"]
"""The assets of the shop whose models are due on the next day."""
AUDITS = """
AUDIT (name is_positive);
SELECT * FROM @this_model WHERE amount <= 0;

AUDIT (name is_small, blocking false);
SELECT * FROM @this_model WHERE amount > 100;

AUDIT (name at_least);
SELECT * FROM @this_model WHERE amount < @least;

AUDIT (name orders_exist, standalone true);
SELECT 1 AS missing WHERE NOT EXISTS (SELECT * FROM shop.orders);
"""
EXTERNAL = """
- name: raw.till
  columns: {ts: timestamp, amount: int}
  audits: [{name: is_positive}]
"""
DAILY = "'@daily'"


@pytest.fixture
def sqlmesh_project(_project_of_module: None, sqlmesh_project: Any) -> Any:
    """The plugin's fixture, on the module's project."""
    return sqlmesh_project


@pytest.fixture
def _project_of_module(request: pytest.FixtureRequest, files: Path) -> None:
    marker = pytest.mark.sqlmesh_project(files, at=MORNING)
    # A test's own marker is to have the last word.
    request.node.add_marker(marker, append=False)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """orders → revenue → report, plus a weekly model and one with audits."""
    project = Project(tmp_path_factory.mktemp("shop"))
    project.write("config.yaml", ONE_AND_FOUR)
    project.write("audits/audits.sql", AUDITS)
    project.write("external_models.yaml", EXTERNAL)
    ticks = rows_every("1 day", "8 AS amount")
    project.incremental("shop.orders", ticks, ", batch_size 1", cron=DAILY)
    audits = "(is_positive, is_small, at_least(least := 1), at_least(least := 2))"
    revenue = read_between("shop.orders")
    project.incremental("shop.revenue", revenue, cron=DAILY, audits=audits)
    project.model("shop.report", "SELECT SUM(amount) AS amount FROM shop.revenue", cron=DAILY)
    project.model("shop.till", "SELECT amount FROM raw.till", cron=DAILY)
    weekly = "SELECT COUNT(*) AS n FROM shop.orders"
    project.model("shop.weekly", weekly, cron="'@weekly'", start="'2023-12-01'")
    return project.path


@pytest.fixture(scope="session")
def shop(files: Path) -> SqlmeshProject:
    """The project, loaded once."""
    return SqlmeshProject(files)


@pytest.fixture(scope="session")
def warehouse(shop: SqlmeshProject) -> dg.AssetsDefinition:
    """Its assets."""
    return build_sqlmesh_assets(project=shop, name="warehouse")


STORED = pytest.mark.parametrize("instance", ["stored"], indirect=True)
"""The test's `instance` is the `stored_instance`."""


@pytest.fixture
def instance(request: pytest.FixtureRequest) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in memory: it is created, and stores, several times as fast."""
    if getattr(request, "param", None) == "stored":
        yield request.getfixturevalue("stored_instance")
    else:
        with dg.DagsterInstance.ephemeral() as in_memory:
            yield in_memory


@pytest.fixture
def stored_instance(dagster_home: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that stores in files, as in production."""
    with dg.instance_for_test(temp_dir=str(dagster_home)) as stored:
        yield stored


@pytest.fixture
def dagster_home(empty_home: Path, tmp_path: Path) -> Path:
    """The folder of a Dagster instance in which nothing has happened yet."""
    return copytree(empty_home, tmp_path / "dagster_home")


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dagster's databases without contents: they take longer to create than to copy."""
    folder = tmp_path_factory.mktemp("dagster_home")
    with dg.instance_for_test(temp_dir=str(folder)) as created:
        created.get_runs(limit=1)
        created.all_asset_keys()
        created.all_instigator_state()
    return folder


def checks(result: dg.ExecuteInProcessResult, name: str = STATUS_CHECK) -> dict[str, Any]:
    """Asset → the latest evaluation of its check of this name."""
    return {
        each.asset_key.to_user_string(): each
        for each in result.get_asset_check_evaluations()
        if each.check_name == name
    }


def facts(evaluation: Any) -> dict[str, Any]:
    """The metadata of a check or a materialization, as plain values."""
    return {name: entry.value for name, entry in evaluation.metadata.items()}


def materialized(result: dg.ExecuteInProcessResult) -> list[str]:
    """The assets that were materialized, in this order."""
    events = result.get_asset_materialization_events()
    return [event.asset_key.to_user_string() for event in events if event.asset_key]


def step_failure(result: dg.ExecuteInProcessResult) -> Any:
    """The `Failure` of the one step that failed: its `description`, `metadata`, and so on."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return event.step_failure_data.user_failure_data
