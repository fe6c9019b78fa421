"""What the markers of a test say together."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from pytest_sqlmesh_tracker.pytest_plugin.markers import MarkerError, check_keywords, merged


class Mark(NamedTuple):
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def mark(*args: Any, **kwargs: Any) -> Mark:
    return Mark(args, kwargs)


def test_of_each_keyword_the_closest_wins() -> None:
    marks = [mark(at="Monday", plan=False), mark(at="Tuesday"), mark(state="keep")]
    assert merged("shop", marks, ["path"]) == {"at": "Tuesday", "plan": False, "state": "keep"}


def test_none_is_the_same_as_not_given_unless_nobody_says_more() -> None:
    marks = [mark(at="Monday"), mark(at=None, plan=None)]
    assert merged("shop", marks, ["path"]) == {"at": "Monday", "plan": None}


def test_arguments_by_position_are_keywords() -> None:
    marks = [mark("here"), mark("there", plan=False)]
    assert merged("shop", marks, ["path"]) == {"path": "there", "plan": False}


@pytest.mark.parametrize(
    ("positional", "complaint"),
    [
        (["path"], "the marker shop takes one positional argument: path"),
        (["path", "plan"], "the marker shop takes two positional arguments: path, plan"),
    ],
)
def test_too_many_by_position(positional: list[str], complaint: str) -> None:
    with pytest.raises(MarkerError) as caught:
        merged("shop", [mark(1, 2, 3)], positional)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("keyword", "hint"),
    [("pth", "did you mean path?"), ("colour", "its arguments are path, plan")],
)
def test_a_keyword_that_there_is_not(keyword: str, hint: str) -> None:
    with pytest.raises(MarkerError) as caught:
        check_keywords("shop", {"plan": True, keyword: 1}, ["path", "plan"])
    assert str(caught.value) == f"the marker shop has no argument {keyword!r}: {hint}"
