"""Makes SQLMesh's sleeps interruptible while any tracker is active.

A run sleeps for up to six hours while its environment is not finalized (sqlmesh/core/context.py,
`run`), and evaluators sleep between attempts to migrate a table
(sqlmesh/core/snapshot/evaluator.py, `_migrate_target_table`). SQLMesh's actions before and after a
sleep do not change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

_SLICE = 0.2
"""Seconds between checks of whether a sleep is over."""


class Sleeper(Protocol):
    """Sleeps in SQLMesh's place."""

    def wait_for_environment(self, seconds: float) -> None:
        """Sleep for a run that waits for its environment; an exception ends the run."""

    def pause_between_tries(self, seconds: float) -> None:
        """Sleep for an evaluator that will try again; an exception ends the attempts."""


def sleep(seconds: float, over: Callable[[float], bool]) -> None:
    """Sleep in slices.

    Args:
        over: called before and after each slice with the seconds slept so far; the sleep ends if
            it returns True or raises. The seconds are counted, since a test can have replaced the
            clock.
    """
    slept = 0.0
    while not over(slept) and slept < seconds:
        part = min(_SLICE, seconds - slept)
        time.sleep(part)
        slept += part


class Sleeps:
    """The places at which SQLMesh sleeps."""

    def __init__(self, sleeper: Sleeper) -> None:
        self._sleeper = sleeper
        self._put_back: list[Callable[[], None]] = []

    def replace(self, migration_tries: Any) -> None:
        """Replace SQLMesh's sleeps with the sleeper's.

        Args:
            migration_tries: the settings for retrying the migration of a table; None if SQLMesh
                does not retry.
        """
        from sqlmesh.core import context

        # A test can have replaced it already, so that its runs do not sleep.
        if getattr(context, "time", None) is time:
            self._set(context, "time", _Time(self._sleeper.wait_for_environment))
        if migration_tries is not None:
            self._set(migration_tries, "sleep", self._sleeper.pause_between_tries)

    def restore(self) -> None:
        """Restore SQLMesh's own sleeps."""
        for put_back in self._put_back:
            put_back()
        self._put_back.clear()

    def _set(self, owner: Any, name: str, replacement: Any) -> None:
        original = getattr(owner, name)

        def put_back() -> None:
            # Other code that has replaced it meanwhile restores it itself.
            if getattr(owner, name) == replacement:
                setattr(owner, name, original)

        setattr(owner, name, replacement)
        self._put_back.append(put_back)


class _Time:
    """The module `time` as one module of SQLMesh sees it."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self.sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)
