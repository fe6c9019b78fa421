"""What CI accepts: reports judged by a policy, and what it found. Knows no SQLMesh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timezone
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel

from .explanation import counted, minute, one_line, sentence
from .outcomes import Frozen, ModelOutcome, Reason, Status, UtcDatetime
from .policy import (
    UNEXPECTED_STATUSES,
    GatePolicyError,
    GateRule,
    Listing,
    contradictions,
    document_in,
    gate_table,
    parsed,
    rules_from,
    rules_in,
    unexpected_by_default,
    unmatched,
    verdict,
)
from .report import Command, RunReport

_TestReport = tuple[str | None, RunReport]
Given = RunReport | _TestReport
"""A report; or one with the node id of its test, as `load_reports` returns them."""

FindingKind = Literal[
    "failure",
    "interruption",
    "unknown_outcome",
    "unexpected_skip",
    "unexpected_audit",
    "unexpected_execution",
    "command_error",
    "required_not_executed",
    "expired_rule",
    "unmatched_rule",
    "contradiction",
]
"""What a finding is about: an outcome, a command, a requirement, or a rule of the policy."""

_KIND_OF: dict[Status, FindingKind] = {
    Status.FAILED: "failure",
    Status.INTERRUPTED: "interruption",
    Status.UNKNOWN: "unknown_outcome",
    Status.SKIPPED: "unexpected_skip",
    Status.AUDITED: "unexpected_audit",
    Status.EXECUTED: "unexpected_execution",
}
_ABOUT_RULES = ("expired_rule", "unmatched_rule", "contradiction")
_VERBS = {Status.FAILED: "", Status.UNKNOWN: "is "}


class GateFinding(Frozen):
    """One thing that CI does not accept.

    Findings on the rules of a policy have no report and no model; those on a command no model.
    """

    kind: FindingKind
    message: str
    """All of it in one line, but for the report: `where` tells that."""
    report_index: int | None = None
    """Which of the reports given, from 0."""
    number: int | None = None
    """The same from 1, where several are alike in test, command, environment and time."""
    test: str | None = None
    """Node id of the test that made the invocation, where it is known."""
    command: Command | None = None
    environment: str | None = None
    execution_time: UtcDatetime | None = None
    model: str | None = None
    """As it is shown in its report."""
    status: Status | None = None
    reason: Reason | None = None
    """The primary one."""
    rule_index: int | None = None
    """Which rule of the policy judged, or is the finding, from 0; None for the default."""
    rule: GateRule | None = None

    @property
    def where(self) -> str:
        """`run of prod at 2024-01-09 00:05 UTC, in test_shop.py::test_night`; or nothing."""
        if self.command is None or self.execution_time is None:
            return ""
        test = f", in {self.test}" if self.test else ""
        number = f", report {self.number}" if self.number else ""
        at = minute(self.execution_time)
        return one_line(f"{self.command} of {self.environment} at {at}{test}{number}")


class GateResult(Frozen):
    """What a policy found in reports. True where it passed: `assert policy.evaluate(report)`."""

    findings: tuple[GateFinding, ...] = ()
    """On reports in the order given, and their models as listed; then requirements; then rules."""
    reports: int = 0
    """How many were judged: all but those that are `superseded`."""
    outcomes: int = 0
    """How many outcomes they have: a model of two reports has two."""
    allowed: int = 0
    """How many of them were expected only because a rule allows them."""

    def __bool__(self) -> bool:
        return self.passed

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def on_reports(self) -> tuple[GateFinding, ...]:
        """The findings on outcomes and commands: all that a single test can answer for."""
        others = (*_ABOUT_RULES, "required_not_executed")
        return tuple(found for found in self.findings if found.kind not in others)

    @property
    def on_rules(self) -> tuple[GateFinding, ...]:
        """The findings on the policy itself."""
        return tuple(found for found in self.findings if found.kind in _ABOUT_RULES)

    @property
    def summary(self) -> str:
        """One line: `gate failed: 2 unexpected skips, 1 expired rule (12 outcomes in 1 report)`."""
        judged = f"{counted(self.outcomes, 'outcome')} in {counted(self.reports, 'report')}"
        if self.allowed:
            judged += f", {self.allowed:,} allowed by rules"
        kinds = Counter(found.kind for found in self.findings)
        parts = [
            counted(kinds[kind], _in_words(kind)) for kind in get_args(FindingKind) if kinds[kind]
        ]
        return f"gate failed: {', '.join(parts)} ({judged})" if parts else f"gate passed: {judged}"

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON-ready values, with `passed` and `summary`."""
        return {"passed": self.passed, "summary": self.summary, **self.model_dump(mode="json")}


