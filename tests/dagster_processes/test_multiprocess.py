"""Each step in its own process: SQLMesh between an op upstream and one downstream."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import dagster as dg
import pytest

from tests.dagster.sites import MODELS, SECONDS, Site, until


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, concurrent_tasks=4)


@pytest.mark.parametrize("job", ["multiprocess", "forkserver"])
def test_all_steps_run(site: Site, job: str) -> None:
    site.run_to_its_end(job)
    assert set(site.materialized()) == site.loaded() == MODELS
    (run,) = site.runs()
    assert run.status is dg.DagsterRunStatus.SUCCESS
    with site.instance() as instance:
        steps = {step.step_key: step.status for step in instance.get_run_step_stats(run.run_id)}
    assert {step.split("__")[-1] for step in steps} == {"till", "warehouse", "dashboard"}
    assert {status and status.value for status in steps.values()} == {"SUCCESS"}


def test_a_killed_step(site: Site) -> None:
    """Nothing false is reported; the next run materializes what is missing."""
    with site.execute("multiprocess") as process:
        site.wait_until_slow_begins()
        until(lambda: {"c/first", "c/beside"} <= set(site.materialized()))
        os.kill(int((site.path / "begun").read_text()), signal.SIGKILL)
        assert process.wait(SECONDS) == 1
    first = site.materialized()
    assert set(first) == site.loaded() == {"c/first", "c/beside"}
    site.run_to_its_end("multiprocess")
    assert sorted(site.materialized()) == sorted(MODELS)
    assert [run.status.value for run in site.runs()] == ["FAILURE", "SUCCESS"]
