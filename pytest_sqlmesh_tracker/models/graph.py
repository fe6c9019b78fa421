"""Graph traversal, for models, assets and anything else that has neighbors."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def reachable(start: Iterable[Node], neighbors: Callable[[Node], Iterable[Node]]) -> set[Node]:
    """The nodes that can be reached from those at the start, at any distance.

    A start node is included only if a path leads back to it.
    """
    reached: set[Node] = set()
    queue = list(start)
    while queue:
        new = set(neighbors(queue.pop())) - reached
        reached |= new
        queue += new
    return reached
