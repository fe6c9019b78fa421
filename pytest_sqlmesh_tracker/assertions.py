"""What tests demand of a report. Each helper raises `AssertionError` itself: no rewriting needed.

The rules live in `AssertionMethods`, which a `RunReport` and a `Tracker` (for its last report)
inherit; the functions call them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .expectations import Moment, reason_named, span_of_time, status_or_reason_named
from .explanation import counted, paragraph, span
from .matching import close_matches
from .outcomes import ModelOutcome, Status

if TYPE_CHECKING:
    from .report import RunReport

_PAST = {Status.SKIPPED: "was skipped", Status.FAILED: "failed"}


class AssertionMethods:
    """The assertions as methods: of a report, or of a tracker's last report."""

    def _asserted(self) -> RunReport:
        return self  # type: ignore[return-value]  # a RunReport, unless overridden

    def assert_executed(
        self,
        *models: object,
        intervals: tuple[Moment, Moment] | None = None,
        batches: int | None = None,
    ) -> None:
        """Demand that every scheduled batch of each model was evaluated and recorded.

        Args:
            models: names, globs, `Model`s or `Snapshot`s.
            intervals: `(start, end)`, half-open, in UTC: these batches must cover it.
            batches: how many batches it must have been.

        Raises:
            AssertionError: one of them was not.
            UnknownModelError: a name that is not in the report.
            TypeError: no model given.
        """
        __tracebackhide__ = True
        report = self._asserted()
        window = None if intervals is None else span_of_time(intervals)
        failures = []
        for outcome in _named(report, models, "assert_executed"):
            if outcome.status is not Status.EXECUTED:
                failures.append(_failure(report, outcome, "was not executed"))
            elif window and not _covered(outcome, *window):
                wanted = f"did not execute all of {_span(*window)}"
                failures.append(_failure(report, outcome, wanted))
            elif batches is not None and len(outcome.recorded_batches) != batches:
                wanted = (
                    f"executed in {counted(len(outcome.recorded_batches), 'batch')}, not {batches}"
                )
                failures.append(_failure(report, outcome, wanted))
        _raise(failures)

    def assert_skipped(self, *models: object, reason: str | None = None) -> None:
        """Demand that of each model nothing was evaluated or audited.

        Args:
            models: names, globs, `Model`s or `Snapshot`s.
            reason: must be one of the outcome's `reasons`.

        Raises:
            AssertionError: one of them was not skipped, or not for that reason.
            UnknownModelError: a name that is not in the report.
            ValueError: `reason` is no reason.
            TypeError: no model given.
        """
        __tracebackhide__ = True
        self._demand(models, "assert_skipped", Status.SKIPPED, "was not skipped", reason)

    def assert_failed(
        self, *models: object, reason: str | None = None, match: str | None = None
    ) -> None:
        """Demand that each model failed.

        Args:
            models: names, globs, `Model`s or `Snapshot`s.
            reason: must be one of the outcome's `reasons`.
            match: a regular expression that must be found in its error.

        Raises:
            AssertionError: one of them did not fail, or not so.
            UnknownModelError: a name that is not in the report.
            ValueError: `reason` is no reason.
            TypeError: no model given.
        """
        __tracebackhide__ = True
        report = self._asserted()
        outcomes = self._demand(models, "assert_failed", Status.FAILED, "did not fail", reason)
        if match is not None:
            _raise(
                _failure(report, outcome, f"failed, but its error does not match {match!r}")
                for outcome in outcomes
                if outcome.error is None or not re.search(match, outcome.error)
            )

    def assert_not_executed(self, *models: object) -> None:
        """Demand that no batch of any of the models was recorded.

        Raises:
            AssertionError: one was, or the tracker could not tell.
            UnknownModelError: a name that is not in the report.
            TypeError: no model given.
        """
        __tracebackhide__ = True
        report = self._asserted()
        _raise(
            _failure(report, outcome, _executed_after_all(outcome))
            for outcome in _named(report, models, "assert_not_executed")
            if _may_have_executed(outcome)
        )

    def assert_only_executed(self, *models: object) -> None:
        """Demand that exactly these models executed.

        Raises:
            AssertionError: one of them did not, another one did, or the tracker could not tell.
            UnknownModelError: a name that is not in the report.
            TypeError: no model given (for "nothing ran" there is `assert_nothing_executed`).
        """
        __tracebackhide__ = True
        report = self._asserted()
        named = _named(report, models, "assert_only_executed")
        wanted = {outcome.name for outcome in named}
        failures = [
            _failure(report, outcome, "was not executed")
            for outcome in named
            if outcome.status is not Status.EXECUTED
        ]
        failures += [
            _failure(report, outcome, _executed_after_all(outcome))
            for outcome in report.outcomes.values()
            if outcome.name not in wanted and _may_have_executed(outcome)
        ]
        _raise(failures)

    def assert_nothing_executed(self) -> None:
        """Demand that no batch of any model was recorded.

        Raises:
            AssertionError: one was, or the tracker could not tell.
        """
        __tracebackhide__ = True
        report = self._asserted()
        _raise(
            _failure(report, outcome, _executed_after_all(outcome))
            for outcome in report.outcomes.values()
            if _may_have_executed(outcome)
        )

    def assert_audit_failed(self, model: object, audit: str | None = None) -> None:
        """Demand that an audit of the model failed, blocking or not.

        Args:
            model: a name, glob, `Model` or `Snapshot`.
            audit: the audit's name; any audit when None.

        Raises:
            AssertionError: it passed or did not run.
            UnknownModelError: a name that is not in the report.
        """
        __tracebackhide__ = True
        report = self._asserted()
        failures = []
        for outcome in _named(report, (model,), "assert_audit_failed"):
            failed = [a.name for a in outcome.audits if not a.passed]
            if not failed or (audit is not None and audit not in failed):
                failures.append(_failure(report, outcome, _no_such_failure(outcome, audit)))
        _raise(failures)

    def assert_outcomes(self, expected: Mapping[Any, str], *, exact: bool = False) -> None:
        """Demand a status or a reason of each model.

        Args:
            expected: model (a name, glob, `Model` or `Snapshot`) → status or reason.
            exact: every model of the report must be among them.

        Raises:
            AssertionError: one has another, or, with `exact`, is not named.
            UnknownModelError: a name that is not in the report.
            ValueError: neither a status nor a reason.
        """
        __tracebackhide__ = True
        report = self._asserted()
        if not expected and not exact:
            raise TypeError("assert_outcomes needs at least one model")
        failures = []
        named = set()
        for model, expectation in expected.items():
            wanted = status_or_reason_named(expectation)
            for outcome in report.matching(model):
                named.add(outcome.name)
                known = outcome.status is not Status.UNKNOWN
                if wanted is not outcome.status and not (known and wanted in outcome.reasons):
                    failures.append(_failure(report, outcome, f"is not {wanted}"))
        if exact:
            failures += [
                _failure(report, outcome, "is not among the expected outcomes")
                for outcome in report.outcomes.values()
                if outcome.name not in named
            ]
        _raise(failures)

    def assert_execution_order(self, *models: object) -> None:
        """Demand that the first batches of the models started in this order.

        Of a glob all matches count: each of them before all of the next.

        Raises:
            AssertionError: another order, or one of them did not start.
            UnknownModelError: a name that is not in the report.
            TypeError: no model given.
        """
        __tracebackhide__ = True
        report = self._asserted()
        _demand_models(models, "assert_execution_order")
        groups = [report.matching(model) for model in models]
        _raise(
            _failure(report, outcome, "did not start")
            for group in groups
            for outcome in group
            if outcome.start_order is None
        )
        failures = []
        for earlier, later in pairwise(groups):
            last = max(earlier, key=_start_order)
            first = min(later, key=_start_order)
            if _start_order(last) >= _start_order(first):
                failures.append(f"{last.name} did not start before {first.name}")
        if failures:
            started = [o for o in report.outcomes.values() if o.start_order is not None]
            order = ", ".join(o.name for o in sorted(started, key=_start_order))
            _raise([f"{'; '.join(failures)}\n  started     {order}"])

    def _demand(
        self, models: Sequence[object], helper: str, status: Status, complaint: str, reason: Any
    ) -> list[ModelOutcome]:
        __tracebackhide__ = True
        report = self._asserted()
        wanted = None if reason is None else reason_named(reason)
        outcomes = _named(report, models, helper)
        failures = []
        for outcome in outcomes:
            if outcome.status is not status:
                failures.append(_failure(report, outcome, complaint))
            elif wanted is not None and wanted not in outcome.reasons:
                failures.append(_failure(report, outcome, f"{_PAST[status]}, but not for {wanted}"))
        _raise(failures)
        return outcomes


