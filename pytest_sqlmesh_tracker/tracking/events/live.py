"""What a running invocation offers: callbacks for executed models and for waits, and cancellation.

When SQLMesh notifies the console of the end of a batch, its interval is already in the state
(sqlmesh/core/scheduler.py, `evaluate`). An exception raised as a batch starts makes the batch fail,
and SQLMesh skips what depends on it; so it winds down, with any number of workers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.tracking.errors.types import Stopped

from .recording import Recording, Round

OnExecuted = Callable[[ModelOutcome], None]
OnWaiting = Callable[[str, EnvironmentState], None]
"""Called with the name and state of the environment that a run waits for."""
OutcomesSoFar = Callable[[Recording], Callable[[str], ModelOutcome]]
"""Creates a function for the current round, from a model's fully qualified name to the outcome that
the report would now have for it."""

logger = logging.getLogger("pytest_sqlmesh_tracker")


class CancelledError(Stopped, Exception):
    """Raised instead of starting a batch, and to end a wait, after a cancellation."""

    def __init__(self, message: str = "cancelled before it started") -> None:
        super().__init__(message)


@dataclass(frozen=True)
class Hooks:
    """A tracker's callbacks and settings for a running invocation."""

    cancelled: Callable[[], bool] = lambda: False
    on_executed: Sequence[OnExecuted] = ()
    on_waiting: Sequence[OnWaiting] = ()
    longest_wait: float | None = None
    """Seconds for which a run may wait for its environment; None for SQLMesh's own setting."""


@dataclass
class Executions:
    """The models of an invocation that have executed, each reported once."""

    recording: Recording
    on_executed: Sequence[OnExecuted]
    outcomes_so_far: OutcomesSoFar
    _left: dict[str, int] = field(default_factory=dict)
    """Model of the current round → the number of its batches that are not recorded yet."""
    _outcome_of: Callable[[str], ModelOutcome] | None = None
    _notified: set[str] = field(default_factory=set)

    def scheduled(self, round_: Round) -> None:
        """A round starts."""
        evaluates = self.on_executed and not round_.audit_only
        batches = (round_.batches or {}) if evaluates else {}
        self._left = {name: len(spans) for name, spans in batches.items()}
        self._outcome_of = None

    def recorded(self, name: str) -> ModelOutcome | None:
        """A batch of the model was recorded, and the console was notified.

        Returns:
            The model's outcome if this was its last batch and the model has now executed.
        """
        if name in self._notified or name not in self._left:
            return None
        self._left[name] -= 1
        if self._left[name]:
            return None
        if self._outcome_of is None:
            self._outcome_of = self.outcomes_so_far(self.recording)
        outcome = self._outcome_of(name)
        if outcome.status is not Status.EXECUTED:
            return None
        self._notified.add(name)
        return outcome

    def notify(self, outcome: ModelOutcome) -> None:
        """Call the callbacks; their exceptions are logged, not raised."""
        for callback in self.on_executed:
            try:
                callback(outcome)
            except Exception:
                logger.exception("on_executed failed on %s", outcome.name)
