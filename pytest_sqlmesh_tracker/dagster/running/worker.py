"""SQLMesh on a thread of its own, so that Dagster gets the events while SQLMesh goes on.

Everything that uses the context happens on that thread: two threads on one DuckDB cursor get each
other's rows. Events are made there as well: Dagster's interrupts, which are signals, are raised on
the main thread only, between any two of its instructions.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import thread as pools
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pytest_sqlmesh_tracker.dagster.events.emission import Event
from pytest_sqlmesh_tracker.dagster.events.standing_failures import StandingFailure
from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.tracking.tracker import Tracker, sqlmesh_run_tracker

logger = logging.getLogger("pytest_sqlmesh_tracker")

_IN_POOLS: Any = getattr(pools, "_threads_queues", {})
"""The threads for which Python waits at its exit, though they are daemons."""
_abandoned: list[Worker] = []
"""The workers of this process that did not end in time; SQLMesh may still run on their threads."""


@dataclass(frozen=True)
class Work:
    """What a worker does, and which functions it calls meanwhile."""

    project: str
    """The name of the SQLMesh project."""
    open_context: Callable[[], AbstractContextManager[Any]]
    """Opens the SQLMesh context, and closes it afterwards."""
    invoke: Callable[[Any], object]
    """Calls `run` or `plan` of the context."""
    events_of_executed: Callable[[ModelOutcome, datetime | None], Iterable[Event]]
    """Makes the events of a model as soon as it is executed; the time is the execution time."""
    on_waiting: Callable[[str, EnvironmentState], None]
    """Is called when a run waits for its environment."""
    on_report: Callable[[RunReport], None]
    """Is called with the report."""
    standing_failures: Callable[[Any, RunReport], Mapping[str, StandingFailure]]
    """Determines which failures of earlier runs still stand, by the names of models. The first
    argument is the context, or None where it can't be used any more."""
    events_of_ended: Callable[[RunReport, Mapping[str, StandingFailure]], Iterable[Event]]
    """Makes all other events."""
    keep_report: Callable[[RunReport], None]
    """Is called with the report when there are all events."""
    longest_wait: float | None = None
    """Seconds for which a run may wait for its environment."""


class Worker:
    """One invocation on a thread: `events` grows while it goes on; when it has ended, there is a
    report, an error, or both."""

    def __init__(self, work: Work) -> None:
        """Prepare it; nothing happens yet."""
        self.events: list[Event] = []
        self.report: RunReport | None = None
        self.error: BaseException | None = None
        self.events_error: Exception | None = None
        """Why events could not be made: an error in this package, not in SQLMesh."""
        self.is_abandoned = False
        """Whether SQLMesh did not end in time: there are no events of what it does afterwards."""
        self.under_way: list[str] = []
        """The models that SQLMesh was evaluating when it was abandoned."""
        self._work = work
        self._has_ended = False
        # Not a condition: an interrupt in the middle of its methods would leave it locked.
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Several models can be done at the same time.
        self._lock = threading.Lock()
        self._awaited: dict[int, queue.SimpleQueue[None]] = {}
        """Number of an event → what wakes the thread that waits until Dagster has stored it."""
        self._draining = threading.Event()
        """Set when no further batch may begin, and Dagster accepts no more events."""
        self._deadline: float | None = None
        self._has_all_events = False
        self._tracker: Tracker | None = None
        # At its exit, Python waits for other threads before anything could cancel them.
        self._thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._run,), name="sqlmesh", daemon=True
        )
        self._pools_before: set[threading.Thread] = set()

    @property
    def is_blocked(self) -> bool:
        """Whether SQLMesh still runs this project for an earlier step of this process."""
        _abandoned[:] = [worker for worker in _abandoned if worker._thread.is_alive()]
        return any(worker._work.project == self._work.project for worker in _abandoned)

    def start(self) -> None:
        """Begin."""
        self._pools_before = set(_IN_POOLS)
        self._thread.start()

    def event(self, number: int) -> Event | None:
        """Wait for the event with this number, from 0; None if the invocation ended without it."""
        while number >= len(self.events):
            if self._has_ended:
                return None if number >= len(self.events) else self.events[number]
            self._news.get()
        return self.events[number]

    def mark_stored(self, number: int) -> None:
        """Dagster has stored the event with this number."""
        awaited = self._awaited.get(number)
        if awaited is not None:
            awaited.put(None)

    def drain(self, timeout: float | None) -> None:
        """Let no further batch begin, and wait until those under way have ended.

        Args:
            timeout: seconds from the first call on, after which SQLMesh is abandoned; the events
                then include what is known by that time.
        """
        self._draining.set()
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
        if self._thread.is_alive() and not self.is_abandoned:
            self._abandon()

    def _abandon(self) -> None:
        with self._lock:
            self.is_abandoned = True
        _abandoned.append(self)
        self._spare_exit()
        if self._tracker is not None and self.report is None:
            under_way = self._tracker.detach()
            if self._tracker.reports:
                self.report = self._tracker.last
                outcomes = self.report.outcomes.values()
                self.under_way = [each.name for each in outcomes if each.fqn in under_way]
        if self.report is None or self._has_all_events:
            return
        try:
            self._work.on_report(self.report)
            standing = self._work.standing_failures(None, self.report)
            self.events.extend(self._work.events_of_ended(self.report, standing))
        except Exception as error:
            self.events_error = error
        self._work.keep_report(self.report)

    def _spare_exit(self) -> None:
        """Let the process end without waiting for SQLMesh's pools of threads, which are daemons,
        like the thread that has started them."""
        for thread in set(_IN_POOLS) - self._pools_before:
            if thread.daemon:
                _IN_POOLS.pop(thread, None)

    def _on_executed(self, outcome: ModelOutcome) -> None:
        """Make the events of a model, on SQLMesh's own thread.

        SQLMesh goes on when Dagster has stored them, so that hardly anything can be lost. (Two
        threads of Python at once take longer than in turn.)
        """
        stored: queue.SimpleQueue[None] = queue.SimpleQueue()
        try:
            with self._lock:
                if self.is_abandoned:
                    return
                execution_time = self._tracker.execution_time if self._tracker else None
                self.events += self._work.events_of_executed(outcome, execution_time)
                self._awaited[len(self.events) - 1] = stored
        except Exception:
            # It is tried again when the invocation has ended.
            logger.exception(
                "pytest-sqlmesh-tracker failed to make the Dagster events of %s", outcome.name
            )
            return
        self._news.put(None)
        if not self._draining.is_set():
            stored.get()

    def _add_events_of_ended(self, context: Any, report: RunReport) -> None:
        try:
            self._work.on_report(report)
            standing = self._work.standing_failures(context, report)
            with self._lock:
                if not self.is_abandoned:
                    self._has_all_events = True
                    self.events.extend(self._work.events_of_ended(report, standing))
        except Exception as error:
            self.events_error = error
        self._news.put(None)
        self._work.keep_report(report)

    def _run(self) -> None:
        try:
            with self._work.open_context() as context:
                self._invoke_in(context)
        except BaseException as error:
            self.error = error
        finally:
            self._has_ended = True
            self._news.put(None)

    def _invoke_in(self, context: Any) -> None:
        with sqlmesh_run_tracker(
            context,
            on_executed=self._on_executed,
            on_waiting=self._work.on_waiting,
            longest_wait=self._work.longest_wait,
        ) as tracker:
            self._tracker = tracker
            if self._draining.is_set():
                tracker.cancel()
            try:
                self._work.invoke(context)
            finally:
                if tracker.reports and not self.is_abandoned:
                    self.report = tracker.last
                    self._add_events_of_ended(context, self.report)
