"""How many histories are drawn, by which tests, and how each of them is judged.

`make test` draws a few; `make properties` sets the variables to more. With
`SQLMESH_TRACKER_SHRINK=1`, Hypothesis looks for a simpler history that fails as well; that takes
long, and an example can be played again as it is.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.strategies import SearchStrategy

from .demanding.tally import Violation

Example = TypeVar("Example")
SHRINK = "SQLMESH_TRACKER_SHRINK" in os.environ
PER_SHARD = 6
"""Twenty seconds' work. Two at least: the first history of a seed is always the simplest one."""


@dataclass(frozen=True)
class Shard:
    """A part of the drawn histories: the same ones each time."""

    seed: int
    examples: int


def shards(variable: str, default: int) -> list[Shard]:
    """As many histories as the environment variable says, in equal parts: two if that will do."""
    examples = int(os.environ.get(variable, default))
    number = max(1, min(2, examples // 2), math.ceil(examples / PER_SHARD))
    return [Shard(seed, math.ceil(examples / number)) for seed in range(number)]


def sharded(variable: str, default: int) -> pytest.MarkDecorator:
    """One test for each part; its name has the seed."""
    drawn = shards(variable, default)
    return pytest.mark.parametrize("shard", drawn, ids=lambda shard: f"seed-{shard.seed}")


def draw_each(
    histories: SearchStrategy[Example], shard: Shard, judge: Callable[[Example], None]
) -> None:
    """Draw the histories of one part, and judge each."""

    @seeded(shard.seed)
    @settings(
        max_examples=shard.examples,
        phases=(Phase.generate, Phase.shrink) if SHRINK else (Phase.generate,),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(histories)
    def judge_one(history: Example) -> None:
        judge(history)

    judge_one()


def assert_holds(violations: Callable[[Example], list[Violation]], history: Example) -> None:
    """Play a history quietly, and raise an error that lists all violations."""
    logging.disable(logging.CRITICAL)
    try:
        violated = violations(history)
    finally:
        logging.disable(logging.NOTSET)
    if violated:
        sentences = "\n".join(f"- [{each.rule}] {each.sentence}" for each in violated)
        raise AssertionError(f"{sentences}\n\nof this history:\n{history}")
