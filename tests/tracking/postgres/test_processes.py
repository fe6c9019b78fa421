"""Two processes that run one project at once: together, their reports are what the state has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import RunReport
from tests.engines.engine import ENGINE, POSTGRES
from tests.projects import Project, at, check_against_state, read_between

DAILY = {"cron": "'@daily'"}
TICKS = "SELECT @start_dt::TIMESTAMP AS ts, 1 AS amount"
RUNS = """
import sys
from pathlib import Path

from sqlmesh import Context
from sqlmesh.core.console import NoopConsole, set_console

from pytest_sqlmesh_tracker import sqlmesh_run_tracker

set_console(NoopConsole())
context = Context(paths=sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
with sqlmesh_run_tracker(context) as tracker:
    context.run(execution_time="2024-01-12 12:00")
Path(sys.argv[2]).write_text(tracker.last.to_json())
"""


@pytest.mark.processes
@pytest.mark.skipif(ENGINE is not POSTGRES, reason="only one process can open a DuckDB file")
@pytest.mark.parametrize("workers", [1, 4])
def test_two_runs_at_once(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, workers: int
) -> None:
    project = Project(tmp_path, concurrent_tasks=workers)
    for name in ("a", "b"):
        project.incremental(f"s.{name}", TICKS, ", batch_size 1, batch_concurrency 4", **DAILY)
        project.incremental(f"s.below_{name}", read_between(f"s.{name}"), ", batch_size 2", **DAILY)
    project.model("s.full", "SELECT COUNT(*) AS n FROM s.below_a", **DAILY)
    with at("2024-01-04 12:00"):
        assert project.plan().completion == "success"
    before = project.intervals()
    project.close()

    files = [tmp_path_factory.mktemp("reports") / "report.json" for _ in range(2)]
    command = [sys.executable, "-W", "ignore", "-c", RUNS, str(tmp_path)]
    runs = [
        subprocess.Popen(
            [*command, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for file in files
    ]
    for run in runs:
        assert run.stdout
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        run.communicate("\n", timeout=120)
        assert run.returncode == 0

    reports = [RunReport.from_json(file.read_text()) for file in files]
    check_against_state(reports, before, project.intervals())
    assert any(outcome.batches for report in reports for outcome in report.outcomes.values())
