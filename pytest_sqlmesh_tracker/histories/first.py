"""The histories that are played before any are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .steps import Failure, History, Restate, Run


def first_histories(levels: Sequence[Sequence[str]], days: int) -> Iterator[History]:
    """Histories that find most faults: each thing that goes wrong, once for each model.

    Args:
        levels: the models that SQLMesh evaluates; those of one level read only those of levels
            before it.
        days: the length of the histories.
    """
    yield History([], days)
    yield History([Run(day) for day in range(1, days + 1)], days)
    for after_write in (True, False):
        steps = [
            Run(failures=tuple(Failure(name, after_write) for name in level)) for level in levels
        ]
        yield History(steps, days)
    yield History([Run(held=tuple(level)) for level in levels], days)
    # The last models first: a restatement also loads everything downstream.
    models = [name for level in reversed(levels) for name in level]
    restated = [Restate(name, first=0, last=0, day=days) for name in models]
    yield History([Run(days), *restated], days)
    yield History([Run(days), Restate(day=days)], days)


def levels_of(parents: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The models by level.

    Args:
        parents: each model in the order of evaluation → the models upstream that it reads.
    """
    depths: dict[str, int] = {}
    for name, upstream in parents.items():
        depths[name] = 1 + max((depths[each] for each in upstream if each in depths), default=-1)
    levels: list[list[str]] = [[] for _ in range(max(depths.values(), default=-1) + 1)]
    for name, depth in depths.items():
        levels[depth].append(name)
    return levels
