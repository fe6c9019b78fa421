"""One invocation of SQLMesh in a Dagster step."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.dagster.events.checks import Judgements, is_expected
from pytest_sqlmesh_tracker.dagster.events.earlier_events import latest_evaluation
from pytest_sqlmesh_tracker.dagster.events.emission import Event
from pytest_sqlmesh_tracker.dagster.events.remaining_events import write_events
from pytest_sqlmesh_tracker.dagster.events.standing_failures import StandingFailure, may_stand
from pytest_sqlmesh_tracker.dagster.events.step_events import StepEvents
from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import NoReportError, RunReport
from pytest_sqlmesh_tracker.tracking.queries.missing import RunAt, still_missing
from pytest_sqlmesh_tracker.wording.formats import listed
from pytest_sqlmesh_tracker.wording.invocations import environment_words, headline, statuses
from pytest_sqlmesh_tracker.wording.remarks import ahead_of_upstream

from .failures import failure_before, failure_of
from .history import StepHistory
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

    # Users do not call this: the reference leaves out constructors without a docstring.
    # It only prepares the invocation. `context` is the op's; `open_context` opens SQLMesh's
    # context, and closes it; `earlier_failures` has the assets whose latest status check failed.
    def __init__(
        self,
        context: Any,
        open_context: Callable[[], AbstractContextManager[Any]],
        request: Request,
        events: StepEvents,
        earlier_failures: Mapping[dg.AssetKey, StandingFailure],
        limits: Limits,
        history: StepHistory,
        *,
        fail_on_unknown: bool = False,
    ) -> None:
        self._context, self._events = context, events
        self._earlier_failures = earlier_failures
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
                standing_failures=self._standing_failures,
                events_of_ended=events.of_ended,
                keep_report=history.append,
                longest_wait=limits.longest_wait,
            )
        )
        self._stored = 0
        """How many events Dagster has stored for certain: it has requested the next one."""
        self._is_unfinished = False
        """Whether it was started, and SQLMesh may still run or events may not be stored yet."""
        self._finisher = threading.Thread(target=self._drain, name="sqlmesh-finish", daemon=True)

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
        self._is_unfinished = True
        try:
            self._worker.start()
            while (event := self._worker.event(self._stored)) is not None:
                yield event
                self._worker.mark_stored(self._stored)
                self._stored += 1
            self._is_unfinished = False
        except GeneratorExit:
            # Whether the last event is stored is known when the step has ended.
            self._worker.drain(self._drain_timeout)
            raise
        except BaseException:
            self.finish()
            raise
        self._raise_failure()

    def _raise_failure(self) -> None:
        report, error = self._worker.report, self._worker.error
        if (events_error := self._worker.events_error) is not None:
            self._context.log.error(
                "pytest-sqlmesh-tracker failed to make all Dagster events: "
                f"{type(events_error).__name__}: {events_error}"
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

    def finish(self) -> None:
        """Finish an invocation whose stream was not read to its end.

        This waits for the batches that are running, and writes the remaining events directly into
        Dagster's event log. They must not be lost: the next run does not repeat what SQLMesh has
        committed.

        A step that is interrupted needs this. The interrupt can come while Dagster stores an event;
        then `stream` does not see it. Further interrupts can come here; they are ignored.
        """
        if self._is_unfinished and self._finisher.ident is None:
            self._finisher.start()
        while self._is_unfinished:
            with suppress(BaseException):
                time.sleep(0.02)

    def _drain(self) -> None:
        """Do what `finish` does, on a thread of its own, which no interrupt reaches."""
        try:
            self._worker.drain(self._drain_timeout)
            write_events(self._context, self._worker.events[self._stored :])
            if self._worker.is_abandoned:
                self._context.log.warning(self._abandoned())
        except Exception:
            logger.exception("pytest-sqlmesh-tracker failed to write the remaining Dagster events")
        finally:
            self._is_unfinished = False

    def _abandoned(self) -> str:
        """The warning about a worker that did not end in time."""
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

    def _on_report(self, report: RunReport) -> None:
        self._context.log.info(f"{headline(report)}: {statuses(report.outcomes.values())}")
        for finding in self._events.policy.evaluate(report).on_rules:
            self._context.log.warning(f"the gate's policy: {finding.message}")
        for outcome in report.outcomes.values():
            if outcome.upstream_behind:
                self._context.log.warning(f"{outcome.name} was {ahead_of_upstream(outcome)}")

    def _standing_failures(self, context: Any, report: RunReport) -> dict[str, StandingFailure]:
        """The earlier failures that still stand, by the names of models whose outcome is expected.

        Args:
            context: the SQLMesh context; None where it can't be used any more.
        """
        suspects: dict[str, tuple[ModelOutcome, StandingFailure]] = {}
        judgements = Judgements(self._events.policy, report)
        for name, spec in self._events.specs.items():
            outcome, failure = report.outcomes.get(name), self._earlier_failures.get(spec.key)
            if outcome is None or failure is None:
                continue
            if is_expected(outcome, judgements.of(outcome)) and may_stand(failure, outcome, report):
                suspects[outcome.fqn] = outcome, failure
        if not suspects:
            return {}
        due = {
            fqn: RunAt(failure.environment, failure.execution_time, failure.ignore_cron)
            for fqn, (_, failure) in suspects.items()
        }
        try:
            # Without a context, SQLMesh can't be asked: all of them stand.
            missing = still_missing(context, due) if context else frozenset(due)
        except Exception:
            logger.exception("pytest-sqlmesh-tracker failed to determine what is still missing")
            # Nothing shows that anything was loaded since: all of them stand.
            missing = frozenset(due)
        return {suspects[fqn][0].name: suspects[fqn][1] for fqn in missing}


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
