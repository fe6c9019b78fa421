"""Forward-only changes, with or without a preview in dev, then applied to prod."""

from __future__ import annotations

import pytest

from tests.projects import Project, at

DAILY = {"cron": "'@daily'"}


@pytest.fixture
def orders(project: Project) -> Project:
    """raw → orders (forward-only) → totals; planned to prod on January 9th, then orders edited."""
    project.incremental("s.raw", "SELECT @start_dt AS ts, 1 AS id", **DAILY)
    project.incremental("s.orders", "SELECT ts, id FROM s.raw", ", forward_only TRUE", **DAILY)
    project.model("s.totals", "SELECT COUNT(*) AS n FROM s.orders", **DAILY)
    project.plan_once("2024-01-09 12:00")
    project.incremental(
        "s.orders", "SELECT ts, id + 1 AS id FROM s.raw", ", forward_only TRUE", **DAILY
    )
    return project


def test_a_preview_is_an_evaluation(orders: Project) -> None:
    with at("2024-01-09 13:00"):
        report = orders.unwitnessed_plan("dev", enable_preview=True, auto_apply=True)
    report.assert_executed("s.orders")
    report.assert_skipped("s.raw", reason="no_changes")
    assert not report.unknown


def test_a_change_that_is_not_previewed(orders: Project) -> None:
    with at("2024-01-09 13:00"):
        report = orders.unwitnessed_plan("dev", enable_preview=False, auto_apply=True)
    report.assert_skipped("s.orders", reason="no_preview")
    assert not report.unknown


def test_a_forward_only_plan(orders: Project) -> None:
    orders.model("s.totals", "SELECT COUNT(*) + 1 AS n FROM s.orders", **DAILY)
    orders.reload()
    with at("2024-01-09 13:00"):
        report = orders.unwitnessed_plan("dev", forward_only=True, auto_apply=True)
    report.assert_executed("s.orders", "s.totals")
    assert not report.unknown


def test_metadata_of_a_forward_only_model(orders: Project) -> None:
    query = "SELECT ts, id FROM s.raw"
    orders.incremental("s.orders", query, ", forward_only TRUE", description="'told'", **DAILY)
    orders.reload()
    with at("2024-01-09 13:00"):
        report = orders.unwitnessed_plan("dev", enable_preview=True, auto_apply=True)
    report.assert_outcomes(
        {"s.raw": "no_changes", "s.orders": "reused", "s.totals": "reused"}, exact=True
    )
    assert report["s.orders"].change_category == "metadata"


def test_prod_reuses_existing_tables(orders: Project) -> None:
    with at("2024-01-09 13:00"):
        orders.unwitnessed_plan("dev", enable_preview=False, auto_apply=True)
        report = orders.plan()
    report.assert_skipped("s.orders", reason="reused")
    assert report["s.orders"].change_category in ("breaking", "forward_only", "non_breaking")
    assert not report.unknown


def test_a_second_environment(orders: Project) -> None:
    with at("2024-01-09 13:00"):
        orders.unwitnessed_plan("dev", enable_preview=False, auto_apply=True)
        report = orders.unwitnessed_plan("dev2", enable_preview=False, auto_apply=True)
    report.assert_skipped("s.orders", reason="no_preview")
    assert not report.unknown
