"""An outcome as a paragraph, as a failed assertion shows it: headline, facts, remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property

from pytest_sqlmesh_tracker.outcomes.invocation import Invocation
from pytest_sqlmesh_tracker.outcomes.outcome import Batch, Outcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import UNREADY_ENVIRONMENT, Reason, Status

from .causes import cause_facts
from .formats import (
    amount,
    midnight,
    moment,
    on_safe_cron,
    one_line,
    quantity,
    shortened,
    span,
    spans,
)
from .invocations import (
    environment_problem,
    environment_remedy,
    existing_environments,
    totals,
)
from .remarks import remarks
from .sentences import LEFT_FOR_NEXT_RUN, TIMED, is_waiting, phrases_of, reason_in_words, sentence

_VERBS = dict.fromkeys(Status, "was ") | {Status.FAILED: "", Status.UNKNOWN: "is "}


_BY_TIME = {Reason.NO_CHANGES, Reason.REUSED}
"""Reasons in plans with which intervals are missing only because time has passed."""


@dataclass(frozen=True)
class Complaint:
    """How an outcome differs from what a test demanded."""

    text: str
    """Phrased to follow the model's name: "was not executed"."""
    omit_status: bool = False
    """Whether the headline continues without the outcome's status, which the text has shown."""
    instead: str | None = None
    """What is true of the model instead, if its status and reason do not say so."""


def paragraph(
    report: Invocation | None, outcome: Outcome, complaint: Complaint | None = None
) -> str:
    """A headline with the reason, aligned facts, and a remedy if one is known to work.

    Args:
        report: the report of the outcome; without it, only facts of the outcome are shown.
        complaint: what the headline begins with, if an assertion failed.
    """
    return Paragraphs(report).of(outcome, complaint)


def paragraph_below_headline(report: Invocation | None, outcome: Outcome) -> list[str]:
    """The lines of a paragraph without its headline: aligned facts, and a remedy."""
    return Paragraphs(report).below_headline(outcome)


class Paragraphs:
    """The paragraphs of the outcomes of one report. What they share is computed once."""

    def __init__(self, report: Invocation | None) -> None:
        self._report = report

    def of(self, outcome: Outcome, complaint: Complaint | None = None) -> str:
        """See `paragraph`."""
        headline = _headline(self._report, outcome, complaint)
        return "\n".join([headline, *self.below_headline(outcome)])

    def below_headline(self, outcome: Outcome) -> list[str]:
        """See `paragraph_below_headline`."""
        return _below_headline(self._report, outcome, self._totals)

    @cached_property
    def _totals(self) -> str:
        return totals(self._report) if self._report else ""


def _below_headline(report: Invocation | None, outcome: Outcome, in_total: str) -> list[str]:
    facts = _facts(report, outcome)
    if report:
        at = f"{report.environment}, execution_time {moment(report.execution_time)}"
        facts = [(report.command, at), *facts, (f"this {report.command}", in_total)]
    lines = aligned(facts)
    remedy = remedy_of(report, outcome) if report else ""
    if remedy:
        lines += ["", remedy]
    return lines


