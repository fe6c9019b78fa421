"""SQLMesh on a thread of its own, so that what it does can be told while it goes on.

Everything that touches the context happens on that thread: two threads on one DuckDB cursor get
each other's rows. Events are made there as well: Dagster's interrupts, which are signals, are
raised on the main thread only, between any two steps of it.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

from ..outcomes import ModelOutcome
from ..report import RunReport
from ..tracking.tracker import Tracker, sqlmesh_run_tracker
from .telling import Event

logger = logging.getLogger("pytest_sqlmesh_tracker")


class Worker:
    """One invocation on a thread: `events` grows while it goes on; then it has a report, or an
    error, or both."""

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[Any]],
        invoke: Callable[[Any], object],
        executed: Callable[[ModelOutcome], Iterable[Event]],
        reported: Callable[[Any, RunReport], Iterable[Event]],
    ) -> None:
        """Prepare it; nothing happens yet.

        Args:
            opened: gives the SQLMesh context, which is closed with it.
            invoke: calls `run` or `plan` of it.
            executed: what to tell of a model, as soon as it is done.
            reported: what else to tell, before the context is closed.
        """
        self.events: list[Event] = []
        self.report: RunReport | None = None
        self.error: BaseException | None = None
        self.fault: Exception | None = None
        """What went wrong in `reported`, which is not SQLMesh's."""
        self._opened, self._invoke = opened, invoke
        self._executed, self._reported = executed, reported
        self._ended = False
        # Not a condition: an interrupt in the middle of its methods would leave it locked.
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Several models can be done at the same time.
        self._lock = threading.Lock()
        self._awaited: dict[int, queue.SimpleQueue[None]] = {}
        """Number of an event → what wakes the thread that waits until it is taken."""
        self._alone = False
        """Whether nobody takes events any more."""
        self._cancelled = threading.Event()
        self._tracker: Tracker | None = None
        # A thread that is no daemon would be waited for before anybody could cancel it at exit.
        self._thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._work,), name="sqlmesh", daemon=True
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def event(self, number: int) -> Event | None:
        """Wait for the event of this number, from 0 on; None if it has ended without."""
        while number >= len(self.events):
            if self._ended:
                return None if number >= len(self.events) else self.events[number]
            self._news.get()
        return self.events[number]

    def took(self, number: int) -> None:
        """The event of this number is on record."""
        awaited = self._awaited.get(number)
        if awaited is not None:
            awaited.put(None)

    def end(self) -> None:
        """Let no further batch begin, and wait until those under way have ended."""
        self._cancelled.set()
        self._alone = True
        for awaited in list(self._awaited.values()):
            awaited.put(None)
        tracker = self._tracker
        if tracker is not None:
            tracker.cancel()
        self._thread.join()

    def _hear(self, outcome: ModelOutcome) -> None:
        """On SQLMesh's own threads: it goes on when Dagster has the events, so that hardly anything
        can be lost. (To run at the same time takes two threads of Python longer than in turn.)"""
        taken: queue.SimpleQueue[None] = queue.SimpleQueue()
        try:
            with self._lock:
                self.events += self._executed(outcome)
                self._awaited[len(self.events) - 1] = taken
        except Exception:
            # It is tried again when the invocation has ended.
            logger.exception("pytest-sqlmesh-tracker failed to tell of %s", outcome.name)
            return
        self._news.put(None)
        if not self._alone:
            taken.get()

    def _tell_rest(self, context: Any, report: RunReport) -> None:
        try:
            for event in self._reported(context, report):
                self.events.append(event)
                self._news.put(None)
        except Exception as error:
            self.fault = error

    def _work(self) -> None:
        try:
            with self._opened() as context:
                self._invoke_in(context)
        except BaseException as error:
            self.error = error
        finally:
            self._ended = True
            self._news.put(None)

    def _invoke_in(self, context: Any) -> None:
        with sqlmesh_run_tracker(context, on_executed=self._hear) as tracker:
            self._tracker = tracker
            if self._cancelled.is_set():
                tracker.cancel()
            try:
                self._invoke(context)
            finally:
                if tracker.reports:
                    self.report = tracker.last
                    self._tell_rest(context, self.report)
