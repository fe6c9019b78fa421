"""The resource's `report`: a history to which the report of each step is appended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from pytest_sqlmesh_tracker import RunReport, load_reports
from pytest_sqlmesh_tracker.dagster import SqlmeshProject, SqlmeshResource
from tests.dagster.building import running
from tests.dagster.conftest import Materialize, step_failure
from tests.dagster.interrupting import Here, interrupt_in
from tests.dagster.sites import MODELS, Site


@pytest.fixture
def here(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Here]:
    site = Site(tmp_path / "site")
    monkeypatch.setenv("SITE", str(site.path))
    site.let_slow_go_on()
    yield Here(site, instance)
    site.close()


def reports_in(history: Path) -> list[RunReport]:
    return [report for report in load_reports(history) if isinstance(report, RunReport)]


@pytest.mark.long
def test_each_step_is_appended(here: Here, tmp_path: Path) -> None:
    history = tmp_path / "build" / "runs.duckdb"
    for _ in range(2):
        assert here.materialize(report=str(history)).success
    first, second = reports_in(history)
    assert {name.replace(".", "/") for name in first.executed} == MODELS
    assert second.executed == set()
    with closing(duckdb.connect(str(history))) as connection:
        sources = connection.execute("SELECT DISTINCT source FROM invocations").fetchall()
    assert sources == [("dagster",)]


def test_an_interrupted_step_is_appended(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_in(monkeypatch, "evaluate", "c.slow")
    history = tmp_path / "runs.duckdb"
    result = here.materialize(report=str(history))
    [report] = reports_in(history)
    assert {name.replace(".", "/") for name in report.executed} == here.materialized(result)


def test_a_database_with_tables_is_rejected_before_the_run(here: Here, tmp_path: Path) -> None:
    with closing(duckdb.connect(str(tmp_path / "shop.duckdb"))) as connection:
        connection.execute("CREATE TABLE orders (id INT)")
    failure = step_failure(here.materialize(report=str(tmp_path / "shop.duckdb")))
    assert str(failure.description).startswith("the resource's report: ")
    assert "this DuckDB database has other tables, such as main.orders" in str(failure.description)
    assert here.site.loaded() == set()


def test_what_cannot_be_appended_is_logged_and_fails_nothing(here: Here, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = here.materialize(report=str(tmp_path / "file" / "runs.duckdb"))
    assert result.success
    assert here.materialized(result) == MODELS
    # 40: an error.
    logged = [each for each in here.instance.all_logs(result.run_id) if each.level == 40]
    assert "failed to append the report to" in logged[0].user_message


def test_tests_do_not_append(
    materialize_sqlmesh: Materialize, shop: SqlmeshProject, tmp_path: Path
) -> None:
    resource: Any = SqlmeshResource(project=shop, report=str(tmp_path / "runs.duckdb"))
    materialize_sqlmesh(running(shop), resources={"sqlmesh": resource})
    assert not (tmp_path / "runs.duckdb").exists()
