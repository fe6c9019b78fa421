"""What tracking costs: of runs, of reading a report, and of each console callback.

Every comparison is made in rounds, of the same thing with the tracker and without it, and without
it once more: what the second bare one "adds" (A/A) is the noise that the tracker's figure (A/B)
has to be read against. CPU times are of the whole process, DuckDB's threads included.

    python -m benchmarks.overhead [--quick] [--only SECTION] [--rounds N] [--models N]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlmesh import Context
from sqlmesh.core.context import GenericContext
from sqlmesh.utils import CompletionStatus

from benchmarks.projects.generated import ALL_DUE, NOTHING_DUE, Generated
from benchmarks.timing.measures import Cost, added, cost, rounds_of, say, shown, verdict
from benchmarks.timing.own_time import metered
from pytest_sqlmesh_tracker import RunReport, sqlmesh_run_tracker
from tests.projects import at

OWN_SHARE = 1.0
"""Per cent of a run's CPU time."""
IDLE_ADDED = 3.0
"""Per cent of the wall time of a run that finds nothing due."""
READ_PER_MODEL = 0.15
"""Milliseconds."""
READ_DIFFERING = 0.4
"""Milliseconds, where each model has its own cron, start and loaded intervals."""
READ_GROWTH = 1.25
"""How many times as much a model of the largest project may cost as one of the smallest."""
PER_CALLBACK = 5.0
"""Microseconds."""
CALLS = 2_000
"""Console calls that are measured together."""


@dataclass(frozen=True)
class Settings:
    """What to measure, and how often."""

    folder: Path
    models: int
    sizes: tuple[int, ...]
    rounds: int | None
    quick: bool

    def times(self, quickly: int, otherwise: int) -> int:
        """How many rounds of a section."""
        return self.rounds or (quickly if self.quick else otherwise)

    @cached_property
    def _projects(self) -> dict[tuple[int, bool, bool], Generated]:
        return {}

    def project(self, models: int, tables: bool = False, alike: bool = True) -> Generated:
        """A generated project of this size, made once."""
        key = models, tables, alike
        if key not in self._projects:
            began = time.perf_counter()
            self._projects[key] = Generated(self.folder, *key)
            say(f"({models} models planned in {time.perf_counter() - began:.0f} s)")
        return self._projects[key]


def due(settings: Settings) -> bool:
    """Runs with everything due, each on a copy of the same planned database."""
    project = settings.project(settings.models, tables=True)
    loaded = project.loaded()

    def bare() -> Cost:
        with project.copied(loaded) as context, at(ALL_DUE):
            return cost(lambda: _run(context, CompletionStatus.SUCCESS))

    def tracked() -> Cost:
        with project.copied(loaded) as context, at(ALL_DUE), sqlmesh_run_tracker(context):
            return cost(lambda: _run(context, CompletionStatus.SUCCESS))

    def own_share() -> tuple[float, float, int]:
        with (
            project.copied(loaded) as context,
            at(ALL_DUE),
            metered(context) as (own, tracker),
        ):
            spent = cost(lambda: _run(context, CompletionStatus.SUCCESS))
            assert len(tracker.last.executed) == project.models
            return own.seconds * 1000, own.seconds / spent.cpu * 100, own.entered

    bare()
    say(f"\n== a run of {project.models} models, everything due")
    _compare(settings.times(2, 6), bare, tracked)
    return _own(settings.times(2, 3), own_share)


