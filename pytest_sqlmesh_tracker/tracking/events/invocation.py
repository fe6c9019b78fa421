"""One invocation while it lasts: what was called with which arguments, and what was heard of it.

An error in here never reaches the run: it is logged, and what it concerns becomes a fault, from
which reports make `unknown`.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from pytest_sqlmesh_tracker.process.frozen import is_frozen, perf_counter
from pytest_sqlmesh_tracker.reports.report import Command
from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.errors.exceptions import described
from pytest_sqlmesh_tracker.tracking.errors.secrets import secrets_of
from pytest_sqlmesh_tracker.tracking.errors.steps import failed_step
from pytest_sqlmesh_tracker.tracking.project.nodes import project_nodes

from .console import ConsoleProxy, unwrapped
from .facts import (
    as_first_loaded,
    audit_result,
    failure_of,
    failures_in,
    frozen_by_name,
    interrupt_behind,
    node_failure,
    plan_facts,
    spans,
    spans_by_name,
)
from .live import CancelledError, Executions, Hooks
from .recording import BatchEnd, PlanFacts, Question, Recording, Round, RunDecision, SignalCheck
from .state import StateLog
from .taps import Taps
from .waiting import EnvironmentWait

logger = logging.getLogger("pytest_sqlmesh_tracker")


class Invocation:
    """Hears one outermost call of a context, from `listen` until it ends."""

    def __init__(
        self,
        context: Any,
        command: Command,
        arguments: dict[str, Any],
        hooks: Hooks,
    ) -> None:
        self._context = context
        self._hooks = hooks
        self._lock = threading.RLock()
        self._open = True
        self._round: Round | None = None
        self._pending = Round()
        self._running: dict[int, tuple[str, float, datetime]] = {}
        self._taps = Taps(lambda: self._listening, self.faultless)
        self._adjusted: list[Any] | None = None
        self.events = frozenset(_HANDLERS)
        began, self._began = now(), perf_counter()
        self.recording = Recording(
            command=command,
            arguments=arguments,
            environment="",
            started_at=began,
            finished_at=began,
        )
        self._executions = Executions(self.recording, hooks.on_executed, hooks.outcomes_so_far)
        self._state = StateLog(self.recording, self._taps, self._lock)
        self.waiting = EnvironmentWait(context, self.recording, hooks)
        with self.faultless():
            self.recording.environment = _environment(context, command, arguments)
            self.recording.local_nodes = project_nodes(context)
            if not getattr(context, "_loaded", True):
                self.recording.project_files = "not_read"
                self.recording.project_files_note = "the context has not loaded the project"

    @contextmanager
    def faultless(self, model: str | None = None) -> Iterator[None]:
        """Keep an error of the tracker's own from the run: log it, and note what it concerns."""
        try:
            yield
        except Exception as error:
            logger.exception("pytest-sqlmesh-tracker failed; its report will say `unknown`")
            self.fault(f"the tracker failed: {type(error).__name__}: {error}", model)

    def fault(self, message: str, model: str | None = None) -> None:
        """Note that nothing can be said of the model, or of any."""
        with self._lock:
            self.recording.faults.setdefault(model, message)

    @property
    def _listening(self) -> bool:
        """After a fault that concerns every model, nothing that is heard could be told."""
        return self._open and None not in self.recording.faults

    # -- the console ---------------------------------------------------------------------------

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Hear the context's console; what was there before is put back on every exit."""
        proxy: Any = None
        with self.faultless():
            proxy = ConsoleProxy(unwrapped(self._context.console), self)
            self._context.console = proxy
        try:
            yield
        finally:
            with self.faultless():
                self._close(proxy)

    def _close(self, proxy: Any) -> None:
        # What was there before comes first: what follows can fail.
        self._open = False
        self._taps.remove()
        if self._context.console is proxy:
            self._context.console = unwrapped(proxy)
        self._compared()
        # A frozen clock would show that the invocation took no time.
        elapsed = timedelta(seconds=perf_counter() - self._began)
        self.recording.finished_at = self.recording.started_at + elapsed if is_frozen() else now()
        self.recording.default_catalog = self._context.default_catalog
        with self._lock:
            if self.recording.has_errors:
                self.recording.secrets = secrets_of(self._context)
        self._context = None

    def _admit(self) -> None:
        """Let a batch begin, unless the invocation was cancelled."""
        if self._open and self.cancelled:
            raise CancelledError

    @property
    def cancelled(self) -> bool:
        """Whether it is to end."""
        return self._hooks.cancelled()

    def hear(
        self, event: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[[], None] | None:
        """Record a console call; raises nothing but `CancelledError`, in place of a batch."""
        if event == "start_snapshot_evaluation_progress":
            self._admit()
        if not self._listening:
            return None
        model: str | None = None
        try:
            named = compat.by_name(event, args, kwargs)
            model = getattr(named.get("snapshot"), "name", None)
            with self._lock:
                return _HANDLERS[event](self, named)
        except Exception as error:
            logger.exception("pytest-sqlmesh-tracker failed on %s", event)
            self.fault(f"the tracker failed on {event}: {type(error).__name__}: {error}", model)
            return None

    def _on_start_plan_evaluation(self, named: dict[str, Any]) -> None:
        self.recording.applied = True
        plan, applied = self.recording.plan, named["plan"]
        if plan:
            # A plan without an execution time of its own takes the one at which it is applied.
            question = plan.question.but(
                start=compat.resolved(applied.start),
                end=compat.resolved(applied.end),
                execution_time=compat.resolved(applied.execution_time),
            )
            self.recording.plan = replace(plan, question=question, deployability_index=None)
        state_sync = self._context.state_sync
        self._taps.add(state_sync, "refresh_snapshot_intervals", self._refreshing)
        self._state.hear(state_sync)

    def _on_update_signal_progress(self, named: dict[str, Any]) -> None:
        check = SignalCheck(
            signal=named["signal_name"],
            asked=spans(named["check_intervals"]),
            ready=spans(named["ready_intervals"]),
        )
        self._pending.signals.setdefault(named["snapshot"].name, []).append(check)

    def _on_start_evaluation_progress(self, named: dict[str, Any]) -> None:
        self._pending.batches = spans_by_name(named["batched_intervals"])
        self._pending.audit_only = bool(named.get("audit_only", False))
        self._begin_round()

    def _on_start_snapshot_evaluation_progress(self, named: dict[str, Any]) -> None:
        name, at = named["snapshot"].name, now()
        self._running[threading.get_ident()] = (name, perf_counter(), at)
        self.recording.started(name, at)

    def _on_update_snapshot_evaluation_progress(
        self, named: dict[str, Any]
    ) -> Callable[[], None] | None:
        ended, at = perf_counter(), now()
        # A batch starts and ends on one worker thread; start callbacks do not name the batch.
        _, started, started_at = self._running.pop(threading.get_ident(), ("", None, None))
        stats = named.get("execution_stats")
        name, batch, recorded = named["snapshot"].name, named["batch_idx"], named["duration_ms"]
        # Called in a `finally`: a batch that raised has no duration, and its exception is being
        # handled. `log_failed_models` says the same later, unless the run is cut off before.
        error = sys.exc_info()[1] if recorded is None else None
        self._current().ends[name, batch] = BatchEnd(
            recorded=recorded is not None,
            started_at=started_at,
            finished_at=at,
            seconds=None if started is None else ended - started,
            rows=getattr(stats, "total_rows_processed", None),
            bytes=getattr(stats, "total_bytes_processed", None),
            audits_passed=named["num_audits_passed"],
            audits_failed=named["num_audits_failed"],
            failure=None if error is None else failure_of(name, batch, error),
            interrupted=interrupt_behind(error) is not None,
            triggers=_triggers(named),
        )
        return None if recorded is None else partial(self._recorded, name)

    def _recorded(self, name: str) -> None:
        with self.faultless(name):
            with self._lock:
                executed = self._executions.recorded(name)
            if executed:
                self._executions.tell(executed)

    def _on_stop_evaluation_progress(self, _: dict[str, Any]) -> None:
        self._current().stopped = True

    def _on_log_skipped_models(self, named: dict[str, Any]) -> None:
        if self._round is not None:
            self._round.skipped = frozenset(named["snapshot_names"])

    def _on_log_failed_models(self, named: dict[str, Any]) -> None:
        errors = named["errors"]
        refused = {error for error in errors if _is_stopped(error)}
        failures = tuple(node_failure(error) for error in errors if error not in refused)
        if refused:
            self._current().cancelled = frozenset(map(compat.node_of, refused))
        if self._round is None or self._round.failures is not None:
            # Outside of an evaluation block, tables could not be created.
            self.recording.creation_failures.extend(failures)
        else:
            self._round.failures = failures

    def _current(self) -> Round:
        if self._round is None:
            raise RuntimeError("an evaluation callback outside of any evaluation block")
        return self._round

    def _begin_round(self) -> None:
        self._round, self._pending = self._pending, Round()
        self.recording.rounds.append(self._round)
        self._executions.scheduled(self._round)

    # -- the scheduler and the evaluator -------------------------------------------------------

    def attach(self, scheduler: Any) -> None:
        """Hear what a scheduler of this invocation decides, and what its audits return."""
        with self.faultless():
            self._compared()
            self.recording.default_catalog = scheduler.default_catalog
            if self.recording.command == "run":
                self._taps.add(scheduler.state_sync, "refresh_snapshot_intervals", self._refreshing)
                self._state.hear(scheduler.state_sync)
                self._taps.add(scheduler, "merged_missing_intervals", self._deciding)
            else:
                # Of a plan, only the stage asks that runs changed audits.
                self._taps.add(scheduler, "merged_missing_intervals", self._deciding_audits)
            self._taps.add(scheduler, "run_merged_intervals", self._scheduling)
            # The console is only told the number of the audits.
            self._taps.add(scheduler.snapshot_evaluator, "audit", self._auditing)

    def _deciding(self, scheduler: Any, asked: dict[str, Any]) -> Callable[[Any], None]:
        began = now()

        def decided(due: Any) -> None:
            self.recording.environment_state = None
            selected = asked.get("selected_snapshots")
            snapshots = frozen_by_name(scheduler.snapshots.values())
            self.recording.first_seen = as_first_loaded(self.recording.first_seen, snapshots)
            self.recording.decision = RunDecision(
                snapshots=snapshots,
                question=Question(
                    start=compat.resolved(asked.get("start")),
                    end=compat.resolved(asked.get("end")) or began,
                    execution_time=compat.resolved(asked.get("execution_time")) or began,
                    ignore_cron=bool(asked.get("ignore_cron")),
                ),
                end_given=bool(asked.get("end")),
                selected=None if selected is None else frozenset(selected),
                deployability_index=asked.get("deployability_index"),
                due=spans_by_name(due),
                rounds_before=len(self.recording.rounds),
            )

        return decided

    def _deciding_audits(self, _: Any, __: dict[str, Any]) -> Callable[[Any], None]:
        def decided(_: Any) -> None:
            self.recording.audits_decided = True

        return decided

    def _scheduling(self, scheduler: Any, asked: dict[str, Any]) -> None:
        due = spans_by_name(asked["merged_intervals"])
        with self._lock:
            self._pending.due = due
            self._pending.snapshots = {s.name: s for s in scheduler.snapshots.values()}
        self._state.look_for_removed(scheduler.state_sync, due)

    def _refreshing(self, _: Any, asked: dict[str, Any]) -> Callable[[Any], None]:
        """Runs and the stages of a plan start from the state, which can be newer than the plan."""
        # The caching state sync delegates with `*args`.
        (snapshots,) = asked.get("args") or (asked["snapshots"],)
        snapshots = list(snapshots)

        def refreshed(_: Any) -> None:
            if self.recording.command == "run":
                earlier = self.recording.stored
                self.recording.stored = as_first_loaded(earlier, frozen_by_name(snapshots))
            elif self._adjusted is None:
                self.recording.stored = frozen_by_name(snapshots)
                self._adjusted = snapshots

        return refreshed

    def _compared(self) -> None:
        """Take the intervals that the stages of a plan have compared."""
        self.recording.plan, self._adjusted = self._compared_plan(), self._adjusted and []

    def _compared_plan(self) -> PlanFacts | None:
        """The plan, with the intervals that its stages compare.

        SQLMesh adjusts them after it read the state: it forgets what is restated or rebuilt, and
        lets forward-only versions inherit (sqlmesh/core/plan/stages.py, `_adjust_intervals`). That
        is over when it makes a scheduler, or when the plan ends without one.
        """
        plan = self.recording.plan
        if plan is None or not self._adjusted:
            return plan
        return replace(plan, snapshots={**plan.snapshots, **frozen_by_name(self._adjusted)})

    def _auditing(self, _: Any, asked: dict[str, Any]) -> Callable[[Any], None]:
        name, span = asked["snapshot"].name, compat.span(asked.get("start"), asked.get("end"))

        def audited(results: Any) -> None:
            with self.faultless(name), self._lock:
                ran = tuple(audit_result(result) for result in results if not result.skipped)
                self._current().audits.setdefault(name, {})[span] = ran

        return audited

    # -- how it ended --------------------------------------------------------------------------

    def recording_so_far(self) -> Recording:
        """What was heard until now, as of an invocation that was interrupted; it goes on."""
        with self._lock:
            recording = self.recording.copied()
            if not self._open:
                return recording
            recording.under_way = frozenset(name for name, _, _ in self._running.values())
            recording.plan = self._compared_plan()
            recording.secrets = secrets_of(self._context)
            if recording.default_catalog is None:
                recording.default_catalog = self._context.default_catalog
        recording.finished_at = now()
        if recording.raised is None:
            recording.raised_kind = "interrupt"
            recording.raised = described(CancelledError("left while it was under way"))
        return recording

    def planned(self, plan: Any) -> None:
        """Take the plan as it is before it is applied, or as `Context.plan` returned it."""
        if self.recording.plan is None:
            with self.faultless():
                self.recording.plan = plan_facts(plan, compat.asked_to_restate(self._context, plan))
                self.recording.environment = plan.environment_naming_info.name

    def returned(self, result: Any) -> None:
        """The call returned."""
        with self.faultless():
            if self.recording.command == "run":
                self.recording.returned = result.value
            elif self.recording.command == "plan" and result is not None:
                self.planned(result)
            elif self.recording.command == "audit":
                self.recording.returned = "success"

    def raised(self, error: BaseException) -> None:
        """The call raised."""
        if isinstance(error, Exception | KeyboardInterrupt):
            self.waiting.look_after_failure()
        with self.faultless():
            interrupt = interrupt_behind(error)
            ordinary = interrupt is None and not isinstance(error, CancelledError)
            self.recording.raised_kind = "error" if ordinary else "interrupt"
            self.recording.raised = described(interrupt or error)
            self.recording.raised_nodes = tuple(failures_in(error))
            self.recording.raised_step = failed_step(error)


def _triggers(named: dict[str, Any]) -> tuple[str, ...] | None:
    triggers = named.get("auto_restatement_triggers")
    return None if triggers is None else tuple(trigger.name for trigger in triggers)


def _is_stopped(error: Any) -> bool:
    """Whether a node did not begin, since the invocation was cancelled, or was interrupted."""
    return isinstance(error.__cause__, CancelledError) or interrupt_behind(error) is not None


def _environment(context: Any, command: str, arguments: dict[str, Any]) -> str:
    from sqlmesh.core.environment import Environment

    name = arguments.get("environment")
    if command == "audit" or not isinstance(name, str):
        name = context.config.default_target_environment
    return Environment.sanitize_name(name)


def now() -> datetime:
    """The moment, in UTC."""
    return datetime.now(timezone.utc)


_HANDLERS: dict[str, Callable[[Invocation, dict[str, Any]], Callable[[], None] | None]] = {
    name.removeprefix("_on_"): handler
    for name, handler in vars(Invocation).items()
    if name.startswith("_on_")
}
