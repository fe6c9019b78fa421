"""What appending to a history costs, reading it, and showing it, with a million outcomes."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from uuid import uuid4

import duckdb

from benchmarks.timing.measures import Cost, cost, say, verdict
from pytest_sqlmesh_tracker import Batch, Cause, ModelOutcome, RunReport, Status
from pytest_sqlmesh_tracker.history.appending import append, move_recent
from pytest_sqlmesh_tracker.history.opening import opened
from pytest_sqlmesh_tracker.history.reading import all_entries, entries_since, latest_entries
from pytest_sqlmesh_tracker.history.schema import SCHEMA, TABLES
from pytest_sqlmesh_tracker.history.trends.reading import read_trends
from pytest_sqlmesh_tracker.history.trends.recent import read_recent
from pytest_sqlmesh_tracker.outcomes.outcome import AuditOutcome
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.render.trends.page import MOST_INVOCATIONS, page
from pytest_sqlmesh_tracker.reports.files import Entry

MODELS = 100
DISTINCT = 20
"""How many reports are made; the rest are their copies, at other times."""
START = datetime(2023, 1, 1, tzinfo=timezone.utc)


def report_at(at: datetime, rng: Random) -> RunReport:
    """The run of a hundred incremental models, an hour's batch and two audits each."""
    hour = Interval(at.replace(minute=0), at.replace(minute=0) + timedelta(hours=1))
    outcomes = {}
    for number in range(MODELS):
        name = f"sales.model_{number:03d}"
        took = timedelta(microseconds=rng.randrange(5_000_000))
        outcomes[name] = ModelOutcome(
            name=name,
            fqn=f'"warehouse"."sales"."model_{number:03d}"',
            kind="incremental_by_time_range",
            cron="@hourly",
            status=Status.EXECUTED,
            cause=Cause.NEW_INTERVAL,
            causes=(Cause.NEW_INTERVAL,),
            cause_evidence={Cause.NEW_INTERVAL: "observed"},
            intervals_by_cause={Cause.NEW_INTERVAL: (hour,)},
            message=f"executed: 1 batch, {hour.start:%Y-%m-%d %H:%M} to {hour.end:%H:%M}",
            loaded_through=hour.end,
            next_due=hour.end + timedelta(hours=1),
            batches=(
                Batch(index=0, start=hour.start, end=hour.end, status=Status.EXECUTED,
                      duration=took, rows=rng.randrange(10**6), audits_passed=2),
            ),
            audits=tuple(
                AuditOutcome(name=audit, arguments={"columns": "[id]"}, passed=True)
                for audit in ("not_null", "unique_values")
            ),
            rows=rng.randrange(10**6),
            duration=took,
            started_at=at + number * timedelta(seconds=1),
            finished_at=at + number * timedelta(seconds=1) + took,
            start_order=number,
            upstream=tuple(f"sales.model_{other:03d}" for other in range(number)[-3:]),
        )  # fmt: skip
    return RunReport(
        command="run",
        environment="prod",
        arguments={"environment": "prod"},
        execution_time=at,
        started_at=at,
        finished_at=at + timedelta(minutes=5),
        completion="success",
        outcomes=outcomes,
        project_files="read",
    )


def filled(history: Path, outcomes: int, rng: Random) -> None:
    """Fill a history with so many outcomes."""
    made = [report_at(START + number * timedelta(hours=1), rng) for number in range(DISTINCT)]
    append(history, [Entry(None, report) for report in made], source="import")
    with opened(history.resolve(), writing=True) as connection:
        move_recent(connection)
        copies = outcomes // (DISTINCT * MODELS) - 1
        for table in TABLES:
            columns = ", ".join(_copied(*column) for column in table.stored.items())
            connection.execute(
                f"INSERT INTO {SCHEMA}.{table.name} BY NAME SELECT {columns} "
                f"FROM {SCHEMA}.{table.name}, range(1, {copies + 1}) AS copies (copy) "
                "ORDER BY copy, number"
            )
        connection.execute("COMMIT")


def _copied(column: str, type_: str) -> str:
    if column == "number":
        return f"number + copy * {DISTINCT} AS number"
    if type_ == "UUID":
        return f"md5(concat(number, ' ', copy))::UUID AS {column}"
    if type_ == "TIMESTAMPTZ":
        return f'"{column}" + to_hours(copy * {DISTINCT}) AS "{column}"'
    return f'"{column}"'


def main() -> None:
    """Print the figures, and exit with 1 if the targets are missed."""
    outcomes = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rng = Random(21)
    with TemporaryDirectory() as folder:
        history = Path(folder, "runs.duckdb")
        took = time.perf_counter()
        filled(history, outcomes, rng)
        took, size = time.perf_counter() - took, history.stat().st_size / 2**20
        say(f"{outcomes} outcomes, {size:.0f} MB, made in {took:.0f} s")
        latest = START + timedelta(hours=outcomes // MODELS)
        appended = [report_at(latest + number * timedelta(hours=1), rng) for number in range(200)]
        costs = [cost(_appending(history, report)) for report in appended]
        met = [_shown("append a report of 100 models", costs, median=50, p95=100)]
        reading: dict[str, Callable[[], object]] = {
            "latest of each environment": lambda: latest_entries(history),
            "since 24 invocations": lambda: entries_since(history, appended[-24].started_at),
            "GROUP BY model over all": lambda: _grouped(history),
        }  # fmt: skip
        for name, call in reading.items():
            _shown(name, [cost(call) for _ in range(10)])
        how_models_fared = [cost(lambda: read_trends(history)) for _ in range(10)]
        met.append(_shown("how all models fared", how_models_fared, median=1000))
        pages = [cost(lambda: _page(history)) for _ in range(10)]
        met.append(_shown("the page, with 100 invocations", pages, median=2000))
        assert len(latest_entries(history)) == 1
        if outcomes <= 200_000:
            _shown("all", [cost(lambda: all_entries(history))])
    sys.exit(0 if all(met) else 1)


def _appending(history: Path, report: RunReport) -> Callable[[], None]:
    def call() -> None:
        one = report.model_copy(update={"id": uuid4()})
        append(history, [Entry(None, one)], source="cli")

    return call


def _grouped(history: Path) -> None:
    with closing(duckdb.connect(str(history), read_only=True)) as connection:
        connection.execute(
            "SELECT model, count(*), median(duration), max(started_at) FROM outcomes "
            "WHERE status = 'executed' GROUP BY ALL"
        ).fetchall()


def _page(history: Path) -> str:
    recent = read_recent(history, most=MOST_INVOCATIONS)
    return page(read_trends(history), recent)


def _shown(
    what: str, costs: Sequence[Cost], *, median: int | None = None, p95: int | None = None
) -> bool:
    """Print the figures; whether the targets, in milliseconds, are met."""
    met = True
    for clock in ("wall", "cpu"):
        milliseconds = sorted(getattr(each, clock) * 1000 for each in costs)
        half, late = statistics.median(milliseconds), milliseconds[int(len(costs) * 0.95)]
        most = milliseconds[-1]
        say(f"{what}, {clock}: median {half:.1f} ms, p95 {late:.1f} ms, at most {most:.0f} ms")
        for name, figure, target in (("median", half, median), ("p95", late, p95)):
            if target is not None:
                met &= verdict(f"{name} ({clock})", figure, target, "ms")
    return met


if __name__ == "__main__":
    main()
