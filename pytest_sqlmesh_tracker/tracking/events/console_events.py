"""Records SQLMesh's calls of its console."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from pytest_sqlmesh_tracker.process.frozen import perf_counter
from pytest_sqlmesh_tracker.tracking import compat, moments
from pytest_sqlmesh_tracker.tracking.reliance import handles, reliances_of
from pytest_sqlmesh_tracker.tracking.sqlmesh_objects import AppliedPlan, Snapshot

from .facts import failure_of, interrupt_behind, node_failure, spans, spans_by_name
from .journal import Journal, now
from .live import CancelledError, Executions
from .recording import BatchEnd, SignalCheck

logger = logging.getLogger("pytest_sqlmesh_tracker")

_BEGINS_BATCH = "start_snapshot_evaluation_progress"


class _BatchUnderWay(NamedTuple):
    """A batch that a worker thread is evaluating."""

    model: str
    started_at: datetime
    began: float
    """In seconds, by `perf_counter`."""


class ConsoleEvents:
    """Handlers of console calls, each with the name of the console's method."""

    def __init__(
        self,
        journal: Journal,
        executions: Executions,
        *,
        admit: Callable[[], None],
        on_applied: Callable[[], None],
    ) -> None:
        """Record into a journal.

        Args:
            admit: called before a batch starts; SQLMesh treats an exception that it raises as an
                error of the batch.
            on_applied: called when SQLMesh starts to apply a plan.
        """
        self._journal = journal
        self._executions = executions
        self._admit = admit
        self._on_applied = on_applied
        self._under_way: dict[int, _BatchUnderWay] = {}

    @property
    def events(self) -> frozenset[str]:
        """The console methods that are handled."""
        return _NAMES

    @property
    def under_way(self) -> frozenset[str]:
        """The models that have a running batch."""
        return frozenset(batch.model for batch in self._under_way.values())

    def handle(
        self, event: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[[], None] | None:
        """Record a console call.

        Returns:
            A function to call once the call has been forwarded to the console, if any.

        Raises:
            CancelledError: a batch would start, but the invocation was cancelled.
        """
        if event == _BEGINS_BATCH:
            self._admit()
        if not self._journal.is_listening:
            return None
        model: str | None = None
        try:
            arguments = compat.by_name(event, args, kwargs)
            model = getattr(arguments.get("snapshot"), "name", None)
            handler = getattr(self, event)
            with self._journal.lock:
                after: Callable[[], None] | None = handler(**CONSOLE_EVENTS[event].pick(arguments))
                return after
        except Exception as error:
            logger.exception("pytest-sqlmesh-tracker failed on %s", event)
            message = f"the tracker failed on {event}: {type(error).__name__}: {error}"
            self._journal.tracker_error(message, model)
            return None

    @handles(
        "core.console:Console.start_plan_evaluation",
        "whether and when a plan was applied",
    )
    def start_plan_evaluation(self, *, plan: AppliedPlan) -> None:
        """SQLMesh starts to apply a plan."""
        recording = self._journal.recording
        recording.applied = True
        if recording.plan:
            # A plan built without an execution time uses the time at which it is applied.
            search = replace(
                recording.plan.search,
                start=moments.resolved(plan.start),
                end=moments.resolved(plan.end),
                execution_time=moments.resolved(plan.execution_time),
            )
            recording.plan = replace(recording.plan, search=search, deployability_index=None)
        self._on_applied()

    @handles(
        "core.console:Console.update_signal_progress",
        "`signal_not_ready` and `upstream_not_ready` (Round.signals)",
        ignores="signal_idx total_signals duration",
    )
    def update_signal_progress(
        self,
        *,
        snapshot: Snapshot,
        signal_name: str,
        check_intervals: Sequence[Any],
        ready_intervals: Sequence[Any],
    ) -> None:
        """A signal was checked."""
        check = SignalCheck(
            signal=signal_name, checked=spans(check_intervals), ready=spans(ready_intervals)
        )
        self._journal.pending.signals.setdefault(snapshot.name, []).append(check)

    @handles(
        "core.console:Console.start_evaluation_progress",
        "what was scheduled (Round.batches), on which every status depends",
        ignores="environment_naming_info default_catalog",
    )
    def start_evaluation_progress(
        self, *, batched_intervals: Mapping[Snapshot, Any], audit_only: bool
    ) -> None:
        """A round starts."""
        self._journal.pending.batches = spans_by_name(batched_intervals)
        self._journal.pending.audit_only = bool(audit_only)
        self._executions.scheduled(self._journal.begin_round())

    @handles(
        "core.console:Console.start_snapshot_evaluation_progress",
        "start times and order (Recording.starts)",
        ignores="audit_only",
    )
    def start_snapshot_evaluation_progress(self, *, snapshot: Snapshot) -> None:
        """A batch starts."""
        name, at = snapshot.name, now()
        self._under_way[threading.get_ident()] = _BatchUnderWay(name, at, perf_counter())
        self._journal.recording.started(name, at)

    @handles(
        "core.console:Console.update_snapshot_evaluation_progress",
        "how batches ended (Round.ends): executed or failed",
        ignores="interval audit_only",
    )
    def update_snapshot_evaluation_progress(
        self,
        *,
        snapshot: Snapshot,
        batch_idx: int,
        duration_ms: int | None,
        num_audits_passed: int,
        num_audits_failed: int,
        execution_stats: Any = None,
        auto_restatement_triggers: Sequence[Any] | None = None,
    ) -> Callable[[], None] | None:
        """A batch ended."""
        ended, at = perf_counter(), now()
        # A batch starts and ends on one worker thread; start callbacks do not name the batch.
        batch = self._under_way.pop(threading.get_ident(), None)
        # Called in a `finally`: a batch that raised has no duration, and its exception is being
        # handled. `log_failed_models` gets it later, unless the invocation is cut short.
        recorded = duration_ms is not None
        error = None if recorded else sys.exc_info()[1]
        name = snapshot.name
        triggers = auto_restatement_triggers
        self._journal.round.ends[name, batch_idx] = BatchEnd(
            recorded=recorded,
            started_at=None if batch is None else batch.started_at,
            finished_at=at,
            seconds=None if batch is None else ended - batch.began,
            # Not every engine or model kind provides statistics.
            rows=getattr(execution_stats, "total_rows_processed", None),
            bytes=getattr(execution_stats, "total_bytes_processed", None),
            audits_passed=num_audits_passed,
            audits_failed=num_audits_failed,
            failure=None if error is None else failure_of(name, batch_idx, error),
            interrupted=interrupt_behind(error) is not None,
            triggers=None if triggers is None else tuple(trigger.name for trigger in triggers),
        )
        return partial(self._recorded, name) if recorded else None

    def _recorded(self, name: str) -> None:
        with self._journal.guarded(name):
            with self._journal.lock:
                executed = self._executions.recorded(name)
            if executed:
                self._executions.notify(executed)

    @handles(
        "core.console:Console.stop_evaluation_progress",
        "whether a round was completed (Round.stopped)",
        ignores="success",
    )
    def stop_evaluation_progress(self) -> None:
        """All batches of a round have ended."""
        self._journal.round.stopped = True

    @handles("core.console:Console.log_skipped_models", "`upstream_failed` (Round.skipped)")
    def log_skipped_models(self, *, snapshot_names: Any) -> None:
        """SQLMesh lists the models that it skipped in a round."""
        if self._journal.has_round:
            self._journal.round.skipped = frozenset(snapshot_names)

    @handles(
        "core.console:Console.log_failed_models",
        "`error`, `audit_failed`, `creation_failed` (Round.failures)",
    )
    def log_failed_models(self, *, errors: Sequence[Any]) -> None:
        """SQLMesh lists the failures of a round or of table creation."""
        stopped = {error for error in errors if _is_stopped(error)}
        failures = tuple(node_failure(error) for error in errors if error not in stopped)
        if stopped:
            self._journal.round.cancelled = frozenset(map(compat.node_of, stopped))
        if not self._journal.has_round or self._journal.round.failures is not None:
            # Outside an evaluation block, the failures are from table creation.
            self._journal.recording.creation_failures.extend(failures)
        else:
            self._journal.round.failures = failures


def _is_stopped(error: Any) -> bool:
    """Whether a node did not start because of a cancellation, or was interrupted."""
    return isinstance(error.__cause__, CancelledError) or interrupt_behind(error) is not None


CONSOLE_EVENTS = reliances_of(ConsoleEvents)
_NAMES = frozenset(CONSOLE_EVENTS)
