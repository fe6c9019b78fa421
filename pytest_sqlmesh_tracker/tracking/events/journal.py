"""Writes the recording of one invocation, from all the threads that SQLMesh uses.

An error in the tracker itself never reaches the invocation: it is logged and recorded,
and the affected models become `unknown` in the report.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

from .recording import Recording, Round

logger = logging.getLogger("pytest_sqlmesh_tracker")


def now() -> datetime:
    """The current time, in UTC."""
    return datetime.now(timezone.utc)


class Journal:
    """Writes a recording until it is closed."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.lock = threading.RLock()
        """Held while the recording is changed."""
        self.is_open = True
        self.pending = Round()
        """What is already known about the next round."""
        self._round: Round | None = None

    @contextmanager
    def guarded(self, model: str | None = None) -> Iterator[None]:
        """Log and record an error in the tracker itself, instead of raising it."""
        try:
            yield
        except Exception as error:
            logger.exception("pytest-sqlmesh-tracker failed; its report will say `unknown`")
            self.tracker_error(f"the tracker failed: {type(error).__name__}: {error}", model)

    def tracker_error(self, message: str, model: str | None = None) -> None:
        """Record that nothing can be reported about the model or, if None, about any model."""
        with self.lock:
            self.recording.tracker_errors.setdefault(model, message)

    @property
    def is_listening(self) -> bool:
        """Whether calls are recorded, which ends with an error that affects every model."""
        return self.is_open and None not in self.recording.tracker_errors

    def close(self) -> None:
        """Stop recording SQLMesh's calls."""
        self.is_open = False

    def begin_round(self) -> Round:
        """Start the pending round."""
        round_ = self._round = self.pending
        self.pending = Round()
        self.recording.rounds.append(round_)
        return round_

    @property
    def round(self) -> Round:
        """The latest round that has started.

        Raises:
            RuntimeError: no round has started.
        """
        if self._round is None:
            raise RuntimeError("an evaluation callback outside of any evaluation block")
        return self._round

    @property
    def has_round(self) -> bool:
        """Whether any round has started."""
        return self._round is not None
