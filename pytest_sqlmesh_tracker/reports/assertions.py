"""Assertions on reports. They raise `AssertionError` themselves and need no assertion rewriting.

They are implemented in `AssertionMethods`, from which `RunReport` and `Tracker` (for its last
report) inherit; the functions call these methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from pytest_sqlmesh_tracker.outcomes.moments import Moment
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.suggestions import did_you_mean
from pytest_sqlmesh_tracker.wording.causes import causes_in_words
from pytest_sqlmesh_tracker.wording.formats import quantity, span
from pytest_sqlmesh_tracker.wording.paragraphs import Complaint, Paragraphs

from .observers import notify
from .outcomes import Assertable, ModelOutcome
from .parsing import (
    expression,
    parse_cause,
    parse_interval,
    parse_reason,
    parse_status_or_reason,
)

_NOT_EXECUTED = Complaint("was not executed")
_PAST = {
    Status.SKIPPED: ("was skipped", "was not skipped"),
    Status.FAILED: ("failed", "did not fail"),
}


class AssertionMethods(ABC):
    """The assertions as methods of a report, or of a tracker for its last report."""

    @abstractmethod
    def _asserted(self) -> Assertable:
        """The report that the assertions are about."""

    def assert_executed(
        self,
        *models: object,
        intervals: tuple[Moment, Moment] | None = None,
        batches: int | None = None,
        cause: str | None = None,
    ) -> None:
        """Assert that every scheduled batch of each model was evaluated and recorded.

        Args:
            models: names, globs, or SQLMesh's `Model` or `Snapshot` objects.
            intervals: `(start, end)`, half-open, in UTC; the recorded batches must cover it.
            batches: the number of batches that must have been recorded.
            cause: one of the outcome's `causes`.

        Raises:
            AssertionError: one of them did not execute, or not as required.
            UnknownModelError: a name is not in the report.
            ValueError: `cause` is not a cause.
            TypeError: no model is passed.
        """
        __tracebackhide__ = True
        report = self._asserted()
        paragraphs = Paragraphs(report)
        window = None if intervals is None else parse_interval(intervals)
        because = None if cause is None else parse_cause(cause)
        failures = []
        outcomes = _outcomes_of(report, models, "assert_executed")
        for outcome in outcomes:
            if outcome.status is not Status.EXECUTED:
                failures.append(paragraphs.of(outcome, _NOT_EXECUTED))
            elif window and not _covered(outcome, *window):
                complaint = Complaint(f"did not execute all of {span(*window)}")
                failures.append(paragraphs.of(outcome, complaint))
            elif batches is not None and len(outcome.recorded_batches) != batches:
                recorded = quantity(len(outcome.recorded_batches), "batch")
                complaint = Complaint(f"executed in {recorded}, not {batches}")
                failures.append(paragraphs.of(outcome, complaint))
            elif because is not None and because not in outcome.causes:
                words = f"was executed, but its cause is not {because}"
                complaint = Complaint(words, instead=_causes_instead(outcome))
                failures.append(paragraphs.of(outcome, complaint))
        _settle(report, outcomes, failures)

    def assert_skipped(self, *models: object, reason: str | None = None) -> None:
        """Assert that nothing of the models was evaluated or audited.

        Args:
            models: names, globs, or SQLMesh's `Model` or `Snapshot` objects.
            reason: one of the outcome's `reasons`.

        Raises:
            AssertionError: one of them was not skipped, or not for that reason.
            UnknownModelError: a name is not in the report.
            ValueError: `reason` is not a reason.
            TypeError: no model is passed.
        """
        __tracebackhide__ = True
        self._demand(Status.SKIPPED, models, reason)

    def assert_failed(
        self, *models: object, reason: str | None = None, match: str | None = None
    ) -> None:
        """Assert that each of the models failed.

        Args:
            models: names, globs, or SQLMesh's `Model` or `Snapshot` objects.
            reason: one of the outcome's `reasons`.
            match: a regular expression that the model's error must contain.

        Raises:
            AssertionError: one of them did not fail, or not as required.
            UnknownModelError: a name is not in the report.
            ValueError: `reason` is not a reason, or `match` not a regular expression.
            TypeError: no model is passed.
        """
        __tracebackhide__ = True
        self._demand(Status.FAILED, models, reason, match)

    def assert_not_executed(self, *models: object) -> None:
        """Assert that no batch of the models was recorded.

        Raises:
            AssertionError: one was, or its status is unknown.
            UnknownModelError: a name is not in the report.
            TypeError: no model is passed.
        """
        __tracebackhide__ = True
        report = self._asserted()
        outcomes = _outcomes_of(report, models, "assert_not_executed")
        _settle(report, outcomes, _executions(report, outcomes))

    def assert_only_executed(self, *models: object) -> None:
        """Assert that exactly these models executed.

        Raises:
            AssertionError: one of them did not, another one did, or a status is unknown.
            UnknownModelError: a name is not in the report.
            TypeError: no model is passed (for "nothing ran" there is `assert_nothing_executed`).
        """
        __tracebackhide__ = True
        report = self._asserted()
        paragraphs = Paragraphs(report)
        outcomes = _outcomes_of(report, models, "assert_only_executed")
        names = {outcome.name for outcome in outcomes}
        failures = [
            paragraphs.of(outcome, _NOT_EXECUTED)
            for outcome in outcomes
            if outcome.status is not Status.EXECUTED
        ]
        others = [o for o in report.outcomes.values() if o.name not in names]
        failures += _executions(report, others)
        _settle(report, report.outcomes.values(), failures, whole=True)

    def assert_nothing_executed(self) -> None:
        """Assert that no batch of any model was recorded.

        Raises:
            AssertionError: one was, or its status is unknown.
        """
        __tracebackhide__ = True
        report = self._asserted()
        outcomes = report.outcomes.values()
        _settle(report, outcomes, _executions(report, outcomes), whole=True)

    def assert_audit_failed(self, model: object, audit: str | None = None) -> None:
        """Assert that an audit of the model found rows, whether or not it is blocking.

        An audit whose own query raised an exception could not be run: it does not count as failed.

        Args:
            model: a name, a glob, or SQLMesh's `Model` or `Snapshot` object.
            audit: the audit's name; None means any audit.

        Raises:
            AssertionError: it passed, did not run, or could not be run.
            UnknownModelError: a name is not in the report.
        """
        __tracebackhide__ = True
        report = self._asserted()
        paragraphs = Paragraphs(report)
        failures = []
        outcomes = _outcomes_of(report, (model,), "assert_audit_failed")
        for outcome in outcomes:
            failed = [a.name for a in outcome.audits if not a.passed and a.error is None]
            if not failed or (audit is not None and audit not in failed):
                failures.append(paragraphs.of(outcome, _no_such_failure(outcome, audit)))
        _settle(report, outcomes, failures)

    def assert_outcomes(self, expected: Mapping[Any, str], *, exact: bool = False) -> None:
        """Assert the status or the reason of each of the models.

        Args:
            expected: maps models (names, globs or objects) to a status or a reason.
            exact: every model of the report must be listed, except those that are
                `not_evaluatable`.

        Raises:
            AssertionError: a model has another one, or `exact` is set and a model is missing.
            UnknownModelError: a name is not in the report.
            ValueError: a value is neither a status nor a reason.
        """
        __tracebackhide__ = True
        report = self._asserted()
        paragraphs = Paragraphs(report)
        if not expected and not exact:
            raise TypeError("assert_outcomes needs at least one model")
        failures = []
        outcomes: dict[str, ModelOutcome] = {}
        for model, expectation in expected.items():
            word = parse_status_or_reason(expectation)
            for outcome in report.matching(model):
                outcomes[outcome.name] = outcome
                known = outcome.status is not Status.UNKNOWN
                if word is not outcome.status and not (known and word in outcome.reasons):
                    failures.append(paragraphs.of(outcome, Complaint(f"is not {word}")))
        if exact:
            failures += [
                paragraphs.of(outcome, Complaint("is not among the expected outcomes"))
                for outcome in report.counted
                if outcome.name not in outcomes
            ]
        _settle(report, outcomes.values(), failures, whole=exact)

    def assert_execution_order(self, *models: object) -> None:
        """Assert that the first batches of the models started in this order.

        All models that match a glob must have started before those of the next argument.

        Raises:
            AssertionError: the order differs, or one of them did not start.
            UnknownModelError: a name is not in the report.
            TypeError: no model is passed.
        """
        __tracebackhide__ = True
        report = self._asserted()
        paragraphs = Paragraphs(report)
        _demand_models(models, "assert_execution_order")
        groups = [report.matching(model) for model in models]
        outcomes = [outcome for group in groups for outcome in group]
        failures = [
            paragraphs.of(outcome, Complaint("did not start"))
            for outcome in outcomes
            if outcome.start_order is None
        ]
        _settle(report, outcomes, failures or _out_of_order(report, groups))

    def _demand(
        self, status: Status, models: Sequence[object], reason: object, match: str | None = None
    ) -> None:
        __tracebackhide__ = True
        report = self._asserted()
        paragraphs = Paragraphs(report)
        expected = None if reason is None else parse_reason(reason)
        pattern = None if match is None else expression(match)
        outcomes = _outcomes_of(report, models, f"assert_{status}")
        was, was_not = _PAST[status]
        failures = []
        for outcome in outcomes:
            if outcome.status is not status:
                failures.append(paragraphs.of(outcome, Complaint(was_not)))
            elif expected is not None and expected not in outcome.reasons:
                complaint = Complaint(f"{was}, but not for {expected}", omit_status=True)
                failures.append(paragraphs.of(outcome, complaint))
            elif pattern and (outcome.error is None or not pattern.search(outcome.error)):
                words = f"{was}, but its error does not match {match!r}"
                complaint = Complaint(words, omit_status=True)
                failures.append(paragraphs.of(outcome, complaint))
        _settle(report, outcomes, failures)


def assert_executed(
    report: AssertionMethods,
    *models: object,
    intervals: tuple[Moment, Moment] | None = None,
    batches: int | None = None,
    cause: str | None = None,
) -> None:
    """Assert that every scheduled batch of each model was evaluated and recorded.

    As `RunReport.assert_executed`, for a report or for the last report of a tracker.
    """
    __tracebackhide__ = True
    _checked(report).assert_executed(*models, intervals=intervals, batches=batches, cause=cause)


def assert_skipped(report: AssertionMethods, *models: object, reason: str | None = None) -> None:
    """Assert that nothing of the models was evaluated or audited.

    As `RunReport.assert_skipped`, for a report or for the last report of a tracker.
    """
    __tracebackhide__ = True
    _checked(report).assert_skipped(*models, reason=reason)


def assert_failed(
    report: AssertionMethods,
    *models: object,
    reason: str | None = None,
    match: str | None = None,
) -> None:
    """Assert that each of the models failed.

    As `RunReport.assert_failed`, for a report or for the last report of a tracker.
    """
    __tracebackhide__ = True
    _checked(report).assert_failed(*models, reason=reason, match=match)


def assert_not_executed(report: AssertionMethods, *models: object) -> None:
    """Assert that no batch of the models was recorded.

    As `RunReport.assert_not_executed`, for a report or for the last report of a tracker.
    """
    __tracebackhide__ = True
    _checked(report).assert_not_executed(*models)


def assert_only_executed(report: AssertionMethods, *models: object) -> None:
    """Assert that exactly these models executed.

    As `RunReport.assert_only_executed`, for a report or for the last report of a tracker.
    """
    __tracebackhide__ = True
    _checked(report).assert_only_executed(*models)


def assert_nothing_executed(report: AssertionMethods) -> None:
    """Assert that no batch of any model was recorded.

    As `RunReport.assert_nothing_executed`, for a report or for the last report of a tracker.
    """
    __tracebackhide__ = True
    _checked(report).assert_nothing_executed()


def assert_audit_failed(report: AssertionMethods, model: object, audit: str | None = None) -> None:
    """Assert that an audit of the model found rows, whether or not it is blocking.

    As `RunReport.assert_audit_failed`, for a report or for the last report of a tracker.
    """
    __tracebackhide__ = True
    _checked(report).assert_audit_failed(model, audit)


def assert_outcomes(
    report: AssertionMethods, expected: Mapping[Any, str], *, exact: bool = False
) -> None:
    """Assert the status or the reason of each of the models.

    As `RunReport.assert_outcomes`, for a report or for the last report of a tracker.
    """
    __tracebackhide__ = True
    _checked(report).assert_outcomes(expected, exact=exact)


def assert_execution_order(report: AssertionMethods, *models: object) -> None:
    """Assert that the first batches of the models started in this order.

    As `RunReport.assert_execution_order`, for a report or for the last report of a tracker.
    """
    __tracebackhide__ = True
    _checked(report).assert_execution_order(*models)


def _checked(report: AssertionMethods) -> AssertionMethods:
    __tracebackhide__ = True
    if not isinstance(report, AssertionMethods):
        raise TypeError(
            f"the first argument must be a Tracker or a RunReport, not {type(report).__name__}"
        )
    return report


def _demand_models(models: Sequence[object], helper: str) -> None:
    __tracebackhide__ = True
    if not models:
        hint = "; to assert that nothing ran, use assert_nothing_executed"
        raise TypeError(f"{helper} needs at least one model{hint if 'executed' in helper else ''}")


def _outcomes_of(report: Assertable, models: Sequence[object], helper: str) -> list[ModelOutcome]:
    __tracebackhide__ = True
    _demand_models(models, helper)
    by_name = {o.name: o for matches in tuple(map(report.matching, models)) for o in matches}
    return list(by_name.values())


def _settle(
    report: Assertable,
    outcomes: Iterable[ModelOutcome],
    failures: Sequence[str],
    *,
    whole: bool = False,
) -> None:
    """Raise the failures, or else notify observers that these outcomes were asserted."""
    __tracebackhide__ = True
    if failures:
        shown = "\n\n".join(failures[:5])
        more = f"\n\n… and {len(failures) - 5} more" if len(failures) > 5 else ""
        raise AssertionError(shown + more)
    notify(report, outcomes, whole=whole)


def _executions(report: Assertable, outcomes: Iterable[ModelOutcome]) -> list[str]:
    """Complaints about the models that executed, even in part, or may have."""
    paragraphs = Paragraphs(report)
    return [
        paragraphs.of(outcome, _executed_after_all(outcome))
        for outcome in outcomes
        if outcome.status in (Status.UNKNOWN, Status.EXECUTED)
        or outcome.partial
        or outcome.recorded_batches
    ]


def _causes_instead(outcome: ModelOutcome) -> str:
    words = causes_in_words(outcome)
    if len(outcome.causes) > 1:
        return f"they are {', '.join(outcome.causes)} ({words})"
    return f"it is {outcome.cause} ({words})" if outcome.cause else "it has no cause"


def _executed_after_all(outcome: ModelOutcome) -> Complaint:
    if outcome.status is Status.UNKNOWN:
        return Complaint("may have been executed")
    if outcome.status is Status.EXECUTED:
        return Complaint("was executed", omit_status=True)
    return Complaint("was partially executed")


def _out_of_order(report: Assertable, groups: Sequence[Sequence[ModelOutcome]]) -> list[str]:
    wrong = []
    for earlier, later in pairwise(groups):
        last, first = max(earlier, key=_start_order), min(later, key=_start_order)
        if _start_order(last) >= _start_order(first):
            wrong.append(f"{last.name} did not start before {first.name}")
    started = [o for o in report.outcomes.values() if o.start_order is not None]
    order = ", ".join(o.name for o in sorted(started, key=_start_order))
    return [f"{'; '.join(wrong)}\n  started     {order}"] if wrong else []


def _start_order(outcome: ModelOutcome) -> int:
    return -1 if outcome.start_order is None else outcome.start_order


def _no_such_failure(outcome: ModelOutcome, audit: str | None) -> Complaint:
    broken = sorted({a.name for a in outcome.audits if a.error is not None})
    if broken and audit in (None, *broken):
        return Complaint(f"had no failed audit: {', '.join(broken)} could not be run")
    ran = sorted({a.name for a in outcome.audits})
    if audit is None or audit in ran:
        which = "audit" if audit is None else f"audit {audit!r}"
        return Complaint(f"had no failed {which}" if ran else "ran no audits")
    known = did_you_mean(audit, ran, f"it ran {', '.join(ran) or 'none'}")
    return Complaint(f"ran no audit {audit!r} ({known})")


def _covered(outcome: ModelOutcome, start: datetime, end: datetime) -> bool:
    return any(done.start <= start and end <= done.end for done in outcome.executed_intervals)
