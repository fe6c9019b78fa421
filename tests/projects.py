"""Real SQLMesh projects for tests: written on the spot, run at a given time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from shutil import copytree, ignore_patterns
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from . import planned_databases

if TYPE_CHECKING:
    from sqlmesh import Context

    from pytest_sqlmesh_tracker import RunReport

Span = tuple[int, int]
Intervals = dict[str, dict[str, list[Span]]]

CONFIG = """
gateways:
  local:
    connection:
      type: duckdb
      database: {database}
      concurrent_tasks: {concurrent_tasks}
      # More than one takes longer for a handful of rows.
      connector_config: {{threads: 1}}
default_gateway: local
model_defaults:
  dialect: duckdb
  start: {start}
disable_anonymized_analytics: true
"""

WORKERS = [pytest.param(1, marks=pytest.mark.variants), 4]
"""Numbers of workers, of which `make test` tries one."""

ONE_AND_FOUR = """
gateways:
  one:
    connection: {type: duckdb, concurrent_tasks: 1}
  four:
    connection: {type: duckdb, concurrent_tasks: 4}
default_gateway: one
model_defaults:
  dialect: duckdb
  start: 2024-01-01
disable_anonymized_analytics: true
"""
"""A configuration with two gateways: one worker, and four."""


@contextmanager
def at(moment: str | datetime) -> Iterator[None]:
    """A clock that shows this time in UTC, and ticks: SQLMesh orders its state by it."""
    now = datetime.fromisoformat(str(moment)).replace(tzinfo=timezone.utc)
    with time_machine.travel(now, tick=True):
        yield


class Project:
    """A SQLMesh project in its own folder, with a DuckDB file called `wh.db`."""

    def __init__(self, path: Path, concurrent_tasks: int = 1) -> None:
        self.path = path
        self._context: Context | None = None
        self.write(
            "config.yaml",
            CONFIG.format(
                database=path / "wh.db", concurrent_tasks=concurrent_tasks, start="2024-01-01"
            ),
        )

    def copy(self, path: Path) -> Project:
        """The same project in another folder, with what is loaded; close its context first."""
        copytree(self.path, path, dirs_exist_ok=True, ignore=ignore_patterns("logs"))
        copied = Project(path)
        config = (self.path / "config.yaml").read_text()
        copied.write("config.yaml", config.replace(str(self.path), str(path)))
        return copied

    def close(self) -> None:
        """Close the context; a new one is made when it is needed."""
        if self._context is not None:
            self._context.close()
        self._context = None

    def write(self, file: str, text: str) -> None:
        target = self.path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(dedent(text))

    def model(self, name: str, query: str, **properties: str) -> None:
        """Write a SQL model; `cron="@hourly"` and the like go into its MODEL block."""
        properties = {"kind": "FULL", **properties}
        block = ",\n".join(f"  {key} {value}" for key, value in properties.items())
        self.write(f"models/{name}.sql", f"MODEL (\n  name {name},\n{block}\n);\n\n{query}\n")

    def incremental(self, name: str, query: str, options: str = "", **properties: str) -> None:
        """Write an INCREMENTAL_BY_TIME_RANGE model on the column `ts`."""
        kind = f"INCREMENTAL_BY_TIME_RANGE (time_column ts{options})"
        self.model(name, query, kind=kind, **properties)

    @property
    def context(self) -> Context:
        from sqlmesh import Context

        if self._context is None:
            self._context = Context(paths=str(self.path))
        return self._context

    def reload(self) -> None:
        self.context.load()

    def execute(self, sql: str) -> None:
        self.context.engine_adapter.execute(sql)

    def plan(self, environment: str | None = None, **arguments: Any) -> RunReport:
        """Apply a plan and report on it; a `PlanError` of failed models is left to the report."""
        from sqlmesh.utils.errors import PlanError

        def apply() -> None:
            try:
                self.context.plan(environment, auto_apply=True, no_prompts=True, **arguments)
            except PlanError as error:
                if "Plan application failed" not in str(error):
                    raise

        return self._witnessed(apply)

    def plan_once(
        self, moment: str, *, sql: str | None = None, environment: str | None = None, **options: Any
    ) -> None:
        """Execute the SQL and plan at this time, with success; or be as an equal project was then.

        Of equal projects, one is planned in a session, and the others get a copy of its database.
        The context is closed, so that nothing but files is shared.
        """
        self.close()
        assert not (self.path / "wh.db").exists(), "what is in the database already is not compared"
        plan = (moment, sql, environment, options)
        if planned_databases.restore(self.path, plan):
            return
        with at(moment):
            if sql:
                self.execute(sql)
            assert self.plan(environment, **options).completion == "success"
        self.close()
        planned_databases.keep(self.path, plan)

    def unwitnessed_plan(self, environment: str | None = None, **arguments: Any) -> RunReport:
        """A plan that SQLMesh's state can't witness: it books intervals that it does not load, or
        is not applied; it may raise."""
        from pytest_sqlmesh_tracker import sqlmesh_run_tracker

        with sqlmesh_run_tracker(self.context) as tracker:
            self.context.plan(environment, no_prompts=True, **arguments)
        return tracker.last

    def run(self, environment: str | None = None, **arguments: Any) -> RunReport:
        """Run the environment and report on it."""
        return self._witnessed(lambda: self.context.run(environment, **arguments))

    def _witnessed(self, call: Callable[[], Any]) -> RunReport:
        """Make the call, and hold its report against the intervals in SQLMesh's state."""
        from pytest_sqlmesh_tracker import sqlmesh_run_tracker

        before = self.intervals()
        with sqlmesh_run_tracker(self.context) as tracker:
            call()
        (report,) = tracker.reports
        check_against_state(report, before, self.intervals())
        return report

    def intervals(self) -> Intervals:
        """Model → table (version, dev or not) → what SQLMesh's state has as loaded, merged."""
        rows = []
        if self.context.state_sync.get_versions(validate=False).schema_version:
            rows = self.context.engine_adapter.fetchall(
                "SELECT name, concat(version, dev_version, is_dev), start_ts, end_ts, is_removed "
                "FROM sqlmesh._intervals WHERE NOT is_pending_restatement ORDER BY created_ts, id"
            )
        intervals: Intervals = {}
        for name, table, start, end, is_removed in rows:
            spans = intervals.setdefault(name, {}).setdefault(table, [])
            change = without if is_removed else _with
            spans[:] = change(spans, [(start, end)])
        return intervals


