"""What tracking adds to a run on each engine that the scenario of `tests/adapters` is played on.

Each run is one of another day, so that all of them find the same work. The engine's own CPU time
is in its wall time alone where the engine is another process.

    python -m benchmarks.engines ENGINE [--rounds N]
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.timing.measures import Cost, added, cost, rounds_of, say, shown
from benchmarks.timing.own_time import metered
from pytest_sqlmesh_tracker import sqlmesh_run_tracker
from tests.adapters.engines import ENGINES
from tests.adapters.scenario import SCENARIO, Shop
from tests.projects import at

FIRST_RUN = datetime(2024, 2, 1, 0, 10)
"""All of the shop's events are loaded by then, so a run has few rows to write."""


def main() -> None:
    """Measure the engine that the command line names."""
    parser = argparse.ArgumentParser(description="What tracking adds to a run on an engine.")
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = stack.enter_context(ENGINES[options.engine](folder))
        with at(SCENARIO[0].at):
            shop = Shop(engine, folder)
            shop.plan()
        stack.callback(shop.close)
        _measure(shop, options.engine, options.rounds)


def _measure(shop: Shop, name: str, rounds: int) -> None:
    days = 0

    def bare() -> Cost:
        nonlocal days
        days += 1
        with at(FIRST_RUN + timedelta(days=days)):
            return cost(shop.context.run)

    def tracked() -> Cost:
        with sqlmesh_run_tracker(shop.context) as tracker:
            spent = bare()
        assert len(tracker.last.executed) >= len(shop.models) - 1
        return spent

    def own() -> tuple[float, float]:
        with metered(shop.context) as (own, _):
            spent = bare()
        return own.seconds * 1000, own.seconds / spent.cpu * 100

    bare()
    measured = rounds_of(rounds, bare, tracked)
    say(f"{name}: a run of {len(shop.models)} models, everything due, {rounds} rounds")
    say(f"  bare         {shown([r.bare.wall for r in measured], 's')}")
    say(f"  bare, CPU    {shown([r.bare.cpu for r in measured], 's')}")
    for what, of in (("wall", lambda c: c.wall), ("CPU ", lambda c: c.cpu)):
        ab, aa = added(measured, of)
        say(f"  {what} A/B     {shown(ab, '%', '+')}")
        say(f"  {what} A/A     {shown(aa, '%', '+')}")
    milliseconds, shares = zip(*(own() for _ in range(rounds)), strict=True)
    say(f"  own CPU      {shown(milliseconds, 'ms')}")
    say(f"  of the run's {shown(shares, '%')}")


if __name__ == "__main__":
    main()
