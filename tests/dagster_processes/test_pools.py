"""Two runs of one environment do not overlap if its pool has a limit of 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.dagster import SqlmeshProject, build_sqlmesh_assets
from tests.dagster.sites import MODELS, SECONDS, Site, until

QUEUE = """
telemetry:
  enabled: false
concurrency:
  pools:
    granularity: run
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """With that limit."""
    site = Site(tmp_path)
    pool = str(build_sqlmesh_assets(project=SqlmeshProject(tmp_path)).op.pool)
    with site.dagster("instance", "concurrency", "set", pool, "1") as command:
        assert command.wait(SECONDS) == 0
    return site


def statuses(site: Site) -> list[str]:
    return sorted(run.status.value for run in site.runs())


def check_that_they_did_not_meet(site: Site) -> None:
    with site.instance() as instance:
        steps = [
            step
            for run in site.runs()
            for step in instance.get_run_step_stats(run.run_id, ["warehouse"])
        ]
    spans = sorted((step.start_time or 0, step.end_time or 0) for step in steps)
    (_, end_of_the_first), (begin_of_the_second, _) = spans
    assert begin_of_the_second >= end_of_the_first
    assert statuses(site) == ["SUCCESS", "SUCCESS"]
    assert sorted(site.materialized()) == sorted(MODELS)


def test_the_step_waits(site: Site) -> None:
    """Dagster's default, also for runs that no queue has seen."""
    with site.execute("in_process"):
        site.wait_until_slow_begins()
        with site.execute("in_process"):
            until(lambda: statuses(site) == ["STARTED", "STARTED"])
            until(lambda: "Step blocked by limit for pool" in site.log)
            site.let_slow_go_on()
            until(lambda: all(run.is_finished for run in site.runs()))
    check_that_they_did_not_meet(site)


def test_the_run_waits_in_the_queue(site: Site) -> None:
    (site.home / "dagster.yaml").write_text(QUEUE)
    with site.launch("in_process") as first, site.launch("in_process") as second, site.daemon():
        assert (first.wait(SECONDS), second.wait(SECONDS)) == (0, 0)
        site.wait_until_slow_begins()
        until(lambda: "is blocked by global concurrency limits" in site.log)
        assert statuses(site) == ["QUEUED", "STARTED"]
        site.let_slow_go_on()
        until(lambda: all(run.is_finished for run in site.runs()))
    check_that_they_did_not_meet(site)


def test_without_a_limit_the_second_run_fails_in_duckdb(tmp_path: Path) -> None:
    """It takes one process at a time: nothing is lost, and one line says so."""
    site = Site(tmp_path)
    with site.execute("in_process") as first:
        site.wait_until_slow_begins()
        with site.execute("in_process") as second:
            assert second.wait(SECONDS) == 1
        site.let_slow_go_on()
        assert first.wait(SECONDS) == 0
    assert "Failure: SQLMesh run of prod: IOException: IO Error: Could not set lock" in site.log
    assert sorted(site.materialized()) == sorted(MODELS)
