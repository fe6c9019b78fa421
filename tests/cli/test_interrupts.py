"""Ctrl-C, and the SIGTERM by which CI cancels, in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.report import load_reports

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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_reports_what_happened_until_then(
    shop: Path, typed: Typed, number: signal.Signals, code: int
) -> None:
    (shop / "models" / "slow.py").write_text(SLOW)
    planned = typed("plan", "--auto-apply", "--skip-backfill", "--no-gaps", when="2024-01-09 00:10")
    assert planned.code == 0, planned.out + planned.err

    arguments = ["run", "--report", "night.json", "--execution-time", "2024-01-10 00:05"]
    running = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "pytest_sqlmesh_tracker.cli", *arguments],
        cwd=shop,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A process that was started in the background ignores SIGINT, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until_it_sleeps(shop / "it_sleeps", running)
    os.kill(running.pid, number)
    out, err = running.communicate(timeout=30)

    assert running.returncode == code, out + err
    assert "Traceback" not in out + err
    [(_, report)] = load_reports((shop / "night.json").read_text())
    report.assert_executed("shop.orders")
    assert report.by_reason["aborted"] >= {"shop.slow"}
    assert report.completion == "interrupted"
    assert "shop.slow was interrupted" in out


def until_it_sleeps(sign: Path, running: subprocess.Popen[str]) -> None:
    for _ in range(600):
        if sign.exists():
            return
        if running.poll() is not None:
            pytest.fail("".join(running.communicate()))
        time.sleep(0.05)
    running.kill()
    pytest.fail("it never came to the model")
