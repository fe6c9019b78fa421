"""What forecasts take, of models whose intervals are all loaded; nothing is planned or run.

python -m benchmarks.forecasts
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import cycle, islice

from sqlmesh.core.dialect import parse
from sqlmesh.core.model import load_sql_based_model
from sqlmesh.core.snapshot import DeployabilityIndex, Snapshot, SnapshotChangeCategory
from sqlmesh.core.snapshot.definition import Node
from sqlmesh.utils.date import to_datetime, to_timestamp

from benchmarks.timing.measures import say
from pytest_sqlmesh_tracker.forecast.forecasting import Assumed, forecast_of
from pytest_sqlmesh_tracker.forecast.reading import environment_of

NOW = "2024-06-01"
CRONS = ("@hourly", "@daily", "*/30 * * * *", "0 */6 * * *", "@weekly", "0 5 * * 1-5", "17 * * * *")
CASES: Sequence[tuple[str, int, Sequence[str], int, float]] = (
    ("100 models of mixed crons, a year, hourly", 100, CRONS, 365, 5),
    ("100 hourly models, a year, hourly", 100, ("@hourly",), 365, 10),
    ("2,000 models of mixed crons, a week, hourly", 2_000, CRONS, 7, 10),
)
"""Name, number of models, crons, days, and the most seconds of CPU time."""


def snapshots(number: int, crons: Sequence[str]) -> list[Snapshot]:
    """Models in layers of ten, each of which reads one of the layer before, with a start of its own
    among thirty."""
    made: list[Snapshot] = []
    nodes: dict[str, Node] = {}
    for place, cron in enumerate(islice(cycle(crons), number)):
        parent = f"FROM m.a{place - 10}" if place >= 10 else ""
        text = (
            f"MODEL (name m.a{place}, kind INCREMENTAL_BY_TIME_RANGE (time_column ts), cron "
            f"'{cron}', start '2024-01-{1 + place % 30:02}'); SELECT @start_dt AS ts {parent}"
        )
        model = load_sql_based_model(parse(text))
        nodes[model.fqn] = model
        snapshot = Snapshot.from_node(model, nodes=nodes)
        snapshot.categorize_as(SnapshotChangeCategory.BREAKING)
        snapshot.add_interval(model.start or NOW, to_datetime(model.cron_floor(NOW)))
        made.append(snapshot)
    return made


def main() -> int:
    """Measure all cases, each also with a model that fails; 1 if one takes too long."""
    slow = False
    for name, number, crons, days, most in CASES:
        loaded = snapshots(number, crons)
        for failing in (frozenset[str](), frozenset({loaded[0].name})):
            known = environment_of(
                "prod",
                loaded,
                DeployabilityIndex.all_deployable(),
                at=to_timestamp(NOW),
                default_catalog=None,
            )
            now = to_datetime(NOW)
            times = [now + timedelta(hours=hour) for hour in range(1, 24 * days + 1)]
            began = time.process_time()
            forecast = forecast_of(
                known, at=now, until=times[-1], times=times, assumed=Assumed(failing)
            )
            took = time.process_time() - began
            executions = sum(len(run.executed) for run in forecast.runs)
            what = f"{name}, one fails" if failing else name
            say(f"{what}: {took:.2f} s, {executions:,} executions (at most {most} s)")
            slow |= took > most
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
