"""One invocation of SQLMesh in a Dagster step."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.dagster.events.emission import Event
from pytest_sqlmesh_tracker.dagster.events.event_log import latest_evaluation
from pytest_sqlmesh_tracker.dagster.events.faults import Fault, may_stand
from pytest_sqlmesh_tracker.dagster.events.log_writer import write_events
from pytest_sqlmesh_tracker.dagster.events.step_events import StepEvents
from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import NoReportError, RunReport
from pytest_sqlmesh_tracker.tracking.queries.missing import RunAt, still_missing
from pytest_sqlmesh_tracker.wording.formats import listed
from pytest_sqlmesh_tracker.wording.invocations import environment_words, headline, statuses
from pytest_sqlmesh_tracker.wording.remarks import ahead_of_upstream

from .failures import failure_before, failure_of
from .requests import Request
from .tags import add_wait_tag
from .worker import Work, Worker

logger = logging.getLogger("pytest_sqlmesh_tracker")
_SHOWN = 10
_BLOCKED = (
    "SQLMesh is still working on this project in this process, for a step that has ended: "
    "let the process end first"
)


@dataclass(frozen=True)
class Limits:
    """How many seconds to wait for SQLMesh; None means without a limit."""

    longest_wait: float | None = None
    """While the environment can't be run; None means the limit that SQLMesh is configured with."""
    drain_timeout: float | None = 20
    """Once the step is to end. Kubernetes ends a container after 30 seconds."""


