"""Generated SQLMesh projects to measure on: a DAG in layers, twenty crons, a DuckDB file.

A project is planned once, with its intervals booked and its tables empty, and copied for each run
that writes, so that all of them do the same work. Queries are as cheap as they can be: whatever
tracking costs shows most where SQLMesh has least to do.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlmesh import Context
from sqlmesh.core.loader import LoadedProject, SqlMeshLoader
from sqlmesh.core.snapshot import SnapshotEvaluator, SnapshotIntervals
from sqlmesh.utils import CompletionStatus

from tests.engines.databases import DuckDBFile
from tests.engines.engine import ProjectDatabases
from tests.projects import at

CRONS = (
    "*/15 * * * *",
    "*/30 * * * *",
    "@hourly",
    "0 */2 * * *",
    "0 */3 * * *",
    "0 */4 * * *",
    "0 */6 * * *",
    "0 */8 * * *",
    "0 */12 * * *",
    "@daily",
    "0 1 * * *",
    "30 2 * * *",
    "15 4 * * *",
    "45 7 * * *",
    "0 9 * * 1-5",
    "0 0 * * 1",
    "0 5 * * 3",
    "@weekly",
    "0 12 * * 6",
    "@monthly",
)
LAYERS = 10
PLANNED = datetime(2024, 1, 28, 0, 0, 30, tzinfo=timezone.utc)
"""When projects are planned: everything that is complete then is booked as loaded."""
ALL_DUE = datetime(2024, 2, 8, 0, 0, 30, tzinfo=timezone.utc)
"""By then, a Thursday, each of the crons has elapsed."""
NOTHING_DUE = ALL_DUE + timedelta(minutes=2)
"""Soon after what was due is booked as if it had been run."""


def _config(home: Path) -> str:
    database = DuckDBFile(home, "bench")
    databases = ProjectDatabases(database, database)
    return databases.config(start="2024-01-01", concurrent_tasks=1, dialect="duckdb")


class Generated:
    """A planned project in a folder of its own."""

    def __init__(self, folder: Path, models: int, tables: bool, alike: bool = True) -> None:
        """Write and plan a project.

        Args:
            tables: whether it has tables and views, so that it can run and not only find that
                nothing is due. To create them takes minutes in large projects.
            alike: whether models share twenty crons and one start; otherwise each has its own
                cron, start and loaded intervals.
        """
        self.models = models
        self._folder = folder / f"project_{models}_{tables}_{alike}"
        self._home = self._folder / "home"
        self._copies = 0
        write_project(self._home, models, alike)
        with at(PLANNED), ExitStack() as without_tables:
            context = Context(paths=str(self._home))
            for method in () if tables else ("create", "promote"):
                idle = lambda *_, **__: CompletionStatus.SUCCESS  # noqa: E731
                without_tables.enter_context(patch.object(SnapshotEvaluator, method, idle))
            context.plan(auto_apply=True, no_prompts=True, empty_backfill=True)
            _close(context)
        shutil.copy(self._home / "bench.db", self._folder)
        with at(ALL_DUE):
            _book(self.fresh())

    def fresh(self) -> Context:
        """A context that has just loaded the project, of which all that was due is booked."""
        return Context(paths=str(self._home))

    @contextmanager
    def copied(self, loaded: LoadedProject) -> Iterator[Context]:
        """A context of its own on a copy of the planned database, of a project loaded before."""

        class Loaded(SqlMeshLoader):
            def load(self, *_: Any, **__: Any) -> LoadedProject:
                return loaded

        self._copies += 1
        # The catalog is called after the file: only the folder can differ.
        home = self._folder / f"copy_{self._copies}"
        home.mkdir()
        shutil.copy(self._folder / "bench.db", home)
        (home / "config.yaml").write_text(_config(home))
        context = Context(paths=str(home), loader=Loaded, load=False)
        context.load(update_schemas=False)
        try:
            yield context
        finally:
            context.close()
            shutil.rmtree(home)

    def loaded(self) -> LoadedProject:
        """The project, with the schemas of its models, as contexts share it."""
        kept: list[LoadedProject] = []

        class Keeping(SqlMeshLoader):
            def load(self, *args: Any, **kwargs: Any) -> LoadedProject:
                kept.append(super().load(*args, **kwargs))
                return kept[0]

        context = Context(paths=str(self._home), loader=Keeping)
        kept[0].models.update(context.models)
        context.close()
        return kept[0]


def write_project(home: Path, models: int, alike: bool = True) -> None:
    """Write a project's files into a new folder."""
    (home / "models").mkdir(parents=True)
    (home / "config.yaml").write_text(_config(home))
    chosen = random.Random(models)
    for number in range(models):
        (home / "models" / f"{number:05}.sql").write_text(_model(number, models, chosen, alike))


def _book(context: Context) -> None:
    """Record what is due as loaded, as a run would."""
    due = context.scheduler(environment="prod").merged_missing_intervals()
    context.state_sync.add_snapshots_intervals(
        [
            SnapshotIntervals(
                name=snapshot.name,
                identifier=snapshot.identifier,
                version=snapshot.version_get_or_generate(),
                dev_version=snapshot.dev_version,
                intervals=intervals,
            )
            for snapshot, intervals in due.items()
        ]
    )
    assert len(due) == len(context.models)
    _close(context)


def _close(context: Context) -> None:
    """Close it with all that was written in the database's file."""
    context.engine_adapter.execute("CHECKPOINT")
    context.close()


def _name(number: int, models: int) -> str:
    return f"layer_{number * LAYERS // models:02}.model_{number:05}"


def _model(number: int, models: int, chosen: random.Random, alike: bool) -> str:
    """One model's file: up to three parents, mostly of the layer before."""
    layer = number * LAYERS // models
    incremental, view = number % 2 == 0, number % 10 in (3, 7)
    kind = "INCREMENTAL_BY_TIME_RANGE (time_column ts)" if incremental else "FULL"
    if view and layer:
        kind = "VIEW"
    first = -(-layer * models // LAYERS)
    nearest = -(-(layer - 1) * models // LAYERS)
    if not layer:
        moment = "@start_ts" if incremental else "'2024-01-01'"
        source = (
            f"SELECT CAST({moment} AS TIMESTAMP) AS ts, i AS id, 1 AS amount FROM RANGE(9) t(i)"
        )
    else:
        parents = [chosen.randrange(nearest, first), chosen.randrange(first)]
        if number % 3 == 0:
            parents.append(chosen.randrange(first))
        source = " UNION ALL ".join(
            f"SELECT ts, id, amount FROM {_name(parent, models)}"
            for parent in dict.fromkeys(parents)
        )
    query = f"SELECT MAX(ts) AS ts, id, SUM(amount)::INT AS amount FROM ({source}) GROUP BY id"
    if incremental:
        query = f"SELECT ts, id, amount FROM ({query}) WHERE ts BETWEEN @start_ts AND @end_ts"
    cron = CRONS[chosen.randrange(len(CRONS))] if number >= len(CRONS) else CRONS[number]
    own = f"cron '{cron}'" if alike else _of_its_own(number)
    header = f"MODEL (\n  name {_name(number, models)},\n  kind {kind},\n  {own}\n);"
    return f"{header}\n\n{query}\n"


def _of_its_own(number: int) -> str:
    """A cron that at most 1,380 models don't share, and that is not due after midnight; a start."""
    start = datetime(2022, 1, 1) + timedelta(hours=number)
    return f"cron '{number % 60} {1 + number // 60 % 23} * * *',\n  start '{start}'"
