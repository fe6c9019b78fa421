"""The days of the shop: invocations at fixed times, each with its witnesses.

Each step is one invocation. Before it, the shop is prepared: a table is dropped, rows that an audit
finds are inserted, or a file is edited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlmesh import Context
from sqlmesh.core.config import Config, GatewayConfig, ModelDefaultsConfig, RunConfig
from sqlmesh.core.snapshot import SnapshotEvaluator

from pytest_sqlmesh_tracker import RunReport, sqlmesh_run_tracker
from tests.projects import Intervals, at, without
from tests.properties.playing.witnesses import Witness, watching

from .engines.engine import Engine
from .project import CONTROLS, TABLES, WRITTEN, write_project

_INTERVALS = (
    "SELECT name, version, dev_version, is_dev, start_ts, end_ts, is_removed "
    "FROM sqlmesh._intervals WHERE NOT is_pending_restatement{} ORDER BY created_ts, id"
)
# SQLMesh gives a new version the intervals of the one before also for its table in development.
_OF_PRODUCTION = " AND NOT is_dev"


@dataclass(frozen=True)
class Tables:
    """What the tables of an environment contain after an invocation."""

    counts: Mapping[str, int]
    """Model → the number of rows."""
    written_by: Mapping[str, int | None]
    """Model → the latest invocation that has written a row of it."""


@dataclass(frozen=True)
class Played:
    """An invocation that took place: its report, and what does not depend on it."""

    number: int
    report: RunReport
    raised: type[Exception] | None
    witness: Witness
    before: Intervals
    after: Intervals
    tables: Tables


class Shop:
    """The project on an engine."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.models = TABLES - engine.left_out
        self._folder = folder
        self._gateway = GatewayConfig(
            connection=engine.connection, state_connection=engine.state_connection
        )
        write_project(folder, engine.dialect, engine.left_out)
        self.context = self._load()
        self.execute("CREATE SCHEMA IF NOT EXISTS ctl")
        for table, values in CONTROLS.items():
            self.put(table, *values)

    def _load(self) -> Context:
        config = Config(
            gateways={"warehouse": self._gateway},
            model_defaults=ModelDefaultsConfig(
                dialect=self.engine.dialect.name, start="2024-01-01"
            ),
            # A run fails if a plan has not finished; it would wait for hours otherwise.
            run=RunConfig(environment_check_max_wait=1),
            disable_anonymized_analytics=True,
        )
        return Context(paths=[str(self._folder)], config=config)

    def close(self) -> None:
        self.context.close()

    def execute(self, sql: str) -> None:
        self.context.engine_adapter.execute(sql)

    def put(self, table: str, *values: int) -> None:
        """Make a table of the schema `ctl` have exactly these values."""
        self.drop(table)
        self.execute(f"CREATE TABLE ctl.{table} (v {self.engine.dialect.integer})")
        for value in values:
            self.execute(f"INSERT INTO ctl.{table} VALUES ({value})")

    def drop(self, table: str) -> None:
        self.execute(f"DROP TABLE IF EXISTS ctl.{table}")

    def edit(self, model: str, old: str, new: str) -> None:
        """Replace a part of a model's query, and load the project again."""
        file = self._folder / "models" / f"{model}.sql"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        self.close()
        self.context = self._load()

    def plan(self, environment: str | None = None, **arguments: Any) -> None:
        self.context.plan(environment, auto_apply=True, no_prompts=True, no_diff=True, **arguments)

    def play(self, number: int, step: Step) -> Played:
        """Prepare a step and take it."""
        with at(step.at):
            step.prepare(self)
            self.put("invocation", number)
            before = self._intervals(step.environment)
            raised: type[Exception] | None = None
            with sqlmesh_run_tracker(self.context) as tracker:
                with watching(SnapshotEvaluator) as witness:
                    try:
                        step.call(self)
                    except Exception as error:
                        raised = type(error)
            (report,) = tracker.reports
            after = self._intervals(step.environment)
            tables = self._tables(step.environment)
            return Played(number, report, raised, witness, before, after, tables)

    def _intervals(self, environment: str) -> Intervals:
        """As in SQLMesh's state: model → table → spans."""
        if not self.context.state_sync.get_versions(validate=False).schema_version:
            return {}
        intervals: Intervals = {}
        # As all calls are passed on, this is the object that has the connection to the state.
        state: Any = self.context.state_sync
        query = _INTERVALS.format(_OF_PRODUCTION if environment == "prod" else "")
        rows = state.state_sync.engine_adapter.fetchall(query)
        for name, version, dev_version, is_dev, start, end, is_removed in rows:
            table = f"{version}{dev_version if is_dev else ''}{bool(is_dev)}"
            spans = intervals.setdefault(name, {}).setdefault(table, [])
            rest = without(spans, [(start, end)])
            spans[:] = rest if is_removed else sorted([*rest, (start, end)])
        return intervals

    def _tables(self, environment: str) -> Tables:
        schema = "shop" if environment == "prod" else f"shop__{environment}"
        fetch = self.context.engine_adapter.fetchone
        counts, written_by = {}, {}
        for model in sorted(self.models):
            writer = "MAX(written_by)" if model in WRITTEN else "NULL"
            row = fetch(f"SELECT COUNT(*), {writer} FROM {schema}.{model}")
            assert row is not None
            counts[model] = int(row[0])
            written_by[model] = None if row[1] is None else int(row[1])
        return Tables(counts, written_by)


