"""The tests under every SQLMesh and Dagster that is tried: `make compat`, `make compat-oldest`.

Each version has its own virtual environment in `.venv-compat`. Arguments are the versions to
run, or `oldest` and `newest`; without any it runs all. Standard library only, so that it starts on
a bare Python.
"""

from __future__ import annotations

import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = ("tests/tracking", "tests/doctor")
ASSETS = ("tests/dagster",)
# Not where a single version is requested, as in CI: they take their time. The unit tests know no
# SQLMesh, but other versions of Python.
MORE = (
    "tests/properties",
    "tests/outcomes",
    "tests/models",
    "tests/wording",
    "tests/reports",
    "tests/gate",
    "tests/render",
    "tests/sandbox",
    "tests/cli",
    "tests/dbt",
    *ASSETS,
    "tests/dagster_processes",
)
# The same tests as in `make test`, where a single version is requested.
SHORT = ("-m", "not (documents or long or processes or variants)")
# Older SQLMesh releases set no upper bounds here, and do not run with what came later.
OLD = ("duckdb<2", "pandas<3")
OLDEST, OLDEST_DAGSTER = "0.206.0", "1.10.18"


@dataclass(frozen=True)
class Target:
    """A SQLMesh version, and what it is tried with."""

    sqlmesh: str
    """Its number, or `newest`."""
    python: str | None = None
    """The interpreter to look for; None: the one that runs this."""
    pins: tuple[str, ...] = OLD
    """What else is installed, and of which version."""
    dagster: str = "newest"
    """The number of a Dagster version, or `newest`."""
    crossed: bool = False
    """Whether it is there for Dagster's version alone, and runs the tests of assets only."""

    @property
    def name(self) -> str:
        """What the command line calls it."""
        return f"{self.sqlmesh}-dagster-{self.dagster}" if self.crossed else self.sqlmesh


# The ends of what is supported, with the oldest and the newest Python.
TARGETS = (
    Target(OLDEST, "python3.10", dagster=OLDEST_DAGSTER),
    # The first with the parameters that console methods have to this day.
    Target("0.211.2"),
    Target("0.228.5"),
    Target("newest", "python3.13", pins=()),
    Target(OLDEST, "python3.10", crossed=True),
    Target("newest", "python3.12", pins=(), dagster=OLDEST_DAGSTER, crossed=True),
)
ALIASES = {"oldest": TARGETS[0].sqlmesh}


@dataclass(frozen=True)
class Result:
    """A line of the summary."""

    sqlmesh: str
    dagster: str
    python: str
    outcome: str
    seconds: float
    passed: bool


def main(requested: list[str]) -> int:
    """Run the versions that are wanted, or all; the exit code is 1 if one of them fails."""
    names = {ALIASES.get(name, name) for name in requested}
    unknown = names - {target.name for target in TARGETS}
    if unknown:
        sys.exit(f"no such version: {', '.join(sorted(unknown))}")
    tests = (*SHORT, *TESTS) if names else (*TESTS, *MORE)
    results = [run(target, tests) for target in TARGETS if not names or target.name in names]
    say(f"\n{'SQLMesh':<10}{'Dagster':<10}{'Python':<34}{'seconds':>8}  result")
    for each in results:
        versions = f"{each.sqlmesh:<10}{each.dagster:<10}{each.python:<34}"
        say(f"{versions}{each.seconds:>8.0f}  {each.outcome}")
    return 0 if all(result.passed for result in results) else 1


def run(target: Target, tests: tuple[str, ...]) -> Result:
    """Install one version and run the tests with it."""
    began = time.monotonic()
    command, python, note = interpreter(target.python)
    venv = ROOT / ".venv-compat" / f"{target.name}-py{python.rpartition('.')[0]}"
    say(f"\n== SQLMesh {target.name}, Python {python}{note}: {venv.relative_to(ROOT)}")
    passed, versions, outcome = False, [target.sqlmesh, target.dagster], "not installed"
    if install(target, command, venv):
        code = "from importlib.metadata import version as v; print(v('sqlmesh'), v('dagster'))"
        versions = printed(str(venv / "bin/python"), code).split()
        passed, outcome = tested(venv, ASSETS if target.crossed else tests)
    sqlmesh, dagster = versions
    return Result(sqlmesh, dagster, python + note, outcome, time.monotonic() - began, passed)


def interpreter(requested: str | None) -> tuple[str, str, str]:
    """A command, its version, and a note if it is not what was wanted."""
    if requested:
        try:
            return requested, version_of(requested), ""
        except (OSError, subprocess.CalledProcessError):
            # A version manager can have a command on the PATH that only says that it can't run.
            return sys.executable, version_of(sys.executable), f" ({requested} does not run)"
    return sys.executable, version_of(sys.executable), ""


def version_of(python: str) -> str:
    """The version of an interpreter, by running it."""
    return printed(python, "import platform; print(platform.python_version())")


def printed(python: str, code: str) -> str:
    """What some code prints; what the command complains about is dropped."""
    ran = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def install(target: Target, command: str, venv: Path) -> bool:
    """Bring the virtual environment up to date; whether that worked."""
    newest = "newest" in (target.sqlmesh, target.dagster)
    wanted_of = {"sqlmesh": target.sqlmesh, "dagster": target.dagster}
    pins = [name if of == "newest" else f"{name}=={of}" for name, of in wanted_of.items()]
    package = ["--editable", ".[pytest,dagster,postgres]", "--group", "dev", *pins, *target.pins]
    done, requirements = (
        venv / "installed",
        " ".join(package) + (ROOT / "pyproject.toml").read_text(),
    )
    if not newest and done.exists() and done.read_text() == requirements:
        return True
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--upgrade"]
    steps = [[*pip, "pip>=25.1"], [*pip, *package]]
    if not done.exists():
        steps.insert(0, [command, "-m", "venv", "--clear", str(venv)])
    if any(subprocess.run(step, cwd=ROOT, check=False).returncode for step in steps):
        return False
    done.write_text(requirements)
    return True


def tested(venv: Path, tests: tuple[str, ...]) -> tuple[bool, str]:
    """Whether the tests pass, and how many."""
    results = venv / "results.xml"
    results.unlink(missing_ok=True)
    pytest = [str(venv / "bin/python"), "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"]
    ran = subprocess.run([*pytest, f"--junitxml={results}", *tests], cwd=ROOT, check=False)
    if not results.exists():
        return False, f"pytest exited with {ran.returncode}"
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in ET.parse(results).iter("testsuite"):
        counts = {name: count + int(suite.get(name, 0)) for name, count in counts.items()}
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return ran.returncode == 0, f"{passed} passed, {failed} failed{skipped}"


def say(line: str) -> None:
    """Print at once, in order with what the subprocesses print."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
