"""Plays scenes and drawn histories against each mutant until one violates a rule.

`python -m tests.properties.mutants` plays each mutant in a separate process, and exits with 1 if
one survives. With `--dagster` the mutants report false results to Dagster, and with `--forecast`
they forecast other runs than those that take place.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.properties.demanding.tally import TALLY

from .registry import Mutant

DRAWN, DRAWN_THROUGH_DAGSTER, DRAWN_FORECASTS = 36, 12, 60
"""Of the first two, as many as `make properties` draws."""


def main() -> int:
    """Play all mutants, or one."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--mutant")
    parser.add_argument("--dagster", action="store_true")
    parser.add_argument("--forecast", action="store_true")
    options = parser.parse_args()
    # SQLMesh reads it when it is imported.
    os.environ.setdefault("MAX_FORK_WORKERS", "1")
    more = [word for word in ("--dagster", "--forecast") if word in sys.argv]
    mutants, play_all = (
        _through_dagster() if options.dagster else _forecast() if options.forecast else _tracked()
    )
    if options.mutant:
        return play(mutants[options.mutant], play_all)
    with ThreadPoolExecutor(options.workers) as pool:
        survivors = sum(pool.map(lambda name: _in_a_process(name, more), mutants))
    _print(f"{len(mutants) - survivors} of {len(mutants)} mutants killed")
    return 1 if survivors else 0


def _tracked() -> tuple[dict[str, Mutant], Callable[[], None]]:
    """The mutants of the tracker, and the histories that have to find them out."""
    from tests.properties.drawing.histories import histories
    from tests.properties.drawing.scenes import SCENES
    from tests.properties.examples import assert_holds, draw_each, shards
    from tests.properties.judging import violations

    from .tracker import MUTANTS

    def play_all() -> None:
        for scene in SCENES.values():
            assert_holds(violations, scene)
        for shard in shards("SQLMESH_TRACKER_HISTORIES", DRAWN):
            draw_each(histories(), shard, partial(assert_holds, violations))

    return MUTANTS, play_all


def _through_dagster() -> tuple[dict[str, Mutant], Callable[[], None]]:
    """The mutants of the assets, and the histories that have to find them out."""
    from tests.properties.dagster_judging import violations
    from tests.properties.drawing.dagster.requests import dagster_histories
    from tests.properties.drawing.dagster.scenes import SCENES
    from tests.properties.examples import assert_holds, draw_each, shards

    from .dagster import MUTANTS

    def play_all() -> None:
        for scene in SCENES.values():
            assert_holds(violations, scene)
        for shard in shards("SQLMESH_TRACKER_DAGSTER_HISTORIES", DRAWN_THROUGH_DAGSTER):
            draw_each(dagster_histories(), shard, partial(assert_holds, violations))

    return MUTANTS, play_all


def _forecast() -> tuple[dict[str, Mutant], Callable[[], None]]:
    """The mutants of the forecast, and the histories that have to find them out."""
    from tests.properties.drawing.outlooks import SCENES, outlooks
    from tests.properties.examples import assert_holds, draw_each, shards
    from tests.properties.forecasting import forecast_violations

    from .forecast import MUTANTS

    def play_all() -> None:
        for scene in SCENES.values():
            assert_holds(forecast_violations, scene)
        for shard in shards("SQLMESH_TRACKER_FORECASTS", DRAWN_FORECASTS):
            draw_each(outlooks(), shard, partial(assert_holds, forecast_violations))

    return MUTANTS, play_all


def play(mutant: Mutant, play_all: Callable[[], None]) -> int:
    """Play the histories with one mutant; 0 if it was found out."""
    logging.disable(logging.CRITICAL)
    try:
        with mutant():
            play_all()
    except Exception as error:
        violated = re.search(r"- \[.*", str(error))
        why = violated[0][:150] if violated else repr(error)
        _print(f"after {TALLY.examples:>2} examples  {why}")
        return 0
    return 1


def _in_a_process(name: str, more: Sequence[str]) -> bool:
    """Whether the mutant survives."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "tests.properties.mutants", "--mutant", name, *more]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    lines = ran.stdout.splitlines() or ran.stderr.splitlines()
    verdict = f"killed {lines[-1]}" if ran.returncode == 0 else "SURVIVED"
    _print(f"{name:<45} {took:4.0f} s  {verdict}")
    return ran.returncode != 0


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
