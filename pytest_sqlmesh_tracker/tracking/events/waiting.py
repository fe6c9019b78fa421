"""Lets a run wait for its environment: why it waits, and when it stops waiting.

SQLMesh waits while the latest plan of the environment is not finished, even if no process is still
applying it (sqlmesh/core/context.py, `run`, `_block_until_finalized`).
"""

from __future__ import annotations

import logging
from typing import Any

from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.process.sleeping import sleep

from .facts import frozen_by_name, interrupt_behind
from .live import CancelledError, Hooks
from .recording import Recording

logger = logging.getLogger("pytest_sqlmesh_tracker")


class EnvironmentWait:
    """The wait of one invocation for its environment, on the invocation's thread."""

    def __init__(self, context: Any, recording: Recording, hooks: Hooks) -> None:
        self._context = context
        self._recording = recording
        self._hooks = hooks
        self._has_waited = False
        self._waited = 0.0
        self._announced: EnvironmentState | None = None

    def sleep(self, seconds: float) -> None:
        """Sleep in place of SQLMesh, until it checks the environment again.

        Raises:
            CancelledError: the invocation was cancelled.
            EnvironmentBusyError: the longest permitted wait is over.
        """
        self._has_waited = True
        self.look()
        limit, waited = self._hooks.longest_wait, self._waited
        if limit is None or waited < limit:
            self._announce()
        self._waited += seconds

        def over(slept: float) -> bool:
            if self._hooks.cancelled():
                raise CancelledError("cancelled while waiting for its environment")
            return limit is not None and waited + slept >= limit and self._ended_at_limit()

        sleep(seconds, over)

    def _ended_at_limit(self) -> bool:
        # SQLMesh itself would check only later.
        self.look()
        state = self._recording.environment_state
        if state is not None:
            from pytest_sqlmesh_tracker.tracking.project.environments import EnvironmentBusyError

            raise EnvironmentBusyError(self._recording.environment, state)
        return True

    def look_after_failure(self) -> None:
        """Determine whether a run could not start, or a plan left its environment unfinished."""
        recording = self._recording
        unstarted_run = recording.command == "run" and recording.decision is None
        # Without a state, SQLMesh could not open it, or did not get that far.
        if getattr(self._context, "_state_sync", None) and (unstarted_run or recording.applied):
            self.look()
            state = recording.environment_state
            missing = state is not None and state.unfinished_plan is None
            # A failed plan is expected to create no environment. A run that did not wait failed for
            # another reason, even if some other plan is not finished.
            if not (not missing if recording.applied else missing or self._has_waited):
                recording.environment_state = None

    def look(self) -> None:
        """Record why the environment can't be run, if it can't and the state is readable."""
        recording = self._recording
        try:
            from pytest_sqlmesh_tracker.tracking.project.environments import (
                environment_state,
                planned_snapshots,
            )

            state = environment_state(self._context, recording.environment)
            if (
                state is not None
                and not recording.snapshots_of_environment
                and recording.command == "run"
            ):
                snapshots = planned_snapshots(self._context, recording.environment)
                recording.snapshots_of_environment = frozen_by_name(snapshots)
        except Exception as error:
            interrupt = interrupt_behind(error)
            if interrupt is not None:
                raise interrupt from None
            logger.debug("the state of the environment can't be read", exc_info=True)
        else:
            recording.environment_state = state

    def _announce(self) -> None:
        """Call the callbacks once per plan; their exceptions are logged, not raised."""
        state = self._recording.environment_state
        if state is None or state == self._announced:
            return
        self._announced = state
        for callback in self._hooks.on_waiting:
            try:
                callback(self._recording.environment, state)
            except Exception:
                logger.exception("on_waiting failed")