def check_against_state(report: RunReport, before: Intervals, after: Intervals) -> None:
    """The witness that does not listen to the console: what SQLMesh recorded in its state."""
    from pytest_sqlmesh_tracker import Status

    for outcome in report.outcomes.values():
        if outcome.status in (Status.AUDITED, Status.UNKNOWN):
            continue
        tables = after.get(outcome.fqn, {})
        was = before.get(outcome.fqn, {})
        recorded = [s for t, spans in tables.items() for s in without(spans, was.get(t, []))]
        loaded = [span for spans in tables.values() for span in spans]
        reported = [
            (_millis(batch.start), _millis(batch.end)) for batch in outcome.recorded_batches
        ]
        assert not without(recorded, reported), (
            f"{outcome.name}: {recorded} recorded, but {reported} told"
        )
        assert not without(reported, loaded), (
            f"{outcome.name}: {reported} told, but {loaded} recorded"
        )
        assert (outcome.status is not Status.EXECUTED) or reported, f"{outcome.name}: no batch told"


def without(spans: list[Span], removed: list[Span]) -> list[Span]:
    """What of the spans is not in the removed ones."""
    for cut_start, cut_end in removed:
        pieces = [((a, min(b, cut_start)), (max(a, cut_end), b)) for a, b in spans]
        spans = [piece for pair in pieces for piece in pair if piece[0] < piece[1]]
    return spans


def _with(spans: list[Span], added: list[Span]) -> list[Span]:
    return sorted(without(spans, added) + added)


def _millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def read_between(table: str) -> str:
    """The query of an incremental model that copies its interval from another table."""
    return f"SELECT ts, amount FROM {table} WHERE ts BETWEEN @start_dt AND @end_dt"
