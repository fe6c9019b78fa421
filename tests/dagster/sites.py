"""A Dagster installation with a SQLMesh project, run by real `dagster` processes."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from tests.projects import Intervals, Project

SECONDS = 180
"""How long anything may take before it is said to hang."""
YEARLY = {"cron": "'@yearly'", "start": "'2020-01-01'"}
"""Missing all of it after a plan that skips the backfill; nothing of it after a run."""
SLOW = """
import os, time
from pathlib import Path
import pandas as pd
from sqlmesh import model

@model("c.slow", kind="FULL", cron="@yearly", start="2020-01-01", columns={"n": "int"},
       depends_on=["c.first"])
def execute(context, **kwargs):
    begun, go = (Path(os.environ["SITE"]) / name for name in ("begun", "go"))
    begun.write_text(str(os.getpid()))
    while not go.exists():
        time.sleep(0.01)
    return pd.DataFrame({"n": [1]})
"""
DEFINITIONS = """
import os
from pathlib import Path
import dagster as dg
from pytest_sqlmesh_tracker import Tracker
from pytest_sqlmesh_tracker.dagster import SqlmeshProject, SqlmeshResource, build_sqlmesh_assets

# Tests wait for it: a signal or a request that was sent has not arrived yet.
cancel = Tracker.cancel

def told_to_end(tracker):
    cancel(tracker)
    (Path(os.environ["SITE"]) / "told_to_end").touch()

Tracker.cancel = told_to_end

project = SqlmeshProject(os.environ["SITE"])
drain_timeout = float(os.environ.get("DRAIN_TIMEOUT", "60"))
resource = SqlmeshResource(project=project, drain_timeout=drain_timeout)
warehouse = build_sqlmesh_assets(project=project, name="warehouse")

@dg.asset(key=["raw", "till"])
def till():
    pass

@dg.asset(deps=[["c", "third"]])
def dashboard():
    pass

forked = dg.multiprocess_executor.configured({"start_method": {"forkserver": {}}})
executors = {
    "in_process": dg.in_process_executor,
    "multiprocess": dg.multiprocess_executor,
    "forkserver": forked,
}
defs = dg.Definitions(
    assets=[till, warehouse, dashboard],
    resources={"sqlmesh": resource},
    jobs=[
        dg.define_asset_job(name, selection="*", executor_def=executor)
        for name, executor in executors.items()
    ],
)
"""
INSTANCE = """
telemetry:
  enabled: false
# Runs that are launched begin at once: no daemon has to take them out of a queue.
run_coordinator:
  module: dagster.core.run_coordinator
  class: DefaultRunCoordinator
"""
ONE = "SELECT 1 AS n"
TILL = "CREATE SCHEMA raw; CREATE TABLE raw.till AS SELECT 1 AS n"
TODAY = f"{datetime.now(timezone.utc):%Y-%m-%d}"
MODELS = {"c/first", "c/slow", "c/third", "c/beside"}


class Installation:
    """A SQLMesh project and a Dagster instance in one folder, and `dagster` commands on them."""

    def __init__(self, project: Project) -> None:
        self.path, self.project = project.path, project
        self.home = self.path / "dagster_home"

    def create_home(self, settings: str = INSTANCE) -> None:
        """Create the folder of the Dagster instance."""
        shutil.copytree(_empty_home(settings), self.home)

    def close(self) -> None:
        """Let go of the database's file."""
        self.project.context.close()

    @property
    def log(self) -> str:
        """What the processes of this site have written so far."""
        return (self.path / "dagster.log").read_text()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process of this site."""
        set_here = {"SITE": str(self.path), "DAGSTER_HOME": str(self.home)}
        return {**os.environ, **set_here, "PYTHONWARNINGS": "ignore"}

    def dagster(self, *arguments: str) -> Any:
        """Start a `dagster` command."""
        return self._start("dagster", *arguments)

    def daemon(self, *locations: str) -> Any:
        """Start the daemon, which takes runs out of the queue.

        Args:
            locations: the files of the code locations; by default, `defs.py`.
        """
        files = [argument for file in locations or ("defs.py",) for argument in ("-f", file)]
        return self._start("dagster._daemon", "run", *files)

    @contextmanager
    def _start(self, module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a module; what is left of its processes at the end is killed."""
        command = [sys.executable, "-m", module, *arguments]
        log = (self.path / "dagster.log").open("ab")
        with (
            log,
            subprocess.Popen(
                command,
                cwd=self.path,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ) as process,
        ):
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def execute(self, job: str, *options: str) -> Any:
        """Execute a job."""
        return self.dagster("job", "execute", "-f", "defs.py", "-j", job, *options)

    def launch(self, job: str) -> Any:
        """Launch a job by the instance: the code server that runs it outlives the command."""
        return self.dagster("job", "launch", "-f", "defs.py", "-j", job)

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The site's Dagster instance, opened in this process."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            yield instance

    def runs(self) -> list[Any]:
        """The runs, the latest last."""
        with self.instance() as instance:
            return list(reversed(list(instance.get_runs())))


