"""What `why` takes with 200 models, once the project and its state are read.

python -m benchmarks.predictions
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.timing.measures import cost, say
from pytest_sqlmesh_tracker import why
from tests.projects import Project, at

MODELS, ROUNDS, MOST = 200, 5, 1.0
"""How many models, how often it is measured, and the most seconds of CPU time."""
CRONS = ("'@daily'", "'@hourly'", "'@weekly'", "'15 3 * * *'")


def write_models(project: Project) -> None:
    """Models in layers of twenty; each reads two of others, and each fifth is loaded as a whole."""
    for place in range(MODELS):
        parents = f", b.m{place - 20}, b.m{place * 7 % 20}" if place >= 20 else ""
        properties = {"cron": CRONS[place % 4], "start": "'2023-12-01'"}
        name, rows = f"b.m{place}", f"FROM (SELECT 1) AS one{parents}"
        if place % 5:
            project.incremental(name, f"SELECT @start_dt::TIMESTAMP AS ts {rows}", **properties)
        else:
            project.model(name, f"SELECT {place} AS n {rows}", **properties)


def main() -> int:
    """Measure it while everything is due, and while nothing is; 1 if it takes too long."""
    logging.disable(logging.CRITICAL)
    slow = False
    with tempfile.TemporaryDirectory(prefix="predictions_") as folder:
        project = Project(Path(folder))
        write_models(project)
        with at("2024-01-05 00:05"):
            project.unwitnessed_plan(empty_backfill=True, auto_apply=True)
        for what, moment in (("all due", "2024-01-09 04:05"), ("few due", "2024-01-05 00:30")):
            with at(moment):
                # The context keeps the models that it has read.
                evaluated = len(why(project.context).report.executed)
                costs = [cost(lambda: why(project.context)) for _ in range(ROUNDS)]
            cpu = statistics.median(each.cpu for each in costs)
            say(f"{MODELS} models, {what} ({evaluated} evaluated): {cpu:.2f} s (at most {MOST} s)")
            slow |= cpu > MOST
        project.close()
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
