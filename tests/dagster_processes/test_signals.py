"""Dagster processes that are terminated while SQLMesh runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.dagster.sites import MODELS, SECONDS, Site, group_is_gone, until

LOCKED = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('CREATE TABLE mine (id INT)')"


@pytest.mark.parametrize("job", ["in_process", "multiprocess"])
def test_terminated(tmp_path: Path, job: str) -> None:
    site = Site(tmp_path, 4)
    with site.execute(job) as process:
        site.wait_until_slow_begins()
        process.send_signal(signal.SIGTERM)
        # Usually enough for it to arrive; if it is not, all the same holds.
        time.sleep(1)
        site.let_slow_go_on()
        assert process.wait(SECONDS) == 1
        until(lambda: group_is_gone(process.pid))
    first = site.materialized()
    assert set(first) == site.loaded() >= {"c/first", "c/slow"}
    assert len(first) == len(set(first))
    executed = {key for key, status in site.statuses().items() if status == "executed"}
    assert executed == set(first)
    subprocess.run(
        [sys.executable, "-c", LOCKED, str(site.path / "wh.db")], check=True, timeout=SECONDS
    )
    site.run_to_its_end(job)
    assert sorted(site.materialized()) == sorted(MODELS)
    assert [run.status.value for run in site.runs()] == ["FAILURE", "SUCCESS"]
