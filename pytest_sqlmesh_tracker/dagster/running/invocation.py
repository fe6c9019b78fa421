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

from pytest_sqlmesh_tracker.dagster.events.history import Fault
from pytest_sqlmesh_tracker.dagster.events.recording import record
from pytest_sqlmesh_tracker.dagster.events.telling import Event, Telling
from pytest_sqlmesh_tracker.outcomes.expected import unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import NoReportError, RunReport
from pytest_sqlmesh_tracker.tracking.queries.missing import still_missing
from pytest_sqlmesh_tracker.wording.formats import listed
from pytest_sqlmesh_tracker.wording.invocations import environment_words, headline, statuses
from pytest_sqlmesh_tracker.wording.remarks import ahead_of_upstream

from .asking import Asked
from .failing import failure_before, failure_of
from .waits import note_wait
from .worker import Work, Worker

logger = logging.getLogger("pytest_sqlmesh_tracker")


@dataclass(frozen=True)
class Limits:
    """Seconds for which SQLMesh is waited for; None: for as long as it takes."""

    longest_wait: float | None = None
    """While the environment can't be run."""
    drain_timeout: float | None = 20
    """Once the step is to end: less than the 30 seconds that Kubernetes gives a container."""


class SqlmeshInvocation:
    """An invocation that `SqlmeshResource.run` or `plan` has prepared. Reading `stream` starts
    it."""

    def __init__(
        self,
        context: Any,
        opened: Callable[[], AbstractContextManager[Any]],
        asked: Asked,
        telling: Telling,
        faults: dict[dg.AssetKey, Fault],
        limits: Limits,
        *,
        fail_on_unknown: bool = False,
    ) -> None:
        # Nothing happens yet. `opened` gives the SQLMesh context, for as long as it lasts; `faults`
        # are assets whose latest status check failed.
        self._context, self._telling, self._faults = context, telling, faults
        self._fail_on_unknown = fail_on_unknown
        self._drain_timeout = limits.drain_timeout
        self._worker = Worker(
            Work(
                project=telling.assets.project.name,
                opened=opened,
                invoke=asked.of,
                executed=telling.executed,
                waits=self._waits,
                reported=self._reported,
                rest=telling.ended,
                longest_wait=limits.longest_wait,
            )
        )
        self._taken = 0
        """How many events Dagster has taken for sure: it has asked for the next one."""
        self._over = True
        self._leaving = threading.Thread(target=self._leave, name="sqlmesh-leave", daemon=True)

    @property
    def report(self) -> RunReport:
        """The report of the invocation, after `stream` was read to its end.

        Raises:
            NoReportError: it was not read to its end.
        """
        if self._worker.report is None:
            raise NoReportError("SQLMesh was not invoked: stream() was not read to its end")
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
            while (event := self._worker.event(self._taken)) is not None:
                yield event
                self._worker.took(self._taken)
                self._taken += 1
            self._over = True
        except GeneratorExit:
            # Whether the last event is taken is known when the step has ended.
            self._worker.end(self._drain_timeout)
            raise
        except BaseException:
            self.leave()
            raise
        self._raise_failure()

    def _raise_failure(self) -> None:
        report, error, fault = self._worker.report, self._worker.error, self._worker.fault
        if fault is not None:
            said = f"{type(fault).__name__}: {fault}"
            self._context.log.error(f"pytest-sqlmesh-tracker failed to tell all of it: {said}")
        if report is None:
            if error is not None:
                raise failure_before(error) from None
            return
        failure = failure_of(report, fail_on_unknown=self._fail_on_unknown)
        if failure is not None:
            raise failure from None
        if error is not None:
            # After SQLMesh had done all that it was asked for.
            self._context.log.warning(f"SQLMesh could not be closed: {error}")

    # -- when Dagster takes no more events ---------------------------------------------------------

    def leave(self) -> None:
        """End it, if it is not over; what Dagster has not taken is put on record directly.

        That is so after an interrupt, which Dagster raises as often as it is asked to: here, or,
        when it came while Dagster stored an event, where `stream` never sees it. What SQLMesh has
        committed is not due next time, and so has to be told.
        """
        if not self._over and self._leaving.ident is None:
            self._leaving.start()
        while not self._over:
            with suppress(BaseException):
                time.sleep(0.02)

    def _leave(self) -> None:
        """On a thread, where nothing is interrupted."""
        try:
            self._worker.end(self._drain_timeout)
            record(self._context, self._worker.events[self._taken :])
            if self._worker.is_left_behind:
                self._context.log.warning(self._left_behind())
        except Exception:
            logger.exception("pytest-sqlmesh-tracker failed to tell Dagster what SQLMesh did")
        finally:
            self._over = True

    def _left_behind(self) -> str:
        report, under_way = self._worker.report, self._worker.under_way
        if report is None:
            what = "it had not begun yet"
        elif under_way:
            what = f"it was still evaluating {listed(under_way, _SHOWN)}"
        else:
            what = f"it was in the middle of the {report.command}, and was evaluating no model"
        return (
            f"SQLMesh did not end within {self._drain_timeout:g} s, the resource's drain_timeout, "
            f"and was left behind: {what}. What it commits from then on is not on record here"
        )

    # -- on the worker's thread --------------------------------------------------------------------

    def _waits(self, environment: str, state: EnvironmentState) -> None:
        words = environment_words(environment, state)
        self._context.log.warning(f"SQLMesh waits before it can run {environment}: {words}")
        if not self._telling.called_directly:
            note_wait(self._context, state)

    def _reported(self, context: Any, report: RunReport) -> None:
        self._look_for_faults(context, report)
        self._context.log.info(f"{headline(report)}: {statuses(report.outcomes.values())}")
        for outcome in report.outcomes.values():
            if outcome.upstream_behind:
                self._context.log.warning(f"{outcome.name} was {ahead_of_upstream(outcome)}")

    def _look_for_faults(self, context: Any, report: RunReport) -> None:
        """Of the models that look well now, find those of which an earlier failure still stands."""
        suspects: dict[str, tuple[ModelOutcome, Fault]] = {}
        for name, spec in self._telling.specs.items():
            outcome, fault = report.outcomes.get(name), self._faults.get(spec.key)
            if outcome and fault and _may_stand(outcome, fault, report):
                suspects[outcome.fqn] = outcome, fault
        if not suspects:
            return
        due = {
            fqn: (fault.environment, fault.at, fault.ignored_cron)
            for fqn, (_, fault) in suspects.items()
        }
        try:
            # Without a context, nobody can look; what stands is told as it was.
            missing = still_missing(context, due) if context else frozenset(due)
        except Exception:
            logger.exception("pytest-sqlmesh-tracker failed to look for what is still missing")
            # Not known to be mended: it stands as it was told.
            missing = frozenset(due)
        self._telling.faults = {suspects[fqn][0].name: suspects[fqn][1] for fqn in missing}


_SHOWN = 10
_BLOCKED = (
    "SQLMesh still works on this project in this process, for a step that was ended before it: "
    "let the process end first"
)


def _may_stand(outcome: ModelOutcome, fault: Fault, report: RunReport) -> bool:
    if outcome.status is Status.EXECUTED or unexpected_by_default(outcome.status, outcome.reason):
        return False
    # SQLMesh itself has looked for what is missing, and found nothing.
    nothing_due = outcome.reason is Reason.CRON_NOT_DUE and not fault.ignored_cron
    found_nothing = nothing_due or outcome.reason is Reason.UP_TO_DATE
    same = report.environment == fault.environment and report.execution_time >= fault.at
    return not (found_nothing and same)
