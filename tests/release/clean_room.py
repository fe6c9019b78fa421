"""The wheel in empty virtual environments, as strangers install and use it: `make clean-room`.

Nothing is taken from caches or from this checkout but the wheel, the README and a sample project.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
)
TESTS = [text for language, text in BLOCKS if language == "python"]
"""The README's tests. The first one fails."""
FAILURE = next(text for language, text in BLOCKS if language == "text")
"""What the README shows of that."""
COMMANDS = ("make demo", "make test")
"""What the README promises of a checkout."""
INSTALL = "pip install 'pytest-sqlmesh-tracker[{}]'"
IN_POSTGRES = """
gateways:
  warehouse:
    connection: {type: postgres, host: h, port: 5432, user: u, password: p, database: d}
default_gateway: warehouse
model_defaults: {dialect: postgres}
"""
SMALL_PROJECT = {
    "config.yaml": """
gateways:
  local:
    connection: {type: duckdb, database: shop.duckdb}
default_gateway: local
model_defaults: {dialect: duckdb, start: 2 days ago}
disable_anonymized_analytics: true
""",
    "models/orders.sql": "MODEL (name shop.orders, kind FULL, cron '@daily'); SELECT 1 AS id",
}
"""For the command line, which plans up to the present."""
TEST_IN_POSTGRES = """
import pytest


@pytest.mark.sqlmesh_project(at="2024-01-08 09:05")
def test_in_postgres(sqlmesh_project):
    sqlmesh_project.run()
"""
TEST_OF_ASSETS = """
import pytest


@pytest.mark.sqlmesh_project(at="2024-01-08 09:05")
def test_assets(materialize_sqlmesh):
    materialize_sqlmesh()
"""


class NotAsDocumentedError(Exception):
    """The wheel does not do what users are told; the message says what it did instead."""


@dataclass(frozen=True)
class Ran:
    """A command that has ended.

    Attributes:
        output: what it printed, to both streams.
    """

    command: str
    exit_code: int
    output: str

    def demand(self, exit_code: int, *texts: str, traceback: bool = False) -> None:
        """Demand an exit code, and texts in the output.

        Args:
            traceback: whether the output may have a traceback.

        Raises:
            NotAsDocumentedError: something else happened.
        """
        missing = [text for text in texts if text not in self.output]
        trace = "Traceback" in self.output and not traceback
        if self.exit_code != exit_code or missing or trace:
            raise NotAsDocumentedError(
                f"{self.command}\nended with {self.exit_code} (expected: {exit_code}); "
                f"missing: {missing}; it printed:\n{self.output}"
            )
        print(f"   ok  {self.command}", flush=True)  # noqa: T201


