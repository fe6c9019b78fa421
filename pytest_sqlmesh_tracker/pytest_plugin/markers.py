"""What the markers of a test say together. Knows neither pytest nor SQLMesh."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pytest_sqlmesh_tracker.models.index import did_you_mean

if TYPE_CHECKING:
    import pytest


class Mark(Protocol):
    """A marker on a test, a class or a module."""

    @property
    def args(self) -> tuple[Any, ...]:
        """Its positional arguments."""

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Its keywords."""


class MarkerError(ValueError):
    """A marker's arguments can't be meant; one line says why."""


def marker_arguments(item: pytest.Item, name: str, *positional: str) -> dict[str, Any]:
    """The merged keywords of a test's markers of this name."""
    # The closest comes last: a class after its bases, parameters after functions.
    marks = [mark for node in item.listchain() for mark in node.own_markers if mark.name == name]
    return merged(name, marks, positional)


def merged(name: str, marks: Iterable[Mark], positional: Sequence[str]) -> dict[str, Any]:
    """The keywords of the marks, of each the last that is not None.

    Args:
        name: of the markers, for messages.
        marks: the closest to the test last.
        positional: which keywords can also be given by position, at most two.

    Raises:
        MarkerError: a mark has more positional arguments than those.
    """
    arguments: dict[str, Any] = {}
    for mark in marks:
        if len(mark.args) > len(positional):
            has = ("one positional argument", "two positional arguments")[len(positional) - 1]
            raise MarkerError(f"the marker {name} has {has}: {', '.join(positional)}")
        of_mark = {**dict(zip(positional, mark.args, strict=False)), **mark.kwargs}
        for keyword, value in of_mark.items():
            if value is not None or keyword not in arguments:
                arguments[keyword] = value
    return arguments


def check_keywords(name: str, arguments: Iterable[str], valid: Collection[str]) -> None:
    """Demand that a marker has no other keywords than these.

    Raises:
        MarkerError: it has; the line has close matches, or else the valid ones.
    """
    for keyword in arguments:
        if keyword not in valid:
            hint = did_you_mean(keyword, valid, f"it has {', '.join(valid)}")
            raise MarkerError(f"the marker {name} has no argument {keyword!r}: {hint}")