class GatePolicy(Frozen):
    """What is accepted of reports: the default, and rules that allow, deny or require.

    Unexpected by default is every model that failed, was interrupted or is unknown, and one that
    was skipped for `upstream_failed`, `signal_not_ready`, `upstream_not_ready`,
    `depends_on_past_gap`, `not_in_environment`, `not_applied`, `backfill_emptied` or
    `restatement_refused`. A rule is a `GateRule` or a mapping with the same fields:

        GatePolicy(rules=[{"models": "marketing.*", "allow": ["signal_not_ready"]}])

    **Which rule judges.** An outcome is judged by its status and its primary reason, by the last
    rule that is for its model and lists one of them; within a rule the reason counts before the
    status, and `deny` before `allow`. An unknown outcome has a status only: allowing a reason does
    not allow it. What executed is unexpected only if a rule denies that it executed, or one of its
    `reasons`, and no later rule allows the same.

    **Which models.** Reports of runs, plans and audits are judged alike, and each by its own names.
    A rule need not be for a model in every report. Standalone audits and external models are judged
    as well, but only exact names are for them. A command that raised though none of its models
    failed, was interrupted or is unknown is a finding by itself, which no rule allows.

    **`require`** looks at the reports of runs together: a plan that executed the model does not
    count, nor does a model that only was audited. With a glob, each model that it matches is
    required. Where no report is of a run, nothing is required, so that a plan and a run can share a
    policy. That a skip is allowed does not excuse it.

    **Of the policy itself**, each told once: a rule after its last day, which has no effect; a name
    or a glob that no model of any report has, or a name that is ambiguous; and contradictions: one
    word allowed or required, and denied, by one rule, or by two for the same `models` of which the
    later has no `until`.

    Raises:
        GatePolicyError: a rule can't be meant; one line says why.
    """

    rules: tuple[GateRule, ...] = ()
    source: str | None = None
    """The file that it was read from."""

    def __init__(
        self, rules: Iterable[GateRule | Mapping[str, Any]] = (), *, source: str | None = None
    ) -> None:
        BaseModel.__init__(self, rules=rules_from(rules), source=source)

    @classmethod
    def from_toml(cls, toml: str | Mapping[str, Any]) -> GatePolicy:
        """The policy in TOML text or a parsed document: `[[tool.sqlmesh_tracker.gate.rules]]`.

        A document of nothing but `[[rules]]` is a policy, too; an empty one is the default.

        Raises:
            GatePolicyError: it is no TOML, holds no policy, or one that can't be meant.
        """
        return cls(rules_in(parsed(toml) if isinstance(toml, str) else toml))

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> GatePolicy:
        """The policy in a TOML file, as of `from_toml`; any `pyproject.toml` that has one will do.

        Raises:
            GatePolicyError: also when it can't be read; the line begins with the path.
        """
        try:
            return cls(rules_in(document_in(Path(path))), source=str(path))
        except GatePolicyError as error:
            raise GatePolicyError(f"{path}: {error}") from None

    @classmethod
    def nearest(cls, start: str | PathLike[str] = ".") -> GatePolicy:
        """The policy of the nearest `pyproject.toml` from a folder upward, or else the default.

        One without `[tool.sqlmesh_tracker.gate]` is passed over, as one may be in each package of
        a repository; an empty table is the default policy, and ends the search.

        Raises:
            GatePolicyError: a file on the way can't be read, is no TOML, or its policy can't be
                meant; the line begins with the path.
        """
        folder = Path(start).resolve()
        for file in (above / "pyproject.toml" for above in (folder, *folder.parents)):
            try:
                if file.is_file() and gate_table(document := document_in(file)) is not None:
                    return cls(rules_in(document), source=str(file))
            except GatePolicyError as error:
                raise GatePolicyError(f"{file}: {error}") from None
        return cls()

    def evaluate(self, *reports: Given, today: date | None = None) -> GateResult:
        """Judge reports together. Those that are `superseded` are passed over.

        Args:
            reports: each a `RunReport`, or a pair of its test's node id and the report, as
                `load_reports` returns them. None at all pass: whether that is all right is for
                the caller to say, by `GateResult.reports`.
            today: the day by which rules expire; the present one, in UTC.

        Raises:
            TypeError: something else than reports.
        """
        return _Evaluation(self.rules, [_pair(report) for report in reports], today).result()


