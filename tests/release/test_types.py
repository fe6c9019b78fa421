"""Type checkers accept a user's strictly typed tests and assets, and find mistakes in them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

USER = Path(__file__).with_name("typed_by_a_user.py")
ROOT = Path(__file__).parents[2]
MISTAKES = """
from pytest_sqlmesh_tracker import Sandbox, Tracker
from pytest_sqlmesh_tracker.dagster import SqlmeshProject


def test_mistakes(sqlmesh_project: Sandbox, sqlmesh_tracker: Tracker) -> None:
    sqlmesh_project.run().assert_execute("sales.orders")
    sqlmesh_project.run()["sales.orders"].next_due.isoformat()
    sqlmesh_tracker.last.assert_skipped("sales.orders", reasons="cron_not_due")
    SqlmeshProject(None)
"""
"""A mistake in each line of the test."""


def pyright(folder: Path, text: str) -> list[tuple[int, str]]:
    """The line and the rule of everything that pyright's strict mode rejects in a user's file."""
    (folder / "test_of_a_user.py").write_text(text)
    # In the user's repository, the package is in another folder.
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    # It is pyright with its interpreter of JavaScript, so that nothing is downloaded to run it.
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = json.loads(ran.stdout)
    assert found["summary"]["filesAnalyzed"] == 1
    return [
        (each["range"]["start"]["line"] + 1, each.get("rule", each["message"]))
        for each in found["generalDiagnostics"]
    ]


def test_pyright_accepts_what_a_user_writes(tmp_path: Path) -> None:
    assert pyright(tmp_path, USER.read_text()) == []


def test_pyright_finds_mistakes(tmp_path: Path) -> None:
    lines = MISTAKES.splitlines()
    rejected = {lines[number - 1].strip() for number, _ in pyright(tmp_path, MISTAKES)}
    assert rejected == {line.strip() for line in lines if line.startswith("    ")}


@pytest.mark.nightly
def test_mypy_accepts_what_a_user_writes_and_finds_mistakes(tmp_path: Path) -> None:
    """`make types` checks the user's file with this repository's settings."""
    (tmp_path / "test_of_a_user.py").write_text(USER.read_text())
    (tmp_path / "test_mistakes.py").write_text(MISTAKES)
    # Its cache would be in the user's repository. Errors in the package are not the user's.
    options = ["--strict", "--config-file=", "--cache-dir", str(ROOT / ".mypy_cache" / "of_a_user")]
    command = [sys.executable, "-m", "mypy", *options, "--follow-imports=silent", "."]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    printed = [
        line.partition(": error:")[0] for line in ran.stdout.splitlines() if "error:" in line
    ]
    assert printed == [f"test_mistakes.py:{number}" for number in (7, 8, 9, 10)], ran.stdout
