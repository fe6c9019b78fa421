"""A virtual environment for each combination of versions, and the tests in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import asdict, dataclass
from pathlib import Path

from .targets import SELECTION, Target

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".venv-compat"
SHOWN = ("sqlmesh", "dagster", "pytest")


@dataclass(frozen=True)
class Result:
    """The tests of one combination.

    Attributes:
        versions: the installed versions of SQLMesh, Dagster and pytest.
        python: the version of the interpreter.
        outcome: how many tests passed, failed and were skipped, or why none ran.
        failed: the test files with failures.
        seconds: how long installing and testing took.
        package: the version of this package.
    """

    target: str
    versions: tuple[str, str, str]
    python: str
    outcome: str
    passed: bool
    failed: tuple[str, ...]
    seconds: float
    package: str

    def save(self) -> None:
        """Keep it for the table of the documentation."""
        file = ENVIRONMENTS / f"{self.target}.json"
        file.write_text(json.dumps(asdict(self), indent=2))

    @classmethod
    def load(cls, target: str) -> Result | None:
        """The newest result of a combination, if there is one."""
        file = ENVIRONMENTS / f"{target}.json"
        if not file.exists():
            return None
        fields = json.loads(file.read_text())
        fields["versions"], fields["failed"] = tuple(fields["versions"]), tuple(fields["failed"])
        return cls(**fields)


def run(target: Target) -> Result:
    """Install a combination and run its tests."""
    began = time.monotonic()
    command = interpreter(target.python)
    python = printed(command, "import platform; print(platform.python_version())")
    environment = ENVIRONMENTS / f"{target.name}-py{python.rpartition('.')[0]}"
    say(f"\n== {target.name}, Python {python}: {environment.relative_to(ROOT)}")
    versions, package = [""] * 3, ""
    passed, outcome = False, "not installed"
    failed: list[str] = []
    if install(target, command, environment):
        names = ", ".join(f"v({name!r})" for name in (*SHOWN, "pytest-sqlmesh-tracker"))
        code = f"from importlib.metadata import version as v; print({names})"
        *versions, package = printed(str(environment / "bin/python"), code).split()
        passed, outcome, failed = tested(environment, target.tests)
    seconds = time.monotonic() - began
    sqlmesh, dagster, pytest = versions
    shown = (sqlmesh, dagster, pytest)
    return Result(target.name, shown, python, outcome, passed, tuple(failed), seconds, package)


def interpreter(version: str) -> str:
    """The command of a Python of this version; the one that runs this if there is none."""
    installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates = [f"python{version}", *map(str, installed.glob(f"{version}.*/bin/python"))]
    for command in candidates:
        try:
            # A version manager can have a command on the PATH that only reports an error.
            printed(command, "")
        except (OSError, subprocess.CalledProcessError):
            continue
        return command
    return sys.executable


def printed(python: str, code: str) -> str:
    """What some code prints; the interpreter's complaints are dropped."""
    ran = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def install(target: Target, command: str, environment: Path) -> bool:
    """Bring the environment up to date, and return whether that worked."""
    package = ["--editable", ".[pytest,dagster,postgres]", "--group", "dev", *target.requirements]
    done = environment / "installed"
    requirements = " ".join(package) + (ROOT / "pyproject.toml").read_text()
    if not target.is_moving and done.exists() and done.read_text() == requirements:
        return True
    pip = [str(environment / "bin/python"), "-m", "pip", "install", "--quiet", "--upgrade"]
    steps = [[*pip, "pip>=25.1"], [*pip, *package]]
    if not done.exists():
        steps.insert(0, [command, "-m", "venv", "--clear", str(environment)])
    if any(subprocess.run(step, cwd=ROOT, check=False).returncode for step in steps):
        return False
    done.write_text(requirements)
    return True


def tested(environment: Path, tests: tuple[str, ...]) -> tuple[bool, str, list[str]]:
    """Whether the tests pass, how many do, and the files of those that don't."""
    results = environment / "results.xml"
    results.unlink(missing_ok=True)
    pytest = [str(environment / "bin/python"), "-m", "pytest", "-q"]
    # Each worker starts with one half of the tests, so that few templates are planned by both.
    workers = ["-n", "2", "--dist", "worksteal"]
    options = [*workers, "-p", "no:cacheprovider", "-m", SELECTION, f"--junitxml={results}"]
    ran = subprocess.run([*pytest, *options, *tests], cwd=ROOT, check=False)
    if not results.exists():
        return False, f"pytest exited with {ran.returncode}", []
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    failed = []
    for suite in ET.parse(results).iter("testsuite"):
        counts = {name: count + int(suite.get(name, 0)) for name, count in counts.items()}
        for case in suite.iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                failed.append(case.get("classname", ""))
    bad = counts["failures"] + counts["errors"]
    parts = [f"{counts['tests'] - bad - counts['skipped']:,} passed"]
    parts += [f"{bad:,} failed"] if bad else []
    parts += [f"{counts['skipped']:,} skipped"] if counts["skipped"] else []
    return ran.returncode == 0, ", ".join(parts), sorted(set(failed))


def say(line: str) -> None:
    """Print at once, in order with what the subprocesses print."""
    print(line, flush=True)  # noqa: T201
