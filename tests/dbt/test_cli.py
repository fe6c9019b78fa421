"""The command line in a dbt project: plans, gates, and runs that read the files afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from pytest_sqlmesh_tracker import RunReport

from .conftest import FILES, write_files

UNREAD = {"of_nothing": "select 2 as n where false", "not_planned": "select 1 as n where false"}


@dataclass(frozen=True)
class Ended:
    """How a command ended, and its report."""

    exit_code: int
    report: RunReport
    errors: str


def typed(folder: Path, *arguments: str) -> Ended:
    command = [sys.executable, "-m", "pytest_sqlmesh_tracker.cli", *arguments, "--json"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    (entry,) = json.loads(ran.stdout)["reports"]
    del entry["test"]
    return Ended(ran.returncode, RunReport.from_dict(entry), ran.stderr)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    folder = write_files(tmp_path_factory.mktemp("typed"), FILES)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(FILES["leads.sql"])
    return folder, typed(folder, "plan", "prod", "--auto-apply", "--no-prompts")


def test_a_plan_passes_the_gate(planned: tuple[Path, Ended]) -> None:
    _, plan = planned

    assert plan.exit_code == 0, plan.errors
    assert plan.report.by_reason["not_in_environment"] == frozenset()
    assert {"of_two_models", "not_null_names_id", "days_are_days"} <= plan.report.audited


def test_a_run_reads_the_files_afterwards(planned: tuple[Path, Ended]) -> None:
    folder, plan = planned
    for name, query in UNREAD.items():
        (folder / "tests" / f"{name}.sql").write_text(query)

    run = typed(folder, "run", "prod")

    assert run.report.project_files == "read"
    assert set(run.report.outcomes) == {*plan.report.outcomes, "not_planned"}
    assert run.report.by_reason["not_in_environment"] == {"not_planned"}
    assert {n for n, each in run.report.outcomes.items() if each.local_edit} == {"of_nothing"}
    assert run.exit_code == 1


def test_a_run_without_reading_the_files(planned: tuple[Path, Ended]) -> None:
    folder, plan = planned

    run = typed(folder, "run", "prod", "--no-load")

    assert set(run.report.outcomes) == set(plan.report.outcomes)
    assert run.exit_code == 0, run.errors
