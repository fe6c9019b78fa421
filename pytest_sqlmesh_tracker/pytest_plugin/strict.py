"""Strict mode: the unexpected outcomes of its invocations that a test left unasserted.

Imports neither pytest nor SQLMesh.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from typing import Any, NamedTuple

from pytest_sqlmesh_tracker.gate import GateFinding, GatePolicy, GateRule
from pytest_sqlmesh_tracker.gate.listing import Listing, unmatched
from pytest_sqlmesh_tracker.outcomes.expected import NO_REASONS_FOR_SKIPS
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.outcomes import Assertable, ModelOutcome
from pytest_sqlmesh_tracker.reports.parsing import parse_reason
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.formats import one_line, quantity, short_repr
from pytest_sqlmesh_tracker.wording.printable import printable
from pytest_sqlmesh_tracker.wording.remarks import Fact

from .markers import MarkerError, check_keywords

KEYWORDS = ("strict", "allow_skips")
"""The keywords of the marker `sqlmesh_tracker`, in the order of positional arguments."""

_SHOWN = 10


class StrictOptions(NamedTuple):
    """The options from a test's markers; `strict` is None if the ini file decides."""

    strict: bool | None
    allowed: tuple[GateRule, ...]


def strict_options(arguments: Mapping[str, Any]) -> StrictOptions:
    """The options for the keyword arguments of markers; None counts as not passed.

    Raises:
        MarkerError: a keyword or its value is not valid; the message is one line.
    """
    check_keywords("sqlmesh_tracker", arguments, KEYWORDS)
    strict, allow_skips = (arguments.get(name) for name in KEYWORDS)
    if not isinstance(strict, bool | None):
        raise MarkerError(f"strict must be True or False, not {short_repr(strict)}")
    if not isinstance(allow_skips or {}, Mapping):
        raise MarkerError(
            f"allow_skips must be a mapping of globs to reasons, not {short_repr(allow_skips)}"
        )
    allowed = tuple(_allowing(models, why) for models, why in (allow_skips or {}).items())
    return StrictOptions(strict, allowed)


def _allowing(models: Any, reasons: Any) -> GateRule:
    words = [reasons] if isinstance(reasons, str) or not isinstance(reasons, Iterable) else reasons
    try:
        allow = [parse_reason(word) for word in words]
        if not allow:
            raise ValueError("it needs a reason or a list of reasons")
        for reason in NO_REASONS_FOR_SKIPS.intersection(allow):
            raise ValueError(
                f"{reason} is not a reason for a skip; use assert_failed for a failure"
            )
        return GateRule(models, allow=allow)
    except ValueError as error:
        value = short_repr({models: reasons})
        raise MarkerError(f"allow_skips={value}: {one_line(str(error), 800)}") from None


@dataclass
class _Asserted:
    """What a test has asserted about one invocation."""

    report: Assertable
    """Kept, as the id of a deleted one could be reused."""
    models: set[str] = field(default_factory=set)
    command: bool = False
    """Whether it has asserted how the command ended, which it does together with all models."""

    def includes(self, finding: GateFinding) -> bool:
        """Whether the test has asserted what the finding is about."""
        return self.command if finding.model is None else finding.model in self.models


class StrictTest:
    """A test in strict mode: what it has asserted so far, and the policy that judges it."""

    def __init__(self, policy: GatePolicy, allowed: Iterable[GateRule], today: date) -> None:
        self._allowed = dict(enumerate(allowed))
        # The test's own rules come last, and so take precedence.
        self._policy = GatePolicy((*policy.rules, *self._allowed.values()))
        self._today = today
        # By identity, as two invocations can have equal reports.
        self._asserted: dict[int, _Asserted] = {}

    def asserted(
        self, report: Assertable, outcomes: Iterable[ModelOutcome], /, *, whole: bool
    ) -> None:
        """Note an assertion that passed. The method is an `Observer`."""
        asserted = self._asserted.setdefault(id(report), _Asserted(report))
        asserted.models.update(outcome.name for outcome in outcomes)
        asserted.command |= whole

    def complaint(self, reports: Sequence[RunReport], *, unraised: Sequence[RunReport] = ()) -> str:
        """What is unexpected in the test's invocations and was not asserted; empty if nothing is.

        An invocation that raised an exception, though the test passed, counts as asserted, since
        the test caught the exception.

        Args:
            unraised: the reports of invocations from which the test saw no exception.
        """
        by_invocation = [self._unasserted(report, unraised) for report in reports]
        listings = [Listing(tuple(r.outcomes.values()), self._allowed) for r in reports]
        typos = [f"allow_skips: {complaint}" for _, complaint in unmatched(self._allowed, listings)]
        if not any(by_invocation):
            return printable("\n".join(f"sqlmesh_tracker strict: {typo}" for typo in typos))
        findings = list(chain(*by_invocation))
        headline = f"sqlmesh_tracker strict: {_amount(findings)} that the test did not assert"
        parts = ["\n".join(_listed(by_invocation)), "\n".join(typos), _remedy(findings)]
        return printable("\n\n".join([headline, *filter(None, parts)]))

    def _unasserted(self, report: RunReport, unraised: Sequence[RunReport]) -> list[GateFinding]:
        if report.error is not None and report not in unraised:
            return []
        result = self._policy.evaluate(report, today=self._today)
        asserted = self._asserted.get(id(report), _Asserted(report))
        return [finding for finding in result.on_reports if not asserted.includes(finding)]


