"""Methods of SQLMesh's objects that are heard: shadowed on the one object, and put back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

from pytest_sqlmesh_tracker.tracking import compat

Tap = Callable[[Any, dict[str, Any]], "Callable[[Any], None] | None"]
"""Is called with the object and the call's arguments by name; what it returns, with the result."""


@dataclass
class Taps:
    """The methods that one invocation hears."""

    listening: Callable[[], bool]
    faultless: Callable[[], AbstractContextManager[None]]
    """Keeps an error of a tap's own from the run."""
    _tapped: list[tuple[Any, str]] = field(default_factory=list)

    def add(
        self, owner: Any, name: str, tap: Tap, admit: Callable[[], None] = lambda: None
    ) -> None:
        """Hear a method on this one object; what `admit` raises, the method raises instead."""
        if name in vars(owner):
            return
        method = getattr(owner, name)
        # To find it takes longer than all that is done with a call.
        parameters = signature(method)

        def tapped(*args: Any, **kwargs: Any) -> Any:
            admit()
            heard: Callable[[Any], None] | None = None
            if self.listening():
                with self.faultless():
                    heard = tap(owner, compat.bound(parameters, args, kwargs))
            result = method(*args, **kwargs)
            if heard:
                with self.faultless():
                    heard(result)
            return result

        setattr(owner, name, tapped)
        self._tapped.append((owner, name))

    def remove(self) -> None:
        """Put every method back."""
        for owner, name in self._tapped:
            vars(owner).pop(name, None)
