"""How costs grow with the number of models: CPU time, memory, and the fitted exponents.

Databases are left out: models are evaluated without one, so that thousands of them take seconds.
Reports of more models than projects are generated for contain each model several times.

    python -m benchmarks.scale [--sizes N …] [--pure N …] [--only WORD] [--rounds N]
"""

from __future__ import annotations

import argparse
import logging
import math
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.projects.unevaluated import Meter, Site, Work, enlarged, peak, seconds
from benchmarks.timing.measures import say, verdict
from pytest_sqlmesh_tracker import GatePolicy, RunReport
from pytest_sqlmesh_tracker.render import junit_file, markdown, terminal
from pytest_sqlmesh_tracker.render.page import html
from pytest_sqlmesh_tracker.reports.diff import compare
from pytest_sqlmesh_tracker.reports.files import Entry

EXPONENT = 1.1
"""The largest exponent with which a cost may grow."""
_LONG = 60
"""After how many seconds no further round of a part begins."""
_OF_FAILING = 20
"""One of so many models, among the first, fails in the run whose failures are explained. A fixed
number would leave a smaller share of models executed, which take longer to explain, if there are
few."""
SIZES, PURE = (200, 1_000, 2_000), (200, 1_000, 2_000, 10_000)

Measure = Callable[[Meter], float]
"""Does the work once, and returns what the meter says."""


class Cost(NamedTuple):
    """What a part takes with a number of models."""

    seconds: float
    """CPU time, that of child processes included; the median of the rounds."""
    peak: float | None
    """MiB that Python allocated at most; None if only CPU time is measured."""


def tracking(site: Site) -> Mapping[str, Callable[[], float]]:
    """What the tracker itself takes in a run: CPU seconds."""
    return {
        "tracking a run, nothing due": site.tracking_idle,
        "tracking a run, everything due": site.tracking_due,
        "the same with a callback for each model": site.tracking_live,
    }


def parts(site: Site) -> Mapping[str, Measure]:
    """What else needs a project."""
    failing = site.models // _OF_FAILING
    return {
        "explaining, nothing due": site.explaining_idle,
        "explaining, everything executed": site.explaining,
        "explaining, failed and skipped": partial(site.explaining, failing=failing),
        "a sandbox's set-up and teardown": site.sandbox,
        "SQLMesh alone loads the project": site.loading,
        "loading it for Dagster": site.definition,
        "Dagster's definitions, once loaded": site.definitions,
        "a tick of the due-only schedule": site.tick,
    }


def pure_parts(executed: RunReport, failed: RunReport) -> Mapping[str, Measure]:
    """What needs only reports: one with everything executed, and one with failed models."""
    policy, reports = GatePolicy(), [Entry(None, executed), Entry(None, failed)]
    result = policy.evaluate(executed, failed)
    text = failed.to_json()
    work: dict[str, Work] = {
        "`to_json`": failed.to_json,
        "`from_json`": lambda: RunReport.from_json(text),
        "`str(report)`": lambda: str(failed),
        "tables as text": lambda: terminal.tables([failed]),
        "explaining each model": lambda: failed.explain("*"),
        "looking up each model": lambda: [failed[name] for name in failed.outcomes],
        "gate": lambda: policy.evaluate(executed, failed),
        "diff": lambda: compare([executed], [failed]),
        "Markdown": lambda: markdown.summary(reports, result),
        "HTML": lambda: html.page(reports, result),
        "JUnit": lambda: junit_file.suites(reports, result),
    }
    return {name: partial(_metered, each) for name, each in work.items()}


def _metered(work: Work, meter: Meter) -> float:
    return meter(work)


Costs = Mapping[int, Cost]
"""Number of models → cost."""


