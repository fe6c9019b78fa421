"""The failed models at the root of skipped ones, against a breadth-first search of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pytest_sqlmesh_tracker.tracking.evaluation.root_causes import RootCauses

NAMES = [f"m{number}" for number in range(12)]
Graph = Mapping[str, Sequence[str]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Models with parents among those before them, in any order."""
    return {
        name: draw(st.lists(st.sampled_from(NAMES[:number]), unique=True, max_size=4))
        if number
        else []
        for number, name in enumerate(NAMES)
    }


some = st.sets(st.sampled_from(NAMES))


@given(graphs(), some, some)
def test_roots_are_in_the_order_of_a_breadth_first_search(
    graph: Graph, failed: Set[str], passing: Set[str]
) -> None:
    causes = RootCauses(failed, graph.__getitem__, passing.__contains__)
    for name in reversed(NAMES):
        assert causes.of(name) == breadth_first(graph, failed, passing, name)


def breadth_first(graph: Graph, failed: Set[str], passing: Set[str], name: str) -> list[str]:
    roots: dict[str, None] = {}
    queue, seen = list(graph[name]), {name}
    while queue:
        ancestor = queue.pop(0)
        if ancestor in seen:
            continue
        seen.add(ancestor)
        if ancestor in failed:
            roots[ancestor] = None
        elif ancestor in passing:
            queue += graph[ancestor]
    return list(roots)


def test_a_chain_may_be_longer_than_the_stack_of_python() -> None:
    chain = {f"m{number}": [f"m{number - 1}"] if number else [] for number in range(3_000)}
    causes = RootCauses({"m0"}, chain.__getitem__, lambda _: True)
    assert causes.of("m2999") == ["m0"]


def test_each_model_is_looked_at_once() -> None:
    looked_at: list[str] = []
    layers = [[f"layer{layer}_{number}" for number in range(5)] for layer in range(30)]
    graph: dict[str, list[str]] = {name: [] for name in layers[0]}
    for before, layer in pairwise(layers):
        graph |= dict.fromkeys(layer, before)

    def parents(name: str) -> Sequence[str]:
        looked_at.append(name)
        return graph[name]

    causes = RootCauses(set(layers[0]), parents, lambda _: True)
    for name in graph:
        assert causes.of(name) == (layers[0] if name not in layers[0] else [])
    assert len(looked_at) <= 4 * len(graph)
