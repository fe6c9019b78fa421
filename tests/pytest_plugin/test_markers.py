"""How the markers of a test are merged."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from pytest_sqlmesh_tracker.pytest_plugin.markers import MarkerError, check_keywords, merged


class Mark(NamedTuple):
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def mark(*args: Any, **kwargs: Any) -> Mark:
    return Mark(args, kwargs)


def test_the_closest_marker_wins_for_each_keyword() -> None:
    marks = [mark(at="Monday", plan=False), mark(at="Tuesday"), mark(state="keep")]
    assert merged("shop", marks, ["path"]) == {"at": "Tuesday", "plan": False, "state": "keep"}


def test_a_value_of_none_counts_only_if_no_marker_has_another() -> None:
    marks = [mark(at="Monday"), mark(at=None, plan=None)]
    assert merged("shop", marks, ["path"]) == {"at": "Monday", "plan": None}


def test_positional_arguments_are_converted_to_keywords() -> None:
    marks = [mark("here"), mark("there", plan=False)]
    assert merged("shop", marks, ["path"]) == {"path": "there", "plan": False}


@pytest.mark.parametrize(
    ("positional", "complaint"),
    [
        (["path"], "the marker shop takes one positional argument: path"),
        (["path", "plan"], "the marker shop takes two positional arguments: path, plan"),
    ],
)
def test_too_many_positional_arguments(positional: list[str], complaint: str) -> None:
    with pytest.raises(MarkerError) as caught:
        merged("shop", [mark(1, 2, 3)], positional)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("keyword", "hint"),
    [("pth", "did you mean path?"), ("colour", "its arguments are path, plan")],
)
def test_an_unknown_keyword(keyword: str, hint: str) -> None:
    with pytest.raises(MarkerError) as caught:
        check_keywords("shop", {"plan": True, keyword: 1}, ["path", "plan"])
    assert str(caught.value) == f"the marker shop has no argument {keyword!r}: {hint}"