class _Evaluation:
    """A policy's rules and the reports that they judge."""

    def __init__(
        self, rules: tuple[GateRule, ...], given: Sequence[_TestReport], today: date | None
    ) -> None:
        today = today or datetime.now(timezone.utc).date()
        self._rules = rules
        # A try that was repeated is judged by the last one; the places of the others stay.
        self._given = {n: one for n, one in enumerate(given) if not one[1].superseded}
        self._active = {n: r for n, r in enumerate(rules) if r.until is None or r.until >= today}
        self._listings: dict[int, Listing] = {}
        known: dict[object, Listing] = {}
        for index, (_, report) in self._given.items():
            outcomes = tuple(report.outcomes.values())
            key = tuple((outcome.name, outcome.fqn, outcome.kind) for outcome in outcomes)
            if key not in known:
                known[key] = Listing(outcomes, self._active)
            self._listings[index] = known[key]
        alike = Counter(_told(one) for one in self._given.values())
        self._numbers = {n: n + 1 for n, one in self._given.items() if alike[_told(one)] > 1}
        self._verdicts: dict[object, tuple[bool, int | None]] = {}
        self._allowed = 0

    def result(self) -> GateResult:
        """All findings, in their order."""
        findings = [found for index in self._given for found in self._on_report(index)]
        return GateResult(
            findings=(*findings, *self._on_requirements(), *self._on_rules()),
            reports=len(self._given),
            outcomes=sum(len(report.outcomes) for _, report in self._given.values()),
            allowed=self._allowed,
        )

    def _on_report(self, index: int) -> Iterator[GateFinding]:
        report = self._given[index][1]
        rules_of = self._listings[index].rules
        cut_off = False
        for outcome in report.outcomes.values():
            cut_off = cut_off or outcome.status in UNEXPECTED_STATUSES
            expected, number = self._verdict(rules_of.get(outcome.name, ()), outcome)
            if not expected:
                yield self._on_outcome(index, outcome, number)
            elif number is not None and unexpected_by_default(outcome.status, outcome.reason):
                self._allowed += 1
        if report.completion == "raised" and not cut_off:
            message = one_line(f"the {report.command} raised {report.error or 'an exception'}")
            yield self._finding("command_error", message, None, index)

    def _verdict(self, numbers: tuple[int, ...], outcome: ModelOutcome) -> tuple[bool, int | None]:
        """Whether an outcome is expected, and the number of the rule that says so."""
        key = (numbers, outcome.status, outcome.reasons)
        if key not in self._verdicts:
            rules = [self._rules[number] for number in numbers]
            expected, place = verdict(rules, outcome.status, outcome.reason, outcome.reasons)
            self._verdicts[key] = expected, None if place is None else numbers[place]
        return self._verdicts[key]

    def _on_outcome(self, index: int, outcome: ModelOutcome, number: int | None) -> GateFinding:
        denied = "" if number is None else f" (denied by {self._named(number)})"
        message = one_line(f"{one_line(outcome.name, 120)} {_became(outcome)}") + denied
        return self._finding(_KIND_OF[outcome.status], message, number, index, outcome)

    def _finding(
        self,
        kind: FindingKind,
        message: str,
        number: int | None,
        index: int | None = None,
        outcome: ModelOutcome | None = None,
        **facts: Any,
    ) -> GateFinding:
        if number is not None:
            facts.update(rule_index=number, rule=self._rules[number])
        if index is not None:
            test, report = self._given[index]
            facts.update(report_index=index, number=self._numbers.get(index))
            facts.update(test=test, command=report.command)
            facts.update(environment=report.environment, execution_time=report.execution_time)
        if outcome is not None:
            facts.update(model=outcome.name, status=outcome.status, reason=outcome.reason)
        return GateFinding(kind=kind, message=message, **facts)

    def _on_requirements(self) -> Iterator[GateFinding]:
        runs = [n for n, (_, report) in self._given.items() if report.command == "run"]
        runs.sort(key=lambda index: self._given[index][1].started_at)
        for number in [n for n, rule in self._active.items() if rule.require and runs]:
            names = [name for one in self._listings.values() for name in one.models[number]]
            required = dict.fromkeys(names)
            latest: dict[str, int] = {}
            for index in runs:
                outcomes = self._given[index][1].outcomes
                for name in self._listings[index].models[number]:
                    latest[name] = index
                    if outcomes[name].status is Status.EXECUTED:
                        required.pop(name, None)
            for name in required:
                yield self._on_requirement(name, number, latest.get(name), len(runs))

    def _on_requirement(self, name: str, number: int, latest: int | None, runs: int) -> GateFinding:
        kind: FindingKind = "required_not_executed"
        must = f"{one_line(name, 120)} must execute, by {self._named(number)}"
        if latest is None:
            return self._finding(kind, f"{must}, and is in no report of a run", number, model=name)
        outcome = self._given[latest][1].outcomes[name]
        where = f"in {runs} run reports; in the last one it" if runs > 1 else "in the run; it"
        message = one_line(f"{must}, and did not {where} {_became(outcome)}")
        return self._finding(kind, message, number, latest, outcome)

    def _on_rules(self) -> list[GateFinding]:
        """What is wrong with the policy, rule by rule."""
        expired = [(n, rule.until) for n, rule in enumerate(self._rules) if n not in self._active]
        listings = [*self._listings.values()]
        faults: list[tuple[int, FindingKind, str]] = [
            *((number, "expired_rule", f"it expired after {day}") for number, day in expired),
            *((n, "unmatched_rule", said) for n, said in unmatched(self._active, listings)),
            *((number, "contradiction", said) for number, said in contradictions(self._active)),
        ]
        return [
            self._finding(kind, one_line(f"{self._named(number)}: {said}"), number)
            for number, kind, said in sorted(faults, key=lambda fault: fault[0])
        ]

    def _named(self, number: int) -> str:
        rule = self._rules[number]
        why = f", {rule.why}" if rule.why else ""
        return one_line(f"rule {number + 1} ({rule.label}{why})", 160)


def _in_words(kind: FindingKind) -> str:
    return "unmet requirement" if kind == "required_not_executed" else kind.replace("_", " ")


def _became(outcome: ModelOutcome) -> str:
    return f"{_VERBS.get(outcome.status, 'was ')}{outcome.message or sentence(outcome)}"


def _told(given: _TestReport) -> object:
    """What `where` tells of an invocation."""
    test, report = given
    return test, report.command, report.environment, minute(report.execution_time)


def _pair(report: object) -> _TestReport:
    test, report = report if isinstance(report, tuple) else (None, report)
    if not isinstance(report, RunReport):
        raise TypeError(f"a gate judges RunReports, not {type(report).__name__}")
    return test, report
