"""Differences between SQLMesh versions, including those that are not installed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_sqlmesh_tracker.tracking import compat


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        pytest.param(("a", ((0, 1), 2)), ("a", 2), id="a tuple, before 0.210"),
        pytest.param(SimpleNamespace(snapshot_name="a", batch_index=2), ("a", 2), id="a batch"),
        pytest.param(SimpleNamespace(snapshot_name="a"), ("a", None), id="a table's creation"),
        pytest.param(SimpleNamespace(name="a"), ("a", None), id="a snapshot id"),
    ],
)
def test_the_node_of_an_error(node: object, expected: tuple[str, int | None]) -> None:
    assert compat.node_of(SimpleNamespace(node=node)) == expected


def test_a_node_of_another_kind_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="unknown kind of node: 7"):
        compat.node_of(SimpleNamespace(node=7))


def test_arguments_by_name_with_new_parameters() -> None:
    arguments = compat.by_name("stop_evaluation_progress", (True,), {"news": 1})
    assert arguments == {"success": True, "news": 1}
