"""Times, paired: what is compared is measured in turn, with the same thing twice as a control."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice, permutations
from math import comb
from typing import NamedTuple


class Cost(NamedTuple):
    """What one call took, in seconds."""

    wall: float
    cpu: float
    """Of all threads of the process: DuckDB's, too."""


class Round(NamedTuple):
    """One round: without the tracker, with it, and again without it, in whatever order."""

    bare: Cost
    tracked: Cost
    control: Cost


def cost(call: Callable[[], object]) -> Cost:
    """What the call takes, garbage of others collected before."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def rounds_of(number: int, bare: Callable[[], Cost], tracked: Callable[[], Cost]) -> list[Round]:
    """Rounds in all six orders in turn, so that no place in a round favours one of the three."""
    calls = (bare, tracked, bare)
    rounds = []
    for order in islice(cycle(permutations(range(3))), number):
        costs = {which: calls[which]() for which in order}
        rounds.append(Round(costs[0], costs[1], costs[2]))
    return rounds


def added(rounds: Sequence[Round], of: Callable[[Cost], float]) -> tuple[list[float], list[float]]:
    """By how many per cent `tracked`, and the control, cost more than `bare`, round by round."""
    return (
        [(of(r.tracked) / of(r.bare) - 1) * 100 for r in rounds],
        [(of(r.control) / of(r.bare) - 1) * 100 for r in rounds],
    )


def shown(figures: Sequence[float], unit: str, sign: str = "") -> str:
    """Median, the 95 % interval of the median, and the quartiles."""
    ordered = sorted(figures)
    low, high = _interval(ordered)
    first, _, third = statistics.quantiles(ordered, n=4) if len(ordered) > 1 else ordered * 3
    return (
        f"{statistics.median(ordered):{sign}9.3f} {unit}"
        f"   95 % [{low:{sign}.3f}, {high:{sign}.3f}]"
        f"   quartiles [{first:{sign}.3f}, {third:{sign}.3f}]"
    )


def _interval(ordered: Sequence[float]) -> tuple[float, float]:
    """The narrowest pair of order statistics that holds the median with 95 % (all, if few)."""
    number, outside, below = len(ordered), 0.0, 0
    while below < (number - 1) // 2:
        outside += 2 * comb(number, below) / 2**number
        if outside > 0.05:
            break
        below += 1
    below = max(below - 1, 0)
    return ordered[below], ordered[number - 1 - below]


def say(line: str = "") -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201


def verdict(what: str, figure: float, target: float, unit: str) -> bool:
    """Print a figure beside its target; whether it is met."""
    met = figure <= target
    say(f"  {'ok    ' if met else 'MISSED'} {what}: {figure:.3f} {unit}, target {target:g} {unit}")
    return met
