"""Runs that are canceled through the Dagster instance, as by its web UI."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import duckdb
import pytest

from tests.dagster.sites import MODELS, Site, is_gone, until


@pytest.mark.parametrize(
    ("job", "tasks"), [("in_process", 1), ("in_process", 4), ("multiprocess", 4)]
)
def test_canceled(tmp_path: Path, job: str, tasks: int) -> None:
    site = Site(tmp_path, tasks)
    with site.launch(job):
        site.wait_until_slow_begins()
        site.cancel()
        site.wait_until_it_is_told_to_end()
        site.let_slow_go_on()
        until(lambda: site.runs()[-1].is_finished)
        # The run's process may still be there: it has let go of the database before.
        with duckdb.connect(str(site.path / "wh.db")) as free:
            free.execute("CREATE TABLE mine (id INT)")
    (run,) = site.runs()
    assert run.status is dg.DagsterRunStatus.CANCELED
    first = site.materialized()
    assert {"c/first", "c/slow"} <= site.loaded() == set(first)
    assert len(first) == len(set(first))
    executed = {key for key, status in site.statuses().items() if status == "executed"}
    assert executed == set(first)
    assert site.statuses()["c/third"] == "interrupted"
    assert not site.is_materialized("dashboard")
    site.run_to_its_end(job)
    assert sorted(site.materialized()) == sorted(MODELS)
    assert site.is_materialized("dashboard")
    assert [run.status.value for run in site.runs()] == ["CANCELED", "SUCCESS"]


def test_marked_as_canceled_at_once(tmp_path: Path) -> None:
    """As the web UI forces it: SQLMesh finishes as it would have, and its results are reported."""
    site = Site(tmp_path, 4)
    with site.launch("in_process"):
        site.wait_until_slow_begins()
        site.cancel()
        with site.instance() as instance:
            instance.report_run_canceled(site.runs()[-1])
        site.wait_until_it_is_told_to_end()
        site.let_slow_go_on()
        until(lambda: is_gone(int((site.path / "begun").read_text())))
    assert [run.status.value for run in site.runs()] == ["CANCELED"]
    assert {"c/first", "c/slow"} <= site.loaded() == set(site.materialized()) != MODELS
