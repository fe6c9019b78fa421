"""The words for an outcome: one line, or the paragraph that a failed assertion shows."""

from __future__ import annotations

import re
from datetime import timedelta, timezone
from itertools import takewhile
from typing import TYPE_CHECKING

from pytest_sqlmesh_tracker.outcomes.outcomes import (
    UNREADY_ENVIRONMENT,
    AuditOutcome,
    Batch,
    Cause,
    ModelOutcome,
    Reason,
    Status,
)

from .causes import cause_facts, causes_in_words
from .formats import (
    amount,
    counted,
    listed,
    midnight,
    minute,
    moment,
    one_line,
    shortened,
    span,
    spans,
)

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.reports.report import EnvironmentState, RunReport

_WHY = {
    Reason.NOT_IN_ENVIRONMENT: "it is not in the environment",
    Reason.NOT_EVALUATABLE: "there is nothing to evaluate in {a_kind} model without audits",
    Reason.NOT_SELECTED: "it was not selected",
    Reason.RESTATEMENT_REFUSED: "its restatement was refused",
    Reason.ENDED: "all is loaded up to its end",
    Reason.NOT_STARTED: "its start is still to come",
    Reason.BACKFILL_SKIPPED: "the plan was told to skip the backfill",
    Reason.BACKFILL_EMPTIED: "its intervals were marked as loaded without evaluation",
    Reason.OUTSIDE_WINDOW: "the invocation's window left it out",
    Reason.PLAN_LIMIT: "the plan loads no further than its environment has got",
    Reason.SIGNAL_NOT_READY: "its signal was not ready",
    Reason.UPSTREAM_NOT_READY: "an upstream signal was not ready",
    Reason.DEPENDS_ON_PAST_GAP: "there is a gap in its own past",
    Reason.UPSTREAM_FAILED: "a model upstream failed",
    Reason.NOT_APPLIED: "the plan was not applied",
    Reason.NO_PREVIEW: "the plan makes no preview of its forward-only change",
    Reason.REUSED: "its data was already there",
    Reason.NO_CHANGES: "it did not change",
    Reason.UP_TO_DATE: "nothing of it was missing",
    Reason.CRON_NOT_DUE: "its cron was not due",
    Reason.NO_AUDITS: "it has no audits to run",
    Reason.ERROR: "its evaluation raised",
    Reason.AUDIT_FAILED: "a blocking audit failed",
    Reason.CREATION_FAILED: "its table or view could not be created",
    Reason.ENVIRONMENT_CHANGED: "the environment was changed meanwhile",
    Reason.ENVIRONMENT_MISSING: "its environment does not exist",
    Reason.ENVIRONMENT_BUSY: "a plan of its environment was not finished",
    Reason.COMMAND_FAILED: "the command failed before it was evaluated",
    Reason.ABORTED: "the invocation was aborted",
}
_OF_SEEDS = {
    Reason.NO_CHANGES: "its seed is loaded",
    Reason.RESTATEMENT_REFUSED: "seeds are not restated",
}
RAISED_AS, FOLLOWED_BY = "raised as ", "followed by "
"""How the paragraphs begin that follow what failed first, in the text of an error."""
_STATEMENT = re.compile(r"\n\s{0,20}LINE \d{1,9}: .*(?:\n\s*\^)?")
_ONLY_AUDITED = frozenset({"external", "embedded", "audit"})
_VERBS = dict.fromkeys(Status, "was ") | {Status.FAILED: "", Status.UNKNOWN: "is "}
_BY_TIME = {Reason.NO_CHANGES, Reason.REUSED}
"""Reasons of a plan beside which time alone has made something missing."""
_TIMED = {Reason.CRON_NOT_DUE, Reason.NOT_STARTED, Reason.UP_TO_DATE, Reason.NO_CHANGES}


def why(outcome: ModelOutcome) -> str:
    """The primary reason in words, without a full stop; empty when there is none."""
    reason = outcome.reason
    if reason is None:
        return ""
    if outcome.status is Status.SKIPPED and Reason.PLAN_LIMIT in outcome.reasons:
        # Whether or not a start and an end were given as well.
        reason = Reason.PLAN_LIMIT
    return what_failed(outcome) or _in_words(outcome, reason)


