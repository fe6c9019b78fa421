"""A run that CI cancels before it starts fails the gate."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import Typed, execute_in_state


@pytest.mark.processes
def test_a_run_cancelled_while_waiting_fails_the_gate(shop: Path, typed: Typed) -> None:
    leave_a_plan_unfinished(shop)
    out = shop / "out.txt"
    with out.open("w") as stream:
        command = [sys.executable, "-W", "ignore", "-m", "pytest_sqlmesh_tracker.cli", "run"]
        running = subprocess.Popen(
            [*command, "--report", "night.json"], cwd=shop, stdout=stream, stderr=stream
        )
    # A signal before that can come while the state is read, and then no model is known.
    wait_for("Waiting (limit this with --wait SECONDS)", out, running)
    os.kill(running.pid, signal.SIGTERM)
    assert running.wait(timeout=120) == 143, out.read_text()
    assert "gate failed: 4 interruptions" in out.read_text()

    ended = typed("gate", "night.json")

    assert ended.code == 1, ended.out + ended.err
    assert "gate failed: 4 interruptions (4 outcomes in 1 report" in ended.out


def leave_a_plan_unfinished(shop: Path) -> None:
    """What a plan that is killed while it is applied leaves behind."""
    execute_in_state(shop, "UPDATE sqlmesh._environments SET finalized_ts = NULL")


def wait_for(words: str, out: Path, running: subprocess.Popen[bytes]) -> None:
    """Wait until the process has printed these words; end it if it never does."""
    for _ in range(600):
        if words in out.read_text():
            return
        if running.poll() is not None:
            pytest.fail(f"the process has ended:\n{out.read_text()}")
        time.sleep(0.05)
    running.kill()
    running.wait()
    pytest.fail(f"the process never printed {words!r}:\n{out.read_text()}")
