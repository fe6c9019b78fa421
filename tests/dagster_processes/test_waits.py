"""Dagster processes that are terminated while SQLMesh waits or takes too long."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.dagster.sites import MODELS, SECONDS, Site, group_is_gone, until

JOBS = pytest.mark.parametrize("job", ["in_process", "multiprocess"])


@JOBS
def test_while_it_waits_for_its_environment(tmp_path: Path, job: str) -> None:
    site = Site(tmp_path)
    site.leave_prod_unfinished()
    with site.execute(job) as process:
        until(lambda: site.runs() and "sqlmesh/waits_for_plan" in site.runs()[-1].tags)
        signalled = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 1
        assert time.monotonic() - signalled < 30
        until(lambda: group_is_gone(process.pid))
    assert site.statuses() == dict.fromkeys(MODELS, "interrupted")
    assert site.loaded() == set()


@JOBS
def test_while_a_batch_does_not_end(
    tmp_path: Path, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAIN_TIMEOUT", "1")
    site = Site(tmp_path, concurrent_tasks=4)
    with site.execute(job) as process:
        site.wait_until_slow_begins()
        signalled = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)
        assert time.monotonic() - signalled < 30
        until(lambda: group_is_gone(process.pid))
    assert site.loaded() == set(site.materialized()) >= {"c/first"}
    assert site.statuses()["c/first"] == "executed"
    assert site.statuses()["c/slow"] == site.statuses()["c/third"] == "interrupted"
    site.run_to_its_end(job)
    assert sorted(site.materialized()) == sorted(MODELS)