def _in_words(outcome: ModelOutcome, reason: Reason) -> str:
    if outcome.kind == "seed" and reason in _OF_SEEDS:
        return _OF_SEEDS[reason]
    article = "an" if outcome.kind[:1] in "aeiou" else "a"
    return _WHY[reason].format(a_kind=f"{article} {outcome.kind}")


def what_failed(outcome: ModelOutcome) -> str:
    """What failed, where that is known better than the reason says it; else empty."""
    if outcome.reason in (Reason.CREATION_FAILED, Reason.COMMAND_FAILED):
        return outcome.failed_step or ""
    if outcome.reason is not Reason.ERROR:
        return ""
    for audit in outcome.audits:
        if audit.error is not None and audit.error == outcome.error:
            return f"its audit {_label(outcome, audit)} could not be run"
    failed = [batch for batch in outcome.batches if batch.status is Status.FAILED]
    if failed and failed[0].unrecorded:
        return f"{_written(outcome)}, but its interval could not be recorded"
    return ""


def _written(outcome: ModelOutcome) -> str:
    if outcome.kind in _ONLY_AUDITED:
        return "its audits were run"
    return "its view is created" if outcome.kind == "view" else "its rows are written"


def which_batches(outcome: ModelOutcome) -> str:
    """`in batch 3 of 5; 2 recorded` of what failed, `2 of 5 batches recorded` of what was
    interrupted after some; empty where there was one batch."""
    recorded, failed = len(outcome.recorded_batches), failed_batches(outcome)
    if failed:
        return f"{failed}; {f'{recorded:,}' if recorded else 'none'} recorded"
    several = outcome.status is Status.INTERRUPTED and recorded and len(outcome.batches) > 1
    return f"{recorded:,} of {counted(len(outcome.batches), 'batch')} recorded" if several else ""


def with_batches(word: str, outcome: ModelOutcome) -> str:
    """The word for what became of it, with its batches: `failed in batch 3 of 5; 2 recorded`."""
    batches = which_batches(outcome)
    joint = " " if batches.startswith("in ") else "; "
    return f"{word}{joint}{batches}" if batches else word


def failed_batches(outcome: ModelOutcome) -> str:
    """`in batch 3 of 5`, counted from 1; empty where there was one batch."""
    batches = outcome.batches
    failed = [batch for batch in batches if batch.status is Status.FAILED]
    if len(batches) < 2 or not failed:
        return ""
    if len(failed) == 1:
        count = max(batch.index for batch in batches if batch.round == failed[0].round) + 1
        return f"in batch {failed[0].index + 1:,} of {count:,}"
    return f"in {len(failed):,} of {counted(len(batches), 'batch')}"


def in_short(error: str, limit: int = 200) -> str:
    """What an error says, in one line.

    Without the paragraphs on what it was raised as, and without the statement in which a database
    shows the place.
    """
    first, *rest = _STATEMENT.sub("", error).strip().split("\n\n")
    own = takewhile(lambda paragraph: not paragraph.startswith((RAISED_AS, FOLLOWED_BY)), rest)
    return one_line(" ".join([first, *own]), limit)


def sentence(outcome: ModelOutcome) -> str:
    """The outcome in one line: status, reason or cause, the fact that matters most, remarks."""
    parts = (_what_and_why(outcome), remarks(outcome))
    return " ".join("; ".join(filter(None, parts)).split())


def remarks(outcome: ModelOutcome) -> str:
    """What a gate warns of, whatever the status: failed non-blocking audits, upstream behind."""
    return "; ".join(filter(None, (nonblocking_failures(outcome), ahead_of_upstream(outcome))))


def ahead_of_upstream(outcome: ModelOutcome) -> str:
    """`evaluated ahead of s.orders, which had not loaded 2024-01-07`; empty where nothing is."""
    behind = outcome.upstream_behind
    if len(behind) > 1:
        names = [f"{name} ({spans(lacking, limit=1)})" for name, lacking in behind.items()]
        return f"evaluated ahead of {len(behind)} models that were not loaded: {listed(names)}"
    return "".join(
        f"evaluated ahead of {name}, which had not loaded {spans(lacking)}"
        for name, lacking in behind.items()
    )


