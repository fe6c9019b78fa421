"""What all renderings say in the same words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta

from pytest_sqlmesh_tracker.gate import has_facts, unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.outcomes import (
    UNREADY_ENVIRONMENT,
    ModelOutcome,
    Reason,
    Status,
)
from pytest_sqlmesh_tracker.reports.diff import Change, Comparison, Invocations
from pytest_sqlmesh_tracker.reports.report import Completion, RunReport
from pytest_sqlmesh_tracker.wording.causes import causes_in_short
from pytest_sqlmesh_tracker.wording.explanation import (
    failed_batches,
    is_waiting,
    remarks,
    what_failed,
    which_batches,
    why,
    with_batches,
)
from pytest_sqlmesh_tracker.wording.formats import amount, counted, minute, moment, one_line, spans

UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
"""Control characters, what has no width or turns the direction of text around, separators of lines,
halves of characters, which no encoding can write, and what is no character, which XML rejects."""

_OPEN_ENDED = {Reason.SIGNAL_NOT_READY, Reason.UPSTREAM_NOT_READY, Reason.DEPENDS_ON_PAST_GAP}
"""Reasons with which a model waits for nobody knows how long."""


def totals_line(reports: Sequence[RunReport], tests: int | None = None) -> str:
    """How many invocations there were, and how many models had each status in them.

    Those of repeated tries are left out, and counted at the end.
    """
    last = [report for report in reports if not report.superseded]
    told = statuses(outcome for report in last for outcome in report.outcomes.values())
    where = "" if tests is None else f" in {counted(tests, 'test')}"
    left_out = superseded(reports)
    more = f"; left out: {left_out}" if left_out else ""
    return f"{counted(len(last), 'invocation')}{where}: {told}{more}"


def superseded(reports: Iterable[RunReport]) -> str:
    """`2 invocations of repeated tries`; nothing where there are none."""
    number = sum(report.superseded for report in reports)
    return f"{counted(number, 'invocation')} of repeated tries" if number else ""


def statuses(outcomes: Iterable[ModelOutcome]) -> str:
    """How many have each status, of those that are counted: `9 executed, 1 failed`."""
    counts = Counter(outcome.status for outcome in outcomes if outcome.is_counted)
    told = ", ".join(f"{counts[status]:,} {status}" for status in Status if counts[status])
    return told or "no models"


def headline(report: RunReport) -> str:
    """The invocation in one line: command, environment, time and how it ended."""
    at = moment(report.execution_time)
    repeated = ", of a repeated try" if report.superseded else ""
    return name_of(
        f"{report.command} {report.environment}, execution_time {at}: {ended(report)}{repeated}"
    )


def ended(report: RunReport) -> str:
    """`success in 2.31 s`."""
    took = duration(report.finished_at - report.started_at)
    return f"{report.completion.replace('_', ' ')} in {took}"


def before_error(completion: Completion) -> str:
    """What stands before the error: `raised SQLMeshError: …`, `interrupted: terminated by …`."""
    return "interrupted:" if completion == "interrupted" else "raised"


def error_headline(error: str) -> str:
    """The first paragraph of an error in one line, with the second if that is all it introduces.

    What follows can be a table that SQLMesh has drawn, which would not survive.
    """
    first, *others = [part for part in error.split("\n\n") if part.strip()] or [error]
    introduces = first.rstrip().endswith(":")
    return one_line("\n".join([first, *others[:1]]) if introduces else first)


def printable(text: str) -> str:
    """The text without what steers a terminal or deceives its reader: `�` in its place."""
    return UNSEEN.sub("�", text)


def name_of(text: str) -> str:
    """A model's, test's or environment's name: printable, in one line, and not without end."""
    return printable(one_line(text, 300))


def reason_of(outcome: ModelOutcome) -> str:
    """The message without the status, which has a column of its own."""
    return _with_remarks(outcome, _why(outcome))


def _why(outcome: ModelOutcome) -> str:
    """The message without the status and without the remarks."""
    more = remarks(outcome)
    message = outcome.message.removesuffix(f"; {more}") if more else outcome.message
    return one_line(message.removeprefix(str(outcome.status)).lstrip(": "), 200)


def _with_remarks(outcome: ModelOutcome, text: str) -> str:
    return "; ".join(filter(None, (text, remarks(outcome))))


def executed_and_why(outcome: ModelOutcome) -> str:
    """The recorded intervals and the causes: `2024-01-13: restated (staging.orders)`."""
    recorded = spans(outcome.executed_intervals, limit=2)
    causes = causes_in_short(outcome)
    return ": ".join(filter(None, (recorded, causes))) if recorded else ""


def shown_reason(outcome: ModelOutcome) -> Reason | None:
    """The reason that tables name: the primary one, unless a plan's limit is but a part of it."""
    if outcome.status is Status.EXECUTED and outcome.reason is Reason.PLAN_LIMIT:
        return outcome.reasons[min(1, len(outcome.reasons) - 1)]
    return outcome.reason


