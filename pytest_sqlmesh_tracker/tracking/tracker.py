"""Trackers of one context or of all contexts, and what they have tracked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pytest_sqlmesh_tracker.reports.assertions import AssertionMethods
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import NoReportError, RunReport
from pytest_sqlmesh_tracker.tracking.events.invocation import InvocationRecorder
from pytest_sqlmesh_tracker.tracking.events.live import Hooks, OnExecuted, OnWaiting
from pytest_sqlmesh_tracker.tracking.events.recording import Recording

from .preferences import preferences_of
from .switchboard import Switchboard
from .tracked import Tracked

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.tracking.queries.project_files import ProjectFiles


class Tracker(AssertionMethods):
    """Collects the invocations made while it is active; readable during and after that time."""

    def __init__(
        self,
        on_executed: OnExecuted | None = None,
        on_waiting: OnWaiting | None = None,
        longest_wait: float | None = None,
    ) -> None:
        self._tracked: list[Tracked] = []
        self._cancelled = threading.Event()
        self._hooks = Hooks(
            cancelled=self._cancelled.is_set,
            on_executed=[on_executed] if on_executed else [],
            on_waiting=[on_waiting] if on_waiting else [],
            longest_wait=longest_wait,
        )
        self._lock = threading.Lock()
        self._under_way: list[InvocationRecorder] = []
        self._ids: set[UUID] = set()

    def _asserted(self) -> RunReport:
        return self.last

    @property
    def last(self) -> RunReport:
        """The report of the latest invocation that has ended.

        Raises:
            NoReportError: no invocation has ended yet.
        """
        __tracebackhide__ = True
        if not self._tracked:
            raise NoReportError(
                "no SQLMesh invocation was tracked: none of run, plan, apply and audit was called "
                "on a tracked context, or the method was looked up before tracking began"
            )
        return self._tracked[-1].report

    @property
    def reports(self) -> list[RunReport]:
        """The reports of all invocations, in the order in which they ended."""
        return [tracked.report for tracked in self._tracked]

    @property
    def run_models(self) -> set[str]:
        """Names of the models that executed in any invocation."""
        return {name for report in self.reports for name in report.executed}

    @property
    def skipped_models(self) -> set[str]:
        """Names of the models that were skipped in some invocation and executed in none."""
        skipped = {name for report in self.reports for name in report.skipped}
        return skipped - self.run_models

    def complete(self, read: Callable[[], ProjectFiles | None]) -> None:
        """Complete the reports of invocations whose context had not loaded the project's files.

        Args:
            read: reads the files; called only if there is such an invocation.
        """
        unread = [tracked for tracked in self._tracked if tracked.lacks_files]
        files = read() if unread else None
        for tracked in unread:
            tracked.complete(files)

    def cancel(self) -> None:
        """Let no further batch start, in the current invocation and in later ones of this tracker.

        The method may be called from any thread. Batches that are running end and are recorded. For
        SQLMesh, the batches that would start fail, so `run` returns a failure and `plan` raises a
        `PlanError`; in the report, these models and those that wait for them are `interrupted`.
        `Context.audit` raises an exception, and so does a run that waits for its environment.
        Nothing is undone, and signals and the creation of tables are not cut short.
        """
        self._cancelled.set()

    @property
    def execution_time(self) -> datetime | None:
        """The execution time of the current invocation, in UTC; None if none is running."""
        from pytest_sqlmesh_tracker.tracking.intervals.loaded import execution_time_of

        for invocation in list(self._under_way):
            return execution_time_of(invocation.recording)
        return None

    def detach(self) -> frozenset[str]:
        """Stop tracking the current invocation, and add its report as of now.

        The method may be called from any thread. The report is that of an interrupted invocation.
        SQLMesh itself is not stopped: models with a running batch are `interrupted`, with a note
        that it is not known whether the batch was recorded. Whatever happens later does not change
        the report.

        Returns:
            Fully qualified names of the models that have a running batch.
        """
        recordings = [invocation.recording_so_far() for invocation in list(self._under_way)]
        for recording in recordings:
            self._add(Tracked(recording))
        return frozenset(name for recording in recordings for name in recording.under_way)

    def _add(self, tracked: Tracked) -> None:
        """Add an invocation, unless it was added when the tracker detached from it."""
        with self._lock:
            if tracked.id not in self._ids:
                self._ids.add(tracked.id)
                self._tracked.append(tracked)

    def get_results(self) -> dict[str, list[str]]:
        """A dictionary with the keys `run_models` and `skipped_models`, each a sorted list."""
        return {
            "run_models": sorted(self.run_models),
            "skipped_models": sorted(self.skipped_models),
        }


@contextmanager
def sqlmesh_run_tracker(
    context: Any,
    *,
    on_executed: OnExecuted | None = None,
    on_waiting: OnWaiting | None = None,
    longest_wait: float | None = None,
) -> Iterator[Tracker]:
    """Track the invocations of one SQLMesh context.

    On every exit, the context is restored to its original state, in whatever order nested trackers
    end.

    Args:
        context: the SQLMesh `Context`.
        on_executed: called with a model's outcome as soon as the last batch that is scheduled for
            it is recorded: once per invocation, on the thread that evaluated it. The model can
            still fail later, when a plan can't promote its view or a run is restarted. An exception
            that the function raises is logged.
        on_waiting: called with the environment's name and what is known about its plan when a run
            waits for its environment, because a plan of it is not finished.
        longest_wait: the number of seconds after which a run that waits raises an `SQLMeshError`;
            None means SQLMesh's own setting, which is six hours by default.

    Raises:
        TypeError: `context` is not a SQLMesh context.
    """
    from sqlmesh.core.context import GenericContext

    if not isinstance(context, GenericContext):
        raise TypeError(f"only a SQLMesh Context can be tracked, not {type(context).__name__}")
    tracker = Tracker(on_executed, on_waiting, longest_wait)
    with _SWITCHBOARD.listening(_Listener(tracker), lambda candidate: candidate is context):
        yield tracker


@contextmanager
def track_all(
    *, on_waiting: OnWaiting | None = None, longest_wait: float | None = None
) -> Iterator[Tracker]:
    """Track the invocations of every SQLMesh context, including contexts that are created later.

    The plans that prepare sandboxes are not tracked. The arguments are those of
    `sqlmesh_run_tracker`.
    """
    tracker = Tracker(None, on_waiting, longest_wait)
    with _SWITCHBOARD.listening(
        _Listener(tracker), lambda context: not preferences_of(context).left_out
    ):
        yield tracker


class _Listener:
    """Receives the switchboard's calls for one tracker."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self.hooks = tracker._hooks

    def invocation_started(self, invocation: InvocationRecorder) -> None:
        self._tracker._under_way.append(invocation)

    def invocation_ended(self, invocation: InvocationRecorder, tracked: Tracked) -> None:
        self._tracker._add(tracked)
        self._tracker._under_way.remove(invocation)


def _outcomes_so_far(recording: Recording) -> Callable[[str], ModelOutcome]:
    # This imports SQLMesh, and is needed only for callbacks on executed models.
    from pytest_sqlmesh_tracker.tracking.reasons.reporting import outcomes_so_far

    return outcomes_so_far(recording)


_SWITCHBOARD = Switchboard(_outcomes_so_far)
