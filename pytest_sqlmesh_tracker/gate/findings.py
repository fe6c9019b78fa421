"""The findings of a gate: errors, which fail it, and warnings."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, NamedTuple, get_args

from pytest_sqlmesh_tracker.outcomes.invocation import Command
from pytest_sqlmesh_tracker.outcomes.types import Frozen, UtcDatetime
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.wording.formats import minute, one_line, quantity
from pytest_sqlmesh_tracker.wording.remarks import Fact

from .rules import GateRule
from .values import Severity

FindingKind = Literal[
    "failure",
    "interruption",
    "unknown_outcome",
    "unexpected_skip",
    "unexpected_audit",
    "unexpected_execution",
    "stale_model",
    "command_error",
    "command_interruption",
    "required_not_executed",
    "expired_rule",
    "unmatched_rule",
    "contradiction",
    "project_files_not_read",
    "tolerated_model",
]
"""What a finding is about: an outcome, a command, a requirement, or a rule of the policy. Each
`Fact` is a kind as well."""
KINDS: tuple[str, ...] = (*get_args(FindingKind), *Fact)
"""All kinds of findings, the most urgent first."""

FindingSeverity = Severity | Literal["tolerated"]
"""How grave a finding is: an error, a warning, or what a rule tolerates for a time."""

_ABOUT_RULES = ("expired_rule", "unmatched_rule", "contradiction")


class GateFinding(Frozen):
    """One thing that CI does not accept, warns about, or tolerates for a time.

    Findings about the rules of a policy have no report and no model; those about a command have no
    model.
    """

    kind: FindingKind | Fact
    severity: FindingSeverity = "error"
    """Only an error fails the gate."""
    message: str
    """The finding in one line, without the invocation, which `where` shows."""
    report_index: int | None = None
    """The position of the report among those evaluated, from 0."""
    number: int | None = None
    """The position from 1, if several reports have the same test, command, environment and time."""
    test: str | None = None
    """The node id of the test that made the invocation, if known."""
    command: Command | None = None
    environment: str | None = None
    execution_time: UtcDatetime | None = None
    model: str | None = None
    """The model's name as its report shows it."""
    status: Status | None = None
    reason: Reason | None = None
    """The model's primary reason."""
    audit: str | None = None
    """The name of the model's audit, if the finding is about one."""
    upstream: str | None = None
    """The name of the upstream model, if the finding is about one."""
    rule_index: int | None = None
    """The position, from 0, of the rule that decided, or that the finding is about; None for the
    default."""
    rule: GateRule | None = None
    tolerated_until: UtcDatetime | None = None
    """The moment up to which a rule tolerates, or tolerated, that the model waits."""

    @property
    def predicate(self) -> str:
        """The message without the model's name, if it begins with one."""
        name = one_line(self.model or "", 120)
        alone = self.message.removeprefix(f"{name} ") if name else self.message
        return alone.lstrip()

    @property
    def where(self) -> str:
        """`run of prod at 2024-01-09 00:05 UTC, in test_shop.py::test_night`; or empty."""
        if self.command is None or self.execution_time is None:
            return ""
        test = f", in {self.test}" if self.test else ""
        number = f", report {self.number}" if self.number else ""
        at = minute(self.execution_time)
        return one_line(f"{self.command} of {self.environment} at {at}{test}{number}")


class GateResult(Frozen):
    """What a policy found in reports. It is true if the gate passed: `assert
    policy.evaluate(report)`."""

    findings: tuple[GateFinding, ...] = ()
    """The errors, which alone decide whether the gate passed: first those about reports and their
    models, in their order, then unmet requirements, then those about rules."""
    warnings: tuple[GateFinding, ...] = ()
    """The warnings, in the same order."""
    tolerated: tuple[GateFinding, ...] = ()
    """What rules tolerate for a time, in the same order. It does not fail the gate, either."""
    reports: int = 0
    """The number of reports that were judged: all except those that are `superseded`."""
    outcomes: int = 0
    """The number of outcomes in these reports; models that are `not_evaluatable` do not count."""
    allowed: int = 0
    """The number of outcomes that were expected only because a rule allows or tolerates them."""

    def __bool__(self) -> bool:
        return self.passed

    @property
    def passed(self) -> bool:
        """Whether there are no findings. Warnings do not count."""
        return not self.findings

    @property
    def on_reports(self) -> tuple[GateFinding, ...]:
        """The findings about outcomes and commands, for which a single test can be responsible."""
        others = (*_ABOUT_RULES, "required_not_executed")
        return tuple(finding for finding in self.findings if finding.kind not in others)

    @property
    def on_rules(self) -> tuple[GateFinding, ...]:
        """The findings about the policy itself."""
        return tuple(finding for finding in self.findings if finding.kind in _ABOUT_RULES)

    @property
    def summary(self) -> str:
        """One line: `gate failed: 2 unexpected skips, 1 expired rule (12 outcomes in 1 report)`.

        Warnings are only counted: `gate passed: 12 outcomes in 1 report, 1 warning`.
        """
        verdict, counts = summary_of(self)
        return f"{verdict}: {counts}"

    def to_dict(self) -> dict[str, Any]:
        """The result as a dictionary of values that JSON can hold, with `passed` and `summary`."""
        return {"passed": self.passed, "summary": self.summary, **self.model_dump(mode="json")}


class GateSummary(NamedTuple):
    """The two parts of a result's `summary`."""

    verdict: str
    """`gate passed` or `gate failed`."""
    counts: str
    """How many findings there are of each kind, and how much was judged."""


def summary_of(result: GateResult) -> GateSummary:
    """The result in words."""
    judged = f"{quantity(result.outcomes, 'outcome')} in {quantity(result.reports, 'report')}"
    if result.allowed:
        judged += f", {result.allowed:,} allowed by rules"
    if result.warnings:
        judged += f", {quantity(len(result.warnings), 'warning')}"
    if result.passed:
        return GateSummary("gate passed", judged)
    kinds = Counter(str(finding.kind) for finding in result.findings)
    found = ", ".join(quantity(kinds[kind], _noun(kind)) for kind in KINDS if kinds[kind])
    return GateSummary("gate failed", f"{found} ({judged})")


def _noun(kind: str) -> str:
    if isinstance(kind, Fact):
        return kind.noun
    return "unmet requirement" if kind == "required_not_executed" else kind.replace("_", " ")
