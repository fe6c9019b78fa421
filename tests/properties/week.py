"""A week of the due-only schedule, hour by hour, against plain runs of SQLMesh at the same times.

The clock is set; all else is real: each tick asks SQLMesh in a process of its own, each request is
run by Dagster. Two copies of one project live through the same week: a signal that is ready at
nine, and not at all on one day; a night in which a table is missing that a model reads.

    python -m tests.properties.week [--days N]
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from sqlmesh.core.snapshot import merge_intervals

from pytest_sqlmesh_tracker import Reason, RunReport, Status, sqlmesh_run_tracker
from pytest_sqlmesh_tracker.dagster import (
    SqlmeshProject,
    SqlmeshResource,
    build_sqlmesh_assets,
    build_sqlmesh_schedule,
)
from tests.dagster.ticks import evaluated, execute, shown_failed
from tests.projects import Project, at, read_between, rows_every

PLANNED = datetime(2024, 1, 5, 0, 5)
"""A Friday."""
FIRST = PLANNED.replace(hour=1)
NIGHT = datetime(2024, 1, 7), datetime(2024, 1, 7, 6)
"""When the table is missing: the night in which the weekly models are due as well."""
LATE = datetime(2024, 1, 9), datetime(2024, 1, 10)
"""When the signal is not ready at any time."""
READY_AT = 9
DAYS = "SELECT @start_dt::TIMESTAMP AS ts, 1 AS amount"
HOURS = rows_every("1 hour")
DAILY = {"cron": "'@daily'"}
WEEKLY = {"cron": "'@weekly'", "start": "'2023-12-01'"}
AUDIT = """
AUDIT (name clicks_exist, standalone true, cron '0 */6 * * *');
SELECT 1 AS missing WHERE NOT EXISTS (SELECT * FROM w.clicks)
"""


def write(folder: Path) -> Project:
    """The project, with several cadences."""
    project = Project(folder)
    project.write(
        "signals/__init__.py",
        f"""
        from pathlib import Path
        from sqlmesh import signal

        @signal()
        def has_come(batch):
            return (Path({str(folder)!r}) / "come").exists()
        """,
    )
    project.write("audits/audits.sql", AUDIT)
    # So that there are hours in which nothing is due.
    project.incremental("w.clicks", HOURS, cron="'0 */2 * * *'")
    project.incremental("w.orders", read_between("w.clicks"), **DAILY)
    project.incremental("w.weekly", read_between("w.orders"), **WEEKLY)
    project.model("w.report", "SELECT SUM(amount) AS amount FROM w.weekly", **DAILY)
    project.incremental("w.feed", DAYS, signals="(has_come())", **DAILY)
    project.incremental("w.fed", read_between("w.feed"), **DAILY)
    project.model("w.total", "SELECT ts FROM w.fed UNION SELECT ts FROM w.orders", **DAILY)
    project.incremental("w.tokyo", DAYS, cron_tz="'Asia/Tokyo'", **DAILY)
    project.incremental("w.payments", read_between("raw.payments"), **DAILY)
    project.incremental("w.ledger", read_between("w.payments"), **WEEKLY)
    project.incremental("w.balance", read_between("w.ledger"), **DAILY)
    return project


class Copy:
    """A copy of the project, in which things happen as time goes by."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.project = write(folder)
        (folder / "come").touch()
        self._pay(True)
        with at(PLANNED):
            assert self.project.plan().completion == "success"
        self.close()

    def close(self) -> None:
        """Let go of the database's file."""
        self.project.context.close()

    def live(self, now: datetime) -> None:
        """Let everything happen that is due by then."""
        come = now.hour >= READY_AT and not LATE[0] <= now < LATE[1]
        file = self.project.path / "come"
        file.touch() if come else file.unlink(missing_ok=True)
        there = not NIGHT[0] <= now < NIGHT[1]
        if there is not self._paid:
            self._pay(there)

    def _pay(self, there: bool) -> None:
        self._paid = there
        table = "CREATE TABLE raw.payments (ts TIMESTAMP, amount INT)"
        change = table if there else "DROP TABLE raw.payments"
        self.project.execute(f"CREATE SCHEMA IF NOT EXISTS raw; {change}")
        self.close()

    def loaded(self) -> Any:
        """What the state has of each model and standalone audit."""
        intervals = self.project.intervals()
        self.close()
        # SQLMesh joins what it has recorded now and then.
        return {
            fqn: [merge_intervals(spans) for spans in tables.values()]
            for fqn, tables in intervals.items()
        }


