"""Who tracks: the trackers of one context, or of all, and what they have tracked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pytest_sqlmesh_tracker.reports.assertions import AssertionMethods
from pytest_sqlmesh_tracker.reports.report import NoReportError, RunReport
from pytest_sqlmesh_tracker.tracking.events.invocation import Invocation
from pytest_sqlmesh_tracker.tracking.events.live import Hooks, OnExecuted, OnWaiting

from .switchboard import Switchboard
from .tracked import Tracked

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.tracking.queries.project_files import ProjectFiles


class Tracker(AssertionMethods):
    """Collects the invocations made while it is active; readable then and afterwards."""

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
        self._under_way: list[Invocation] = []
        self._ids: set[UUID] = set()

    def _asserted(self) -> RunReport:
        return self.last

    @property
    def last(self) -> RunReport:
        """The report of the latest invocation that has ended.

        Raises:
            NoReportError: there is none.
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
        """The reports of all invocations that have ended, in that order."""
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
        """Add the project's files to the invocations whose context had not loaded them.

        Args:
            read: reads them, if there is such an invocation.
        """
        unread = [tracked for tracked in self._tracked if tracked.lacks_files]
        files = read() if unread else None
        for tracked in unread:
            tracked.complete(files)

    def cancel(self) -> None:
        """From any thread: let no further batch begin, in the invocation that goes on or in a later
        one of this tracker.

        Batches under way end, and are recorded. To SQLMesh, those that would begin fail, so `run`
        returns a failure and `plan` raises a `PlanError`; the report says `interrupted` of them,
        and of what waits for them. `Context.audit` raises what stops it, and so does a run that
        waits for its environment. Nothing is undone, and nothing else is cut short: neither signals
        nor the creation of tables.
        """
        self._cancelled.set()

    @property
    def execution_time(self) -> datetime | None:
        """Of the invocation that goes on, in UTC: what its report will say; None between two."""
        from pytest_sqlmesh_tracker.tracking.reasons.reporting import execution_time_of

        for invocation in list(self._under_way):
            return execution_time_of(invocation.recording)
        return None

    def detach(self) -> frozenset[str]:
        """From any thread: hear no more of the invocation that goes on, and have its report as of
        now.

        It is that of an invocation that was interrupted. SQLMesh itself is not stopped: of a batch
        under way the report says `interrupted`, and that it is not known whether it was recorded.
        What comes of it later changes nothing of the report.

        Returns:
            Fully qualified names of the models of which a batch is under way.
        """
        recordings = [invocation.recording_so_far() for invocation in list(self._under_way)]
        for recording in recordings:
            self._add(Tracked(recording))
        return frozenset(name for recording in recordings for name in recording.under_way)

    def _add(self, tracked: Tracked) -> None:
        """Take an invocation, unless it was taken when the tracker was detached from it."""
        with self._lock:
            if tracked.id not in self._ids:
                self._ids.add(tracked.id)
                self._tracked.append(tracked)

    def get_results(self) -> dict[str, list[str]]:
        """`run_models` and `skipped_models`, each sorted."""
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

    On every exit all is as it was, whatever order nested trackers end in.

    Args:
        on_executed: is called with a model's outcome as soon as the last batch scheduled for it is
            recorded, once in an invocation, on the thread that evaluated it. What comes later can
            still fail the model: a plan that can't promote its view, a run that is restarted. An
            exception that it raises is logged.
        on_waiting: is called when a run waits for its environment, as it does while a plan of it is
            not finished, with the environment's name and what is known of the plan.
        longest_wait: seconds after which a run that waits raises an `SQLMeshError`; None: as
            SQLMesh is configured, which is six hours by default.

    Raises:
        TypeError: `context` is not a SQLMesh context.
    """
    from sqlmesh.core.context import GenericContext

    if not isinstance(context, GenericContext):
        raise TypeError(f"a SQLMesh Context is tracked, not {type(context).__name__}")
    tracker = Tracker(on_executed, on_waiting, longest_wait)
    with _SWITCHBOARD.listening(_Listener(tracker), lambda candidate: candidate is context):
        yield tracker


@contextmanager
def track_all(
    *, on_waiting: OnWaiting | None = None, longest_wait: float | None = None
) -> Iterator[Tracker]:
    """Track the invocations of every SQLMesh context, also of those that are made meanwhile.

    What prepares a sandbox, for any number of tests, is left out. The arguments are those of
    `sqlmesh_run_tracker`.
    """
    tracker = Tracker(None, on_waiting, longest_wait)
    with _SWITCHBOARD.listening(
        _Listener(tracker), lambda context: not getattr(context, "of_template", False)
    ):
        yield tracker


class _Listener:
    """What the switchboard calls, for one tracker."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self.hooks = tracker._hooks

    def begun(self, invocation: Invocation) -> None:
        self._tracker._under_way.append(invocation)

    def ended(self, invocation: Invocation, tracked: Tracked) -> None:
        self._tracker._add(tracked)
        self._tracker._under_way.remove(invocation)


_SWITCHBOARD = Switchboard()