def reason_in_short(outcome: ModelOutcome) -> str:
    """The shown reason, and what the message tells on top: `cron_not_due: next due 2024-01-14`.

    Without a reason, the message. What a gate warns of follows.
    """
    return _with_remarks(outcome, _reason_in_short(outcome) + _waiting(outcome))


def _reason_in_short(outcome: ModelOutcome) -> str:
    said = _why(outcome).lstrip("; ").removeprefix(which_batches(outcome)).lstrip(": ")
    reason = shown_reason(outcome)
    if reason is None:
        return said
    if reason in UNREADY_ENVIRONMENT:
        return str(reason)
    if outcome.status is Status.EXECUTED:
        return f"{reason}: {_left_out(outcome, reason)}"
    told = said if what_failed(outcome) else said.removeprefix(why(outcome)).lstrip(" ,:")
    if told.startswith("(") and told.endswith(")"):
        told = told[1:-1]
    word = with_batches(str(reason), outcome)
    return f"{word}: {told}" if told else word


def _left_out(outcome: ModelOutcome, reason: Reason) -> str:
    if reason is not Reason.PLAN_LIMIT:
        return "in part held back"
    return f"{amount(outcome.held_back) if outcome.held_back else 'the rest'} left to the next run"


def _waiting(outcome: ModelOutcome) -> str:
    if outcome.waiting_since and is_waiting(outcome) and _OPEN_ENDED & {*outcome.reasons}:
        return f", waiting since {minute(outcome.waiting_since)}"
    return ""


def result(outcome: ModelOutcome) -> str:
    """What was recorded and for which cause, why no more was, and what a gate warns of."""
    if outcome.status is Status.EXECUTED and outcome.reason is None:
        rest = remarks(outcome)
    elif has_own_error(outcome):
        reason = " ".join(filter(None, (str(outcome.reason), failed_batches(outcome))))
        rest = _with_remarks(outcome, reason)
    else:
        rest = reason_in_short(outcome)
    return "; ".join(filter(None, (executed_and_why(outcome), rest)))


def has_own_error(outcome: ModelOutcome) -> bool:
    """Whether it has an error that would fill a column of a table."""
    told = outcome.reason in (Reason.ERROR, Reason.CREATION_FAILED)
    return told and bool(outcome.error)


def needs_attention(outcome: ModelOutcome) -> bool:
    """Whether a gate without rules finds something in it, or warns of it."""
    return unexpected_by_default(outcome.status, outcome.reason) or has_facts(outcome)


def duration(took: timedelta | None) -> str:
    """`0.25 s`, `42 s`, `3 min 5 s`, `2 h 0 min`; nothing where it is not known."""
    if took is None:
        return ""
    if took.total_seconds() < 9.995:
        return f"{took.total_seconds():.2f} s"
    minutes, seconds = divmod(round(took.total_seconds()), 60)
    if not minutes:
        return f"{seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def change_of(change: Change) -> str:
    """How it differs: `now skipped, signal_not_ready: partner_feed`, `1.20 s → 4.50 s`."""
    old, new = change.old, change.new
    if old is None or change.kind == "no_longer_executed":
        return f"now {_state(new)}" if new else ""
    if new is None or change.kind == "newly_executed":
        return f"before: {_state(old)}"
    if change.kind in ("slower", "faster"):
        return f"{_pace(old)} → {_pace(new)}"
    if change.kind == "changed_cause":
        return f"{causes_in_short(old)} → {causes_in_short(new)}"
    if change.kind == "changed_rows":
        return f"{old.rows:,} → {new.rows:,}"
    return f"{_state(old)} → {_state(new)}"


def _state(outcome: ModelOutcome) -> str:
    joint = ", " if outcome.reason else " " if outcome.status is Status.EXECUTED else ": "
    return f"{outcome.status}{joint}{reason_in_short(outcome)}".rstrip(" ,:")


def _pace(outcome: ModelOutcome) -> str:
    return f"{duration(outcome.duration)} in {counted(len(outcome.recorded_batches), 'batch')}"


def compared(comparison: Comparison) -> str:
    """What is compared with what, in one line, with the times and how each ended."""
    old, new = comparison.old, comparison.new
    what = _either(invocations(old), invocations(new))
    at = _either(minute(old.execution_time), minute(new.execution_time))
    return name_of(f"{what}, {at}: {_end(old)} → {_end(new)}")


def invocations(one: Invocations) -> str:
    """`run of prod`, `24 runs of prod`, `run of dev, in test_shop.py::test_night (number 2)`."""
    many = f"{one.reports:,} {one.command}s" if one.reports > 1 else one.command
    number = f" (number {one.number})" if one.number and one.number > 1 else ""
    test = f", in {one_line(one.test, 150)}{number}" if one.test else ""
    return printable(f"{many} of {one_line(one.environment, 80)}{test}")


def _end(one: Invocations) -> str:
    completion, took = one.completion.replace("_", " "), duration(one.duration)
    return (
        f"the last: {completion}; {took} in all" if one.reports > 1 else f"{completion} in {took}"
    )


def _either(old: str, new: str) -> str:
    return old if old == new else f"{old} → {new}"