def exponent(costs: Mapping[int, float]) -> float:
    """The exponent with which the figures grow, fitted by least squares on logarithms; NaN for a
    single figure."""
    if len(costs) == 1:
        return math.nan
    points = [(math.log(models), math.log(max(figure, 1e-9))) for models, figure in costs.items()]
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def rows(name: str, costs: Costs) -> Iterator[str]:
    """The rows of the table in Markdown: CPU time, and memory."""
    for what, unit, figures in (
        (name, "s", {models: cost.seconds for models, cost in costs.items()}),
        ("", "MiB", {models: cost.peak for models, cost in costs.items() if cost.peak}),
    ):
        if not figures:
            continue
        cells = " | ".join(f"{figure:,.3g} {unit}" for figure in figures.values())
        yield f"| {what} | {cells} | {exponent(figures):.2f} |"


def report_on(all_costs: Mapping[str, Costs]) -> bool:
    """Print the table; whether every exponent is small enough."""
    sizes = next(iter(all_costs.values()))
    say(f"\n| models | {' | '.join(f'{models:,}' for models in sizes)} | exponent |")
    say(f"| --- |{' --- |' * (len(sizes) + 1)}")
    for name, costs in all_costs.items():
        for row in rows(name, costs):
            say(row)
    growth = {
        name: exponent({models: cost.seconds for models, cost in costs.items()})
        for name, costs in all_costs.items()
    }
    if len(sizes) == 1:
        return True
    return all([verdict(name, each, EXPONENT, "") for name, each in growth.items()])  # noqa: C419


def main() -> int:
    """Measure what the command line asks for; 1 if anything grows faster than it may."""
    parser = argparse.ArgumentParser(description="How costs grow with the number of models.")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="models of projects")
    parser.add_argument("--pure", type=int, nargs="*", default=PURE, help="models of reports")
    parser.add_argument("--only", default="", help="parts whose name contains this")
    parser.add_argument("--rounds", type=int, default=3, help="most rounds of each part")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    projects: dict[str, dict[int, Cost]] = {}
    reports: dict[str, dict[int, Cost]] = {}
    with tempfile.TemporaryDirectory() as folder:
        sites = {
            models: Site(Path(folder) / str(models), models) for models in sorted(options.sizes)
        }
        for models, site in sites.items():
            for name, measure in tracking(site).items():
                if options.only in name:
                    cost = Cost(_median(measure, options.rounds), None)
                    _note(projects, name, models, cost)
            _measure(parts(site), models, projects, options)
        largest = sites.get(max(sites, default=0)) or Site(Path(folder) / "reports", SIZES[0])
        if options.pure:
            executed, failed = largest.report(), largest.report(largest.models // _OF_FAILING)
        for models in sorted(options.pure):
            pair = enlarged(executed, models), enlarged(failed, models)
            _measure(pure_parts(*pair), models, reports, options)
    return 0 if all([report_on(each) for each in (projects, reports) if each]) else 1  # noqa: C419


def _measure(
    measures: Mapping[str, Measure],
    models: int,
    costs: dict[str, dict[int, Cost]],
    options: argparse.Namespace,
) -> None:
    for name, measure in measures.items():
        if options.only in name:
            # The first time also warms what later ones share.
            most = measure(peak)
            cost = Cost(_median(partial(measure, seconds), options.rounds), most)
            _note(costs, name, models, cost)


def _median(measure: Callable[[], float], rounds: int) -> float:
    """The median of the rounds; what takes long is measured less often, as it varies less."""
    began, figures = time.monotonic(), [measure()]
    while len(figures) < rounds and time.monotonic() - began < _LONG:
        figures.append(measure())
    return statistics.median(figures)


def _note(costs: dict[str, dict[int, Cost]], name: str, models: int, cost: Cost) -> None:
    costs.setdefault(name, {})[models] = cost
    memory = "" if cost.peak is None else f", {cost.peak:.1f} MiB"
    say(f"  {models:6,} {name}: {cost.seconds:.3f} s{memory}")


if __name__ == "__main__":
    sys.exit(main())
