"""One walk over graphs: of models, of assets, or of anything else that has neighbors."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def reachable(start: Iterable[Node], neighbors: Callable[[Node], Iterable[Node]]) -> set[Node]:
    """The nodes where edges lead from those at the start, at any distance.

    The start itself is among them only where an edge leads back to it.
    """
    reached: set[Node] = set()
    queue = list(start)
    while queue:
        new = set(neighbors(queue.pop())) - reached
        reached |= new
        queue += new
    return reached
