"""The recording of one invocation while it is written, by all the threads that SQLMesh uses.

An error of the tracker's own never reaches the invocation: it is logged, and what it concerns
becomes a fault, from which reports make `unknown`.
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
    """The moment, in UTC."""
    return datetime.now(timezone.utc)


class Journal:
    """Writes a recording, until it is closed."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.lock = threading.RLock()
        """Held while the recording is changed."""
        self.is_open = True
        self.pending = Round()
        """What is known already of the round that begins next."""
        self._round: Round | None = None

    @contextmanager
    def faultless(self, model: str | None = None) -> Iterator[None]:
        """Keep an error of the tracker's own from the invocation: log it, and note the fault."""
        try:
            yield
        except Exception as error:
            logger.exception("pytest-sqlmesh-tracker failed; its report will say `unknown`")
            self.fault(f"the tracker failed: {type(error).__name__}: {error}", model)

    def fault(self, message: str, model: str | None = None) -> None:
        """Note that nothing can be reported of the model, or (None) of any model."""
        with self.lock:
            self.recording.faults.setdefault(model, message)

    @property
    def is_listening(self) -> bool:
        """Whether calls are recorded: not after a fault that concerns every model."""
        return self.is_open and None not in self.recording.faults

    def close(self) -> None:
        """Record nothing more of what SQLMesh calls."""
        self.is_open = False

    def begin_round(self) -> Round:
        """Let the pending round begin."""
        round_ = self._round = self.pending
        self.pending = Round()
        self.recording.rounds.append(round_)
        return round_

    @property
    def round(self) -> Round:
        """The latest round that has begun.

        Raises:
            RuntimeError: none has.
        """
        if self._round is None:
            raise RuntimeError("an evaluation callback outside of any evaluation block")
        return self._round

    @property
    def has_round(self) -> bool:
        """Whether a round has begun."""
        return self._round is not None
