"""An outcome as the row of a table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pytest_sqlmesh_tracker.outcomes.expected import unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.outcome import Outcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import UNREADY_ENVIRONMENT, Reason, Status

from .causes import causes_in_short
from .formats import (
    amount,
    minute,
    one_line,
    spans,
)
from .remarks import has_facts, remarks
from .sentences import (
    LEFT_FOR_NEXT_RUN,
    PARTLY_HELD_BACK,
    failed_batches,
    is_waiting,
    phrases_of,
    what_failed,
)

_OPEN_ENDED = {Reason.SIGNAL_NOT_READY, Reason.UPSTREAM_NOT_READY, Reason.DEPENDS_ON_PAST_GAP}
"""Reasons for which a model waits indefinitely."""


def reason_of(outcome: Outcome) -> str:
    """The sentence without the status, which has its own column."""
    return _with_remarks(outcome, one_line(phrases_of(outcome).without_status, 200))


def _with_remarks(outcome: Outcome, text: str) -> str:
    return "; ".join(filter(None, (text, remarks(outcome))))


def executed_and_why(outcome: Outcome) -> str:
    """The recorded intervals and the causes: `2024-01-13: restated (staging.orders)`."""
    recorded = spans(outcome.executed_intervals, limit=2)
    causes = causes_in_short(outcome)
    return ": ".join(filter(None, (recorded, causes))) if recorded else ""


def shown_reason(outcome: Outcome) -> Reason | None:
    """The reason that tables show: the primary one, unless a plan's limit is only part of it."""
    if outcome.status is Status.EXECUTED and outcome.reason is Reason.PLAN_LIMIT:
        return outcome.reasons[min(1, len(outcome.reasons) - 1)]
    return outcome.reason


@dataclass(frozen=True)
class ShortReason:
    """The reason that tables show, and the fact that matters most. As text, it is both."""

    reason: Reason | None
    separator: str
    """The text between the reason and the details; empty unless there are both."""
    details: str
    """What is known besides the reason; without a reason, the sentence without its status."""

    def __str__(self) -> str:
        return f"{self.reason or ''}{self.separator}{self.details}"


def reason_in_short(outcome: Outcome) -> ShortReason:
    """The shown reason, and the fact that matters most: `cron_not_due: next due 2024-01-14`.

    Without a reason, it is the sentence without its status. What a gate warns about follows.
    """
    short = _reason_in_short(outcome)
    taken = len(short.reason or "") + len(short.separator)
    short = replace(short, details=one_line(short.details, 240 - taken))
    return _followed_by("; ", remarks(outcome), _followed_by(", ", _waiting(outcome), short))


def _reason_in_short(outcome: Outcome) -> ShortReason:
    reason, words = shown_reason(outcome), phrases_of(outcome)
    if reason is None:
        return ShortReason(None, "", words.without_status)
    if reason in UNREADY_ENVIRONMENT:
        return ShortReason(reason, "", "")
    if outcome.status is Status.EXECUTED:
        return ShortReason(reason, ": ", _left_out(outcome, reason))
    detail = words.because if outcome.note or what_failed(outcome) else words.detail
    short = ShortReason(reason, "", "")
    return _followed_by(": ", detail, _followed_by(words.before_batches, words.batches, short))


def _followed_by(separator: str, more: str, short: ShortReason) -> ShortReason:
    """The short reason with more details, if there are any."""
    if not more:
        return short
    if short.details:
        return replace(short, details=f"{short.details}{separator}{more}")
    return replace(short, separator=separator if short.reason else "", details=more)


def _left_out(outcome: Outcome, reason: Reason) -> str:
    if reason is not Reason.PLAN_LIMIT:
        return PARTLY_HELD_BACK
    rest = amount(outcome.held_back) if outcome.held_back else "the rest"
    return f"{rest} {LEFT_FOR_NEXT_RUN}"


def _waiting(outcome: Outcome) -> str:
    if outcome.waiting_since and is_waiting(outcome) and _OPEN_ENDED & {*outcome.reasons}:
        return f"waiting since {minute(outcome.waiting_since)}"
    return ""


def result(outcome: Outcome) -> str:
    """What was recorded and why, why no more was, and what a gate warns about."""
    if outcome.status is Status.EXECUTED and outcome.reason is None:
        rest = remarks(outcome)
    elif has_own_error(outcome):
        reason = " ".join(filter(None, (str(outcome.reason), failed_batches(outcome))))
        rest = _with_remarks(outcome, reason)
    else:
        rest = str(reason_in_short(outcome))
    return "; ".join(filter(None, (executed_and_why(outcome), rest)))


def has_own_error(outcome: Outcome) -> bool:
    """Whether the outcome has an error that would fill a column of a table."""
    return outcome.reason in (Reason.ERROR, Reason.CREATION_FAILED) and bool(outcome.error)


def needs_attention(outcome: Outcome) -> bool:
    """Whether a gate without rules has a finding or a warning about the outcome."""
    return unexpected_by_default(outcome.status, outcome.reason) or has_facts(outcome)