def left_out(outcome: ModelOutcome) -> str:
    """Of an executed model, what became of the rest: `in part held back: …`; empty without one."""
    for reason in outcome.reasons:
        if reason is not Reason.PLAN_LIMIT:
            return f"in part held back: {_in_words(outcome, reason)}"
    return _rest(outcome) if outcome.reasons else ""


def _rest(outcome: ModelOutcome) -> str:
    """What a plan leaves is not held back: the next run loads it at once."""
    rest = "the rest is left to the next run"
    return f"{rest}: {amount(outcome.held_back)}" if outcome.held_back else rest


def nonblocking_failures(outcome: ModelOutcome) -> str:
    """`a non-blocking audit failed: positive (3 rows)`; empty where none did."""
    failed = failed_audits(outcome, blocking=False)
    if not failed:
        return ""
    what = "a non-blocking audit" if len(failed) == 1 else f"{len(failed)} non-blocking audits"
    names = [audit_in_words(outcome, audit) for audit in failed]
    return f"{what} failed: {listed(names)}"


def failed_audits(outcome: ModelOutcome, *, blocking: bool) -> list[AuditOutcome]:
    """Its audits that found rows, of those that block or of those that do not."""
    return [
        a for a in outcome.audits if a.blocking is blocking and not a.passed and a.error is None
    ]


def audit_in_words(outcome: ModelOutcome, audit: AuditOutcome) -> str:
    """`positive (3 rows)`; with its arguments where another audit of the model has its name."""
    rows = f" ({counted(audit.rows_failed, 'row')})" if audit.rows_failed else ""
    return _label(outcome, audit) + rows


def _label(outcome: ModelOutcome, audit: AuditOutcome) -> str:
    label = audit.name
    if sum(other.name == audit.name for other in outcome.audits) > 1:
        label += f"({', '.join(f'{name} := {sql}' for name, sql in audit.arguments.items())})"
    return one_line(label, 120)


def _what_and_why(outcome: ModelOutcome) -> str:
    """Status, reason and the fact that matters most."""
    if outcome.status is Status.EXECUTED:
        line = f"executed in {counted(len(outcome.recorded_batches), 'batch')}"
        evaluated = ": ".join(filter(None, (line, causes_in_words(outcome))))
        return "; ".join(filter(None, (evaluated, left_out(outcome))))
    status = with_batches(str(outcome.status), outcome)
    line = f"{status}: {why(outcome)}" if outcome.reason else status
    if outcome.status is Status.AUDITED and not outcome.reason:
        failed = sum(not audit.passed for audit in outcome.audits)
        changed = causes_in_words(outcome) if Cause.AUDITS_CHANGED in outcome.causes else ""
        counts = f"audited: {len(outcome.audits) - failed} passed, {failed} failed"
        return "; ".join(filter(None, (counts, changed)))
    if outcome.blocked_by:
        return f"{line} ({listed(outcome.blocked_by)})"
    if outcome.signals:
        return f"{line} ({listed(tuple(outcome.signals))})"
    blocking = [_label(outcome, audit) for audit in failed_audits(outcome, blocking=True)]
    if outcome.reason is Reason.AUDIT_FAILED and blocking:
        return f"{line} ({listed(blocking)})"
    if outcome.error:
        return f"{line}{_joint(outcome)}{in_short(outcome.error)}"
    if outcome.next_due and outcome.reason in _TIMED:
        return f"{line}, next due {minute(outcome.next_due)}"
    if outcome.undetermined_cron and outcome.reason in _TIMED:
        return f"{line}, next due when SQLMesh next takes {outcome.cron} for due"
    return line


def failure(outcome: ModelOutcome) -> str:
    """What follows the model's name where its error has a line of its own: ` raised ValueError: …`,
    `: its audit positive could not be run: …`."""
    error = in_short(outcome.error or "", 400)
    specific = what_failed(outcome)
    return f": {specific}: {error}" if specific else f" raised {error}"


