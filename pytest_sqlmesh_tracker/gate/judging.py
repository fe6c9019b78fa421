"""Judging reports by the rules of a policy. Does not import SQLMesh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone

from pytest_sqlmesh_tracker.outcomes.expected import UNEXPECTED_STATUSES, unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.invocation import SUCCESSFUL
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.reports.files import Entry
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.wording.formats import length, listed, minute, one_line
from pytest_sqlmesh_tracker.wording.invocations import files_not_read
from pytest_sqlmesh_tracker.wording.remarks import Fact
from pytest_sqlmesh_tracker.wording.sentences import sentence

from .findings import FindingKind, FindingSeverity, GateFinding, GateResult
from .freshness import staleness
from .listing import Listing, unmatched
from .rules import GateRule
from .tolerance import GateTolerance, Wait
from .values import Severity
from .verdicts import Verdict, contradictions, tolerating, verdict

_KIND_OF: dict[Status, FindingKind] = {
    Status.FAILED: "failure",
    Status.INTERRUPTED: "interruption",
    Status.UNKNOWN: "unknown_outcome",
    Status.SKIPPED: "unexpected_skip",
    Status.AUDITED: "unexpected_audit",
    Status.EXECUTED: "unexpected_execution",
}
_VERBS = {Status.FAILED: "", Status.UNKNOWN: "is "}


@dataclass(frozen=True)
class _Judgement:
    """Whether an outcome is expected, and why."""

    expected: bool
    rule_index: int | None = None
    """The rule that decided; None for the default."""
    by_rule: str = ""
    """What the rule does, phrased to follow the message; empty without a rule that finds fault or
    tolerates."""
    tolerance: GateTolerance | None = None
    """The rule's, if that decided: what is expected, is expected only for a time."""
    until: datetime | None = None
    """The moment up to which it is, or was, tolerated."""


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
        self._verdicts: dict[object, Verdict] = {}
        self._allowed = 0

    def result(self) -> GateResult:
        """All findings, in order."""
        every = [one for report_index in self._entries for one in self._on_report(report_index)]
        every += [*self._on_requirements(), *self._on_rules()]
        return GateResult(
            findings=tuple(finding for finding in every if finding.severity == "error"),
            warnings=tuple(finding for finding in every if finding.severity == "warning"),
            tolerated=tuple(finding for finding in every if finding.severity == "tolerated"),
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
            judgement = self._judgement(report_index, outcome)
            if not judgement.expected:
                finding = self._on_outcome(report_index, outcome, judgement)
                cut_off = outcome.status in UNEXPECTED_STATUSES
                explained = explained or (cut_off and finding.severity == "error")
                yield finding
            elif judgement.rule_index is not None:
                self._allowed += unexpected_by_default(outcome.status, outcome.reason)
                if judgement.tolerance:
                    yield self._on_outcome(report_index, outcome, judgement)
            yield from self._on_facts(report_index, outcome, rule_indexes)
            yield from self._on_freshness(report_index, outcome, rule_indexes)
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

    def _on_outcome(
        self, report_index: int, outcome: ModelOutcome, judgement: _Judgement
    ) -> GateFinding:
        tolerated = judgement.expected
        return self._finding(
            "tolerated_model" if tolerated else _KIND_OF[outcome.status],
            _sentence(outcome, _became(outcome)) + judgement.by_rule,
            rule_index=judgement.rule_index,
            report_index=report_index,
            outcome=outcome,
            severity="tolerated" if tolerated else self._severity(judgement.rule_index),
            tolerated_until=judgement.until,
        )

    def _on_facts(
        self, report_index: int, outcome: ModelOutcome, rule_indexes: tuple[int, ...]
    ) -> Iterator[GateFinding]:
        for fact in Fact:
            for occurrence in fact.occurrences(outcome):
                rule_index = next((n for n in rule_indexes if self._rules[n].lists(fact)), None)
                if rule_index is None or fact in self._rules[rule_index].deny:
                    denied = "" if rule_index is None else self._denied_by(rule_index)
                    yield self._finding(
                        fact,
                        _sentence(outcome, occurrence.predicate) + denied,
                        rule_index=rule_index,
                        report_index=report_index,
                        outcome=outcome,
                        audit=occurrence.audit,
                        upstream=occurrence.upstream,
                        severity="warning" if rule_index is None else self._severity(rule_index),
                    )

    def _on_freshness(
        self, report_index: int, outcome: ModelOutcome, rule_indexes: tuple[int, ...]
    ) -> Iterator[GateFinding]:
        """The finding on data that is older than the last rule on its age allows."""
        for rule_index in rule_indexes:
            limit = self._rules[rule_index].fresh_within
            if limit is None:
                continue
            predicate = staleness(self._entries[report_index].report, outcome, limit)
            if predicate:
                allows = f": {self._rule_label(rule_index)} allows at most {length(limit)}"
                yield self._finding(
                    "stale_model",
                    _sentence(outcome, predicate) + allows,
                    rule_index=rule_index,
                    report_index=report_index,
                    outcome=outcome,
                    severity=self._severity(rule_index),
                )
            return

    def _judgement(self, report_index: int, outcome: ModelOutcome) -> _Judgement:
        judgement = self._by_own_rules(report_index, outcome)
        if judgement.expected or judgement.rule_index is not None:
            return judgement
        return self._tolerated_with_upstream(report_index, outcome) or judgement

    def _by_own_rules(self, report_index: int, outcome: ModelOutcome) -> _Judgement:
        """The judgement by the rules that match the model itself, or else by the default."""
        rule_indexes = self._listings[report_index].rules.get(outcome.name, ())
        wait = Wait.of(self._entries[report_index].report, outcome)
        expected, place, tolerance = self._verdict(rule_indexes, outcome, wait)
        if place is None:
            return _Judgement(expected)
        rule_index = rule_indexes[place]
        if expected and tolerance is None:
            return _Judgement(True, rule_index)
        if tolerance is None:
            return _Judgement(False, rule_index, self._denied_by(rule_index))
        words = f"; {wait.against(tolerance.limit)} (by {self._rule_label(rule_index)})"
        return _Judgement(expected, rule_index, words, tolerance, wait.until(tolerance.limit))

    def _verdict(self, rule_indexes: tuple[int, ...], outcome: ModelOutcome, wait: Wait) -> Verdict:
        timed = any(self._rules[rule_index].tolerate for rule_index in rule_indexes)
        key = (rule_indexes, outcome.status, outcome.reasons, wait if timed else None)
        if key not in self._verdicts:
            rules = [self._rules[rule_index] for rule_index in rule_indexes]
            self._verdicts[key] = verdict(
                rules, outcome.status, outcome.reason, outcome.reasons, wait
            )
        return self._verdicts[key]

    def _tolerated_with_upstream(
        self, report_index: int, outcome: ModelOutcome
    ) -> _Judgement | None:
        """The judgement on a model that waits only for models whose signals are tolerated."""
        if outcome.reason is not Reason.UPSTREAM_NOT_READY or not outcome.blocked_by:
            return None
        roots = [self._tolerated_signal(report_index, name) for name in outcome.blocked_by]
        tolerated = [root for root in roots if root is not None]
        if len(tolerated) < len(roots):
            return None
        until = min((root.until for root in tolerated if root.until), default=None)
        words = f"; tolerated as long as {listed(outcome.blocked_by)}"
        if until:
            words += f", until {minute(until)}"
        return replace(tolerated[0], by_rule=words, until=until)

    def _tolerated_signal(self, report_index: int, name: str) -> _Judgement | None:
        """The judgement on a model whose signal is tolerated for a time; None for others."""
        report = self._entries[report_index].report
        outcome, reason = report.outcomes.get(name), Reason.SIGNAL_NOT_READY
        if outcome is None or reason not in outcome.reasons:
            return None
        rule_indexes = self._listings[report_index].rules.get(name, ())
        rules = [self._rules[rule_index] for rule_index in rule_indexes]
        wait = Wait.of(report, outcome)
        place = tolerating(rules, reason, wait)
        if place is None or not self._by_own_rules(report_index, outcome).expected:
            return None
        tolerance = rules[place].tolerate
        until = wait.until(tolerance.limit) if tolerance else None
        return _Judgement(True, rule_indexes[place], tolerance=tolerance, until=until)

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
        severity: FindingSeverity = "error",
        tolerated_until: datetime | None = None,
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
            tolerated_until=tolerated_until,
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

    def _denied_by(self, rule_index: int) -> str:
        return f" (denied by {self._rule_label(rule_index)})"

    def _rule_label(self, rule_index: int) -> str:
        rule = self._rules[rule_index]
        why = f", {rule.why}" if rule.why else ""
        return one_line(f"rule {rule_index + 1} ({rule.label}{why})", 160)


def _sentence(outcome: ModelOutcome, predicate: str) -> str:
    return one_line(f"{one_line(outcome.name, 120)} {predicate}")


def _became(outcome: ModelOutcome) -> str:
    return f"{_VERBS.get(outcome.status, 'was ')}{outcome.message or sentence(outcome)}"


def _invocation_key(entry: Entry) -> object:
    """The facts about an invocation that `where` shows."""
    test, report = entry
    return test, report.command, report.environment, minute(report.execution_time)
