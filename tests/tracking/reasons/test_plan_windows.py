"""What a plan loads, given its time arguments and the time that has passed; other catalogs."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.engines.engine import only_duckdb
from tests.projects import Project, at

DAILY = {"cron": "'@daily'"}
TICKS = "SELECT @start_dt AS ts, 1 AS id"


def day(number: int) -> datetime:
    return datetime(2024, 1, number, tzinfo=timezone.utc)


@pytest.fixture
def orders(project: Project) -> Project:
    """orders → totals, and names; planned to prod on January 9th."""
    project.incremental("s.orders", TICKS, **DAILY)
    project.incremental("s.totals", "SELECT ts, id FROM s.orders", **DAILY)
    project.model("s.names", "SELECT 'a' AS name", **DAILY)
    project.plan_once("2024-01-09 12:00")
    return project


def test_a_window_holds_back_the_rest_of_a_change(orders: Project) -> None:
    orders.incremental("s.orders", "SELECT @start_dt AS ts, 2 AS id", **DAILY)
    orders.reload()
    with at("2024-01-09 13:00"):
        report = orders.plan("dev", start="2024-01-03", end="2024-01-04")
        again = orders.plan("dev", start="2024-01-03", end="2024-01-04")
    report.assert_executed("s.orders", intervals=("2024-01-03", "2024-01-05"))
    assert report["s.orders"].reasons == ("outside_window",)
    assert report["s.orders"].loaded_through == day(5)
    assert again["s.orders"].reasons == ("outside_window", "no_changes")
    assert again.completion == "nothing_to_do"


def test_a_plan_loads_no_further_than_its_environment(orders: Project) -> None:
    orders.incremental("s.new", TICKS, start="'2024-01-10'", **DAILY)
    orders.incremental("s.orders", "SELECT @start_dt AS ts, 2 AS id", **DAILY)
    orders.reload()
    with at("2024-01-13 12:00"):
        report = orders.unwitnessed_plan("dev", auto_apply=True, skip_backfill=True)
    report.assert_skipped("s.orders", reason="backfill_skipped")
    report.assert_skipped("s.new", reason="outside_window")
    assert "plan with run=True" in report.explain("s.new")
    with at("2024-01-13 12:30"):
        assert orders.plan("dev", run=True).executed >= {"s.new"}


def test_a_changed_model_that_is_entirely_older_than_the_plans_start(orders: Project) -> None:
    """The plan's own limit lies further back than that."""
    orders.incremental("s.weekly", "SELECT ts, id FROM s.orders", cron="'@weekly'")
    orders.reload()
    with at("2024-01-09 13:00"):
        orders.plan()
        orders.incremental("s.orders", "SELECT @start_dt AS ts, 2 AS id", **DAILY)
        orders.reload()
        report = orders.unwitnessed_plan("dev", start="2024-01-08")
    assert report["s.weekly"].reasons == ("outside_window",)


def test_a_new_model_that_is_not_due_in_a_plan(orders: Project) -> None:
    orders.incremental("s.weekly", TICKS, cron="'@weekly'", start="'2024-01-07'")
    orders.reload()
    with at("2024-01-09 13:00"):
        report = orders.unwitnessed_plan("dev", auto_apply=True, skip_backfill=True)
    report.assert_skipped("s.weekly", reason="cron_not_due")
    assert report["s.weekly"].next_due == day(14)


def test_a_standalone_audit_is_not_part_of_a_plan(orders: Project) -> None:
    """It was never run, and a plan without other work leaves it to the next run."""
    orders.write(
        "audits/known.sql",
        "AUDIT (name known, standalone TRUE, dialect duckdb, cron '@daily');\n"
        "SELECT * FROM s.orders WHERE id > 10",
    )
    orders.reload()
    with at("2024-01-09 12:30"):
        skipped = orders.unwitnessed_plan(skip_backfill=True, no_gaps=True, auto_apply=True)
        idle = orders.plan()
        run = orders.run()
    skipped.assert_skipped("known", reason="backfill_skipped")
    idle.assert_skipped("known", reason="no_changes")
    assert idle.completion == "nothing_to_do"
    assert run.audited == {"known"}


def test_a_plan_with_run_loads_intervals_that_became_missing(orders: Project) -> None:
    with at("2024-01-11 12:00"):
        report = orders.plan(run=True)
    report.assert_executed("s.orders", intervals=("2024-01-09", "2024-01-11"))
    report.assert_executed("s.totals", "s.names")


def test_an_execution_time_in_the_past_is_not_a_window(orders: Project) -> None:
    orders.incremental("s.orders", "SELECT @start_dt AS ts, 2 AS id", **DAILY)
    orders.reload()
    with at("2024-01-09 13:00"):
        report = orders.plan("dev", execution_time="2024-01-05 12:00:00")
    report.assert_executed("s.orders", intervals=("2024-01-01", "2024-01-05"))
    assert report["s.orders"].reasons == ()
    assert report.execution_time == datetime(2024, 1, 5, 12, tzinfo=timezone.utc)


@only_duckdb("a PostgreSQL connection has only one catalog")
def test_models_in_another_catalog(tmp_path: Path) -> None:
    project = Project(tmp_path)
    config = (tmp_path / "config.yaml").read_text()
    catalogs = json.dumps({name: str(tmp_path / f"{name}.db") for name in ("wh", "lake")})
    database = f'"database": "{tmp_path / "wh.db"}"'
    assert database in config
    project.write("config.yaml", config.replace(database, f'"catalogs": {catalogs}'))
    project.model("wh.s.orders", "SELECT 1 AS id", **DAILY)
    project.model("lake.s.orders", "SELECT id FROM wh.s.orders", **DAILY)
    project.model("lake.s.names", "SELECT 'a' AS name", **DAILY)
    with at("2024-01-09 12:00"):
        report = project.plan()
    report.assert_only_executed("s.orders", "lake.s.orders", "lake.s.names")
    assert report["lake.s.orders"].upstream == ("s.orders",)
    with at("2024-01-10 12:00"):
        assert project.run(select_models=["lake.s.names"]).by_reason == {
            "not_selected": frozenset({"s.orders", "lake.s.orders"})
        }