def assert_executed(
    report: AssertionMethods,
    *models: object,
    intervals: tuple[Moment, Moment] | None = None,
    batches: int | None = None,
) -> None:
    """`AssertionMethods.assert_executed` of a report, or of a tracker's last one."""
    __tracebackhide__ = True
    _checked(report).assert_executed(*models, intervals=intervals, batches=batches)


def assert_skipped(report: AssertionMethods, *models: object, reason: str | None = None) -> None:
    """`AssertionMethods.assert_skipped` of a report, or of a tracker's last one."""
    __tracebackhide__ = True
    _checked(report).assert_skipped(*models, reason=reason)


def assert_failed(
    report: AssertionMethods,
    *models: object,
    reason: str | None = None,
    match: str | None = None,
) -> None:
    """`AssertionMethods.assert_failed` of a report, or of a tracker's last one."""
    __tracebackhide__ = True
    _checked(report).assert_failed(*models, reason=reason, match=match)


def assert_not_executed(report: AssertionMethods, *models: object) -> None:
    """`AssertionMethods.assert_not_executed` of a report, or of a tracker's last one."""
    __tracebackhide__ = True
    _checked(report).assert_not_executed(*models)


def assert_only_executed(report: AssertionMethods, *models: object) -> None:
    """`AssertionMethods.assert_only_executed` of a report, or of a tracker's last one."""
    __tracebackhide__ = True
    _checked(report).assert_only_executed(*models)


