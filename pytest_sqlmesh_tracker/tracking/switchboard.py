"""Decides which calls of SQLMesh's contexts are invocations and which trackers track them, across
nested calls, nested trackers and threads.

While any tracker is active, wrappers replace `run`, `plan`, `apply`, `audit` and `create_scheduler`
of SQLMesh's context class; the originals are restored when the last tracker ends.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from typing import Any, Protocol

from pytest_sqlmesh_tracker.outcomes.invocation import Command
from pytest_sqlmesh_tracker.process.frozen import check_imported
from pytest_sqlmesh_tracker.process.sleeping import Sleeps, sleep
from pytest_sqlmesh_tracker.tracking.events.auditing import AuditRecorder
from pytest_sqlmesh_tracker.tracking.events.invocation import InvocationRecorder
from pytest_sqlmesh_tracker.tracking.events.live import CancelledError, Hooks, OutcomesSoFar

from . import compat
from .preferences import preferences_of
from .reliance import Reliance
from .tracked import Tracked

_COMMANDS: dict[str, Command] = {"run": "run", "plan": "plan", "apply": "plan", "audit": "audit"}
_CONTEXT = "core.context:GenericContext"
REPLACED = (
    Reliance(
        f"{_CONTEXT}.run",
        "the arguments in reports of runs (Recording.arguments)",
        reads=("environment", "execution_time", "select_models", "ignore_cron"),
    ),
    Reliance(
        f"{_CONTEXT}.plan",
        "the arguments in reports of plans (Recording.arguments)",
        reads=(
            *("environment", "execution_time"),
            *("restate_models", "select_models", "backfill_models"),
        ),
    ),
    Reliance(f"{_CONTEXT}.apply", "plans that are applied later (PlanFacts)", reads=("plan",)),
    Reliance(f"{_CONTEXT}.audit", "reports of Context.audit", reads=("execution_time",)),
    Reliance(
        f"{_CONTEXT}.create_scheduler", "what runs and plans evaluate (InvocationRecorder.attach)"
    ),
)
"""The methods of SQLMesh's context class that are replaced; the class itself must define them."""
RELIES_ON = (
    Reliance("core.context:time", "the end of a wait for an environment (process/sleeping.py)"),
)


class InvocationListener(Protocol):
    """Tracks invocations."""

    @property
    def hooks(self) -> Hooks:
        """Its callbacks and settings for a running invocation."""

    def invocation_started(self, invocation: InvocationRecorder) -> None:
        """An invocation starts."""

    def invocation_ended(self, invocation: InvocationRecorder, tracked: Tracked) -> None:
        """An invocation has ended."""


