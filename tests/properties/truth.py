"""Run many drawn histories, count what was demanded of their reports, and say what was not true.

`python -m tests.properties.truth --examples 1000 --workers 2` plays twenty examples per seed, each
seed in a process of its own, and keeps every seed's result in a file of JSON lines, so that it can
be stopped and started again; results of another version of the code do not count.
With `dagster` the histories are played through Dagster, and what Dagster recorded is judged; with
`forecasts`, the runs that follow are compared with a forecast; with `local`, a plan and a week.
The environment variable `SQLMESH_TRACKER_ENGINE` chooses the engine; each has its own results.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tests.engines.engine import DUCKDB, ENGINE

from .demanding.tally import TALLY, Violation

PER_SEED = 20
COUNTED = ("statuses", "reasons", "causes", "draws", "completions", "raised", "dagster", "demands")
ROOT = Path(__file__).resolve().parents[2]


Judging = tuple[Any, Callable[[Any], list[Violation]]]
"""What is drawn, and what lists what is not true of it."""


def _of_reports() -> Judging:
    from .drawing.histories import histories
    from .judging import violations

    return histories(), violations


def _of_dagster() -> Judging:
    from .dagster_judging import violations
    from .drawing.dagster.requests import dagster_histories

    return dagster_histories(), violations


def _of_forecasts() -> Judging:
    from .drawing.outlooks import outlooks
    from .forecasting import forecast_violations

    return outlooks(), forecast_violations


def _of_local_forecasts() -> Judging:
    from .drawing.changes import changes
    from .local_forecasting import local_violations

    return changes(), local_violations


JUDGED: Mapping[str, Callable[[], Judging]] = {
    "results": _of_reports,
    "dagster": _of_dagster,
    "forecasts": _of_forecasts,
    "local": _of_local_forecasts,
}
"""The names of files of results → how they come about."""


class SeedViolation(BaseModel):
    """Something that was not true in an example of a seed."""

    model_config = ConfigDict(frozen=True)

    rule: str
    sentence: str
    example: int | None = None
    """Its number, from 0; None if the seed's process ended without a result."""
    history: str | None = None
    """The example, at its first violation only."""


class SeedResult(BaseModel):
    """What the examples of one seed came to: a line of the results' file."""

    model_config = ConfigDict(frozen=True)

    seed: int
    source: str
    """A hash of the code."""
    seconds: float = 0
    sqlmesh: str | None = None
    """Its version; None if the seed's process ended without a result."""
    examples: int = 0
    statements: int = 0
    """How many statements were checked."""
    counts: Mapping[str, Mapping[str, int]] = {}
    """As in `Tally.counts`."""
    violations: tuple[SeedViolation, ...] = ()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=JUDGED, default="results")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--seed", type=int, help="play this one seed, and print its result")
    options = parser.parse_args()
    if options.seed is not None:
        _say(play(options.seed, options.what).model_dump_json())
        return 0
    engine = "" if ENGINE is DUCKDB else f"-{ENGINE.name}"
    kept = options.results or ROOT / ".truth" / f"{options.what}{engine}.jsonl"
    count = -(-options.examples // PER_SEED)
    seeds = range(options.first_seed, options.first_seed + count)
    kept.parent.mkdir(parents=True, exist_ok=True)
    done = {result.seed for result in _results(kept)}
    began = time.perf_counter()
    with ThreadPoolExecutor(options.workers) as pool, kept.open("a") as file:
        left = [seed for seed in seeds if seed not in done]
        for result in pool.map(lambda seed: _in_a_process(seed, options.what), left):
            file.write(result.model_dump_json() + "\n")
            file.flush()
            wrong = len(result.violations)
            _say(f"seed {result.seed}: {result.examples} examples, {wrong} violations")
    _say(f"\n{time.perf_counter() - began:.0f} s with {options.workers} workers")
    return summarize([result for result in _results(kept) if result.seed in seeds])


def play(seed: int, what: str) -> SeedResult:
    """Play one seed's examples to the end, whatever is violated."""
    os.environ.setdefault("MAX_FORK_WORKERS", "1")
    from sqlmesh import __version__

    from .examples import Shard, draw_each

    drawn, violations = JUDGED[what]()
    all_violations: list[SeedViolation] = []

    def judge(history: Any) -> None:
        number = TALLY.examples
        try:
            violated = violations(history)
        except Exception as error:
            violated = [Violation("crash", f"{type(error).__name__}: {error}")]
        all_violations.extend(
            SeedViolation(
                rule=each.rule,
                sentence=each.sentence,
                example=number,
                history=None if index else str(history),
            )
            for index, each in enumerate(violated)
        )

    logging.disable(logging.CRITICAL)
    began = time.perf_counter()
    draw_each(drawn, Shard(seed, PER_SEED), judge)
    return SeedResult(
        seed=seed,
        source=_source(),
        seconds=round(time.perf_counter() - began, 1),
        sqlmesh=__version__,
        examples=TALLY.examples,
        statements=sum(TALLY.demands.values()),
        counts=TALLY.counts(),
        violations=tuple(all_violations),
    )


def _in_a_process(seed: int, what: str) -> SeedResult:
    command = [sys.executable, "-m", "tests.properties.truth", what, "--seed", str(seed)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    try:
        return SeedResult.model_validate_json(ran.stdout.splitlines()[-1])
    except (ValidationError, IndexError):
        crash = SeedViolation(rule="crash", sentence=ran.stderr[-2000:])
        return SeedResult(seed=seed, source=_source(), violations=(crash,))


@cache
def _source() -> str:
    """A hash of what is tried and of what tries it: results of other sources do not count."""
    tests = ROOT / "tests"
    folders = (ROOT / "pytest_sqlmesh_tracker", tests / "engines", tests / "properties")
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _results(file: Path) -> list[SeedResult]:
    """One result for each seed; lines that were cut off by a stop are done again."""
    results: dict[int, SeedResult] = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            result = SeedResult.model_validate_json(line)
        except ValidationError:
            continue
        if result.source == _source():
            results[result.seed] = result
    return list(results.values())


def summarize(results: Sequence[SeedResult]) -> int:
    """Print the totals, and each violation; 1 if there is any."""
    examples = sum(result.examples for result in results)
    seconds = sum(result.seconds for result in results)
    statements = sum(result.statements for result in results)
    versions = {result.sqlmesh for result in results if result.sqlmesh}
    _say(f"\nSQLMesh {', '.join(sorted(versions))}: {examples} examples, {statements} statements")
    _say(f"{seconds:.0f} s, {seconds / max(1, examples):.2f} s per example")
    for what in COUNTED:
        counts: Counter[str] = Counter()
        for result in results:
            counts.update(result.counts.get(what, {}))
        _say(f"\n{what}")
        for name, count in counts.most_common():
            _say(f"  {count:8} {name}")
    wrong = [(result.seed, each) for result in results for each in result.violations]
    _say(f"\n{len(wrong)} violations")
    for seed, each in wrong:
        _say(f"- seed {seed} [{each.rule}] {each.sentence}")
        if each.history is not None:
            _say("    " + each.history.replace("\n", "\n    "))
    return 1 if wrong else 0


def _say(text: str) -> None:
    print(text)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