def assert_nothing_executed(report: AssertionMethods) -> None:
    """`AssertionMethods.assert_nothing_executed` of a report, or of a tracker's last one."""
    __tracebackhide__ = True
    _checked(report).assert_nothing_executed()


def assert_audit_failed(report: AssertionMethods, model: object, audit: str | None = None) -> None:
    """`AssertionMethods.assert_audit_failed` of a report, or of a tracker's last one."""
    __tracebackhide__ = True
    _checked(report).assert_audit_failed(model, audit)


def assert_outcomes(
    report: AssertionMethods, expected: Mapping[Any, str], *, exact: bool = False
) -> None:
    """`AssertionMethods.assert_outcomes` of a report, or of a tracker's last one."""
    __tracebackhide__ = True
    _checked(report).assert_outcomes(expected, exact=exact)


def assert_execution_order(report: AssertionMethods, *models: object) -> None:
    """`AssertionMethods.assert_execution_order` of a report, or of a tracker's last one."""
    __tracebackhide__ = True
    _checked(report).assert_execution_order(*models)


def _checked(report: AssertionMethods) -> AssertionMethods:
    if not isinstance(report, AssertionMethods):
        raise TypeError(
            f"the first argument is a Tracker or a RunReport, not {type(report).__name__}"
        )
    return report


def _demand_models(models: Sequence[object], helper: str) -> None:
    if not models:
        hint = "; for 'nothing ran' there is assert_nothing_executed"
        raise TypeError(f"{helper} needs at least one model{hint if 'executed' in helper else ''}")


def _named(report: RunReport, models: Sequence[object], helper: str) -> list[ModelOutcome]:
    __tracebackhide__ = True
    _demand_models(models, helper)
    by_name = {o.name: o for found in tuple(map(report.matching, models)) for o in found}
    return list(by_name.values())


def _failure(report: RunReport, outcome: ModelOutcome, complaint: str) -> str:
    return paragraph(report, outcome, complaint)


def _raise(failures: Iterable[str]) -> None:
    __tracebackhide__ = True
    failures = list(failures)
    if failures:
        shown = "\n\n".join(failures[:5])
        more = f"\n\n… and {len(failures) - 5} more" if len(failures) > 5 else ""
        raise AssertionError(shown + more)


def _may_have_executed(outcome: ModelOutcome) -> bool:
    told = outcome.status in (Status.UNKNOWN, Status.EXECUTED) or outcome.partial
    return told or bool(outcome.recorded_batches)


def _executed_after_all(outcome: ModelOutcome) -> str:
    if outcome.status is Status.UNKNOWN:
        return "may have been executed"
    return "was executed" if outcome.status is Status.EXECUTED else "was executed in part"


def _start_order(outcome: ModelOutcome) -> int:
    return -1 if outcome.start_order is None else outcome.start_order


def _no_such_failure(outcome: ModelOutcome, audit: str | None) -> str:
    ran = sorted({a.name for a in outcome.audits})
    if audit is None or audit in ran:
        which = "audit" if audit is None else f"audit {audit!r}"
        return f"had no failed {which}" if ran else "ran no audits"
    close = close_matches(audit, ran)
    known = f"did you mean {' or '.join(close)}?" if close else f"it ran {', '.join(ran) or 'none'}"
    return f"ran no audit {audit!r} ({known})"


def _covered(outcome: ModelOutcome, start: datetime, end: datetime) -> bool:
    return any(done.start <= start and end <= done.end for done in outcome.executed_intervals)


def _span(start: datetime, end: datetime) -> str:
    return span(start, end)
