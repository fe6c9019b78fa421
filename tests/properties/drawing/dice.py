"""Draws with percentages, which shrink to what is usual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

Item = TypeVar("Item")


class Dice:
    """Draws with percentages; what is unusual shrinks away."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def chance(self, percent: int) -> bool:
        return self._draw(st.integers(0, 99)) >= 100 - percent

    def one_of(self, items: Sequence[Item]) -> Item:
        return self._draw(st.sampled_from(items))

    def some_of(self, items: Sequence[Item], at_most: int, at_least: int = 0) -> tuple[Item, ...]:
        if not items:
            return ()
        chosen = st.lists(
            st.sampled_from(range(len(items))),
            min_size=min(at_least, len(items)),
            max_size=min(at_most, len(items)),
            unique=True,
        )
        return tuple(items[index] for index in sorted(self._draw(chosen)))
