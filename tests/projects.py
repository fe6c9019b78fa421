"""Real SQLMesh projects for tests: written on the spot, run at a given time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from . import planned_databases
from .engines.engine import ENGINE

if TYPE_CHECKING:
    from sqlmesh import Context

    from pytest_sqlmesh_tracker import RunReport

Span = tuple[int, int]
Intervals = dict[str, dict[str, list[Span]]]

WORKERS = [pytest.param(1, marks=pytest.mark.variants), 4]
"""Numbers of workers, of which `make test` tries one."""

ONE_AND_FOUR = f"""
gateways:
  one:
    connection: {json.dumps({**ENGINE.unreachable, "concurrent_tasks": 1})}
  four:
    connection: {json.dumps({**ENGINE.unreachable, "concurrent_tasks": 4})}
default_gateway: one
model_defaults:
  dialect: {ENGINE.dialect}
  start: 2024-01-01
disable_anonymized_analytics: true
"""
"""A configuration for sandboxes, with two gateways: one worker, and four."""


@contextmanager
def at(moment: str | datetime) -> Iterator[None]:
    """A clock that shows this time in UTC, and ticks: SQLMesh orders its state by it."""
    now = datetime.fromisoformat(str(moment)).replace(tzinfo=timezone.utc)
    with time_machine.travel(now, tick=True):
        yield


class Project:
    """A SQLMesh project in its own folder, with its own databases, which are called `wh`."""

    def __init__(self, path: Path, concurrent_tasks: int = 1) -> None:
        self.path = path
        self.databases = ENGINE.databases(path)
        self._context: Context | None = None
        config = self.databases.config(
            start="2024-01-01", concurrent_tasks=concurrent_tasks, dialect=ENGINE.dialect
        )
        self.write("config.yaml", config)

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

    def execute_in_state(self, sql: str) -> None:
        """Change SQLMesh's state."""
        state_adapter(self.context).execute(sql)

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

        Of equal projects, one is planned in a session, and the others get copies of its databases.
        The context is closed, so that nothing but files is shared.
        """
        self.close()
        every = list(self.databases.all())
        has_tables = any(database.has_tables() for database in every)
        assert not has_tables, "what they contain is not compared"
        key = planned_databases.key(self.path, (moment, sql, environment, options))
        if all(database.restore(key) for database in every):
            return
        with at(moment):
            if sql:
                self.execute(sql)
            report = self.plan(environment, **options)
            assert report.completion == "success", report
        self.close()
        for database in every:
            database.keep(key)

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
        check_against_state([report], before, self.intervals())
        return report

    def intervals(self) -> Intervals:
        """Model → table (version, dev or not) → what SQLMesh's state has as loaded, merged."""
        rows = []
        if self.context.state_sync.get_versions(validate=False).schema_version:
            rows = state_adapter(self.context).fetchall(
                "SELECT name, concat(version, dev_version, is_dev), start_ts, end_ts, is_removed "
                "FROM sqlmesh._intervals WHERE NOT is_pending_restatement ORDER BY created_ts, id"
            )
        intervals: Intervals = {}
        for name, table, start, end, is_removed in rows:
            spans = intervals.setdefault(name, {}).setdefault(table, [])
            change = without if is_removed else _with
            spans[:] = change(spans, [(start, end)])
        return intervals


def state_adapter(context: Context) -> Any:
    """SQLMesh's adapter of the database with its state."""
    sync: Any = context.state_sync
    return getattr(sync, "state_sync", sync).interval_state.engine_adapter


def check_against_state(reports: Sequence[RunReport], before: Intervals, after: Intervals) -> None:
    """The witness that does not listen to the console: what SQLMesh recorded in its state.

    Args:
        reports: those of all invocations in between, of the same models.
    """
    from pytest_sqlmesh_tracker import Status

    for name in reports[0].outcomes:
        outcomes = [report[name] for report in reports]
        if any(each.status in (Status.AUDITED, Status.UNKNOWN) for each in outcomes):
            continue
        tables = after.get(outcomes[0].fqn, {})
        was = before.get(outcomes[0].fqn, {})
        recorded = [s for t, spans in tables.items() for s in without(spans, was.get(t, []))]
        loaded = [span for spans in tables.values() for span in spans]
        reported = [
            (_millis(batch.start), _millis(batch.end))
            for each in outcomes
            for batch in each.recorded_batches
        ]
        assert not without(recorded, reported), f"{name}: {recorded} recorded, {reported} reported"
        assert not without(reported, loaded), f"{name}: {reported} reported, {loaded} recorded"
        for each in outcomes:
            complete = each.status is not Status.EXECUTED or each.recorded_batches
            assert complete, f"{name}: executed without a batch"


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


def rows_every(interval: str, columns: str = "1 AS amount") -> str:
    """The query of an incremental model that has a row at each of these intervals."""
    series = f"generate_series(@start_dt, @end_dt, INTERVAL '{interval}')"
    return f"SELECT ts, {columns} FROM {series} AS _(ts)"