class Room:
    """An empty virtual environment, and a folder for a project beside it."""

    def __init__(self, folder: Path, wheel: Path, extras: str = "") -> None:
        """Install the wheel with these extras, without caches."""
        began = time.monotonic()
        self.project = folder / "shop"
        self.project.mkdir(parents=True)
        venv.create(folder / "venv", with_pip=True)
        self._programs = folder / "venv" / "bin"
        install = ("pip", "install", "--quiet", "--no-cache-dir", f"{wheel}{extras}")
        self.run(*install).demand(0)
        seconds = time.monotonic() - began
        print(f"   installed {wheel.name}{extras} in {seconds:.0f} s", flush=True)  # noqa: T201

    def run(self, program: str, *arguments: str) -> Ran:
        """Run a program of the environment in the project's folder."""
        own = ("PYTHONPATH", "VIRTUAL_ENV", "PYTEST_ADDOPTS", "SQLMESH_HOME")
        variables = {name: value for name, value in os.environ.items() if name not in own}
        ran = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self.project,
            env={**variables, "PATH": f"{self._programs}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Ran(" ".join([program, *arguments]), ran.returncode, ran.stdout)

    def python(self, code: str) -> Ran:
        """Run some code."""
        return self.run("python", "-c", code)

    def test(self, name: str, text: str) -> Ran:
        """Run a file of tests."""
        path = self.project / "tests" / f"test_{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return self.run("pytest", "-q", f"tests/{path.name}")


def without_extras(room: Room) -> None:
    """The command line works, and what needs an extra says which one."""
    everything = "import pytest_sqlmesh_tracker as p; print(*[getattr(p, n) for n in p.__all__])"
    room.python(everything).demand(0, "RunReport", "Sandbox")
    room.run("sqlmesh-tracker", "--help").demand(0, "forecast")
    room.run("sqlmesh-tracker", "doctor").demand(0, "Tracking works.")
    for path, text in SMALL_PROJECT.items():
        file = room.project / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    reports = ("--report", "plan.json", "--report", "plan.html", "--report", "runs.duckdb")
    plan = ("plan", "--auto-apply", "--no-prompts", *reports)
    room.run("sqlmesh-tracker", *plan).demand(
        0, "shop.orders", "gate passed: 1 outcome in 1 report"
    )
    run = ("run", "--ignore-cron", "--report", "runs.duckdb")
    room.run("sqlmesh-tracker", *run).demand(0, "shop.orders")
    room.run("sqlmesh-tracker", "show", "plan.json").demand(0, "shop.orders")
    room.run("sqlmesh-tracker", "gate", "plan.json").demand(0)
    room.run("sqlmesh-tracker", "history", "runs.duckdb").demand(0, "shop.orders")
    room.run("sqlmesh-tracker", "check").demand(2, INSTALL.format("hypothesis"))
    for module, extra in {
        "dagster": "dagster",
        "dagster.testing": "dagster",
        "strategies": "hypothesis",
        "plugin": "pytest",
    }.items():
        # Python itself shows a traceback of an import; the last line is the error.
        ran = room.python(f"import pytest_sqlmesh_tracker.{module}")
        last = ran.output.splitlines()[-1]
        Ran(ran.command, ran.exit_code, last).demand(1, "requires", INSTALL.format(extra))


def with_pytest(room: Room) -> None:
    """The README's tests, copied by a new user, end as the README shows."""
    first, *others = TESTS
    ignored = shutil.ignore_patterns("test_*.py", "__pycache__", ".cache", "*.db*")
    sample = ROOT / "sample_projects" / "cron_cascade"
    shutil.copytree(sample, room.project, ignore=ignored, dirs_exist_ok=True)
    failed = room.test("first", first)
    failed.demand(1, "1 failed")
    shown = [line.rstrip() for line in failed.output.splitlines() if line.startswith("E")]
    if shown != [line.rstrip() for line in FAILURE.splitlines()]:
        raise NotAsDocumentedError("the README's failure is:\n" + "\n".join(shown))
    for number, text in enumerate(others, 2):
        passed = len(re.findall(r"^def test_", text, re.MULTILINE))
        room.test(f"example_{number}", text).demand(0, f"{passed} passed")
    # The first one, at the time that its failure names.
    mended = first.replace('run(at="2024-01-09 00:05")', 'run(at="2024-01-14 00:05")')
    room.test("mended", mended).demand(0, "1 passed")
    room.test("assets", TEST_OF_ASSETS).demand(1, INSTALL.format("dagster"))
    (room.project / "config.yaml").write_text(IN_POSTGRES)
    room.test("in_postgres", TEST_IN_POSTGRES).demand(1, INSTALL.format("postgres"))


def clone(folder: Path) -> None:
    """The README's commands in a fresh clone; they install what they need."""
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    for command in COMMANDS:
        began = time.monotonic()
        variables = {**os.environ, "PIP_NO_CACHE_DIR": "1", "MAKEFLAGS": ""}
        ran = subprocess.run(
            command.split(),
            cwd=folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        Ran(command, ran.returncode, ran.stdout).demand(0, traceback=True)
        print(f"   took {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201


def main() -> int:
    """Run all of it; the exit code is 1 if anything is not as documented."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=lambda path: Path(path).resolve(), help="the built wheel")
    parser.add_argument("--clone", action="store_true", help="also run the README's commands")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as created:
        folder = Path(created)
        try:
            without_extras(Room(folder / "without", options.wheel))
            with_pytest(Room(folder / "pytest", options.wheel, "[pytest]"))
            if options.clone:
                clone(folder / "clone")
        except NotAsDocumentedError as error:
            print(f"NOT AS DOCUMENTED: {error}")  # noqa: T201
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
