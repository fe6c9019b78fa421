"""Merging the markers of a test. Imports neither pytest nor SQLMesh."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pytest_sqlmesh_tracker.suggestions import unknown_argument

if TYPE_CHECKING:
    import pytest


class Mark(Protocol):
    """A marker on a test, a class or a module."""

    @property
    def args(self) -> tuple[Any, ...]:
        """Its positional arguments."""

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Its keyword arguments."""


class MarkerError(ValueError):
    """A marker's arguments are not valid; the message says in one line why."""


def marker_arguments(item: pytest.Item, name: str, *positional: str) -> dict[str, Any]:
    """The merged keyword arguments of a test's markers with this name."""
    # The closest marker comes last: a class after its bases, parameters after functions.
    marks = [mark for node in item.listchain() for mark in node.own_markers if mark.name == name]
    return merged(name, marks, positional)


def merged(name: str, marks: Iterable[Mark], positional: Sequence[str]) -> dict[str, Any]:
    """The keyword arguments of the marks: for each, the last value that is not None.

    Args:
        name: the name of the markers, for messages.
        marks: the marks, the closest to the test last.
        positional: the keywords that can also be passed by position, at most two.

    Raises:
        MarkerError: a mark has more positional arguments than these.
    """
    arguments: dict[str, Any] = {}
    for mark in marks:
        if len(mark.args) > len(positional):
            has = ("one positional argument", "two positional arguments")[len(positional) - 1]
            raise MarkerError(f"the marker {name} takes {has}: {', '.join(positional)}")
        of_mark = {**dict(zip(positional, mark.args, strict=False)), **mark.kwargs}
        for keyword, value in of_mark.items():
            if value is not None or keyword not in arguments:
                arguments[keyword] = value
    return arguments


def check_keywords(name: str, arguments: Iterable[str], valid: Collection[str]) -> None:
    """Reject keywords that are not valid for a marker.

    Raises:
        MarkerError: a keyword is not valid; the message has close matches, or else all valid ones.
    """
    for keyword in arguments:
        if keyword not in valid:
            raise MarkerError(unknown_argument(f"the marker {name}", keyword, valid))
