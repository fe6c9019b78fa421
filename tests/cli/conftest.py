"""A planned shop in the current folder, and the command line that is typed there."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_sqlmesh_tracker import RunReport
from pytest_sqlmesh_tracker.cli import main
from pytest_sqlmesh_tracker.reports.files import entries_from_json
from tests.engines.engine import ENGINE
from tests.projects import Project, at, rows_every

MODELS = {
    "shop.orders": (
        "kind INCREMENTAL_BY_TIME_RANGE (time_column ts), cron '@daily'",
        "SELECT ts, 100 / (SELECT rate FROM raw.rates) AS amount "
        "FROM generate_series(@start_dt, @end_dt, INTERVAL '6 hours') AS _(ts)",
    ),
    "shop.daily": (
        "kind INCREMENTAL_BY_TIME_RANGE (time_column ts), cron '@daily'",
        "SELECT ts::date::timestamp AS ts, SUM(amount) AS amount FROM shop.orders "
        "WHERE ts BETWEEN @start_dt AND @end_dt GROUP BY 1",
    ),
    "shop.weekly": ("kind FULL, cron '@weekly'", "SELECT COUNT(*) AS n FROM shop.daily"),
    "marketing.spend": (
        "kind INCREMENTAL_BY_TIME_RANGE (time_column ts), cron '@daily', signals (feed_is_there())",
        rows_every("1 day"),
    ),
}
SIGNAL = """
from inspect import signature
from pathlib import Path

from sqlmesh import signal


@signal()
def feed_is_there(batch):
    return not Path("feed_is_late").exists()
"""


def write_shop(project: Project) -> None:
    project.write("signals/__init__.py", SIGNAL)
    for name, (properties, query) in MODELS.items():
        project.write(f"models/{name}.sql", f"MODEL (name {name}, {properties});\n\n{query}\n")


def runner() -> CliRunner:
    """A runner that keeps the two streams apart, as click's does by default since 8.2."""
    options: dict[str, Any] = {"mix_stderr": False}
    return CliRunner(**options if "mix_stderr" in signature(CliRunner).parameters else {})


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop as it was planned at 2024-01-09 00:05; the current folder."""
    folder = tmp_path / "shop"
    project = Project(folder)
    write_shop(project)
    rates = "CREATE SCHEMA raw; CREATE TABLE raw.rates AS SELECT 4 AS rate"
    monkeypatch.chdir(folder)
    for variable in ("GITHUB_STEP_SUMMARY", "NO_COLOR", "SQLMESH_GATEWAY", "SQLMESH_DEBUG"):
        monkeypatch.delenv(variable, raising=False)
    project.plan_once("2024-01-09 00:05", sql=rates)
    return folder


def execute(shop: Path, sql: str) -> None:
    """Execute statements in the database with the shop's tables."""
    ENGINE.databases(shop).tables.execute(sql)


def execute_in_state(shop: Path, sql: str) -> None:
    """Change SQLMesh's state of the shop."""
    ENGINE.databases(shop).state.execute(sql)


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> RunReport:
        """The only report that the command printed."""
        [(_, report)] = entries_from_json(self.out)
        return report


Typed = Callable[..., Ended]


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `sqlmesh-tracker` with some arguments in a separate process."""
    command = [sys.executable, "-W", "ignore", "-m", "pytest_sqlmesh_tracker.cli", *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(command, text=True, check=False, **{**streams, **options})


@pytest.fixture
def typed() -> Typed:
    """Run `sqlmesh-tracker` with some arguments, in this process, at a given time.

    A run does not read the project's files, which takes a separate process, unless `load` is set.
    """

    def type_(
        *arguments: str,
        when: str = "2024-01-10 00:05",
        typed_in: str | None = None,
        load: bool = False,
    ) -> Ended:
        words = [*arguments]
        if "run" in words and not load:
            words.insert(words.index("run") + 1, "--no-load")
        with undisturbed(), at(when):
            ended = runner().invoke(main, words, input=typed_in)
        if ended.exception and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return Ended(ended.exit_code, ended.stdout, ended.stderr)

    return type_


@contextmanager
def undisturbed() -> Iterator[None]:
    """SQLMesh's command line sets up logging and a console for its process, which ends with it."""
    from sqlmesh.core.console import get_console, set_console

    console, root = get_console(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        set_console(console)
        for handler in [handler for handler in root.handlers if handler not in handlers]:
            root.removeHandler(handler)
            handler.close()
        root.setLevel(level)