def _listed(by_invocation: Iterable[Sequence[GateFinding]]) -> Iterator[str]:
    """The first findings, each below its invocation."""
    left = _SHOWN
    for findings in by_invocation:
        shown = findings[: max(left, 0)]
        if shown:
            yield shown[0].where
        yield from (f"  {finding.message}" for finding in shown)
        left -= len(findings)
    if left < 0:
        yield f"… and {-left} more"


def _amount(findings: Sequence[GateFinding]) -> str:
    """`2 unexpected outcomes and 1 unsuccessful invocation`."""
    commands = sum(finding.model is None for finding in findings)
    amounts = {
        "unexpected outcome": len(findings) - commands,
        "unsuccessful invocation": commands,
    }
    return " and ".join(quantity(number, noun) for noun, number in amounts.items() if number)


def _remedy(findings: Sequence[GateFinding]) -> str:
    """How to assert the first finding of each kind, and how to allow the first skip."""
    lines = []
    calls = [*_calls(findings)]
    if calls:
        lines += ["Assert each by name:", *(f"  {call}" for call in calls)]
    skip = next((f for f in findings if f.kind == "unexpected_skip" and f.reason), None)
    if skip is not None and skip.reason is not None:
        lines.append("or allow skips, with the marker or a rule of the gate policy:")
        lines.append(f"  sqlmesh_tracker(allow_skips={{{_name(skip)}: {_quoted(skip.reason)}}})")
    if any(finding.model is None for finding in findings):
        lines.append("Assert how an invocation ended together with all of its models:")
        lines.append("  assert_nothing_executed()")
        lines.append("or assert_only_executed(...), or assert_outcomes({...}, exact=True).")
    return "\n".join([*lines, "Comparisons such as report.skipped == {...} do not count."])


def _calls(findings: Sequence[GateFinding]) -> Iterator[str]:
    """Calls that assert the first finding for each status and for each fact."""
    first = {(f.kind if isinstance(f.kind, Fact) else f.status): f for f in reversed(findings)}
    for sort in (*Status, *Fact):
        if sort in first:
            yield _call(first[sort])


def _call(finding: GateFinding) -> str:
    name, status = _name(finding), finding.status
    if finding.audit is not None:
        return f"assert_audit_failed({name}, {_quoted(finding.audit)})"
    if status is Status.SKIPPED and finding.reason is not None:
        return f"assert_skipped({name}, reason={_quoted(finding.reason)})"
    if status in (Status.FAILED, Status.SKIPPED, Status.EXECUTED):
        return f"assert_{status}({name})"
    return f"assert_outcomes({{{name}: {_quoted(str(status))}}})"


def _name(finding: GateFinding) -> str:
    return _quoted(one_line(finding.model or "", 120))


def _quoted(word: str) -> str:
    """The word as a Python literal in double quotes."""
    return json.dumps(str(word), ensure_ascii=False)


def policy_errors(
    policy: GatePolicy, reports: Iterable[RunReport], today: date, *, complete: bool
) -> list[str]:
    """What is wrong with the rules of a policy, one line per error.

    Args:
        reports: the reports of all tests.
        complete: whether all tests ran. If not, a rule that matches no model is not an error.
    """
    findings = policy.evaluate(*reports, today=today).on_rules if policy.rules else ()
    kept = [finding for finding in findings if complete or finding.kind != "unmatched_rule"]
    return [printable(finding.message) for finding in kept]