def idle(settings: Settings) -> bool:
    """Runs that find nothing due, of one context; their reports are not read."""
    project = settings.project(settings.models)
    context = project.fresh()

    def bare() -> Cost:
        with at(NOTHING_DUE):
            return cost(lambda: _run(context, CompletionStatus.NOTHING_TO_DO))

    def tracked() -> Cost:
        with at(NOTHING_DUE), sqlmesh_run_tracker(context):
            return cost(lambda: _run(context, CompletionStatus.NOTHING_TO_DO))

    def own_share() -> tuple[float, float, int]:
        with at(NOTHING_DUE), metered(context) as (own, _):
            spent = cost(lambda: _run(context, CompletionStatus.NOTHING_TO_DO))
            return own.seconds * 1000, own.seconds / spent.cpu * 100, own.entered

    bare()
    say(f"\n== a run of {project.models} models, nothing due, its report not read")
    median = _compare(settings.times(10, 60), bare, tracked)
    _own(settings.times(5, 10), own_share, target=None)
    context.close()
    return verdict("added to the wall time", median, IDLE_ADDED, "%")


def read(settings: Settings) -> bool:
    """Reading the report of a run that found nothing due, and its growth with the project."""
    per_model = {}
    for size in settings.sizes:
        per_model[size] = _read(settings, settings.project(size))
    met = [
        verdict(f"reading (CPU), per model of {size}", figure, READ_PER_MODEL, "ms")
        for size, figure in per_model.items()
    ]
    if len(per_model) > 1:
        growth = per_model[max(per_model)] / per_model[min(per_model)]
        met.append(verdict("linear: largest to smallest", growth, READ_GROWTH, "times"))
    smallest = min(settings.sizes)
    differing = _read(settings, settings.project(smallest, alike=False))
    met.append(verdict(f"reading (CPU), {smallest} that differ", differing, READ_DIFFERING, "ms"))
    return all(met)


def _reading(context: Context, moment: datetime) -> tuple[Cost, RunReport]:
    """What reading the report of a run at this time costs."""
    reports: list[RunReport] = []
    with at(moment), sqlmesh_run_tracker(context) as tracker:
        _run(context, CompletionStatus.NOTHING_TO_DO)
    return cost(lambda: reports.append(tracker.last)), reports[0]


def _read(settings: Settings, project: Generated) -> float:
    context = project.fresh()
    wall, cpu, json = [], [], []
    for number in range(settings.times(3, 6) + 1):
        reading, report = _reading(context, NOTHING_DUE + number * timedelta(seconds=30))
        assert len(report.by_reason["cron_not_due"]) == project.models
        wall.append(reading.wall * 1000 / project.models)
        cpu.append(reading.cpu * 1000 / project.models)
        json.append(cost(report.to_json).wall * 1000 / project.models)
    context.close()
    say(f"\n== reading the report of a run of {project.models} models, nothing due: per model")
    say(f"  first, CPU  {cpu[0]:9.3f} ms   (of a project that was just loaded)")
    say(f"  later, wall {shown(wall[1:], 'ms')}")
    say(f"  later, CPU  {shown(cpu[1:], 'ms')}")
    say(f"  to_json()   {shown(json, 'ms')}")
    # One thread's work: CPU time is what it takes when nothing else is in the way.
    return statistics.median(cpu[1:])


