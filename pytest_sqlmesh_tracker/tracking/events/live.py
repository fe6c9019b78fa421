"""What can be had of an invocation while it lasts: its models as they execute, that it waits, and
its end.

Both use SQLMesh's own ways. When the console is called with the end of a batch, its interval is in
the state (sqlmesh/core/scheduler.py, `evaluate`). An exception as a batch begins makes it fail, and
what depends on it is skipped; so SQLMesh winds down, with any number of workers.
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
"""Is called with the name of the environment that a run waits for."""
OutcomesSoFar = Callable[[Recording], Callable[[str], ModelOutcome]]
"""Makes, for the round that is under way, a function from a model's fully qualified name to the
outcome that the report would have for it now."""

logger = logging.getLogger("pytest_sqlmesh_tracker")


class CancelledError(Stopped, Exception):
    """What a batch raises in place of beginning, and a wait, once its invocation was cancelled."""

    def __init__(self, message: str = "cancelled before it began") -> None:
        super().__init__(message)


@dataclass(frozen=True)
class Hooks:
    """What a tracker wants of an invocation while it lasts."""

    outcomes_so_far: OutcomesSoFar
    cancelled: Callable[[], bool] = lambda: False
    on_executed: Sequence[OnExecuted] = ()
    on_waiting: Sequence[OnWaiting] = ()
    longest_wait: float | None = None
    """Seconds for which a run may wait for its environment; None: as SQLMesh is configured."""


@dataclass
class Executions:
    """The models of an invocation that have executed, each reported once."""

    recording: Recording
    on_executed: Sequence[OnExecuted]
    outcomes_so_far: OutcomesSoFar
    _left: dict[str, int] = field(default_factory=dict)
    """Of the models that the current round evaluates: how many batches have not come through."""
    _outcome_of: Callable[[str], ModelOutcome] | None = None
    _notified: set[str] = field(default_factory=set)

    def scheduled(self, round_: Round) -> None:
        """A round begins."""
        evaluates = self.on_executed and not round_.audit_only
        batches = (round_.batches or {}) if evaluates else {}
        self._left = {name: len(spans) for name, spans in batches.items()}
        self._outcome_of = None

    def recorded(self, name: str) -> ModelOutcome | None:
        """A batch of the model was recorded, and the console heard so.

        Returns the model's outcome, if that was the last batch and the model has executed now.
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
        """Call back; what that raises is not the run's."""
        for callback in self.on_executed:
            try:
                callback(outcome)
            except Exception:
                logger.exception("on_executed failed on %s", outcome.name)
