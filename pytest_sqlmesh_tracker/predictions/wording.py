"""What would happen to models if their environment were run now, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from pytest_sqlmesh_tracker.outcomes.invocation import Invocation
from pytest_sqlmesh_tracker.outcomes.outcome import Outcome
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.outcomes.vocabulary import Cause, Reason, Status
from pytest_sqlmesh_tracker.wording.causes import cause_facts, causes_in_words
from pytest_sqlmesh_tracker.wording.formats import (
    listed,
    minute,
    moment,
    one_line,
    quantity,
    shortened,
    spans,
)
from pytest_sqlmesh_tracker.wording.invocations import (
    environment_problem,
    environment_words,
    error_headline,
    files_not_read,
    statuses,
)
from pytest_sqlmesh_tracker.wording.paragraphs import (
    aligned,
    cron_facts,
    definition_facts,
    held_back_lines,
    remedy_of,
    until,
    waiting_facts,
)
from pytest_sqlmesh_tracker.wording.rows import executed_and_why, reason_in_short
from pytest_sqlmesh_tracker.wording.sentences import PARTLY_HELD_BACK, phrases_of, reason_in_words

from .model_now import ModelNow

_VERBS = {
    Status.EXECUTED: "would be evaluated",
    Status.AUDITED: "would be audited",
    Status.SKIPPED: "would be skipped",
    Status.FAILED: "would fail",
    Status.INTERRUPTED: "would not be evaluated",
    Status.UNKNOWN: "unknown",
}

_WHY = {
    Reason.SIGNAL_NOT_READY: "its signal is not ready",
    Reason.UPSTREAM_NOT_READY: "an upstream signal is not ready",
    Reason.UPSTREAM_FAILED: "an upstream model would fail",
    Reason.CRON_NOT_DUE: "its cron is not due",
    Reason.ERROR: "it starts after the last tick of its cron, which SQLMesh rejects",
}
"""The reasons whose words for a run that took place are in the past tense, or more general."""

_UNTIL_NEXT_TICK = "Each run fails until the next tick of its cron."


class Predicted(Protocol):
    """The facts from which a prediction is put into words. `PredictedRun` implements it."""

    @property
    def report(self) -> Invocation:
        """The report of such a run."""

    @property
    def expires_at(self) -> datetime | None:
        """When the environment expires."""

    @property
    def now(self) -> Mapping[str, ModelNow]:
        """Name → what is known of a model of the environment besides."""

    def waits_for(self, model: object) -> Mapping[str, tuple[str, ...]]:
        """The roots for which a model would wait → the models in between."""

    def waited_for_by(self, model: object) -> tuple[str, ...]:
        """The models that would wait for a model."""


def predicted_sentence(report: Invocation, outcome: Outcome) -> str:
    """What would happen to a model, in one line that follows its name."""
    if outcome.status is Status.EXECUTED:
        line = _evaluated(outcome)
    elif outcome.status is Status.AUDITED:
        line = f"{_VERBS[outcome.status]}: {spans(intervals_of(outcome))}"
    elif outcome.reason is Reason.ENVIRONMENT_BUSY and report.environment_state:
        line = f"would wait: {environment_problem(report.environment, report.environment_state)}"
    else:
        line = replace(phrases_of(outcome), status=_VERBS[outcome.status], **_because(outcome)).line
    return " ".join("; ".join(filter(None, (line, _ahead(outcome)))).split())


def _evaluated(outcome: Outcome) -> str:
    batches = quantity(len(outcome.recorded_batches), "batch")
    causes = causes_in_words(outcome)
    if outcome.causes == (Cause.FILLED_GAP,):
        causes = "to fill a gap"
    rest = f"{PARTLY_HELD_BACK}: {_why(outcome)}" if outcome.reason else ""
    line = f"{_VERBS[outcome.status]} in {batches}"
    return "; ".join(filter(None, (f"{line}: {causes}" if causes else line, rest)))


def _because(outcome: Outcome) -> dict[str, str]:
    """The parts of the sentence that differ from those of a run that took place."""
    if outcome.reason is Reason.ERROR:
        return {"why": _why(outcome), "detail": "", "separator": ""}
    if outcome.reason is Reason.CRON_NOT_DUE and outcome.next_due:
        why = f"{_why(outcome)} until {minute(outcome.next_due)}"
        return {"why": why, "detail": "", "separator": ""}
    return {} if outcome.note else {"why": _why(outcome)}


def _why(outcome: Outcome) -> str:
    reason = outcome.reason
    return (_WHY.get(reason) if reason else None) or reason_in_words(outcome)


def _why_root(outcome: Outcome) -> str:
    """Why a model holds others back."""
    signals = f" ({listed(tuple(outcome.signals))})" if outcome.signals else ""
    return f"{_why(outcome)}{signals}"


def _ahead(outcome: Outcome) -> str:
    behind = outcome.upstream_behind
    lacking = [f"{name}, which has not loaded {spans(behind[name], limit=1)}" for name in behind]
    return f"ahead of {listed(lacking, 2)}" if lacking else ""


def intervals_of(outcome: Outcome) -> tuple[Interval, ...]:
    """The intervals that would be evaluated or, of a model that is only audited, audited."""
    if outcome.status is Status.AUDITED:
        return tuple(Interval(batch.start, batch.end) for batch in outcome.batches)
    return outcome.executed_intervals


def predicted_result(outcome: Outcome, now: ModelNow | None) -> str:
    """The intervals and causes, or the reason, for the row of a table."""
    alone = outcome.model_copy(update={"upstream_behind": {}})
    if outcome.status is Status.AUDITED:
        words = spans(intervals_of(outcome), limit=2)
    elif outcome.reason is Reason.ERROR:
        words = f"{outcome.reason}: {_why(outcome)}"
    else:
        short = str(reason_in_short(alone)) if outcome.reason or not outcome.batches else ""
        words = "; ".join(filter(None, (executed_and_why(outcome), short)))
    assumed = f"if {_signals(now.assumed_ready)} ready" if now and now.assumed_ready else ""
    return "; ".join(filter(None, (words, _ahead(outcome), assumed)))


def _signals(names: Sequence[str]) -> str:
    return f"{listed(names)} is" if len(names) == 1 else f"{listed(names)} are"


def predicted_headline(run: Predicted) -> str:
    """`if prod were run at 2024-01-10 00:05:00 UTC: 3 executed, 1 skipped`."""
    report = run.report
    at = moment(report.execution_time)
    return f"if {report.environment} were run at {at}: {statuses(report.outcomes.values())}"


def predicted_notes(run: Predicted) -> list[str]:
    """Facts about the environment, one per line."""
    report, now = run.report, run.now
    lines = []
    if report.environment_state:
        lines.append(environment_words(report.environment, report.environment_state))
    elif report.error:
        lines.append(f"a signal raised {error_headline(report.error)}")
    if run.expires_at:
        lines.append(_expiry(report, run.expires_at))
    if report.project_files == "not_read":
        lines.append(files_not_read(report))
    assumed = [name for name in now if now[name].assumed_ready]
    if assumed:
        pronoun, verb = ("their signals", "are") if len(assumed) > 1 else ("its signals", "is")
        called = f"{pronoun} were not called (see --signals)"
        lines.append(f"{listed(assumed)} {verb} assumed to be ready: {called}")
    undetermined = [
        f"{name} ({o.cron})" for name, o in report.outcomes.items() if o.undetermined_cron
    ]
    if undetermined:
        lines.append(f"when these are due depends on the SQLMesh process: {listed(undetermined)}")
    restated = sorted((at, name) for name in now if (at := now[name].next_restatement))
    if restated:
        texts = [f"{name} at {minute(at)}" for at, name in restated]
        lines.append(f"automatic restatements to come: {listed(texts)}")
    return lines + list(_sharing(now))


def _expiry(report: Invocation, at: datetime) -> str:
    if at > report.execution_time:
        return f"{report.environment} expires at {minute(at)}"
    return f"{report.environment} expired at {minute(at)}: the next run of prod removes it"


def _sharing(now: Mapping[str, ModelNow]) -> Iterator[str]:
    shared: dict[str, int] = {}
    for each in now.values():
        for environment in each.shared_with:
            shared[environment] = shared.get(environment, 0) + 1
    for environment, count in sorted(shared.items()):
        yield f"runs of {environment} load the same tables of {quantity(count, 'model')}"


def predicted_paragraph(run: Predicted, outcome: Outcome) -> str:
    """What would happen to a model: a headline, aligned facts, and a remedy if one is known."""
    report = run.report
    headline = f"{outcome.name} {one_line(predicted_sentence(report, outcome), 200)}"
    at = f"{report.environment}, at {moment(report.execution_time)}"
    if run.expires_at:
        at += f"\n{_expiry(report, run.expires_at)}"
    facts = [("run", at), *_facts(run, outcome), *_facts_now(run, outcome)]
    fails = outcome.reason is Reason.ERROR
    remedy = _UNTIL_NEXT_TICK if fails else remedy_of(report, outcome)
    return "\n".join([headline, *aligned(facts), *(["", remedy] if remedy else [])])


def _facts(run: Predicted, outcome: Outcome) -> list[tuple[str, str]]:
    """What the report of the run would have."""
    facts = cron_facts(outcome)
    if outcome.error:
        facts += [("cron", outcome.cron or ""), ("error", shortened(outcome.error))]
    if intervals_of(outcome):
        label = "audits" if outcome.status is Status.AUDITED else "evaluates"
        facts.append((label, spans(intervals_of(outcome))))
    facts += cause_facts(outcome)
    loaded = "\n".join([*_loaded(outcome, run.now.get(outcome.name)), *held_back_lines(outcome)])
    if loaded:
        facts.append(("intervals", loaded))
    facts += waiting_facts(outcome)
    for name, lacking in outcome.upstream_behind.items():
        facts.append(("upstream", f"{name} has not loaded {spans(lacking)}"))
    if run.report.error and outcome.reason is Reason.COMMAND_FAILED:
        facts.append(("raised", shortened(run.report.error)))
    for root, between in run.waits_for(outcome.name).items():
        through = f" (through {listed(between)})" if between else ""
        facts.append(("waits for", f"{root}{through}: {_why_root(run.report.outcomes[root])}"))
    waiting = run.waited_for_by(outcome.name)
    if waiting:
        facts.append(("holds up", listed(waiting, 10)))
    return facts + definition_facts(outcome)


def _loaded(outcome: Outcome, now: ModelNow | None) -> Iterator[str]:
    before = now.loaded_through if now else None
    if before:
        yield f"loaded {until(before)}"
    if outcome.loaded_through and outcome.loaded_through != before:
        yield f"the run would load it {until(outcome.loaded_through)}"


def _facts_now(run: Predicted, outcome: Outcome) -> list[tuple[str, str]]:
    """What is known of the model besides."""
    now = run.now.get(outcome.name)
    facts: list[tuple[str, str]] = []
    if now is None:
        return facts
    if now.assumed_ready:
        called = "was not called" if len(now.assumed_ready) == 1 else "were not called"
        facts.append(("signals", f"{listed(now.assumed_ready)} {called}: assumed to be ready"))
    if now.next_restatement:
        facts.append(("restated", f"automatically at {minute(now.next_restatement)}"))
    if now.shared_with:
        facts.append(("shared", f"runs of {listed(now.shared_with)} load the same table"))
    return facts