def _unprepared(_: Shop) -> None:
    pass


@dataclass(frozen=True)
class Step:
    """One invocation at a time, in UTC."""

    title: str
    at: str
    call: Callable[[Shop], object]
    prepare: Callable[[Shop], None] = _unprepared
    environment: str = "prod"


def _run(shop: Shop) -> object:
    return shop.context.run()


def _insert_bad_rows(shop: Shop) -> None:
    shop.put("bad_rows", 1)
    shop.put("odd_rows", 1, 2)


def _delete_bad_rows(shop: Shop) -> None:
    shop.put("bad_rows")
    shop.put("odd_rows")


SCENARIO = (
    Step("first plan", "2024-01-04 06:30", Shop.plan),
    Step("run with nothing due", "2024-01-04 06:45", _run),
    Step("run with one model due", "2024-01-04 07:05", _run),
    Step(
        "run ahead of cron",
        "2024-01-04 07:20",
        lambda shop: shop.context.run(ignore_cron=True),
    ),
    Step(
        "run in which a model fails",
        "2024-01-05 00:10",
        _run,
        lambda shop: shop.drop("rates"),
    ),
    Step("run that retries it", "2024-01-05 00:20", _run, lambda shop: shop.put("rates", 2)),
    Step("run in which audits fail", "2024-01-06 00:10", _run, _insert_bad_rows),
    Step("run that audits again", "2024-01-06 00:20", _run, _delete_bad_rows),
    Step(
        "restatement of two days",
        "2024-01-06 00:30",
        lambda shop: shop.plan(restate_models=["shop.daily"], start="2024-01-02", end="2024-01-03"),
    ),
    Step(
        "audit",
        "2024-01-06 00:40",
        lambda shop: shop.context.audit(start="2024-01-01", end="2024-01-05"),
    ),
    Step(
        "plan of an edit in dev",
        "2024-01-06 00:50",
        lambda shop: shop.plan("dev", include_unmodified=True),
        lambda shop: shop.edit("totals", "SUM(d.n)", "SUM(d.n) + 0"),
        environment="dev",
    ),
    Step("run of dev", "2024-01-06 01:05", lambda shop: shop.context.run("dev"), environment="dev"),
    Step("plan of the edit in prod", "2024-01-06 01:10", Shop.plan),
    Step(
        "forward-only plan of a new column",
        "2024-01-06 01:20",
        lambda shop: shop.plan(forward_only=True),
        lambda shop: shop.edit(
            "daily",
            "AS written_by",
            f"AS written_by, CAST(1 AS {shop.engine.dialect.integer}) AS extra",
        ),
    ),
    Step("run with everything due", "2024-01-07 00:10", _run),
    Step(
        "plan of a query that fails",
        "2024-01-07 01:05",
        Shop.plan,
        lambda shop: shop.edit("invoices", "p.rate + 1", "p.no_such_column + 1"),
    ),
    Step(
        "plan of the corrected query",
        "2024-01-07 01:20",
        Shop.plan,
        lambda shop: shop.edit("invoices", "p.no_such_column + 1", "p.rate + 2"),
    ),
)


@dataclass(frozen=True)
class History:
    """The whole scenario on one engine."""

    engine: Engine
    played: Mapping[str, Played]
    """The title of a step → what took place."""


def play(engine: Engine, folder: Path) -> History:
    """Play all steps on an empty engine."""
    with at(SCENARIO[0].at):
        shop = Shop(engine, folder)
    played = {step.title: shop.play(number, step) for number, step in enumerate(SCENARIO, 1)}
    shop.close()
    return History(engine, played)
