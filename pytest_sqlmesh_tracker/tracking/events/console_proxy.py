"""The proxy that replaces `context.console` during an invocation.

It delegates everything to the console that it wraps, including attribute reads and writes, so the
wrapped console receives each call exactly as if the proxy were not there. It does not subclass
SQLMesh's `Console`, which gains abstract methods with every release.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol


class ConsoleListener(Protocol):
    """Handles the calls that a proxy forwards."""

    @property
    def events(self) -> frozenset[str]:
        """The console methods whose calls it handles."""

    def handle(
        self, event: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[[], None] | None:
        """Handle a call that is about to be forwarded.

        Returns:
            A function to call once the call has been forwarded, if any.

        Raises:
            Exception: propagates to SQLMesh, and the call does not reach the console.
        """


class ConsoleProxy:
    """Forwards everything to `wrapped`, after the listener has handled calls of its events."""

    __slots__ = ("_tracked_by", "_tracked_console", "_tracked_methods")

    _tracked_console: Any
    _tracked_by: ConsoleListener
    _tracked_methods: dict[str, Any]
    """Forwarding methods by name, each created on first use."""

    def __init__(self, wrapped: Any, listener: ConsoleListener) -> None:
        object.__setattr__(self, "_tracked_console", wrapped)
        object.__setattr__(self, "_tracked_by", listener)
        object.__setattr__(self, "_tracked_methods", {})

    # `plan(explain=True)` demands isinstance(console, TerminalConsole): sqlmesh/core/plan/explainer
    @property  # type: ignore[misc]
    def __class__(self) -> type[Any]:
        return type(self._tracked_console)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._tracked_console, name)
        listener = self._tracked_by
        if name not in listener.events or not callable(attribute):
            return attribute
        forwarding = self._tracked_methods.get(name)
        # The console's method can be replaced at any time.
        if forwarding is None or forwarding.__wrapped__ != attribute:
            forwarding = self._tracked_methods[name] = _forwarding(listener, name, attribute)
        return forwarding

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._tracked_console, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._tracked_console, name)

    def __dir__(self) -> list[str]:
        return dir(self._tracked_console)

    def __repr__(self) -> str:
        return repr(self._tracked_console)

    def __bool__(self) -> bool:
        return bool(self._tracked_console)

    def __eq__(self, other: object) -> bool:
        return bool(self._tracked_console == unwrapped(other))

    def __hash__(self) -> int:
        return hash(self._tracked_console)


def unwrapped(console: Any) -> Any:
    """The console itself, without the proxy that may wrap it."""
    return console._tracked_console if type(console) is ConsoleProxy else console


def _forwarding(
    listener: ConsoleListener, event: str, method: Callable[..., Any]
) -> Callable[..., Any]:
    @wraps(method, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        when_forwarded = listener.handle(event, args, kwargs)
        result = method(*args, **kwargs)
        if when_forwarded:
            when_forwarded()
        return result

    return call
