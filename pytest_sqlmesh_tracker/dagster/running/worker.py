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
import time
from collections.abc import Callable, Iterable
from concurrent.futures import thread as pools
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pytest_sqlmesh_tracker.dagster.events.telling import Event
from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.tracking.tracker import Tracker, sqlmesh_run_tracker

logger = logging.getLogger("pytest_sqlmesh_tracker")

_IN_POOLS: Any = getattr(pools, "_threads_queues", {})
"""The threads for which Python waits at its exit, though they are daemons."""
_left_behind: list[Worker] = []
"""Of this process: those that did not end in time."""


@dataclass(frozen=True)
class Work:
    """What a worker does, and whom it calls meanwhile."""

    project: str
    """The name of the SQLMesh project."""
    opened: Callable[[], AbstractContextManager[Any]]
    """Gives the SQLMesh context, which is closed with it."""
    invoke: Callable[[Any], object]
    """Calls `run` or `plan` of the context."""
    executed: Callable[[ModelOutcome, datetime | None], Iterable[Event]]
    """Gives the events of a model, as soon as it is done; of an invocation at this time."""
    waits: Callable[[str, EnvironmentState], None]
    """Is called when a run waits for its environment."""
    reported: Callable[[Any, RunReport], None]
    """Is called with the context, or with None where it can't be used any more, and the report."""
    rest: Callable[[RunReport], Iterable[Event]]
    """What is left to tell after that."""
    longest_wait: float | None = None
    """Seconds for which a run may wait for its environment."""


class Worker:
    """One invocation on a thread: `events` grows while it goes on; then it has a report, or an
    error, or both."""

    def __init__(self, work: Work) -> None:
        """Prepare it; nothing happens yet."""
        self.events: list[Event] = []
        self.report: RunReport | None = None
        self.error: BaseException | None = None
        self.fault: Exception | None = None
        """What went wrong in telling, which is not SQLMesh's."""
        self.is_left_behind = False
        """Whether SQLMesh had not ended when it had to: what it does from then on is not told."""
        self.under_way: list[str] = []
        """The models that it was evaluating then."""
        self._work = work
        self._ended = False
        # Not a condition: an interrupt in the middle of its methods would leave it locked.
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Several models can be done at the same time.
        self._lock = threading.Lock()
        self._awaited: dict[int, queue.SimpleQueue[None]] = {}
        """Number of an event → what wakes the thread that waits until it is taken."""
        self._alone = False
        """Whether nobody takes events any more."""
        self._told_rest = False
        self._cancelled = threading.Event()
        self._deadline: float | None = None
        self._tracker: Tracker | None = None
        # A thread that is no daemon would be waited for before anybody could cancel it at exit.
        self._thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._run,), name="sqlmesh", daemon=True
        )
        self._pools_before: set[threading.Thread] = set()

    @property
    def is_blocked(self) -> bool:
        """Whether SQLMesh still works on the project for a step of this process that has ended."""
        _left_behind[:] = [worker for worker in _left_behind if worker._thread.is_alive()]
        return any(worker._work.project == self._work.project for worker in _left_behind)

    def start(self) -> None:
        """Begin."""
        self._pools_before = set(_IN_POOLS)
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

    def end(self, timeout: float | None) -> None:
        """Let no further batch begin, and wait until those under way have ended.

        Args:
            timeout: seconds, from the first call on, after which SQLMesh is left behind: what is
                known by then is among the events.
        """
        self._cancelled.set()
        self._alone = True
        for awaited in list(self._awaited.values()):
            awaited.put(None)
        tracker = self._tracker
        if tracker is not None:
            tracker.cancel()
        if timeout is None:
            self._thread.join()
            return
        if self._deadline is None:
            self._deadline = time.monotonic() + timeout
        self._thread.join(max(0, self._deadline - time.monotonic()))
        if self._thread.is_alive() and not self.is_left_behind:
            self._leave_behind()

    def _leave_behind(self) -> None:
        with self._lock:
            self.is_left_behind = True
        _left_behind.append(self)
        self._spare_exit()
        if self._tracker is not None and self.report is None:
            under_way = self._tracker.detach()
            if self._tracker.reports:
                self.report = self._tracker.last
                outcomes = self.report.outcomes.values()
                self.under_way = [each.name for each in outcomes if each.fqn in under_way]
        if self.report is None or self._told_rest:
            return
        try:
            self._work.reported(None, self.report)
            self.events.extend(self._work.rest(self.report))
        except Exception as error:
            self.fault = error

    def _spare_exit(self) -> None:
        """Let the process end without SQLMesh's pools of threads: they are daemons, as the thread
        is that has begun them."""
        for thread in set(_IN_POOLS) - self._pools_before:
            if thread.daemon:
                _IN_POOLS.pop(thread, None)

    def _hear(self, outcome: ModelOutcome) -> None:
        """On SQLMesh's own threads: it goes on when Dagster has the events, so that hardly anything
        can be lost. (To run at the same time takes two threads of Python longer than in turn.)"""
        taken: queue.SimpleQueue[None] = queue.SimpleQueue()
        try:
            with self._lock:
                if self.is_left_behind:
                    return
                moment = self._tracker.execution_time if self._tracker else None
                self.events += self._work.executed(outcome, moment)
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
            self._work.reported(context, report)
            with self._lock:
                if not self.is_left_behind:
                    self._told_rest = True
                    self.events.extend(self._work.rest(report))
        except Exception as error:
            self.fault = error
        self._news.put(None)

    def _run(self) -> None:
        try:
            with self._work.opened() as context:
                self._invoke_in(context)
        except BaseException as error:
            self.error = error
        finally:
            self._ended = True
            self._news.put(None)

    def _invoke_in(self, context: Any) -> None:
        with sqlmesh_run_tracker(
            context,
            on_executed=self._hear,
            on_waiting=self._work.waits,
            longest_wait=self._work.longest_wait,
        ) as tracker:
            self._tracker = tracker
            if self._cancelled.is_set():
                tracker.cancel()
            try:
                self._work.invoke(context)
            finally:
                if tracker.reports and not self.is_left_behind:
                    self.report = tracker.last
                    self._tell_rest(context, self.report)
