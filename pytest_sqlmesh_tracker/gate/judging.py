"""Judging reports by the rules of a policy. Does not import SQLMesh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timezone
from typing import Any

from pytest_sqlmesh_tracker.outcomes.expected import UNEXPECTED_STATUSES, unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.invocation import SUCCESSFUL
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.files import Entry
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.wording.formats import minute, one_line
from pytest_sqlmesh_tracker.wording.invocations import files_not_read
from pytest_sqlmesh_tracker.wording.remarks import Fact
from pytest_sqlmesh_tracker.wording.sentences import sentence

from .findings import FindingKind, GateFinding, GateResult
from .listing import Listing, unmatched
from .rules import GateRule, Severity, contradictions, verdict

_KIND_OF: dict[Status, FindingKind] = {
    Status.FAILED: "failure",
    Status.INTERRUPTED: "interruption",
    Status.UNKNOWN: "unknown_outcome",
    Status.SKIPPED: "unexpected_skip",
    Status.AUDITED: "unexpected_audit",
    Status.EXECUTED: "unexpected_execution",
}
_VERBS = {Status.FAILED: "", Status.UNKNOWN: "is "}


class Evaluation:
    """A policy's rules and the reports that they judge."""

    def __init__(
        self, rules: tuple[GateRule, ...], entries: Sequence[Entry], today: date | None
    ) -> None:
        today = today or datetime.now(timezone.utc).date()
        self._rules = rules
        # Superseded tries are not judged; the other reports keep their positions.
        self._entries = {n: one for n, one in enumerate(entries) if not one.report.superseded}
        self._active = {n: r for n, r in enumerate(rules) if r.until is None or r.until >= today}
        self._listings: dict[int, Listing] = {}
        known: dict[object, Listing] = {}
        for index, (_, report) in self._entries.items():
            outcomes = tuple(report.outcomes.values())
            key = tuple((outcome.name, outcome.fqn, outcome.kind) for outcome in outcomes)
            if key not in known:
                known[key] = Listing(outcomes, self._active)
            self._listings[index] = known[key]
        alike = Counter(_invocation_key(one) for one in self._entries.values())
        self._numbers = {
            n: n + 1 for n, one in self._entries.items() if alike[_invocation_key(one)] > 1
        }
        self._verdicts: dict[object, tuple[bool, int | None]] = {}
        self._allowed = 0

    def result(self) -> GateResult:
        """All findings, in order."""
        every = [one for index in self._entries for one in self._on_report(index)]
        every += [*self._on_requirements(), *self._on_rules()]
        return GateResult(
            findings=tuple(finding for finding in every if finding.severity == "error"),
            warnings=tuple(finding for finding in every if finding.severity == "warning"),
            reports=len(self._entries),
            outcomes=sum(len(report.counted) for _, report in self._entries.values()),
            allowed=self._allowed,
        )

    def _on_report(self, index: int) -> Iterator[GateFinding]:
        report = self._entries[index].report
        rules_of = self._listings[index].rules
        explained = report.completion in SUCCESSFUL
        for outcome in report.outcomes.values():
            numbers = rules_of.get(outcome.name, ())
            expected, number = self._verdict(numbers, outcome)
            if not expected:
                finding = self._on_outcome(index, outcome, number)
                cut_off = outcome.status in UNEXPECTED_STATUSES
                explained = explained or (cut_off and finding.severity == "error")
                yield finding
            elif number is not None and unexpected_by_default(outcome.status, outcome.reason):
                self._allowed += 1
            yield from self._on_facts(index, outcome, numbers)
        if report.project_files == "not_read":
            yield self._on_project_files(index)
        # If models failed without a finding, rules accept each of these failures. A plan raises an
        # exception for failed models; a run does not, so that its exception, such as that of an
        # `after_all`, is another failure.
        by_models = report.completion == "failure" and report.failed
        if not explained and not (by_models and (report.command != "run" or not report.error)):
            yield self._on_completion(index)

    def _on_completion(self, index: int) -> GateFinding:
        """The finding on how the command ended, if no model explains it. No rule can allow it."""
        report = self._entries[index].report
        kind: FindingKind = "command_error"
        if report.completion == "raised":
            ended = f"raised {report.error or 'an exception'}"
        elif report.completion == "interrupted":
            kind = "command_interruption"
            ended = f"was interrupted: {report.error}" if report.error else "was interrupted"
        elif report.error:
            ended = f"failed: {report.error}"
        else:
            ended = "failed, although no model is reported as failed"
        return self._finding(kind, one_line(f"the {report.command} {ended}"), None, index)

    def _on_project_files(self, index: int) -> GateFinding:
        """The warning that models never planned can't be detected. No rule can allow it."""
        message = files_not_read(self._entries[index].report)
        return self._finding("project_files_not_read", message, None, index, severity="warning")

    def _on_facts(
        self, index: int, outcome: ModelOutcome, numbers: tuple[int, ...]
    ) -> Iterator[GateFinding]:
        for fact in Fact:
            for occurrence in fact.occurrences(outcome):
                number = next((n for n in numbers if self._rules[n].lists(fact)), None)
                if number is None or fact in self._rules[number].deny:
                    message = self._message(outcome, occurrence.predicate, number)
                    severity: Severity = "warning" if number is None else self._severity(number)
                    about = {"audit": occurrence.audit, "upstream": occurrence.upstream}
                    yield self._finding(fact, message, number, index, outcome, severity, **about)

    def _verdict(self, numbers: tuple[int, ...], outcome: ModelOutcome) -> tuple[bool, int | None]:
        """Whether an outcome is expected, and the number of the rule that decided."""
        key = (numbers, outcome.status, outcome.reasons)
        if key not in self._verdicts:
            rules = [self._rules[number] for number in numbers]
            expected, place = verdict(rules, outcome.status, outcome.reason, outcome.reasons)
            self._verdicts[key] = expected, None if place is None else numbers[place]
        return self._verdicts[key]

    def _on_outcome(self, index: int, outcome: ModelOutcome, number: int | None) -> GateFinding:
        kind, severity = _KIND_OF[outcome.status], self._severity(number)
        message = self._message(outcome, _became(outcome), number)
        return self._finding(kind, message, number, index, outcome, severity)

    def _message(self, outcome: ModelOutcome, predicate: str, number: int | None) -> str:
        denied = "" if number is None else f" (denied by {self._rule_label(number)})"
        return one_line(f"{one_line(outcome.name, 120)} {predicate}") + denied

    def _severity(self, number: int | None) -> Severity:
        return "error" if number is None else self._rules[number].severity

    def _finding(
        self,
        kind: FindingKind | Fact,
        message: str,
        number: int | None,
        index: int | None = None,
        outcome: ModelOutcome | None = None,
        severity: Severity = "error",
        **facts: Any,
    ) -> GateFinding:
        if number is not None:
            facts.update(rule_index=number, rule=self._rules[number])
        if index is not None:
            test, report = self._entries[index]
            facts.update(report_index=index, number=self._numbers.get(index))
            facts.update(test=test, command=report.command)
            facts.update(environment=report.environment, execution_time=report.execution_time)
        if outcome is not None:
            facts.update(model=outcome.name, status=outcome.status, reason=outcome.reason)
        return GateFinding(kind=kind, severity=severity, message=message, **facts)

    def _on_requirements(self) -> Iterator[GateFinding]:
        runs = [n for n, (_, report) in self._entries.items() if report.command == "run"]
        runs.sort(key=lambda index: self._entries[index].report.started_at)
        for number in [n for n, rule in self._active.items() if rule.require and runs]:
            names = [name for one in self._listings.values() for name in one.models[number]]
            required = dict.fromkeys(names)
            latest: dict[str, int] = {}
            for index in runs:
                outcomes = self._entries[index].report.outcomes
                for name in self._listings[index].models[number]:
                    latest[name] = index
                    if outcomes[name].status is Status.EXECUTED:
                        required.pop(name, None)
            for name in required:
                yield self._on_requirement(name, number, latest.get(name), len(runs))

    def _on_requirement(self, name: str, number: int, latest: int | None, runs: int) -> GateFinding:
        kind: FindingKind = "required_not_executed"
        must = f"{one_line(name, 120)} must execute according to {self._rule_label(number)}"
        severity = self._severity(number)
        if latest is None:
            message = f"{must}, but no run report contains it"
            return self._finding(kind, message, number, severity=severity, model=name)
        outcome = self._entries[latest].report.outcomes[name]
        last = f"in any of {runs} runs; in the last one, it" if runs > 1 else "in the run; it"
        message = one_line(f"{must}, but did not {last} {_became(outcome)}")
        return self._finding(kind, message, number, latest, outcome, severity)

    def _on_rules(self) -> list[GateFinding]:
        """The findings about the policy itself, rule by rule."""
        expired = [(n, rule.until) for n, rule in enumerate(self._rules) if n not in self._active]
        listings = [*self._listings.values()]
        faults: list[tuple[int, FindingKind, str]] = [
            *((number, "expired_rule", f"expired after {day}") for number, day in expired),
            *(
                (n, "unmatched_rule", complaint)
                for n, complaint in unmatched(self._active, listings)
            ),
            *(
                (number, "contradiction", complaint)
                for number, complaint in contradictions(self._active)
            ),
        ]
        return [
            self._finding(kind, one_line(f"{self._rule_label(number)}: {complaint}"), number)
            for number, kind, complaint in sorted(faults, key=lambda fault: fault[0])
        ]

    def _rule_label(self, number: int) -> str:
        rule = self._rules[number]
        why = f", {rule.why}" if rule.why else ""
        return one_line(f"rule {number + 1} ({rule.label}{why})", 160)


def _became(outcome: ModelOutcome) -> str:
    return f"{_VERBS.get(outcome.status, 'was ')}{outcome.message or sentence(outcome)}"


def _invocation_key(entry: Entry) -> object:
    """The facts about an invocation that `where` shows."""
    test, report = entry
    return test, report.command, report.environment, minute(report.execution_time)
