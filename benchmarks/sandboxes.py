"""What a sandbox costs a test, beside loading and planning the project for each test.

Both are measured in the same process, in turn. What the first test of a session pays for all, the
template, is shown as well.

    python -m benchmarks.sandboxes [--quick]
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from sqlmesh import Context
from sqlmesh.core.config.connection import BaseDuckDBConnectionConfig

from benchmarks.projects.generated import ALL_DUE, write_project
from benchmarks.timing.measures import say, shown, verdict
from pytest_sqlmesh_tracker import Sandbox, track_all
from pytest_sqlmesh_tracker.sandbox.making import Defaults, SandboxMaker
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from tests.projects import at

SAMPLES = Path(__file__).parents[1] / "sample_projects"
PER_TEST = 25.0
"""Milliseconds of set-up and teardown on a project of 16 to 20 models."""
PER_COPY = 15.0
"""Milliseconds of CPU of a copy of a sandbox as it stands."""
CHEAPER = 150.0
"""How many times cheaper than to load and to plan."""
PER_TEST_ON_POSTGRES = 50.0
"""Milliseconds of set-up, with a connection, and of teardown on a project of 20 models."""
CHEAPER_ON_POSTGRES = 25.0
"""How many times cheaper than to load and to plan on the same server."""
CHEAPER_WITH_A_RUN = 30.0
"""The same with a first run that finds nothing due."""
GROWTH = 150.0
"""MiB that a session of 500 sandboxes may grow by."""


class Subject:
    """A project to be made sandboxes of."""

    def __init__(self, scratch: Path, project: Path, when: datetime) -> None:
        """Take a project, and a time to plan it at."""
        self._scratch = scratch
        self._project = project
        self._when = when
        self._folders = 0
        self._templates = Templates(scratch, self._new_folder)
        defaults = Defaults({"path": project, "at": when}, lambda: ".", None, self._setup)
        self._sandboxes = SandboxMaker("bench", self._templates, defaults, lambda _: None)

    def _new_folder(self) -> Path:
        self._folders += 1
        folder = self._scratch / f"{self._project.name}_{self._folders}"
        folder.mkdir()
        return folder

    def naive(self) -> float:
        """Seconds that it takes to load the project and to plan it, in a folder of its own."""
        folder = self._new_folder() / "project"
        shutil.copytree(self._project, folder)
        config = folder / "config.yaml"
        config.write_text(config.read_text().replace(str(self._project), str(folder)))
        began = time.perf_counter()
        with at(self._when), _inside(folder):
            context = Context(paths=[str(folder)])
            setup = folder / "raw.sql"
            if setup.exists():
                context.engine_adapter.cursor.execute(setup.read_text())
            context.plan(auto_apply=True, no_prompts=True, skip_tests=True)
        took = time.perf_counter() - began
        context.close()
        BaseDuckDBConnectionConfig._data_file_to_adapter.clear()
        shutil.rmtree(folder.parent)
        return took

    def template(self) -> float:
        """Seconds until the template is planned, which is done once."""
        began = time.perf_counter()
        self._sandboxes().close()
        return time.perf_counter() - began

    def _setup(self, connection: object) -> None:
        file = self._project / "raw.sql"
        if file.exists():
            connection.execute(file.read_text())  # type: ignore[attr-defined]

    def sandbox(self, run: bool = False) -> tuple[float, float, float]:
        """Seconds of a sandbox's set-up, of a first run if `run` is true, and of its teardown."""
        gc.collect()
        return self.sandbox_now(run)

    def sandbox_now(self, run: bool = False) -> tuple[float, float, float]:
        """The same without collecting garbage first, which can take longer than a sandbox."""
        with track_all() as tracker:
            began = time.perf_counter()
            project = self._sandboxes.of_test(tracker)
            self._use(project)
            ready = time.perf_counter()
            if run:
                project.run().assert_nothing_executed()
            ran = time.perf_counter()
            project.close()
            return ready - began, ran - ready, time.perf_counter() - ran

    def copies(self, number: int) -> list[float]:
        """Seconds of CPU of each copy of a sandbox that has run and was copied once before."""
        seconds = []
        with track_all() as tracker, self._sandboxes.of_test(tracker) as project:
            project.run(at="+1 day")
            project.copy().close()
            for _ in range(number):
                gc.collect()
                began = time.process_time()
                copy = project.copy()
                seconds.append(time.process_time() - began)
                copy.close()
        return seconds

    def _use(self, project: Sandbox) -> None:
        """Do what belongs to the set-up, because the sandbox leaves it until it is needed."""


POSTGRES_CONFIG = """
gateways:
  warehouse:
    connection:
      {{type: postgres, host: {host}, port: 5432, user: bench, password: '', database: {database}}}
model_defaults: {{dialect: postgres, start: 2024-01-01}}
disable_anonymized_analytics: true
"""