def _joint(outcome: ModelOutcome) -> str:
    """Between the reason and the error."""
    raised = outcome.reason is Reason.ERROR and not what_failed(outcome)
    return " " if raised else ": "


def notes(report: RunReport) -> list[str]:
    """What concerns the invocation as a whole and its error does not say; a line each."""
    lines = []
    if report.environment_state:
        words = environment_words(report.environment, report.environment_state)
        if words not in (report.error or ""):
            lines.append(words)
    if report.project_files == "not_read":
        why_not = one_line(report.project_files_note or "unknown")
        lines.append(f"the project's files were not read: {why_not}")
    return lines


def environment_words(environment: str, state: EnvironmentState) -> str:
    """Why the environment can't be run, what helps, and which environments exist: in one line."""
    return (
        f"{environment_problem(environment, state)}; {environment_remedy(environment, state)} "
        f"(environments: {existing_environments(state)})"
    )


def environment_problem(environment: str, state: EnvironmentState) -> str:
    """Why the environment can't be run."""
    if state.unfinished_plan is None:
        return f"environment {environment} does not exist"
    return f"plan {state.unfinished_plan[:8]} of {environment} is not finished"


def environment_remedy(environment: str, state: EnvironmentState) -> str:
    """What helps."""
    if state.unfinished_plan is None:
        return f"create it by a plan of {environment}"
    return f"if it failed or was stopped, apply a plan of {environment}: until then, runs wait"


def existing_environments(state: EnvironmentState) -> str:
    """The names of the environments that exist."""
    return listed(state.environments, 10) or "none"


def paragraph(
    report: RunReport | None,
    outcome: ModelOutcome,
    complaint: str | None = None,
    condition: str | None = None,
) -> str:
    """Headline with the reason, aligned facts, and a remedy where one is known to be true.

    Args:
        report: the one that has the outcome; without it, what the outcome has by itself.
        complaint: what a test demanded in vain, such as "was not executed".
        condition: what is true of the model instead, where its status and reason do not say it.
    """
    facts = _facts(report, outcome)
    if report:
        at = f"{report.environment}, execution_time {moment(report.execution_time)}"
        facts = [(report.command, at), *facts, (f"this {report.command}", totals(report))]
    width = max(12, *(len(label) + 2 for label, _ in facts)) if facts else 12
    lines = [_headline(report, outcome, complaint, condition)]
    for label, fact in facts:
        first, *rest = fact.splitlines() or [""]
        lines.append(f"  {label:<{width}}{first}")
        lines += [f"  {'':<{width}}{line}" for line in rest]
    remedy = _remedy(report, outcome) if report else ""
    if remedy:
        lines += ["", remedy]
    return "\n".join(lines)


def totals(report: RunReport) -> str:
    """How many models have each status; few executed ones by name."""
    parts = []
    for status in Status:
        names = [outcome.name for outcome in report.counted if outcome.status is status]
        if names:
            named = status in (Status.EXECUTED, Status.FAILED) and len(names) <= 3
            parts.append(f"{len(names)} {status}" + (f" ({', '.join(names)})" if named else ""))
    return ", ".join(parts) or "no models"


def _headline(
    report: RunReport | None, outcome: ModelOutcome, complaint: str | None, condition: str | None
) -> str:
    if complaint is None:
        said = outcome.message or sentence(outcome)
        if report and report.environment_state and outcome.reason in UNREADY_ENVIRONMENT:
            problem = environment_problem(report.environment, report.environment_state)
            said = f"{outcome.status}: {problem}"
        return f"{outcome.name} {_VERBS[outcome.status]}{one_line(said, 160)}"
    return f"{outcome.name} {complaint}: {condition or _condition(outcome, complaint)}"


def _condition(outcome: ModelOutcome, complaint: str) -> str:
    """What is true of the model instead, without repeating the complaint."""
    if outcome.status is Status.UNKNOWN:
        because = outcome.message.removeprefix("unknown").lstrip(": ")
        return (
            f"the tracker could not tell ({because})" if because else "the tracker could not tell"
        )
    if outcome.status is Status.EXECUTED:
        told = sentence(outcome)
        said = complaint.startswith("was executed")
        return told.removeprefix("executed ") if said else f"it was {told}"
    reason = why(outcome)
    if not reason:
        return f"it was only {sentence(outcome)}"
    if outcome.status is Status.FAILED and not complaint.startswith("failed"):
        return f"it failed, {reason}"
    if outcome.status is Status.INTERRUPTED:
        return f"it was interrupted, {reason}"
    return reason


