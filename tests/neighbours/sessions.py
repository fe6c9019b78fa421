"""A session alongside a neighbour, and what it leaves: results, warnings, modules."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path

from .suites import _FAILING, Neighbour

OURS = "pytest_sqlmesh_tracker"
_PARTS = ("configuration", "fixtures", "hooks", "session", "settings", "summary", "tries")
IDLE = {
    OURS,
    *(f"{OURS}.{name}" for name in ("plugin", "pytest_plugin", "version")),
    *(f"{OURS}.pytest_plugin.{name}" for name in _PARTS),
}
"""What the plugin loads in a session that uses nothing of it."""
HEAVY = {"sqlmesh", "sqlglot", "dagster", "pandas", "pydantic", "duckdb", "rich"}

# Written by every process of the session, those of pytest-xdist as well.
_CONFTEST = """
import json
import os
import sys

results = []
warned = []


def pytest_runtest_logreport(report):
    results.append([report.nodeid, report.when, report.outcome])


def pytest_warning_recorded(warning_message):
    warned.append([warning_message.category.__name__, str(warning_message.message)])


def pytest_unconfigure(config):
    seen = {"results": results, "warnings": warned, "modules": sorted(sys.modules)}
    process = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with open(os.path.join({folder!r}, process + ".json"), "w") as file:
        json.dump(seen, file)
"""
_TIMES = re.compile(r"\d+(\.\d+)?( ?[mun]?s\b|\b)|0x[0-9a-f]+|=+|-+")


@dataclass(frozen=True)
class Session:
    """What there is to compare of a session."""

    exit_code: int
    results: list[list[str]]
    warnings: list[list[str]]
    summary: list[str]
    modules: frozenset[str]


def play(neighbour: Neighbour, folder: Path, *, plugin: bool, workers: int = 0) -> Session:
    """Run the suite of a neighbour in an empty folder, with the plugin or without it."""
    folder.mkdir(parents=True)
    suite = {"test_suite.py": neighbour.suite + _FAILING, **neighbour.files}
    for name, text in {**suite, "pytest.ini": "[pytest]\n"}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    records = folder / ".seen"
    records.mkdir()
    (folder / "conftest.py").write_text(_CONFTEST.replace("{folder!r}", repr(str(records))))
    plugins = [*neighbour.plugins, *(["sqlmesh_tracker"] if plugin else [])]
    plugins += ["xdist"] if workers else []
    parallel = [f"--numprocesses={workers}"] if workers else []
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra", *parallel]
        + [part for name in plugins for part in ("-p", name)]
        + list(neighbour.options),
        cwd=folder,
        env={**_outer(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": _path(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    written = [json.loads(file.read_text()) for file in records.glob("*.json")]
    if not (records / "main.json").exists():
        raise RuntimeError(f"{neighbour.name}: the session did not start\n{ran.stdout}{ran.stderr}")
    main = json.loads((records / "main.json").read_text())
    lines = ran.stdout.partition("short test summary info")[2].splitlines()
    return Session(
        exit_code=ran.returncode,
        # Workers report in any order.
        results=sorted(main["results"]) if workers else main["results"],
        warnings=sorted(main["warnings"]),
        summary=sorted(_TIMES.sub("", line).strip() for line in lines),
        modules=frozenset(name for each in written for name in each["modules"]),
    )


def _outer() -> dict[str, str]:
    """The environment, without what the session in which this one is played says of itself."""
    ours = ("PYTEST_", "COVERAGE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _path(folder: Path) -> str:
    """Where modules are looked for: the suite's own, and what this process was given."""
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def differences(neighbour: Neighbour, folder: Path, *, workers: int = 0) -> list[str]:
    """What the plugin changes of a session that does not use it; a line each."""
    alone = play(neighbour, folder / "alone", plugin=False, workers=workers)
    beside = play(neighbour, folder / "beside", plugin=True, workers=workers)
    differing = [
        f"{field.name}: {getattr(beside, field.name)} instead of {getattr(alone, field.name)}"
        for field in fields(Session)
        if field.name != "modules" and getattr(alone, field.name) != getattr(beside, field.name)
    ]
    if not {"passed", "failed"} <= {outcome for _, _, outcome in alone.results}:
        differing.append(f"the suite has to pass and to fail: {alone.results}, {alone.summary}")
    more = beside.modules - alone.modules
    imported = sorted(more & HEAVY)
    imported += sorted(name for name in more - IDLE if name.split(".")[0] == OURS)
    return differing + [f"imported {name}" for name in imported]
