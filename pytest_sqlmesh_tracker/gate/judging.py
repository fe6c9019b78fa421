"""Judging reports by the rules of a policy. Does not import SQLMesh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timezone

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


class PolicyEvaluation:
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
        for report_index, (_, report) in self._entries.items():
            outcomes = tuple(report.outcomes.values())
            key = tuple((outcome.name, outcome.fqn, outcome.kind) for outcome in outcomes)
            if key not in known:
                known[key] = Listing(outcomes, self._active)
            self._listings[report_index] = known[key]
        alike = Counter(_invocation_key(entry) for entry in self._entries.values())
        self._numbers_of_alike = {
            report_index: report_index + 1
            for report_index, entry in self._entries.items()
            if alike[_invocation_key(entry)] > 1
        }
        """Index of a report → its number, from 1, if `where` says the same of several reports."""
        self._verdicts: dict[object, tuple[bool, int | None]] = {}
        self._allowed = 0

    def result(self) -> GateResult:
        """All findings, in order."""
        every = [one for report_index in self._entries for one in self._on_report(report_index)]
        every += [*self._on_requirements(), *self._on_rules()]
        return GateResult(
            findings=tuple(finding for finding in every if finding.severity == "error"),
            warnings=tuple(finding for finding in every if finding.severity == "warning"),
            reports=len(self._entries),
            outcomes=sum(len(report.counted) for _, report in self._entries.values()),
            allowed=self._allowed,
        )

    def _on_report(self, report_index: int) -> Iterator[GateFinding]:
        report = self._entries[report_index].report
        rules_of = self._listings[report_index].rules
        explained = report.completion in SUCCESSFUL
        for outcome in report.outcomes.values():
            rule_indexes = rules_of.get(outcome.name, ())
            expected, rule_index = self._verdict(rule_indexes, outcome)
            if not expected:
                finding = self._on_outcome(report_index, outcome, rule_index)
                cut_off = outcome.status in UNEXPECTED_STATUSES
                explained = explained or (cut_off and finding.severity == "error")
                yield finding
            elif rule_index is not None and unexpected_by_default(outcome.status, outcome.reason):
                self._allowed += 1
            yield from self._on_facts(report_index, outcome, rule_indexes)
        if report.project_files == "not_read":
            yield self._on_project_files(report_index)
        # If models failed without a finding, rules accept each of these failures. A plan raises an
        # exception for failed models; a run does not, so that its exception, such as that of an
        # `after_all`, is another failure.
        by_models = report.completion == "failure" and report.failed
        if not explained and not (by_models and (report.command != "run" or not report.error)):
            yield self._on_completion(report_index)

    def _on_completion(self, report_index: int) -> GateFinding:
        """The finding on how the command ended, if no model explains it. No rule can allow it."""
        report = self._entries[report_index].report
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
        message = one_line(f"the {report.command} {ended}")
        return self._finding(kind, message, report_index=report_index)

    def _on_project_files(self, report_index: int) -> GateFinding:
        """The warning that models never planned can't be detected. No rule can allow it."""
        message = files_not_read(self._entries[report_index].report)
        return self._finding(
            "project_files_not_read", message, report_index=report_index, severity="warning"
        )

    def _on_facts(
        self, report_index: int, outcome: ModelOutcome, rule_indexes: tuple[int, ...]
    ) -> Iterator[GateFinding]:
        for fact in Fact:
            for occurrence in fact.occurrences(outcome):
                rule_index = next((n for n in rule_indexes if self._rules[n].lists(fact)), None)
                if rule_index is None or fact in self._rules[rule_index].deny:
                    yield self._finding(
                        fact,
                        self._message(outcome, occurrence.predicate, rule_index),
                        rule_index=rule_index,
                        report_index=report_index,
                        outcome=outcome,
                        audit=occurrence.audit,
                        upstream=occurrence.upstream,
                        severity="warning" if rule_index is None else self._severity(rule_index),
                    )

    def _verdict(
        self, rule_indexes: tuple[int, ...], outcome: ModelOutcome
    ) -> tuple[bool, int | None]:
        """Whether an outcome is expected, and the index of the rule that decided."""
        key = (rule_indexes, outcome.status, outcome.reasons)
        if key not in self._verdicts:
            rules = [self._rules[rule_index] for rule_index in rule_indexes]
            expected, place = verdict(rules, outcome.status, outcome.reason, outcome.reasons)
            self._verdicts[key] = expected, None if place is None else rule_indexes[place]
        return self._verdicts[key]

    def _on_outcome(
        self, report_index: int, outcome: ModelOutcome, rule_index: int | None
    ) -> GateFinding:
        return self._finding(
            _KIND_OF[outcome.status],
            self._message(outcome, _became(outcome), rule_index),
            rule_index=rule_index,
            report_index=report_index,
            outcome=outcome,
            severity=self._severity(rule_index),
        )

    def _message(self, outcome: ModelOutcome, predicate: str, rule_index: int | None) -> str:
        denied = "" if rule_index is None else f" (denied by {self._rule_label(rule_index)})"
        return one_line(f"{one_line(outcome.name, 120)} {predicate}") + denied

    def _severity(self, rule_index: int | None) -> Severity:
        return "error" if rule_index is None else self._rules[rule_index].severity

    def _finding(
        self,
        kind: FindingKind | Fact,
        message: str,
        *,
        rule_index: int | None = None,
        report_index: int | None = None,
        outcome: ModelOutcome | None = None,
        model: str | None = None,
        audit: str | None = None,
        upstream: str | None = None,
        severity: Severity = "error",
    ) -> GateFinding:
        entry = None if report_index is None else self._entries[report_index]
        report = entry.report if entry else None
        return GateFinding(
            kind=kind,
            severity=severity,
            message=message,
            report_index=report_index,
            number=None if report_index is None else self._numbers_of_alike.get(report_index),
            test=entry.test if entry else None,
            command=report.command if report else None,
            environment=report.environment if report else None,
            execution_time=report.execution_time if report else None,
            model=outcome.name if outcome else model,
            status=outcome.status if outcome else None,
            reason=outcome.reason if outcome else None,
            audit=audit,
            upstream=upstream,
            rule_index=rule_index,
            rule=None if rule_index is None else self._rules[rule_index],
        )

    def _on_requirements(self) -> Iterator[GateFinding]:
        runs = [n for n, (_, report) in self._entries.items() if report.command == "run"]
        runs.sort(key=lambda report_index: self._entries[report_index].report.started_at)
        for rule_index in [n for n, rule in self._active.items() if rule.require and runs]:
            names = [name for one in self._listings.values() for name in one.models[rule_index]]
            required = dict.fromkeys(names)
            latest: dict[str, int] = {}
            for report_index in runs:
                outcomes = self._entries[report_index].report.outcomes
                for name in self._listings[report_index].models[rule_index]:
                    latest[name] = report_index
                    if outcomes[name].status is Status.EXECUTED:
                        required.pop(name, None)
            for name in required:
                yield self._on_requirement(name, rule_index, latest.get(name), len(runs))

    def _on_requirement(
        self, name: str, rule_index: int, latest: int | None, runs: int
    ) -> GateFinding:
        kind: FindingKind = "required_not_executed"
        must = f"{one_line(name, 120)} must execute according to {self._rule_label(rule_index)}"
        severity = self._severity(rule_index)
        if latest is None:
            message = f"{must}, but no run report contains it"
            return self._finding(
                kind, message, rule_index=rule_index, model=name, severity=severity
            )
        outcome = self._entries[latest].report.outcomes[name]
        last = (
            f"in any of {runs} runs; in the last one that lists it, it"
            if runs > 1
            else "in the run; it"
        )
        message = one_line(f"{must}, but did not {last} {_became(outcome)}")
        return self._finding(
            kind,
            message,
            rule_index=rule_index,
            report_index=latest,
            outcome=outcome,
            severity=severity,
        )

    def _on_rules(self) -> list[GateFinding]:
        """The findings about the policy itself, rule by rule."""
        expired = [(n, rule.until) for n, rule in enumerate(self._rules) if n not in self._active]
        listings = [*self._listings.values()]
        findings = [
            *(self._on_rule(n, "expired_rule", f"expired after {day}") for n, day in expired),
            *(self._on_rule(n, "unmatched_rule", c) for n, c in unmatched(self._active, listings)),
            *(self._on_rule(n, "contradiction", c) for n, c in contradictions(self._active)),
        ]
        return sorted(findings, key=lambda finding: finding.rule_index or 0)

    def _on_rule(self, rule_index: int, kind: FindingKind, complaint: str) -> GateFinding:
        message = one_line(f"{self._rule_label(rule_index)}: {complaint}")
        return self._finding(kind, message, rule_index=rule_index)

    def _rule_label(self, rule_index: int) -> str:
        rule = self._rules[rule_index]
        why = f", {rule.why}" if rule.why else ""
        return one_line(f"rule {rule_index + 1} ({rule.label}{why})", 160)


def _became(outcome: ModelOutcome) -> str:
    return f"{_VERBS.get(outcome.status, 'was ')}{outcome.message or sentence(outcome)}"


def _invocation_key(entry: Entry) -> object:
    """The facts about an invocation that `where` shows."""
    test, report = entry
    return test, report.command, report.environment, minute(report.execution_time)
