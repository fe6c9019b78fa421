"""The messages of the command line that the chapter on troubleshooting quotes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chapters import not_printed, quotations
from tests.engines.engine import only_duckdb

from .conftest import Typed, execute_in_state

pytestmark = pytest.mark.documents

QUOTATIONS = quotations("troubleshooting.md")
HOLD_THE_FILE = (
    "import duckdb, sys; held = duckdb.connect('wh.db'); print('held', flush=True); "
    "sys.stdin.read()"
)


def test_a_model_that_does_not_run(shop: Path, typed: Typed) -> None:  # noqa: ARG001
    ended = typed("why", "--signals", "shop.weekly")
    assert not_printed(QUOTATIONS["A model does not run"], ended.out) == []


def test_an_environment_that_does_not_exist(shop: Path, typed: Typed) -> None:  # noqa: ARG001
    ended = typed("run", "dev")
    assert not_printed(QUOTATIONS["The environment does not exist"], ended.out) == []


def test_a_run_that_waits_and_the_remedies(shop: Path, typed: Typed) -> None:
    execute_in_state(shop, "UPDATE sqlmesh._environments SET finalized_ts = NULL")
    ended = typed("run", "--wait", "0.1", when="2024-01-10 00:05")
    assert not_printed(QUOTATIONS["A run waits"], ended.err) == []
    assert ended.code == 2

    plan = typed("plan", "prod", "--auto-apply", "--no-prompts", when="2024-01-10 00:05")
    assert plan.code == 0
    assert typed("run", "--wait", "0", when="2024-01-10 00:06").code == 0


@only_duckdb("PostgreSQL has no lock of the whole database")
def test_a_locked_database(shop: Path, typed: Typed) -> None:  # noqa: ARG001
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_FILE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        ended = typed("run")
    finally:
        holder.communicate()
    assert not_printed(QUOTATIONS["DuckDB is locked"], " ".join(ended.out.split())) == []
    assert ended.code == 2
    assert typed("run").code == 0


@pytest.mark.processes
def test_project_files_that_cannot_be_read(shop: Path, typed: Typed) -> None:
    (shop / "models" / "broken.py").write_text("raise ValueError('broken')")
    ended = typed("run", load=True)
    shown = " ".join(ended.out.split())
    assert not_printed(QUOTATIONS["The project's files were not read"], shown) == []


@pytest.mark.processes
def test_a_deployment_without_a_plan(shop: Path, typed: Typed) -> None:
    text = "MODEL (name shop.later, kind FULL, cron '@hourly'); SELECT n FROM shop.weekly"
    (shop / "models" / "shop.later.sql").write_text(text)
    ended = typed("run", load=True)
    assert not_printed(QUOTATIONS["The gate fails after a deployment"], ended.out) == []
    assert ended.code == 1


def test_an_empty_value(typed: Typed) -> None:
    ended = typed("run", "--report", "")
    assert not_printed(QUOTATIONS["An option has an empty value"], ended.err) == []


def test_report_files(tmp_path: Path, typed: Typed) -> None:
    for name, version in (("newer.json", 9), ("empty.json", 2)):
        (tmp_path / name).write_text(f'{{"schema_version": {version}, "reports": []}}')
    newer, empty = (
        typed("show", str(tmp_path / "newer.json")),
        typed("gate", str(tmp_path / "empty.json")),
    )
    assert not_printed(QUOTATIONS["A report can't be read"], newer.err) == []
    assert not_printed(QUOTATIONS["Nothing was judged"], empty.err) == []


def test_the_doctor_prints_what_the_chapter_quotes(typed: Typed) -> None:
    assert typed("doctor").out.endswith("Tracking works.\n")