@dataclass
class Tally:
    """What came of the ticks."""

    ticks: int = 0
    requests: int = 0
    failed_runs: int = 0
    skips: Counter[str] = field(default_factory=Counter)
    executions: Counter[str] = field(default_factory=Counter)
    shown_failed: Counter[str] = field(default_factory=Counter)
    """How often an asset was shown as failed after a tick, by what it was."""
    wrong: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The summary, to be printed."""
        yield f"ticks             {self.ticks}"
        yield f"requests          {self.requests}, of which the run failed: {self.failed_runs}"
        for reason, number in self.skips.most_common():
            yield f"skips             {number}: {reason}"
        total = sum(self.executions.values())
        each = ", ".join(f"{name} {number}" for name, number in sorted(self.executions.items()))
        yield f"executions        {total}: {each}"
        for what, number in sorted(self.shown_failed.items()):
            yield f'shown "Failed"    {number}: {what}'
        yield f"wrong statements  {len(self.wrong)}"
        yield from self.wrong


class Week:
    """Both copies, and Dagster with the schedule on one of them."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.plain, self.scheduled = Copy(folder / "plain"), Copy(folder / "scheduled")
        project = SqlmeshProject(self.scheduled.project.path)
        assets = build_sqlmesh_assets(project=project, name="warehouse")
        self.schedule = build_sqlmesh_schedule(assets, "5 * * * *")
        self.keys = list(assets.keys)
        self._instance, resource = instance, SqlmeshResource(project=project)
        self._repository = dg.Definitions(
            assets=[assets], schedules=[self.schedule], resources={"sqlmesh": resource}
        ).get_repository_def()
        self.tally = Tally()

    def tick(self, now: datetime) -> None:
        """Let both copies do what they do at this time, and compare."""
        with at(now):
            for copy in (self.plain, self.scheduled):
                copy.live(now)
            report = self._run_plainly()
            requests = self._ask()
            results = [self._execute(request) for request in requests]
        self._compare(now, report, results)

    def _run_plainly(self) -> RunReport:
        context = self.plain.project.context
        with sqlmesh_run_tracker(context) as tracker:
            context.run()
        self.plain.close()
        return tracker.last

    def _ask(self) -> list[dg.RunRequest]:
        self.tally.ticks += 1
        answer = evaluated(self._repository, self.schedule, self._instance)
        if isinstance(answer, dg.RunRequest):
            return [answer]
        # Without the time at which something is due next, which differs.
        self.tally.skips[answer.partition("; next")[0]] += 1
        return []

    def _execute(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        result = execute(self._repository, self.schedule, request, self._instance)
        self.tally.requests += 1
        self.tally.failed_runs += not result.success
        return result

    def _compare(
        self, now: datetime, report: RunReport, results: Iterable[dg.ExecuteInProcessResult]
    ) -> None:
        wrong = self.tally.wrong
        if self.plain.loaded() != self.scheduled.loaded():
            wrong.append(f"{now}: the states differ")
        plainly = {
            outcome.name.replace(".", "/"): len(outcome.recorded_batches)
            for outcome in report.outcomes.values()
            if outcome.status is Status.EXECUTED
        }
        events = [
            event for result in results for event in result.get_asset_materialization_events()
        ]
        materialized = {
            key.to_user_string(): event.materialization.metadata["sqlmesh/batches"].value
            for event in events
            if (key := event.asset_key)
        }
        if plainly != materialized or len(events) != len(materialized):
            wrong.append(f"{now}: SQLMesh executed {plainly}, Dagster recorded {materialized}")
        self.tally.executions.update(materialized.keys())
        for key in shown_failed(self._instance, self.keys):
            outcome = report[key.to_user_string().replace("/", ".")]
            of = outcome.reason if outcome.reason is Reason.UPSTREAM_FAILED else outcome.status
            self.tally.shown_failed[f"{outcome.name} was {of}"] += 1
            if of not in (Status.FAILED, Reason.UPSTREAM_FAILED):
                wrong.append(f'{now}: {outcome.name} was {outcome.message}, and shown as "Failed"')


@contextmanager
def weeks() -> Iterator[Week]:
    """A week that begins."""
    with tempfile.TemporaryDirectory() as folder, dg.instance_for_test() as instance:
        yield Week(Path(folder), instance)


def main() -> int:
    """Let the days go by; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description="A week of the due-only schedule.")
    parser.add_argument("--days", type=int, default=7)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with weeks() as week:
        for hour in range(24 * options.days):
            week.tick(FIRST + timedelta(hours=hour))
        sys.stdout.write("\n".join([*week.tally.lines(), ""]))
    return 1 if week.tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
