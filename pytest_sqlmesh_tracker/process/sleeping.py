"""SQLMesh's sleeps, which can be ended from outside while anything is tracked.

A run sleeps for up to six hours while its environment is not finalized (sqlmesh/core/context.py,
`run`), and evaluators sleep between the tries to migrate a table
(sqlmesh/core/snapshot/evaluator.py, `_migrate_target_table`). What SQLMesh does before and after a
sleep stays its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

_SLICE = 0.2
"""Seconds after which it is checked whether a sleep goes on."""


class Sleeper(Protocol):
    """What sleeps in SQLMesh's place."""

    def wait_for_environment(self, seconds: float) -> None:
        """Sleep in place of a run that waits for its environment; what it raises ends the run."""

    def pause_between_tries(self, seconds: float) -> None:
        """Sleep in place of an evaluator that tries again; what it raises ends the tries."""


def sleep(seconds: float, over: Callable[[float], bool]) -> None:
    """Sleep in slices.

    Args:
        over: is called around each slice with the seconds that have been slept, and returns
            whether that is enough; what it raises ends the sleep as well. The seconds are counted,
            since a test can have replaced the clock.
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
        """Let the sleeper decide.

        Args:
            migration_tries: the settings of the tries to migrate a table; None where SQLMesh does
                not try again.
        """
        from sqlmesh.core import context

        # A test can have put something else there, so that no run of it sleeps.
        if getattr(context, "time", None) is time:
            self._set(context, "time", _Time(self._sleeper.wait_for_environment))
        if migration_tries is not None:
            self._set(migration_tries, "sleep", self._sleeper.pause_between_tries)

    def restore(self) -> None:
        """Restore what was there."""
        for put_back in self._put_back:
            put_back()
        self._put_back.clear()

    def _set(self, owner: Any, name: str, replacement: Any) -> None:
        original = getattr(owner, name)

        def put_back() -> None:
            # What others have put there meanwhile, they restore themselves.
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