class Site(Installation):
    """first → slow → third, and one separate model: planned, with all intervals missing.

    `slow` writes its process into the file `begun`, and waits for the file `go`. There is a file
    `told_to_end` when SQLMesh is.
    """

    def __init__(self, path: Path, concurrent_tasks: int = 1) -> None:
        super().__init__(Project(path, concurrent_tasks))
        project = self.project
        project.write("external_models.yaml", "- name: raw.till\n  columns: {n: int}\n")
        project.write("models/slow.py", SLOW)
        project.model("c.first", "SELECT n FROM raw.till", **YEARLY)
        project.model("c.third", "SELECT n FROM c.slow", **YEARLY)
        project.model("c.beside", ONE, **YEARLY)
        project.write("defs.py", DEFINITIONS)
        # The oldest SQLMesh leaves production without data only where it leaves no gaps.
        project.plan_once(TODAY, sql=TILL, skip_backfill=True, no_gaps=True)
        self.create_home()

    def cancel(self) -> None:
        """Cancel the latest run through the instance, as the web UI does."""
        run_id = self.runs()[-1].run_id
        with self.instance() as instance:
            assert instance.run_coordinator.cancel_run(run_id)

    def run_to_its_end(self, job: str) -> None:
        """Execute a job, with nothing in its way."""
        (self.path / "go").touch()
        with self.execute(job) as process:
            process.wait(SECONDS)

    def wait_until_slow_begins(self) -> None:
        """By then, `first` has executed."""
        until(lambda: (self.path / "begun").exists())

    def wait_until_it_is_told_to_end(self) -> None:
        until(lambda: (self.path / "told_to_end").exists())

    def let_slow_go_on(self) -> None:
        (self.path / "go").touch()

    def leave_prod_unfinished(self) -> None:
        """Do what a plan does that fails in its last steps: runs wait for its end."""
        self.project.databases.state.execute(
            "UPDATE sqlmesh._environments SET finalized_ts = NULL, plan_id = '1a2b3c4d5e'"
        )

    # -- witnesses ---------------------------------------------------------------------------------

    def loaded(self) -> set[str]:
        """The keys of the models that have intervals in SQLMesh's state."""
        intervals: Intervals = self.project.intervals()
        self.close()
        return {
            "/".join(part.strip('"') for part in fqn.split(".")[1:])
            for fqn, tables in intervals.items()
            if any(tables.values())
        }

    def materialized(self) -> list[str]:
        """The keys of SQLMesh's assets that were materialized in any run, in order."""
        with self.instance() as instance:
            # Not out of the log of a run: what reads it may create it, and so does the run.
            records = [
                (record.storage_id, key)
                for key in MODELS
                for record in instance.fetch_materializations(
                    dg.AssetKey.from_user_string(key), limit=100
                ).records
            ]
        return [key for _, key in sorted(records)]

    def is_materialized(self, asset: str) -> bool:
        """Whether any run has materialized an asset of another op."""
        with self.instance() as instance:
            key = dg.AssetKey.from_user_string(asset)
            return instance.get_latest_materialization_event(key) is not None

    def statuses(self) -> dict[str, str]:
        """Asset → the status that its latest status check says."""
        from dagster._core.storage.asset_check_execution_record import (
            COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES as COMPLETED,
        )

        by_key = {}
        with self.instance() as instance:
            for key in MODELS:
                check = dg.AssetCheckKey(dg.AssetKey.from_user_string(key), STATUS_CHECK)
                storage = instance.event_log_storage
                for record in storage.get_asset_check_execution_history(
                    check, limit=1, status=COMPLETED
                ):
                    assert record.evaluation
                    by_key[key] = str(record.evaluation.metadata["sqlmesh/status"].value)
        return by_key


@cache
def _empty_home(settings: str) -> Path:
    """The folder of a Dagster instance in which nothing has happened yet."""
    folder = Path(tempfile.mkdtemp(prefix="dagster-home-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "dagster.yaml").write_text(settings)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        # Two processes that create its databases at the same time are in each other's way.
        instance.get_runs(limit=1)
        instance.all_asset_keys()
    return folder


def materialized_in(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The keys of SQLMesh's assets that a run has materialized so far."""
    logged = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    keys = [entry.dagster_event.asset_key for entry in logged if entry.dagster_event]
    names = [key.to_user_string() for key in keys if key]
    return [name for name in names if name in MODELS]


def is_gone(process: int) -> bool:
    """Whether the process has ended."""
    return _ended(os.kill, process)


def group_is_gone(group: int) -> bool:
    """Whether no process of the group is left."""
    return _ended(os.killpg, group)


def _ended(send: Callable[[int, int], None], target: int) -> bool:
    try:
        send(target, 0)
    except ProcessLookupError:
        return True
    return False


def until(holds: Callable[[], object]) -> None:
    """Wait for it, but not for ever."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(0.02)
