"""Dagster's selection becomes SQLMesh's: unselected models are neither run nor reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster import SqlmeshProject, build_sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.testing import (
    assert_check_passed,
    assert_materialized_exactly,
    assert_not_materialized,
    assert_sqlmesh_status,
)
from pytest_sqlmesh_tracker.tracking.errors.types import SelectorError
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.project.opening import open_context
from pytest_sqlmesh_tracker.tracking.project.selecting import selectors_of
from tests.dagster.building import running
from tests.dagster.conftest import NEXT_DAY, Materialize, checks, materialized, step_failure
from tests.projects import Project


def test_selected_models_run_without_their_upstream_models(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(warehouse, selection=["shop/revenue", "shop/weekly"])
    assert result.success
    assert_materialized_exactly(result, ["shop/revenue"])
    assert_not_materialized(result, "shop/orders")
    assert sorted(checks(result)) == ["shop/revenue", "shop/weekly"]
    assert_sqlmesh_status(result, "shop/weekly", "skipped", "cron_not_due")
    assert sqlmesh_project.tracker.last.arguments == {
        "select_models": ["shop.revenue", "shop.weekly"],
        "no_auto_upstream": True,
        "environment": "prod",
    }


def test_a_selection_leaves_standalone_audits_out(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    """SQLMesh's selectors mean models alone."""
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(warehouse, selection="shop/orders")
    assert result.success
    assert_materialized_exactly(result, ["shop/orders"])
    assert checks(result, "orders_exist") == {}


def test_assets_of_a_part_of_the_project(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    part = build_sqlmesh_assets(project=shop, select="+shop.report", exclude="shop.orders")
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(part)
    assert result.success
    assert_materialized_exactly(result, ["shop/revenue", "shop/report"])
    assert_sqlmesh_status(result, "shop/report", "executed")


def test_assets_without_their_checks(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(
        warehouse, selection=dg.AssetSelection.assets("shop/revenue").without_checks()
    )
    assert result.success
    assert materialized(result) == ["shop/revenue"]
    assert result.get_asset_check_evaluations() == []


def test_one_of_several_checks(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    check = dg.AssetCheckKey(dg.AssetKey(["shop", "revenue"]), "is_small")
    revenue = dg.AssetSelection.assets("shop/revenue").without_checks()
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(warehouse, selection=revenue | dg.AssetSelection.checks(check))
    assert result.success
    assert_check_passed(result, "shop/revenue", "is_small")
    (only,) = result.get_asset_check_evaluations()
    assert only.check_name == "is_small"


def test_selecting_only_checks_runs_nothing(
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
    warehouse: dg.AssetsDefinition,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """SQLMesh audits what it evaluates: without a model, there is nothing to report."""
    sqlmesh_project.travel(NEXT_DAY)
    before = len(sqlmesh_project.tracker.reports)
    result = materialize_sqlmesh(
        warehouse, selection=dg.AssetSelection.checks_for_assets("shop/revenue")
    )
    assert result.success
    assert result.get_asset_check_evaluations() == []
    assert materialized(result) == []
    assert len(sqlmesh_project.tracker.reports) == before
    message = "no assets are selected, so SQLMesh does not run and audits nothing"
    assert message in capfd.readouterr().err


def test_selecting_only_checks_keeps_earlier_failures_visible(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, warehouse: dg.AssetsDefinition
) -> None:
    """Dagster shows a check as skipped that a run planned and did not evaluate."""
    sqlmesh_project.travel(NEXT_DAY)
    sqlmesh_project.fail("shop.revenue")
    failed = checks(materialize_sqlmesh(warehouse))["shop/revenue"]

    result = materialize_sqlmesh(
        warehouse, selection=dg.AssetSelection.checks_for_assets("shop/revenue")
    )

    (repeated,) = result.get_asset_check_evaluations()
    assert not repeated.passed
    assert (repeated.description, repeated.metadata) == (failed.description, failed.metadata)


def test_arguments_of_the_user_take_precedence_over_the_selection(
    sqlmesh_project: Any, materialize_sqlmesh: Materialize, shop: SqlmeshProject
) -> None:
    warehouse = running(shop, select_models=["shop.till"])
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(warehouse, selection="shop/orders")
    assert materialized(result) == ["shop/till"]
    assert_sqlmesh_status(result, "shop/orders", "skipped", "not_selected")


# -- names that SQLMesh's selectors can't say ------------------------------------------------------

NAMES = ("s.plain", "S.Caps", 's."Quoted"', 's."with space"', 's."a+b(c)"', 's."1st"', 's."select"')


@pytest.fixture
def oddities(tmp_path: Path) -> Project:
    """Models with names that need quotes, and one whose dialect knows only capitals."""
    project = Project(tmp_path)
    for number, name in enumerate(NAMES):
        project.write(
            f"models/m{number}.sql", f"MODEL (name {name}, cron '@daily'); SELECT 1 AS id"
        )
    project.write("models/snow.sql", "MODEL (name s.snow, dialect snowflake); SELECT 1 AS id")
    return project


def test_any_model_can_be_selected(oddities: Project) -> None:
    """Where a selector can't express its name, its full name or a glob is used."""
    context = open_context(ProjectLocation([str(oddities.path)]))
    selector = context._new_selector()
    models = {model.fqn: model for model in context.models.values()}
    names = {"s.plain": "s.plain", 's."with space"': "*s.?with?space?", "s.snow": "*s.snow"}
    for fqn in models:
        (shown,) = (o for o in [*NAMES, "s.snow"] if _is(context, o, fqn))
        (selector_text,) = selectors_of(context, [shown])
        assert selector.expand_model_selections([selector_text]) == {fqn}
        assert selector_text == names.get(shown, selector_text)
    context.close()


def _is(context: Any, name: str, fqn: str) -> bool:
    return bool(context.get_model(name).fqn == fqn) if name != "s.snow" else "SNOW" in fqn


def test_a_model_that_no_selector_matches_alone(oddities: Project) -> None:
    oddities.write("models/like.sql", 'MODEL (name s."with-space"); SELECT 1 AS id')
    oddities.write("models/like2.sql", 'MODEL (name s."with+space"); SELECT 1 AS id')
    context = open_context(ProjectLocation([str(oddities.path)]))
    with pytest.raises(SelectorError, match=r"no selector for s\.\"with space\" alone"):
        selectors_of(context, ['s."with space"'])
    context.close()


def test_models_that_the_context_does_not_have_are_left_to_sqlmesh(oddities: Project) -> None:
    context = open_context(ProjectLocation([str(oddities.path)]))
    selectors = selectors_of(context, ["s.gone", 's."with space"'])
    assert selectors == ["s.gone", "*s.?with?space?"]
    context.close()


@pytest.mark.long
@pytest.mark.sqlmesh_project(at="2024-01-05 00:05")
def test_a_selection_of_unusual_names(oddities: Project, request: Any) -> None:
    request.node.add_marker(pytest.mark.sqlmesh_project(oddities.path))
    sqlmesh_project = request.getfixturevalue("sqlmesh_project")
    materialize_sqlmesh = request.getfixturevalue("materialize_sqlmesh")
    assets = build_sqlmesh_assets(project=SqlmeshProject(oddities.path))
    sqlmesh_project.travel(NEXT_DAY)
    keys = [["s", "with_space"], ["s", "snow"]]
    result = materialize_sqlmesh(assets, selection=keys)
    assert result.success, step_failure(result)
    assert sqlmesh_project.tracker.last.skipped >= {"s.plain"}
    assert sorted(checks(result)) == ["s/snow", "s/with_space"]
