"""The tracker's own CPU time, measured where control passes between SQLMesh and the tracker.

Where SQLMesh enters the tracker (a tracked method of the context, a method that is shadowed during
the invocation, a console call through the proxy), the clock of the thread starts; where the tracker
goes on to what SQLMesh or the console do themselves, it stops. So nothing of the tracker's is left
out, and nothing of SQLMesh's is in it. What the clock itself costs counts as the tracker's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from time import thread_time_ns
from typing import Any
from unittest.mock import patch

from sqlmesh.core.context import GenericContext
from sqlmesh.core.scheduler import Scheduler
from sqlmesh.core.snapshot import SnapshotEvaluator

from pytest_sqlmesh_tracker import Tracker, sqlmesh_run_tracker
from pytest_sqlmesh_tracker.tracking.events.console_proxy import ConsoleProxy
from pytest_sqlmesh_tracker.tracking.events.taps import Taps
from pytest_sqlmesh_tracker.tracking.reliance import reliance_of

_ENTRIES = ("run", "plan", "apply", "audit", "create_scheduler")
_SHADOWED = (
    (Scheduler, ("merged_missing_intervals", "run_merged_intervals")),
    (SnapshotEvaluator, ("audit",)),
)


class OwnTime:
    """Adds up the time between `inside` and `outside` functions, of all threads."""

    def __init__(self) -> None:
        self.entered = 0
        self._nanoseconds = 0
        self._lock = threading.Lock()
        self._since = threading.local()

    @property
    def seconds(self) -> float:
        """What was spent inside so far."""
        return self._nanoseconds / 1e9

    def inside(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time counts."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._since, "start", None) is not None:
                return function(*args, **kwargs)
            self._since.start = thread_time_ns()
            try:
                return function(*args, **kwargs)
            finally:
                self._stop()

        return timed

    def outside(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time does not count, though it is called from inside."""

        @wraps(function)
        def untimed(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._since, "start", None) is None:
                return function(*args, **kwargs)
            self._stop()
            try:
                return function(*args, **kwargs)
            finally:
                self._since.start = thread_time_ns()

        return untimed

    def _stop(self) -> None:
        spent = thread_time_ns() - self._since.start
        self._since.start = None
        with self._lock:
            self._nanoseconds += spent
            self.entered += 1


@contextmanager
def metered(context: Any, **options: Any) -> Iterator[tuple[OwnTime, Tracker]]:
    """Track a context as `sqlmesh_run_tracker` does, and meter what the tracker spends."""
    own = OwnTime()
    with ExitStack() as patches:
        state_sync = type(context.state_sync)
        read = _defining(state_sync, "refresh_snapshot_intervals")
        recorded = _defining(state_sync, "add_snapshots_intervals")
        elsewhere = (*_SHADOWED, read, recorded, _methods(context.console))
        for owner, names in ((GenericContext, _ENTRIES), *elsewhere):
            for name in names:
                patches.enter_context(patch.object(owner, name, own.outside(vars(owner)[name])))
        patches.enter_context(patch.object(ConsoleProxy, "__getattr__", _looked_up(own)))
        patches.enter_context(patch.object(Taps, "add", _tapping(own)))
        tracker = patches.enter_context(sqlmesh_run_tracker(context, **options))
        for name in _ENTRIES:
            entry = own.inside(vars(GenericContext)[name])
            patches.enter_context(patch.object(GenericContext, name, entry))
        yield own, tracker


def _defining(kind: type[Any], name: str) -> tuple[type[Any], tuple[str]]:
    return next(base for base in kind.__mro__ if name in vars(base)), (name,)


def _methods(console: Any) -> tuple[type[Any], list[str]]:
    owner = type(console)
    return owner, [name for name, value in vars(owner).items() if callable(value)]


def _looked_up(own: OwnTime) -> Callable[..., Any]:
    look_up = own.inside(ConsoleProxy.__getattr__)

    def looked_up(proxy: Any, name: str) -> Any:
        found = look_up(proxy, name)
        # What is not the console's own is the proxy's, and forwards to it.
        return own.inside(found) if found != getattr(proxy._tracked_console, name) else found

    return looked_up


def _tapping(own: OwnTime) -> Callable[..., None]:
    tap = Taps.add

    def tapping(taps: Taps, owner: Any, handler: Any, *args: Any) -> None:
        name = reliance_of(handler).name
        was = vars(owner).get(name)
        tap(taps, owner, handler, *args)
        shadow = vars(owner).get(name)
        if shadow is not was:
            setattr(owner, name, own.inside(shadow))

    return tapping