def callbacks(settings: Settings) -> bool:
    """Console calls through the proxy against the same calls without it."""
    # Any project has a snapshot to show to the console.
    context = settings.project(min(settings.models, *settings.sizes)).fresh()
    snapshot: Any = next(iter(context.snapshots.values()))
    bare, medians = context.console, {}

    def start(console: Any) -> None:
        for _ in range(CALLS):
            console.start_snapshot_evaluation_progress(snapshot)

    def start_and_update(console: Any) -> None:
        for batch in range(CALLS // 2):
            console.start_snapshot_evaluation_progress(snapshot)
            console.update_snapshot_evaluation_progress(snapshot, (0, 1), batch, 12, 1, 0)

    def forward(console: Any) -> None:
        for _ in range(CALLS):
            console.log_status_update("")

    def instead_of_a_run(context: Context) -> CompletionStatus:
        # Within a tracked call, `context.console` is the proxy.
        proxy: Any = context.console
        proxy.start_evaluation_progress({snapshot: [(0, 1)]}, None, None)
        for what, calls in (
            ("start_snapshot_evaluation_progress", start),
            ("start and update in turn, of each", start_and_update),
            ("a method that is only forwarded", forward),
        ):
            medians[what] = _per_call(what, settings.times(10, 60), calls, bare, proxy)
        return CompletionStatus.SUCCESS

    say("\n== what a console call costs beyond the console itself")
    with patch.object(GenericContext, "run", instead_of_a_run), sqlmesh_run_tracker(context):
        context.run()
    context.close()
    return all([verdict(what, median, PER_CALLBACK, "us") for what, median in medians.items()])  # noqa: C419


def _per_call(what: str, number: int, calls: Callable[[Any], None], bare: Any, proxy: Any) -> float:
    rounds = rounds_of(
        number, lambda: cost(lambda: calls(bare)), lambda: cost(lambda: calls(proxy))
    )
    each = 1e6 / CALLS
    added_by_proxy = [(r.tracked.wall - r.bare.wall) * each for r in rounds]
    say(f"  {what}: {number} rounds of {CALLS} calls")
    say(f"    bare {shown([r.bare.wall * each for r in rounds], 'us')}")
    say(f"    A/B  {shown(added_by_proxy, 'us', '+')}")
    say(f"    A/A  {shown([(r.control.wall - r.bare.wall) * each for r in rounds], 'us', '+')}")
    return statistics.median(added_by_proxy)


SECTIONS: dict[str, Callable[[Settings], bool]] = {
    "callbacks": callbacks,
    "idle": idle,
    "due": due,
    "read": read,
}


def _run(context: Context, expected: CompletionStatus) -> None:
    assert context.run(skip_janitor=True) is expected


def _compare(number: int, bare: Callable[[], Cost], tracked: Callable[[], Cost]) -> float:
    """Print what the tracker adds beside what nothing adds; return the median of the wall time."""
    rounds = rounds_of(number, bare, tracked)
    say(f"  bare run     {shown([r.bare.wall * 1000 for r in rounds], 'ms')}   {number} rounds")
    for name, of in (("wall", lambda c: c.wall), ("CPU ", lambda c: c.cpu)):
        ab, aa = added(rounds, of)
        say(f"  {name} A/B     {shown(ab, '%', '+')}")
        say(f"  {name} A/A     {shown(aa, '%', '+')}")
    return statistics.median(added(rounds, lambda c: c.wall)[0])


def _own(
    number: int, measure: Callable[[], tuple[float, float, int]], target: float | None = OWN_SHARE
) -> bool:
    """Print the tracker's own CPU time, as measured directly."""
    milliseconds, shares, entered = zip(*(measure() for _ in range(number)), strict=True)
    say(f"  own CPU      {shown(milliseconds, 'ms')}   entered {entered[0]} times")
    say(f"  of the run's {shown(shares, '%')}")
    if target is None:
        return True
    return verdict("own share of the CPU time", statistics.median(shares), target, "%")


def main() -> int:
    """Measure what the command line asks for; 1 if a target was missed."""
    parser = argparse.ArgumentParser(description="What tracking costs.")
    parser.add_argument("--only", choices=SECTIONS, help="this section alone")
    parser.add_argument("--rounds", type=int, help="rounds of each comparison")
    parser.add_argument("--models", type=int, default=200, help="models of the project that runs")
    parser.add_argument("--sizes", type=int, nargs="+", help="models of the projects to read")
    parser.add_argument("--quick", action="store_true", help="few rounds, small projects")
    options = parser.parse_args()
    sizes = options.sizes or ([50, 100] if options.quick else [200, 500, 1000, 2000])
    with tempfile.TemporaryDirectory() as folder:
        models = min(options.models, 50) if options.quick else options.models
        settings = Settings(Path(folder), models, tuple(sizes), options.rounds, options.quick)
        chosen = [options.only] if options.only else list(SECTIONS)
        met = [SECTIONS[name](settings) for name in chosen]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