def _facts(report: RunReport | None, outcome: ModelOutcome) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    if outcome.cron and (outcome.reason in _TIMED or outcome.next_due):
        due = f", next due {moment(outcome.next_due)}" if outcome.next_due else ""
        facts.append(("cron", f"{outcome.cron}{due}"))
        if outcome.undetermined_cron:
            facts.append(("", "its gaps differ: when it is due depends on the SQLMesh process"))
    intervals = _interval_facts(outcome)
    if intervals:
        facts.append(("intervals", intervals))
    if outcome.waiting_since and is_waiting(outcome):
        facts.append(("waiting", f"since {moment(outcome.waiting_since)}"))
    for name, held in outcome.signals.items():
        facts.append(("signal", f"{name} held back {spans(held)}"))
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
            rows = f"{counted(audit.rows_failed, 'row')} failed"
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
    others = [str(reason) for reason in outcome.reasons if reason is not outcome.reason]
    if others:
        facts.append(("also", ", ".join(others)))
    if outcome.local_edit:
        facts.append(("local edit", "the project has another definition than the environment"))
    return facts


def _interval_facts(outcome: ModelOutcome) -> str:
    lines = []
    if outcome.loaded_through:
        end = outcome.loaded_through.astimezone(timezone.utc)
        day = f"{end - timedelta(days=1):%Y-%m-%d}"
        lines.append(f"loaded through {day}" if midnight(end) else f"loaded up to {moment(end)}")
    if outcome.held_back:
        lines.append(f"{amount(outcome.held_back)} {_held(outcome)}: {spans(outcome.held_back)}")
    return "\n".join(lines)


def _held(outcome: ModelOutcome) -> str:
    """By what intervals are held back, where that is known from the primary reason alone."""
    if outcome.reasons == (Reason.PLAN_LIMIT,):
        return "left to the next run"
    if outcome.reason is Reason.CRON_NOT_DUE:
        return "held back by cron"
    return "held back by time" if outcome.reason in _BY_TIME else "held back"


def is_waiting(outcome: ModelOutcome) -> bool:
    """Whether something of it waits, and for something else than its cron."""
    return outcome.waiting_since is not None and outcome.reasons != (Reason.CRON_NOT_DUE,)


def _batch_facts(outcome: ModelOutcome) -> str:
    lines = [f"{len(outcome.recorded_batches)} of {len(outcome.batches)} recorded"]
    failed = [batch for batch in outcome.batches if batch.status is Status.FAILED]
    lines += [_batch_fact(batch) for batch in failed[:3]]
    return "\n".join(lines)


def _batch_fact(batch: Batch) -> str:
    failed = "could not be recorded" if batch.unrecorded else "failed"
    return f"batch {batch.index + 1} {failed}: {span(batch.start, batch.end)}"


def _remedy(report: RunReport, outcome: ModelOutcome) -> str:
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
            return "It has audits: name it among the models to run them."
        return "It had work to do: select it to evaluate it."
    if outcome.status is Status.SKIPPED and Reason.PLAN_LIMIT in outcome.reasons:
        return "It had work to do beyond what its environment has: plan with run=True."
    if outcome.status is Status.SKIPPED and outcome.reasons == (Reason.OUTSIDE_WINDOW,):
        return f"It had work to do at this execution_time: {_wider(report)} to evaluate it."
    if outcome.reason is Reason.NOT_IN_ENVIRONMENT:
        what = "A restatement" if command == "plan" else "A run"
        return f"{what} evaluates what was planned: apply a plan that adds it."
    return ""


def _wider(report: RunReport) -> str:
    """How to widen the window: without an end, SQLMesh ends it at the time of the call."""
    given = {name for name in ("start", "end") if report.arguments.get(name)}
    to_come = report.execution_time > report.finished_at
    return "pass it as end, too," if to_come and not given else "widen start and end"
