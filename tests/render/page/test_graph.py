"""The drawing of a graph: nothing overlaps, and upstream models are on the left."""

from __future__ import annotations

from itertools import combinations
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sqlmesh_tracker.render.page.graph import NODE_HEIGHT, Graph, layout
from tests.browser.reports import warehouse
from tests.drawing import unhurried


def drawn(*parents: tuple[int, ...]) -> Graph:
    """The graph of models called 0, 1, 2 ... by what each reads."""
    return layout([str(number) for number in range(len(parents))], parents)


def graph_of(models: int) -> Graph:
    outcomes = warehouse(models).outcomes
    places = {name: place for place, name in enumerate(outcomes)}
    return layout(
        list(outcomes), [[places[name] for name in o.upstream] for o in outcomes.values()]
    )


def overlapping(graph: Graph) -> list[tuple[str, str]]:
    return [
        (one.label, other.label)
        for one, other in combinations(graph.nodes, 2)
        if abs(one.y - other.y) < NODE_HEIGHT
        and one.x < other.x + other.width
        and other.x < one.x + one.width
    ]


def test_no_models_make_an_empty_drawing() -> None:
    graph = drawn()

    assert (graph.nodes, graph.edges) == ((), ())


@pytest.mark.parametrize("models", [5, 20, 500])
def test_upstream_models_are_on_the_left_and_nothing_overlaps(models: int) -> None:
    graph = graph_of(models)

    assert overlapping(graph) == []
    for edge in graph.edges:
        parent, child = graph.nodes[edge.parent], graph.nodes[edge.child]
        assert parent.x + parent.width < child.x


def test_five_hundred_models_are_drawn_in_time() -> None:
    """A fifth of a second, which slow machines may exceed here."""
    labels = [f"model_{number}" for number in range(500)]
    parents = [[number // 2, number // 3] for number in range(500)]

    start = process_time()
    layout(labels, parents)

    assert process_time() - start < 10


def test_models_are_in_the_order_of_their_upstream_models() -> None:
    # As listed, each edge would cross each other one.
    graph = drawn((), (), (), (2,), (1,), (0,))

    heights = [node.y for node in graph.nodes]
    assert sorted(heights[:3]) == heights[:3]
    assert heights[3:] == heights[2::-1]


def test_a_model_is_centered_on_its_upstream_models() -> None:
    left, right, child = drawn((), (), (0, 1)).nodes

    assert child.y == (left.y + right.y) / 2


def test_a_source_is_next_to_its_first_reader() -> None:
    first, _, third, late = drawn((), (0,), (1, 3), ()).nodes

    assert (first.layer, third.layer, late.layer) == (0, 2, 1)


def test_a_long_edge_passes_a_layer_in_its_own_lane() -> None:
    graph = drawn((), (0,), (0, 1))

    (long,) = [edge for edge in graph.edges if (edge.parent, edge.child) == (0, 2)]
    lane = int(long.path.split("H")[0].split()[-1])
    assert abs(lane - (graph.nodes[1].y + NODE_HEIGHT / 2)) > NODE_HEIGHT / 2


def test_a_large_layer_is_split_into_columns() -> None:
    graph = drawn((), *[(0,)] * 400)

    assert overlapping(graph) == []
    assert graph.height < 2000
    assert {node.layer for node in graph.nodes} == {0, 1}


def test_cycles_are_drawn_and_self_references_and_duplicates_are_ignored() -> None:
    graph = drawn((2, 2), (0, 1), (1,), (0,))

    assert [(edge.parent, edge.child) for edge in graph.edges] == [(2, 0), (0, 1), (1, 2), (0, 3)]
    assert overlapping(graph) == []


def test_a_model_that_reads_everything_is_drawn_in_time() -> None:
    start = process_time()
    graph = drawn(*[tuple(range(number)) for number in range(200)])

    assert len(graph.edges) == 200 * 199 / 2
    assert process_time() - start < 20


def test_a_long_name_is_shortened_in_the_middle_and_wide_letters_have_space() -> None:
    long, wide, narrow = layout(["a" * 50 + "z" * 50, "売上", "ab"], [(), (), ()]).nodes
    alone = layout(["売上"], [()]).nodes[0].width, layout(["ab"], [()]).nodes[0].width

    assert long.label == "a" * 14 + "…" + "z" * 15
    assert (wide.width, narrow.width) == (long.width, long.width)
    assert alone[0] > alone[1]


@unhurried
@given(st.data())
def test_any_graph_can_be_drawn(data: st.DataObject) -> None:
    models = data.draw(st.integers(1, 12))
    numbers = st.integers(0, models - 1)
    parents = data.draw(st.lists(st.sets(numbers, max_size=4), min_size=models, max_size=models))

    graph = layout(["model"] * models, parents)

    assert overlapping(graph) == []
    assert {(edge.parent, edge.child) for edge in graph.edges} == {
        (parent, child) for child, reads in enumerate(parents) for parent in reads - {child}
    }
    for node in graph.nodes:
        assert 0 <= node.x < node.x + node.width <= graph.width
        assert 0 <= node.y < node.y + NODE_HEIGHT <= graph.height
