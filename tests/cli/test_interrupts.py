"""Ctrl-C, and the SIGTERM with which CI cancels, in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_sqlmesh_tracker.render.files import SUFFIXES
from pytest_sqlmesh_tracker.reports.files import entries_from_json
from tests.engines.engine import only_duckdb

from .conftest import Typed

SLOW = """
import time
from pathlib import Path

from sqlmesh import model


@model("shop.slow", kind="FULL", columns={"n": "int"}, depends_on=["shop.orders"], cron="@daily")
def execute(context, start, end, execution_time, **kwargs):
    Path("it_sleeps").touch()
    while Path("it_sleeps").exists():
        time.sleep(0.05)
    yield from ()
"""
REPORTS = [f"--report=night{suffix}" for suffix in SUFFIXES]


ON_SIGTERM = pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long)


@pytest.mark.parametrize(
    ("number", "code", "error"),
    [
        (signal.SIGINT, 130, "KeyboardInterrupt"),
        (signal.SIGTERM, 143, "terminated by SIGTERM"),
    ],
)
@pytest.mark.processes
def test_an_interrupted_run_reports_what_happened_before(
    shop: Path, typed: Typed, number: signal.Signals, code: int, error: str
) -> None:
    (shop / "models" / "slow.py").write_text(SLOW)
    planned = typed("plan", "--auto-apply", "--skip-backfill", "--no-gaps", when="2024-01-09 00:10")
    assert planned.code == 0, planned.out + planned.err

    running = started("run", *REPORTS, "--execution-time", "2024-01-10 00:05")
    until_it_sleeps(shop / "it_sleeps", running)
    os.kill(running.pid, number)
    out, err = running.communicate(timeout=120)

    assert running.returncode == code, out + err
    assert "Traceback" not in out + err
    [(_, report)] = entries_from_json((shop / "night.json").read_text())
    report.assert_executed("shop.orders")
    assert report.by_reason["aborted"] >= {"shop.slow"}
    assert report.completion == "interrupted"
    assert report.error == error
    assert f"interrupted: {error}" in out
    # The message must not name an internal class, which users can't look up.
    texts = (out, err, *(file.read_text(errors="replace") for file in shop.glob("night.*")))
    assert [text for text in texts if "_Terminated" in text] == []
    assert "shop.slow was interrupted" in out


IMPORTING = """
import sys, time
from pathlib import Path


class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "sqlmesh.cli.main":
            Path("it_sleeps").touch()
            time.sleep(20)


sys.meta_path.insert(0, Slow())
"""
ROOT = Path(__file__).parents[2]
QUERY = """
MODEL (name shop.slow, kind FULL, cron '@daily');

COPY (SELECT 1 AS n) TO 'it_sleeps' (FORMAT csv);

SELECT COUNT(*) AS n FROM shop.orders, range(1000000000000) AS numbers (n)
WHERE numbers.n * numbers.n % 7 = 3
"""


@only_duckdb("the statement that shows that the query is running, and the error of an interrupt")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), ON_SIGTERM])
@pytest.mark.processes
def test_a_running_query_is_interrupted(
    shop: Path, typed: Typed, number: signal.Signals, code: int
) -> None:
    """DuckDB turns it into an ordinary error, so SQLMesh fails the model and goes on."""
    (shop / "models" / "slow.sql").write_text(QUERY)
    (shop / "models" / "last.sql").write_text(
        "MODEL (name shop.last, kind FULL, cron '@daily'); SELECT n FROM shop.slow"
    )
    planned = typed("plan", "--auto-apply", "--skip-backfill", "--no-gaps", when="2024-01-09 00:10")
    assert planned.code == 0, planned.out + planned.err

    # The statement before the query creates the file; the plan has executed it as well.
    (shop / "it_sleeps").unlink(missing_ok=True)
    running = started("run", "--report", "night.json", "--execution-time", "2024-01-10 00:05")
    until_it_sleeps(shop / "it_sleeps", running)
    time.sleep(0.5)
    os.kill(running.pid, number)
    out, err = running.communicate(timeout=120)

    assert running.returncode == code, out + err
    [(_, report)] = entries_from_json((shop / "night.json").read_text())
    assert report.completion == "interrupted"
    assert not report.failed
    assert report.interrupted >= {"shop.slow", "shop.last"}, report["shop.last"]
    assert report["shop.slow"].reason == "aborted"


def started(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "pytest_sqlmesh_tracker.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A process that was started in the background ignores SIGINT, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def until_it_sleeps(sign: Path, running: subprocess.Popen[str]) -> None:
    for _ in range(600):
        if sign.exists():
            return
        if running.poll() is not None:
            pytest.fail("".join(running.communicate()))
        time.sleep(0.05)
    running.kill()
    pytest.fail("it never came to the model")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), ON_SIGTERM])
@pytest.mark.processes
def test_a_run_interrupted_before_it_starts(shop: Path, number: signal.Signals, code: int) -> None:
    """While SQLMesh is imported, for seconds, there is nothing to report yet."""
    (shop / "sitecustomize.py").write_text(IMPORTING)
    running = started(
        "run", "--report", "night.json", env={**os.environ, "PYTHONPATH": f"{shop}:{ROOT}"}
    )
    until_it_sleeps(shop / "it_sleeps", running)
    os.kill(running.pid, number)
    out, err = running.communicate(timeout=120)

    assert running.returncode == code, out + err
    assert "Traceback" not in out + err
    assert entries_from_json((shop / "night.json").read_text()) == []