class OnPostgres(Subject):
    """A project of 20 models in PostgreSQL, in chains of three."""

    def __init__(self, scratch: Path) -> None:
        """Write it, and start the server, in memory if there is room."""
        project = scratch / "on_postgres"
        (project / "models").mkdir(parents=True)
        for number in range(20):
            source = f"bench.m{number - 1}" if number % 3 else "GENERATE_SERIES(1, 5) AS _(id)"
            (project / f"models/m{number}.sql").write_text(
                f"MODEL (name bench.m{number}, kind FULL);\n\nSELECT id FROM {source}\n"
            )
        super().__init__(scratch, project, ALL_DUE)
        self._databases = self._templates.servers.shared.databases
        self._databases.create_role("bench")
        self._configure(project, "warehouse")

    def _configure(self, folder: Path, database: str) -> None:
        host = self._databases.cluster.host
        text = POSTGRES_CONFIG.format(host=host, database=database)
        (folder / "config.yaml").write_text(text)

    def naive(self) -> float:
        """Seconds that it takes to load the project and to plan it in an empty database."""
        folder = self._new_folder() / "project"
        shutil.copytree(self._project, folder)
        self._databases.create("naive", owner="bench")
        self._configure(folder, "naive")
        began = time.perf_counter()
        with at(self._when):
            context = Context(paths=[str(folder)])
            context.plan(auto_apply=True, no_prompts=True, skip_tests=True)
        took = time.perf_counter() - began
        context.close()
        self._databases.drop("naive")
        return took

    def _use(self, project: Sandbox) -> None:
        project.fetch("SELECT 1")

    def close(self) -> None:
        """End the server."""
        self._templates.remove()


def postgres(scratch: Path, quick: bool) -> bool:
    """A test on a project in PostgreSQL."""
    subject = OnPostgres(scratch)
    say("\n== a test on 20 models in PostgreSQL")
    naive, costs = _measured(subject, 2 if quick else 7, 10 if quick else 50)
    subject.close()
    each = statistics.median(setup + teardown for setup, _, teardown in costs) * 1000
    met = verdict("set-up and teardown", each, PER_TEST_ON_POSTGRES, "ms")
    return _cheaper("set-up and teardown", naive * 1000 / each, CHEAPER_ON_POSTGRES) and met


def sample(scratch: Path, quick: bool) -> bool:
    """A test on a project of 16 to 20 models."""
    when = datetime(2024, 5, 11, 6, tzinfo=timezone.utc)
    subject = Subject(scratch, SAMPLES / "signals_and_batches", when)
    say("\n== a test on sample_projects/signals_and_batches")
    naive, costs = _measured(subject, 2 if quick else 7, 10 if quick else 50)
    each = statistics.median(setup + teardown for setup, _, teardown in costs) * 1000
    met = verdict("set-up and teardown", each, PER_TEST, "ms")
    met = _cheaper("set-up and teardown", naive * 1000 / each, CHEAPER) and met
    copy = statistics.median(subject.copies(10 if quick else 50)) * 1000
    return verdict("CPU of a copy as it stands", copy, PER_COPY, "ms") and met


def generated(scratch: Path, quick: bool) -> bool:
    """A test on a generated project of 200 models."""
    models = 40 if quick else 200
    project = scratch / f"models_{models}"
    write_project(project, models)
    subject = Subject(scratch, project, ALL_DUE)
    say(f"\n== a test on {models} generated models")
    naive, costs = _measured(subject, 1 if quick else 5, 5 if quick else 50, run=True)
    setup = statistics.median(setup for setup, _, _ in costs)
    both = statistics.median(setup + run for setup, run, _ in costs)
    met = _cheaper("set-up", naive / setup, CHEAPER)
    return (
        _cheaper("set-up and a first run with nothing due", naive / both, CHEAPER_WITH_A_RUN)
        and met
    )


def _measured(
    subject: Subject, naively: int, sandboxes: int, run: bool = False
) -> tuple[float, list[tuple[float, float, float]]]:
    """The median of the naive way, and the costs of sandboxes, measured in turn."""
    say(f"  (template: {subject.template():.2f} s, once)")
    naive, costs = [], []
    for _ in range(naively):
        naive.append(subject.naive())
        costs += [subject.sandbox(run) for _ in range(-(-sandboxes // naively))]
    say(f"  load and plan  {shown([each * 1000 for each in naive], 'ms')}   {naively} times")
    for name, place in (("set-up   ", 0), ("first run", 1), ("teardown ", 2)):
        figures = [each[place] * 1000 for each in costs]
        if place != 1 or run:
            say(f"  {name}      {shown(figures, 'ms')}   {len(costs)} times")
    return statistics.median(naive), costs


def _cheaper(what: str, times: float, target: float) -> bool:
    met = times >= target
    say(f"  {'ok    ' if met else 'MISSED'} {what}: {times:.0f} times cheaper, target {target:g}")
    return met


def many(scratch: Path, quick: bool) -> bool:
    """Many tests in one process: memory, open files, files that are left."""
    number = 50 if quick else 500
    when = datetime(2024, 1, 8, 9, 5, tzinfo=timezone.utc)
    subject = Subject(scratch, SAMPLES / "cron_cascade", when)
    say(f"\n== {number} sandboxes of sample_projects/cron_cascade, each with a run")
    for _ in range(5):
        subject.sandbox(run=True)
    before, files = _memory(), _open_files()
    folders = set(scratch.iterdir())
    for _ in range(number):
        subject.sandbox(run=True)
    left = set(scratch.iterdir()) - folders
    met = verdict("memory grew by", _memory() - before, GROWTH, "MiB")
    met = verdict("open files more", len(_open_files() - files), 0, "") and met
    return verdict("folders left", len(left), 0, "") and met


def _memory() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _open_files() -> set[str]:
    return {os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()}


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Relative paths of databases are the current folder's."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def main() -> int:
    """Measure; 1 if a target was missed."""
    parser = argparse.ArgumentParser(description="What sandboxes cost.")
    parser.add_argument("--quick", action="store_true", help="few rounds, small projects")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        sections = (sample, postgres, generated, many)
        met = [section(Path(folder), quick) for section in sections]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
