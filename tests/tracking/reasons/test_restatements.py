"""Restatements: what is reloaded, what is refused, and what is left out."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from tests.projects import Project, at

DAILY = {"cron": "'@daily'"}


@pytest.fixture
def warehouse(project: Project) -> Project:
    """seed → orders → totals, names aside, and a model below orders that must not be restated."""
    project.write("seeds/codes.csv", "code\n1\n2\n")
    project.model("s.codes", "", kind="SEED (path '../seeds/codes.csv')")
    project.incremental("s.raw", "SELECT @start_dt AS ts, 1 AS id", **DAILY)
    project.incremental("s.orders", "SELECT r.ts, r.id FROM s.raw AS r, s.codes", **DAILY)
    project.model("s.totals", "SELECT COUNT(*) AS n FROM s.orders", **DAILY)
    project.model("s.names", "SELECT 'a' AS name", **DAILY)
    project.incremental(
        "s.ledger", "SELECT ts, id FROM s.orders", ", disable_restatement TRUE", **DAILY
    )
    project.model("s.below_ledger", "SELECT COUNT(*) AS n FROM s.ledger", **DAILY)
    project.plan_once("2024-01-09 12:00")
    return project


def test_a_restatement_loads_downstream_models_and_refuses_others(warehouse: Project) -> None:
    with at("2024-01-09 13:00"):
        report = warehouse.plan(restate_models=["s.orders"], start="2024-01-03", end="2024-01-04")
    report.assert_executed("s.orders", intervals=("2024-01-03", "2024-01-05"))
    report.assert_only_executed("s.orders", "s.totals")
    report.assert_skipped("s.raw", "s.names", "s.codes", reason="not_selected")
    report.assert_skipped("s.ledger", reason="restatement_refused")
    # What is below a refused model has no parent that is restated.
    report.assert_skipped("s.below_ledger", reason="not_selected")
    assert report["s.orders"].loaded_through == datetime(2024, 1, 9, tzinfo=timezone.utc)
    assert report["s.orders"].reasons == ()


def test_models_upstream_of_a_restatement_have_no_changes(warehouse: Project) -> None:
    with at("2024-01-09 13:00"):
        report = warehouse.plan(restate_models=["s.orders"])
    assert report["s.raw"].reasons == ("not_selected", "no_changes")
    assert report["s.ledger"].reasons == ("restatement_refused", "no_changes")


def test_seeds_are_not_restated(warehouse: Project) -> None:
    with at("2024-01-09 13:00"):
        report = warehouse.plan(restate_models=["s.codes", "s.names"])
    report.assert_only_executed("s.names")
    report.assert_skipped("s.codes", reason="restatement_refused")
    # A seed that is not restated passes nothing on.
    report.assert_skipped("s.orders", "s.totals", reason="not_selected")


def test_versions_of_prod_are_not_restated_from_dev(warehouse: Project) -> None:
    warehouse.model("s.names", "SELECT 'b' AS name", **DAILY)
    warehouse.reload()
    with at("2024-01-09 13:00"):
        warehouse.plan("dev")
        report = warehouse.plan("dev", restate_models=["s.names", "s.raw"])
    report.assert_only_executed("s.names")
    report.assert_skipped("s.raw", reason="restatement_refused")
    report.assert_skipped("s.orders", reason="not_selected")


def test_a_restatement_with_only_refused_models(warehouse: Project) -> None:
    with at("2024-01-09 13:00"):
        report = warehouse.plan(restate_models=["s.ledger"])
    report.assert_nothing_executed()
    report.assert_skipped("s.ledger", reason="restatement_refused")
    assert report.completion == "nothing_to_do"


def test_a_local_model_is_not_restated(warehouse: Project) -> None:
    """A restatement works on the environment's models, and leaves local changes alone."""
    warehouse.model("s.new", "SELECT 1 AS id", **DAILY)
    warehouse.model("s.names", "SELECT 'edited' AS name", **DAILY)
    warehouse.reload()
    with at("2024-01-09 13:00"):
        report = warehouse.plan(restate_models=["s.orders", "s.names"])
    report.assert_skipped("s.new", reason="not_in_environment")
    report.assert_executed("s.names")


def test_a_restatement_of_an_unknown_model(warehouse: Project) -> None:
    from sqlmesh.utils.errors import PlanError

    with at("2024-01-09 13:00"), pytest.raises(PlanError):
        warehouse.plan(restate_models=["s.nothing"])


def test_a_failed_restatement_reports_what_is_still_loaded(warehouse: Project) -> None:
    from pytest_sqlmesh_tracker.tracking.compat import restates_state_first

    warehouse.model("s.fragile", "SELECT * FROM raw.later", **DAILY)
    with at("2024-01-09 13:00"):
        warehouse.execute("CREATE SCHEMA raw; CREATE TABLE raw.later AS SELECT 1 AS id")
        warehouse.reload()
        warehouse.plan()
        warehouse.execute("DROP TABLE raw.later")
        report = warehouse.plan(restate_models=["s.fragile"])
    report.assert_failed("s.fragile")
    loaded = None if restates_state_first() else datetime(2024, 1, 9, tzinfo=timezone.utc)
    assert report["s.fragile"].loaded_through == loaded


def test_a_restatement_by_a_plan_that_was_built_before(warehouse: Project) -> None:
    """`Context.apply` gets only the plan, which records what the user requested."""
    from pytest_sqlmesh_tracker import sqlmesh_run_tracker

    with at("2024-01-09 13:00"), sqlmesh_run_tracker(warehouse.context) as tracker:
        builder = warehouse.context.plan_builder(restate_models=["s.orders", "s.codes"])
        warehouse.context.apply(builder.build())
    tracker.assert_only_executed("s.orders", "s.totals")
    tracker.assert_skipped("s.codes", "s.ledger", reason="restatement_refused")
    tracker.assert_skipped("s.names", reason="not_selected")


@pytest.mark.long
def test_a_model_that_starts_after_the_restated_intervals(warehouse: Project) -> None:
    """It is downstream of what is restated, and has nothing there."""
    warehouse.incremental("s.recent", "SELECT ts, id FROM s.orders", start="'2024-01-06'", **DAILY)
    warehouse.reload()
    with at("2024-01-09 13:00"):
        warehouse.plan()
        report = warehouse.plan(restate_models=["s.orders"], start="2024-01-02", end="2024-01-03")
    report.assert_only_executed("s.orders", "s.totals")
    report.assert_skipped("s.recent", reason="no_changes")
