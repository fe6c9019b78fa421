"""One walk over graphs: of models, of assets, or of anything else that has neighbors."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def reached(begin: Iterable[Node], neighbors: Callable[[Node], Iterable[Node]]) -> set[Node]:
    """What can be reached from the nodes in one step or more; of these, only what others reach."""
    visited: set[Node] = set()
    waiting = list(begin)
    while waiting:
        new = set(neighbors(waiting.pop())) - visited
        visited |= new
        waiting += new
    return visited