class Switchboard:
    """Knows the listeners to each context and the current invocation of each context and thread."""

    def __init__(self, outcomes_so_far: OutcomesSoFar) -> None:
        """Without any listener.

        Args:
            outcomes_so_far: passed in, because `reasons`, which makes outcomes, imports `events`.
        """
        self._outcomes_so_far = outcomes_so_far
        self._lock = threading.RLock()
        self._listeners: dict[InvocationListener, Callable[[Any], bool]] = {}
        self._under_way: dict[tuple[int, int], InvocationRecorder] = {}
        self._replaced: dict[str, tuple[Any, Any]] = {}
        self._sleeps = Sleeps(self)

    @contextmanager
    def listening(
        self, listener: InvocationListener, concerns: Callable[[Any], bool]
    ) -> Iterator[None]:
        """Let a listener track the contexts for which `concerns` returns True."""
        with self._lock:
            if not self._listeners:
                self._replace_methods()
            self._listeners[listener] = concerns
        try:
            yield
        finally:
            with self._lock:
                del self._listeners[listener]
                if not self._listeners:
                    self._restore_methods()

    def _replace_methods(self) -> None:
        # If a test is the first to import SQLMesh, warnings of the import do not concern the test.
        check_imported("sqlmesh.core.context")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from sqlmesh.core.context import GenericContext

        # Look up all of them first, so that a SQLMesh that lacks one stays unchanged.
        originals = {each.name: vars(GenericContext)[each.name] for each in REPLACED}
        for name, original in originals.items():
            make = self._scheduling if name == "create_scheduler" else self._tracking
            self._replaced[name] = original, make(name, original)
            setattr(GenericContext, name, self._replaced[name][1])
        self._sleeps.replace(compat.migration_tries())

    def _restore_methods(self) -> None:
        from sqlmesh.core.context import GenericContext

        for name, (original, wrapper) in self._replaced.items():
            # If other code has replaced the wrapper, that stays; the wrapper then passes through.
            if vars(GenericContext)[name] is wrapper:
                setattr(GenericContext, name, original)
        self._replaced.clear()
        self._sleeps.restore()

    def wait_for_environment(self, seconds: float) -> None:
        """Sleep until the time is over or this thread's invocation is cancelled.

        Raises:
            CancelledError: the invocation was cancelled.
            EnvironmentBusyError: the longest permitted wait is over.
        """
        thread = threading.get_ident()
        own = [each for key, each in list(self._under_way.items()) if key[1] == thread]
        if own:
            # The latest, since the code of a signal or model can create another context.
            own[-1].waiting.sleep(seconds)
        else:
            sleep(seconds, lambda _: False)

    def pause_between_tries(self, seconds: float) -> None:
        """Sleep until the time is over or all current invocations are cancelled.

        Raises:
            CancelledError: all are cancelled. Worker threads do not reveal their invocation.
        """

        def over(_: float) -> bool:
            under_way = list(self._under_way.values())
            if under_way and all(invocation.cancelled for invocation in under_way):
                raise CancelledError("cancelled between two attempts")
            return False

        sleep(seconds, over)

    def _scheduling(self, _: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def create_scheduler(context: Any, *args: Any, **kwargs: Any) -> Any:
            scheduler = original(context, *args, **kwargs)
            invocation = self._under_way.get(_key(context))
            if invocation:
                invocation.attach(scheduler)
            return scheduler

        return create_scheduler

    def _tracking(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def call(context: Any, *args: Any, **kwargs: Any) -> Any:
            outer = self._under_way.get(_key(context))
            listeners = self._listeners_to(context)
            if outer is None and listeners:
                return self._track(name, original, listeners, context, args, kwargs)
            if outer is not None and name == "apply":
                outer.planned(_first(args, kwargs, "plan"))
            return original(context, *args, **kwargs)

        return call

    def _listeners_to(self, context: Any) -> list[InvocationListener]:
        with self._lock:
            return [each for each, concerns in self._listeners.items() if concerns(context)]

    def _track(
        self,
        name: str,
        original: Callable[..., Any],
        listeners: list[InvocationListener],
        context: Any,
        args: Any,
        kwargs: Any,
    ) -> Any:
        kind = AuditRecorder if name == "audit" else InvocationRecorder
        invocation = kind(
            context,
            _COMMANDS[name],
            _arguments(original, args, kwargs),
            _hooks(context, listeners),
            self._outcomes_so_far,
        )
        if name == "apply":
            invocation.planned(_first(args, kwargs, "plan"))
        for listener in listeners:
            listener.invocation_started(invocation)
        try:
            with self._while_under_way(invocation, context), invocation.listen():
                try:
                    result = original(context, *args, **kwargs)
                except BaseException as error:
                    invocation.raised(error)
                    raise
                invocation.returned(result)
                return result
        finally:
            tracked = Tracked(invocation.recording)
            for listener in listeners:
                listener.invocation_ended(invocation, tracked)

    @contextmanager
    def _while_under_way(self, invocation: InvocationRecorder, context: Any) -> Iterator[None]:
        key = _key(context)
        with self._lock:
            for (other, _), under_way in self._under_way.items():
                if other == key[0]:
                    message = "two threads used one context at the same time"
                    invocation.journal.tracker_error(message)
                    under_way.journal.tracker_error(message)
            self._under_way[key] = invocation
        try:
            yield
        finally:
            with self._lock:
                del self._under_way[key]


def _hooks(context: Any, listeners: list[InvocationListener]) -> Hooks:
    """The combined hooks of all listeners."""
    every = [listener.hooks for listener in listeners]
    limits = [hooks.longest_wait for hooks in every]
    limits.append(preferences_of(context).longest_wait)
    return Hooks(
        cancelled=lambda: any(hooks.cancelled() for hooks in every),
        on_executed=[callback for hooks in every for callback in hooks.on_executed],
        on_waiting=[callback for hooks in every for callback in hooks.on_waiting],
        longest_wait=min((limit for limit in limits if limit is not None), default=None),
    )


def _key(context: Any) -> tuple[int, int]:
    return id(context), threading.get_ident()


def _first(args: Any, kwargs: Any, name: str) -> Any:
    return args[0] if args else kwargs.get(name)


def _arguments(original: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any]:
    """The arguments that the caller passed, by name, without the plan of `apply`."""
    try:
        passed = dict(signature(original).bind(None, *args, **kwargs).arguments)
    except TypeError:
        # The call does not fit the signature; SQLMesh will say so.
        passed = kwargs
    hidden = ("self", "plan", "circuit_breaker")
    return {name: _plain(value) for name, value in passed.items() if name not in hidden}


def _plain(value: Any) -> Any:
    """A JSON-compatible copy of the value, in which other objects become text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, set | frozenset):
        return sorted(map(_plain, value), key=str)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    # A model or a snapshot, by its name.
    return str(getattr(value, "fqn", None) or getattr(value, "name", None) or value)
