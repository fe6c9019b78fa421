"""Assets whose models do not exist any more, or not yet: removed, renamed, or never planned."""

from __future__ import annotations

from collections.abc import Iterator
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
from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.dagster.testing import (
    assert_check_failed,
    assert_materialized_exactly,
    assert_sqlmesh_status,
)
from tests.dagster.building import hourly_models, planning, running
from tests.dagster.conftest import Materialize, checks, facts, step_failure

pytestmark = pytest.mark.sqlmesh_project(at="2024-01-08 10:05")
AN_HOUR_LATER, ANOTHER_HOUR = "2024-01-08 11:05", "2024-01-08 12:05"
LAST = "models/s.last.sql"
GONE = "skipped: it is not in the environment, nor in the project"
SELECTIONS = pytest.mark.parametrize(
    "selection",
    [None, ["s/last"], ["s/first", "s/last"], ["s/middle"]],
    ids=["everything", "all removed models", "one removed model", "other models"],
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """first → middle → last, each of them hourly."""
    queries = {
        "s.first": "SELECT 1 AS n",
        "s.middle": "SELECT n FROM s.first",
        "s.last": "SELECT n FROM s.middle",
    }
    return hourly_models(tmp_path_factory.mktemp("chain"), queries)


@pytest.fixture(scope="module")
def chain(files: Path) -> SqlmeshProject:
    """The project as it was when the assets were made."""
    project = SqlmeshProject(files)
    assert len(project.definition.models) == 3
    return project


@pytest.fixture(scope="module")
def warehouse(chain: SqlmeshProject) -> dg.AssetsDefinition:
    return build_sqlmesh_assets(project=chain, name="warehouse")


def remove(sqlmesh_project: Any, file: str = LAST) -> str:
    """Delete a file of the project, and return what was in it."""
    text: str = (sqlmesh_project.path / file).read_text()
    (sqlmesh_project.path / file).unlink()
    sqlmesh_project.context.load()
    return text


@pytest.fixture
def without_last(sqlmesh_project: Any) -> Any:
    """The sandbox after a plan has removed `s.last`; the assets still have it."""
    remove(sqlmesh_project)
    sqlmesh_project.plan()
    return sqlmesh_project


def assert_gone(result: dg.ExecuteInProcessResult, key: str, message: str = GONE) -> None:
    """The one check of the asset in this run says that its model is not in the environment."""
    assert_sqlmesh_status(result, key, "skipped", "not_in_environment")
    assert_check_failed(result, key, STATUS_CHECK, severity="WARN")
    evaluations = [
        each
        for each in result.get_asset_check_evaluations()
        if each.asset_key.to_user_string() == key
    ]
    assert [each.description for each in evaluations] == [message]


def selected(selection: list[str] | None) -> set[str]:
    return set(selection or ["s/first", "s/middle", "s/last"])


@pytest.mark.long
@SELECTIONS
def test_a_model_that_a_plan_removed(
    without_last: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    selection: list[str] | None,
) -> None:
    without_last.travel(AN_HOUR_LATER)
    result = materialize_sqlmesh(warehouse, selection=selection)
    assert result.success
    assert_materialized_exactly(result, selected(selection) - {"s/last"})
    assert set(checks(result)) == selected(selection)
    if "s/last" in selected(selection):
        assert_gone(result, "s/last")


@SELECTIONS
def test_a_model_that_was_only_deleted_locally_runs_as_planned(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    selection: list[str] | None,
) -> None:
    remove(sqlmesh_project)
    sqlmesh_project.travel(AN_HOUR_LATER)
    result = materialize_sqlmesh(warehouse, selection=selection)
    assert result.success
    assert_materialized_exactly(result, selected(selection))


@SELECTIONS
@pytest.mark.sqlmesh_project(plan=False)
@pytest.mark.long
def test_a_model_that_was_never_planned(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    selection: list[str] | None,
) -> None:
    text = remove(sqlmesh_project)
    sqlmesh_project.plan()
    sqlmesh_project.write(LAST, text)
    sqlmesh_project.travel(AN_HOUR_LATER)
    result = materialize_sqlmesh(warehouse, selection=selection)
    assert result.success
    assert_materialized_exactly(result, selected(selection) - {"s/last"})
    if "s/last" in selected(selection):
        assert_gone(result, "s/last", "skipped: it is not in the environment")


@SELECTIONS
def test_a_model_that_was_renamed(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    selection: list[str] | None,
) -> None:
    """Its asset has the old name; under the new one, a run of everything evaluates it."""
    text = remove(sqlmesh_project, "models/s.middle.sql")
    last = (sqlmesh_project.path / LAST).read_text()
    sqlmesh_project.write("models/s.center.sql", text.replace("s.middle", "s.center"))
    sqlmesh_project.write(LAST, last.replace("s.middle", "s.center"))
    sqlmesh_project.plan()
    sqlmesh_project.travel(AN_HOUR_LATER)
    result = materialize_sqlmesh(warehouse, selection=selection)
    assert result.success
    materialized = {e.asset_key for e in result.get_asset_materialization_events()}
    new = {"s/center"} if selection is None else set()
    names = {key.to_user_string() for key in materialized if key}
    assert names == selected(selection) - {"s/middle"} | new
    if "s/middle" in selected(selection):
        assert_gone(result, "s/middle")


def test_a_model_that_was_disabled(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    """SQLMesh does not load it: the next plan removes it."""
    text = remove(sqlmesh_project)
    sqlmesh_project.write(LAST, text.replace("kind FULL", "kind FULL, enabled false"))
    sqlmesh_project.plan()
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert_gone(result, "s/last")


def test_an_earlier_check_that_passed_does_not_stand(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(AN_HOUR_LATER)
    before = materialize_sqlmesh(warehouse)
    assert checks(before)["s/last"].passed
    text = remove(sqlmesh_project)
    sqlmesh_project.plan()
    sqlmesh_project.travel(ANOTHER_HOUR)
    assert_gone(materialize_sqlmesh(warehouse), "s/last")

    sqlmesh_project.write(LAST, text)
    sqlmesh_project.plan()
    back = materialize_sqlmesh(warehouse)
    assert checks(back)["s/last"].passed


def test_an_earlier_failure_does_not_stand(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(AN_HOUR_LATER)
    sqlmesh_project.fail("s.last", times=1)
    assert not materialize_sqlmesh(warehouse).success
    remove(sqlmesh_project)
    sqlmesh_project.plan()
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert_gone(result, "s/last")


def test_the_check_of_a_removed_model_has_the_metadata_of_any_status_check(
    without_last: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    without_last.travel(AN_HOUR_LATER)
    metadata = facts(checks(materialize_sqlmesh(warehouse))["s/last"])
    assert metadata["sqlmesh/execution_time"].startswith("2024-01-08T11:05")
    del metadata["sqlmesh/execution_time"]
    record = metadata.pop("sqlmesh/outcome")
    assert (record["status"], record["reasons"]) == ("skipped", ["not_in_environment"])
    assert metadata == {
        "sqlmesh/status": "skipped",
        "sqlmesh/reason": "not_in_environment",
        "sqlmesh/message": GONE,
        "sqlmesh/environment": "prod",
    }


def test_assets_of_other_ops_downstream_of_a_removed_model_are_not_materialized(
    without_last: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    @dg.asset(deps=[["s", "last"]])
    def dashboard() -> None: ...

    @dg.asset(deps=[["s", "middle"]])
    def letters() -> None: ...

    without_last.travel(AN_HOUR_LATER)
    result = materialize_sqlmesh(warehouse, dashboard, letters)
    assert result.success
    assert_materialized_exactly(result, ["s/first", "s/middle", "letters"])


@pytest.mark.usefixtures("without_last")
def test_a_check_that_is_not_selected_is_not_evaluated(
    materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    selection = dg.AssetSelection.assets("s/first", "s/last").without_checks()
    result = materialize_sqlmesh(warehouse, selection=selection)
    assert result.success
    assert checks(result) == {}


def test_a_retry_keeps_the_status_of_a_model_that_was_executed_before_it_was_removed(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, chain: SqlmeshProject
) -> None:
    """The check of what this Dagster run has materialized is not evaluated again."""

    def stream(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Iterator[Any]:
        if context.op_execution_context.retry_number:
            remove(sqlmesh_project)
            sqlmesh_project.plan()
        yield from sqlmesh.run(context=context).stream()
        if not context.op_execution_context.retry_number:
            raise dg.RetryRequested

    warehouse = sqlmesh_assets(project=chain, name="warehouse")(stream)
    sqlmesh_project.travel(AN_HOUR_LATER)
    result = materialize_sqlmesh(warehouse)
    assert result.success
    assert_sqlmesh_status(result, "s/last", "executed")


@pytest.mark.parametrize("applied", [True, False], ids=["removed before", "removed by this plan"])
@pytest.mark.long
def test_a_model_removed_by_a_plan_or_earlier(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, chain: SqlmeshProject, applied: bool
) -> None:
    remove(sqlmesh_project)
    if applied:
        sqlmesh_project.plan()
    result = materialize_sqlmesh(planning(chain))
    assert result.success
    assert_gone(result, "s/last")


@pytest.mark.usefixtures("without_last")
def test_a_removed_model_is_interrupted_like_all_others_if_the_environment_does_not_exist(
    materialize_sqlmesh: Materialize, chain: SqlmeshProject
) -> None:
    result = materialize_sqlmesh(running(chain, environment="nowhere"))
    assert "nowhere" in str(step_failure(result).description)
    descriptions = {key: check.description for key, check in checks(result).items()}
    assert len(descriptions) == 3
    assert len(set(descriptions.values())) == 1
    assert_sqlmesh_status(result, "s/last", "interrupted", "environment_missing")
    assert_check_failed(result, "s/last", STATUS_CHECK, severity="ERROR")


class TestComponent:
    """Its state is of an earlier deployment: the environment and the files are newer."""

    @pytest.fixture
    def deployed(self, files: Path, tmp_path: Path, sqlmesh_project: Any) -> dg.AssetsDefinition:
        """The assets of a component whose state was written before `s.last` was removed."""
        if not hasattr(dg, "StateBackedComponent"):
            pytest.skip("this Dagster has no components that keep state")
        from pytest_sqlmesh_tracker.dagster import SqlmeshProjectComponent

        component = SqlmeshProjectComponent(project=SqlmeshProject(files))
        component.write_state_to_path(tmp_path / "state")
        remove(sqlmesh_project)
        sqlmesh_project.plan()
        context = dg.ComponentTree.for_test().load_context
        (assets,) = component.build_defs_from_state(context, tmp_path / "state").assets or ()
        assert isinstance(assets, dg.AssetsDefinition)
        return assets

    @SELECTIONS
    def test_a_model_that_no_longer_exists(
        self,
        sqlmesh_project: Any,
        materialize_sqlmesh: Materialize,
        deployed: dg.AssetsDefinition,
        selection: list[str] | None,
    ) -> None:
        sqlmesh_project.travel(AN_HOUR_LATER)
        result = materialize_sqlmesh(deployed, selection=selection)
        assert result.success
        assert_materialized_exactly(result, selected(selection) - {"s/last"})
        if "s/last" in selected(selection):
            assert_gone(result, "s/last")