def aligned(facts: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of labels and texts, which can have several lines themselves."""
    width = max(12, *(len(label) + 2 for label, _ in facts)) if facts else 12
    lines = []
    for label, fact in facts:
        first, *rest = fact.splitlines() or [""]
        lines.append(f"  {label:<{width}}{first}")
        lines += [f"  {'':<{width}}{line}" for line in rest]
    return lines


def _headline(report: Invocation | None, outcome: Outcome, complaint: Complaint | None) -> str:
    if complaint is None:
        line = outcome.message or sentence(outcome)
        if report and report.environment_state and outcome.reason in UNREADY_ENVIRONMENT:
            problem = environment_problem(report.environment, report.environment_state)
            line = f"{outcome.status}: {problem}"
        return f"{outcome.name} {_VERBS[outcome.status]}{one_line(line, 160)}"
    instead = complaint.instead or _instead(outcome, omit_status=complaint.omit_status)
    return f"{outcome.name} {complaint.text}: {instead}"


def _instead(outcome: Outcome, *, omit_status: bool) -> str:
    """What is true of the model instead of what a test demanded."""
    if outcome.status is Status.UNKNOWN:
        return "its status is unknown" + (f" ({outcome.note})" if outcome.note else "")
    if outcome.status is Status.EXECUTED:
        if omit_status:
            return "; ".join(filter(None, (phrases_of(outcome).without_status, remarks(outcome))))
        return f"it was {sentence(outcome)}"
    reason = reason_in_words(outcome)
    if not reason:
        return f"it was only {sentence(outcome)}"
    if outcome.status is Status.FAILED and not omit_status:
        return f"it failed, {reason}"
    if outcome.status is Status.INTERRUPTED:
        return f"it was interrupted, {reason}"
    return reason


def _facts(report: Invocation | None, outcome: Outcome) -> list[tuple[str, str]]:
    facts = cron_facts(outcome)
    intervals = _interval_facts(outcome)
    if intervals:
        facts.append(("intervals", intervals))
    facts += waiting_facts(outcome)
    for name in outcome.blocked_by:
        root = report.outcomes.get(name) if report else None
        became = f", {one_line(root.message or sentence(root), 72)}" if root else ""
        facts.append(("blocked by", f"{name}{became}"))
    if outcome.status is Status.EXECUTED and outcome.batches:
        facts.append(("executed", spans(outcome.executed_intervals)))
    elif any(batch.status is not Status.AUDITED for batch in outcome.batches):
        facts.append(("batches", _batch_facts(outcome)))
    facts += cause_facts(outcome)
    for name, lacking in outcome.upstream_behind.items():
        facts.append(("upstream", f"{name} had not loaded {spans(lacking)}"))
    for audit in outcome.audits:
        if not audit.passed:
            kind = "blocking" if audit.blocking else "non-blocking"
            rows = f"{quantity(audit.rows_failed, 'row')} failed"
            wrong = rows if audit.error is None else "could not be run"
            facts.append(("audit", f"{audit.name} ({kind}), {wrong}"))
    if outcome.error:
        facts.append(("error", shortened(outcome.error)))
    elif report and outcome.status is Status.INTERRUPTED and report.error:
        label = "interrupted" if report.completion == "interrupted" else "raised"
        facts.append((label, shortened(report.error)))
    state = report.environment_state if report else None
    if state and outcome.reason in UNREADY_ENVIRONMENT:
        facts.append(("environments", existing_environments(state)))
    elif report and state and outcome.status in (Status.FAILED, Status.INTERRUPTED):
        problem = environment_problem(report.environment, state)
        facts.append(("environment", f"{problem}: runs wait for it"))
    return facts + definition_facts(outcome)


def cron_facts(outcome: Outcome) -> list[tuple[str, str]]:
    """The label and text of the fact about the cron, if it is of interest."""
    facts: list[tuple[str, str]] = []
    if outcome.cron and (outcome.reason in TIMED or outcome.next_due):
        due = f", next due {moment(outcome.next_due)}" if outcome.next_due else ""
        facts.append(("cron", f"{outcome.cron}{due}"))
        if outcome.undetermined_cron:
            facts.append(("", "its gaps differ, so its due times depend on the SQLMesh process"))
        if outcome.safe_cron:
            facts.append(("", on_safe_cron(outcome.safe_cron)))
    return facts


def waiting_facts(outcome: Outcome) -> list[tuple[str, str]]:
    """Labels and texts of the facts about what the model waits for, apart from its cron."""
    facts: list[tuple[str, str]] = []
    if outcome.waiting_since and is_waiting(outcome):
        facts.append(("waiting", f"since {moment(outcome.waiting_since)}"))
    for name, held in outcome.signals.items():
        facts.append(("signal", f"{name} held back {spans(held)}"))
    return facts


def definition_facts(outcome: Outcome) -> list[tuple[str, str]]:
    """Labels and texts of the facts about the other reasons, and about the model's definition."""
    facts: list[tuple[str, str]] = []
    others = [str(reason) for reason in outcome.reasons if reason is not outcome.reason]
    if others:
        facts.append(("also", ", ".join(others)))
    if outcome.stubbed:
        facts.append(("stubbed", "the test's data replaces its query"))
    if outcome.local_edit:
        facts.append(("local edit", "the project's definition differs from the environment's"))
    return facts


def _interval_facts(outcome: Outcome) -> str:
    lines = []
    if outcome.loaded_through:
        lines.append(f"loaded {until(outcome.loaded_through)}")
    return "\n".join(lines + held_back_lines(outcome))


def until(end: datetime) -> str:
    """`through 2024-01-06`, the last whole day; or `up to 2024-01-06 12:00:00 UTC`."""
    end = end.astimezone(timezone.utc)
    day = f"{end - timedelta(days=1):%Y-%m-%d}"
    return f"through {day}" if midnight(end) else f"up to {moment(end)}"


def held_back_lines(outcome: Outcome) -> list[str]:
    """What is missing after the invocation, in at most one line."""
    if not outcome.held_back:
        return []
    return [f"{amount(outcome.held_back)} {_held(outcome)}: {spans(outcome.held_back)}"]


def _held(outcome: Outcome) -> str:
    """What holds intervals back, if the primary reason alone shows it."""
    if outcome.reasons == (Reason.PLAN_LIMIT,):
        return LEFT_FOR_NEXT_RUN
    if outcome.reason is Reason.CRON_NOT_DUE:
        return "held back by cron"
    return "missing by now" if outcome.reason in _BY_TIME else "held back"


def _batch_facts(outcome: Outcome) -> str:
    lines = [f"{len(outcome.recorded_batches)} of {len(outcome.batches)} recorded"]
    failed = [batch for batch in outcome.batches if batch.status is Status.FAILED]
    lines += [_batch_fact(batch) for batch in failed[:3]]
    return "\n".join(lines)


def _batch_fact(batch: Batch) -> str:
    failed = "could not be recorded" if batch.unrecorded else "failed"
    return f"batch {batch.index + 1} {failed}: {span(batch.start, batch.end)}"


def remedy_of(report: Invocation, outcome: Outcome) -> str:
    """What to do so that the model is evaluated; empty if no remedy is known to work."""
    command = report.command
    if report.environment_state and outcome.reason in UNREADY_ENVIRONMENT:
        remedy = environment_remedy(report.environment, report.environment_state)
        return f"{remedy[:1].upper()}{remedy[1:]}."
    due = f"run at {moment(outcome.next_due)} or later" if outcome.next_due else ""
    if outcome.reason is Reason.CRON_NOT_DUE:
        if outcome.held_back:
            now = "To evaluate it now, use run(ignore_cron=True)"
            return f"{now}, or {due}." if due else f"{now}."
        return f"It has nothing to evaluate before then: {due}." if due else ""
    if outcome.reasons == (Reason.NOT_SELECTED,) and command != "plan":
        if command == "audit":
            return "It has audits: pass it in models to run them."
        return "It had work to do: select it to evaluate it."
    if outcome.status is Status.SKIPPED and Reason.PLAN_LIMIT in outcome.reasons:
        return "It had work to do beyond what its environment has loaded: plan with run=True."
    if outcome.status is Status.SKIPPED and outcome.reasons == (Reason.OUTSIDE_WINDOW,):
        return f"It had work to do at this execution_time: {_wider(report)} to evaluate it."
    if outcome.reason is Reason.NOT_IN_ENVIRONMENT:
        what = "A restatement" if command == "plan" else "A run"
        return f"{what} evaluates only planned models: apply a plan that adds it."
    return ""


def _wider(report: Invocation) -> str:
    """How to widen the window. Without an end, SQLMesh ends it at the time of the call."""
    window = {name for name in ("start", "end") if report.arguments.get(name)}
    to_come = report.execution_time > report.finished_at
    return "pass it as end, too," if to_come and not window else "widen start and end"