class SqlmeshInvocation:
    """An invocation that `SqlmeshResource.run` or `plan` has prepared. Reading `stream` starts
    it."""

    def __init__(
        self,
        context: Any,
        open_context: Callable[[], AbstractContextManager[Any]],
        request: Request,
        events: StepEvents,
        faults: dict[dg.AssetKey, Fault],
        limits: Limits,
        *,
        fail_on_unknown: bool = False,
    ) -> None:
        """Prepare it; nothing happens yet.

        Args:
            context: the context of the op.
            open_context: opens the SQLMesh context, and closes it afterwards.
            faults: the faults of the assets whose latest status check failed.
        """
        self._context, self._events, self._faults = context, events, faults
        self._fail_on_unknown = fail_on_unknown
        self._drain_timeout = limits.drain_timeout
        self._worker = Worker(
            Work(
                project=events.assets.project.name,
                open_context=open_context,
                invoke=request.send,
                events_of_executed=events.of_executed,
                on_waiting=self._on_waiting,
                on_report=self._on_report,
                events_of_ended=events.of_ended,
                longest_wait=limits.longest_wait,
            )
        )
        self._stored = 0
        """How many events Dagster has stored for certain: it has requested the next one."""
        self._over = True
        self._leaving = threading.Thread(target=self._leave, name="sqlmesh-leave", daemon=True)

    @property
    def report(self) -> RunReport:
        """The report of the invocation, after `stream` was read to its end.

        Raises:
            NoReportError: it was not read to its end.
        """
        if self._worker.report is None:
            raise NoReportError("SQLMesh was not invoked: stream() was not consumed to the end")
        return self._worker.report

    def stream(self) -> Iterator[Event]:
        """Run SQLMesh, and yield materializations and check results while it works.

        If the step is interrupted, the batches that are running may end within `drain_timeout`, and
        their results are recorded before the step ends.

        Raises:
            Failure: at the end, if a model failed or was interrupted, or the command itself failed;
                or at once, if SQLMesh is still working in this process for a step that has ended.
        """
        if self._worker.is_blocked:
            raise dg.Failure(_BLOCKED, allow_retries=False)
        self._over = False
        try:
            self._worker.start()
            while (event := self._worker.event(self._stored)) is not None:
                yield event
                self._worker.mark_stored(self._stored)
                self._stored += 1
            self._over = True
        except GeneratorExit:
            # Whether the last event is stored is known when the step has ended.
            self._worker.end(self._drain_timeout)
            raise
        except BaseException:
            self.leave()
            raise
        self._raise_failure()

    def _raise_failure(self) -> None:
        report, error, fault = self._worker.report, self._worker.error, self._worker.fault
        if fault is not None:
            self._context.log.error(
                "pytest-sqlmesh-tracker failed to make all Dagster events: "
                f"{type(fault).__name__}: {fault}"
            )
        if report is None:
            if error is not None:
                raise failure_before(error) from None
            return
        failure = failure_of(report, fail_on_unknown=self._fail_on_unknown)
        if failure is not None:
            raise failure from None
        if error is not None:
            # SQLMesh had completed the request before.
            self._context.log.warning(f"SQLMesh could not be closed: {error}")

    # -- when Dagster accepts no more events -------------------------------------------------------

    def leave(self) -> None:
        """End the invocation, if it is not over, and write the remaining events directly.

        That is the case after an interrupt, which Dagster raises each time it is requested: here,
        or, if it came while Dagster stored an event, where `stream` does not see it. What SQLMesh
        has committed is not due next time, so its events must not be lost.
        """
        if not self._over and self._leaving.ident is None:
            self._leaving.start()
        while not self._over:
            with suppress(BaseException):
                time.sleep(0.02)

    def _leave(self) -> None:
        """On a thread of its own, which no interrupt reaches."""
        try:
            self._worker.end(self._drain_timeout)
            write_events(self._context, self._worker.events[self._stored :])
            if self._worker.is_left_behind:
                self._context.log.warning(self._left_behind())
        except Exception:
            logger.exception("pytest-sqlmesh-tracker failed to write the remaining Dagster events")
        finally:
            self._over = True

    def _left_behind(self) -> str:
        report, under_way = self._worker.report, self._worker.under_way
        if report is None:
            state = "it had not started yet"
        elif under_way:
            state = f"it was still evaluating {listed(under_way, _SHOWN)}"
        else:
            state = f"it was in the middle of the {report.command}, but not evaluating any model"
        return (
            f"SQLMesh did not finish within {self._drain_timeout:g} s, the resource's "
            f"drain_timeout, and was abandoned: {state}. What it commits later is not recorded here"
        )

    # -- on the worker's thread --------------------------------------------------------------------

    def _on_waiting(self, environment: str, state: EnvironmentState) -> None:
        words = environment_words(environment, state)
        self._context.log.warning(f"SQLMesh is waiting to run {environment}: {words}")
        if not self._events.called_directly:
            add_wait_tag(self._context, state)

    def _on_report(self, context: Any, report: RunReport) -> None:
        self._find_standing_faults(context, report)
        self._context.log.info(f"{headline(report)}: {statuses(report.outcomes.values())}")
        for outcome in report.outcomes.values():
            if outcome.upstream_behind:
                self._context.log.warning(f"{outcome.name} was {ahead_of_upstream(outcome)}")

    def _find_standing_faults(self, context: Any, report: RunReport) -> None:
        """Ask SQLMesh which earlier faults still stand, of models whose outcome is expected."""
        suspects: dict[str, tuple[ModelOutcome, Fault]] = {}
        for name, spec in self._events.specs.items():
            outcome, fault = report.outcomes.get(name), self._faults.get(spec.key)
            if outcome and fault and may_stand(fault, outcome, report):
                suspects[outcome.fqn] = outcome, fault
        if not suspects:
            return
        due = {
            fqn: RunAt(fault.environment, fault.execution_time, fault.ignore_cron)
            for fqn, (_, fault) in suspects.items()
        }
        try:
            # Without a context, SQLMesh can't be asked: all of them stand.
            missing = still_missing(context, due) if context else frozenset(due)
        except Exception:
            logger.exception("pytest-sqlmesh-tracker failed to determine what is still missing")
            # Nothing shows that they are mended: all of them stand.
            missing = frozenset(due)
        self._events.faults = {suspects[fqn][0].name: suspects[fqn][1] for fqn in missing}


class EmptyInvocation(SqlmeshInvocation):
    """The invocation of a step in which only checks are selected: SQLMesh audits only what it
    evaluates, so it is not run."""

    def stream(self) -> Iterator[Event]:
        """Repeat the latest status checks: without an evaluation in this run, Dagster would no
        longer show that a check failed."""
        self._context.log.info("no assets are selected, so SQLMesh does not run and audits nothing")
        for check in sorted(self._events.selected_checks):
            evaluation = latest_evaluation(self._context.instance, check)
            if check.name == STATUS_CHECK and evaluation is not None:
                yield evaluation
