"""What a mutant is, and how one is registered."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any
from unittest.mock import patch

Mutant = Callable[[], AbstractContextManager[Any]]


def mutant_of(
    owner: Any, attribute: str, among: dict[str, Mutant]
) -> Callable[[Callable[..., Any]], None]:
    """Register a mutant: a function of the original and its arguments, in place of the original.

    Its name says, with blanks, what is wrong with the tracker then.
    """

    def register(mutated: Callable[..., Any]) -> None:
        original = getattr(owner, attribute)

        # What a handler declares of SQLMesh travels with the function.
        @wraps(original)
        def instead(*args: Any, **kwargs: Any) -> Any:
            return mutated(original, *args, **kwargs)

        name = mutated.__name__.replace("_", " ")
        among[name] = lambda: patch.object(owner, attribute, instead)

    return register
