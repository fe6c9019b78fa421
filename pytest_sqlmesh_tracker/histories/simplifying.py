"""Simplifies a history after which a model has other rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

from .steps import Failure, History, Run, Step

_Part = TypeVar("_Part")


def simplified(history: History, still_differs: Callable[[History], bool]) -> History:
    """A history with as few and as simple steps as possible, after which a model still differs.

    Args:
        history: a history after which it differs.
        still_differs: plays a history, and returns whether the model differs after it.
    """
    __tracebackhide__ = True
    for simplify in (_parts, _one_step_fewer, _simpler_steps):
        simpler: History | None = history
        while simpler is not None:
            history = simpler
            steps = simplify(history.steps)
            candidates = (replace(history, steps=each) for each in steps)
            simpler = next(filter(still_differs, candidates), None)
    return history


def _parts(steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    """No step; each step alone; each two steps in a row."""
    for parts in ([()], [(step,) for step in steps], list(pairwise(steps))):
        yield from (part for part in parts if len(part) < len(steps))


def _one_step_fewer(steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    for position in reversed(range(len(steps))):
        yield [*steps[:position], *steps[position + 1 :]]


def _simpler_steps(steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    for position, step in enumerate(steps):
        for simpler in _simpler(step):
            yield [*steps[:position], simpler, *steps[position + 1 :]]


def _simpler(step: Step) -> Iterator[Step]:
    """The same step, with something left out."""
    for each in _fewer(step.failures):
        yield replace(step, failures=each)
    for held in _fewer(step.held):
        yield replace(step, held=held)
    for position, failure in enumerate(step.failures):
        for simpler in _simpler_failures(failure):
            others = step.failures[:position], step.failures[position + 1 :]
            yield replace(step, failures=(*others[0], simpler, *others[1]))
    if isinstance(step, Run) and step.ignore_cron:
        yield replace(step, ignore_cron=False)
    if step.hour:
        yield replace(step, hour=0)


def _fewer(parts: tuple[_Part, ...]) -> Iterator[tuple[_Part, ...]]:
    """Nothing; each part alone; all but one of them."""
    if parts:
        yield ()
    if len(parts) > 1:
        yield from ((part,) for part in parts)
    if len(parts) > 2:
        yield from (parts[:n] + parts[n + 1 :] for n in range(len(parts)))


def _simpler_failures(failure: Failure) -> Iterator[Failure]:
    plain = Failure(failure.model)
    for simpler in (plain, replace(plain, after_write=failure.after_write)):
        if simpler != failure:
            yield simpler
