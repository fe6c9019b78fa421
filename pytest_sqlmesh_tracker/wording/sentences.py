"""An outcome in one line: status, reason, and the fact that matters most."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from pytest_sqlmesh_tracker.outcomes.outcome import Outcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import (
    ONLY_AUDITED_KINDS,
    Cause,
    Reason,
    Status,
)

from .causes import causes_in_words
from .formats import (
    amount,
    listed,
    minute,
    one_line,
    quantity,
)
from .remarks import audit_label, failed_audits, remarks

_WHY = {
    Reason.NOT_IN_ENVIRONMENT: "it is not in the environment",
    Reason.NOT_EVALUATABLE: "{a_kind} model without audits has nothing to evaluate",
    Reason.NOT_SELECTED: "it was not selected",
    Reason.RESTATEMENT_REFUSED: "its restatement was refused",
    Reason.ENDED: "it is fully loaded up to its end date",
    Reason.NOT_STARTED: "it starts after the execution time",
    Reason.BACKFILL_SKIPPED: "the plan skips the backfill (skip_backfill)",
    Reason.BACKFILL_EMPTIED: "its intervals were marked as loaded without evaluation",
    Reason.OUTSIDE_WINDOW: "its missing intervals are outside the invocation's window",
    Reason.PLAN_LIMIT: "the plan loads only as far as its environment is loaded",
    Reason.SIGNAL_NOT_READY: "its signal was not ready",
    Reason.UPSTREAM_NOT_READY: "an upstream signal was not ready",
    Reason.DEPENDS_ON_PAST_GAP: "its own past has a gap",
    Reason.UPSTREAM_FAILED: "an upstream model failed",
    Reason.NOT_APPLIED: "the plan was not applied",
    Reason.NO_PREVIEW: "the plan does not preview its forward-only change",
    Reason.REUSED: "its data already existed",
    Reason.NO_CHANGES: "it did not change",
    Reason.UP_TO_DATE: "it had no missing intervals",
    Reason.CRON_NOT_DUE: "its cron was not due",
    Reason.NO_AUDITS: "it has no audits to run",
    Reason.ERROR: "its evaluation raised",
    Reason.AUDIT_FAILED: "a blocking audit failed",
    Reason.CREATION_FAILED: "its table or view could not be created",
    Reason.ENVIRONMENT_CHANGED: "the environment changed in the meantime",
    Reason.ENVIRONMENT_MISSING: "its environment does not exist",
    Reason.ENVIRONMENT_BUSY: "a plan of its environment was not finished",
    Reason.COMMAND_FAILED: "the command failed before evaluation",
    Reason.ABORTED: "the invocation was aborted",
}


_OF_SEEDS = {
    Reason.NO_CHANGES: "its seed is loaded",
    Reason.RESTATEMENT_REFUSED: "seeds are not restated",
}


_RAISED_AS, _FOLLOWED_BY = "raised as ", "followed by "
"""How the paragraphs of an error begin that follow the first failure."""


PARTLY_HELD_BACK = "partly held back"
LEFT_FOR_NEXT_RUN = "left for the next run"


_STATEMENT = re.compile(r"\n\s{0,20}LINE \d{1,9}: .*(?:\n\s*\^)?")


TIMED = {Reason.CRON_NOT_DUE, Reason.NOT_STARTED, Reason.UP_TO_DATE, Reason.NO_CHANGES}


def why(outcome: Outcome) -> str:
    """The note, or else the primary reason in words, without a full stop; empty without both."""
    return outcome.note or reason_in_words(outcome)


def reason_in_words(outcome: Outcome) -> str:
    """The primary reason in words, without a full stop; empty if there is none."""
    reason = outcome.reason
    if reason is None:
        return ""
    if outcome.status is Status.SKIPPED and Reason.PLAN_LIMIT in outcome.reasons:
        # Whether or not a start and an end were passed as well.
        reason = Reason.PLAN_LIMIT
    return what_failed(outcome) or _in_words(outcome, reason)


def _in_words(outcome: Outcome, reason: Reason) -> str:
    if outcome.kind == "seed" and reason in _OF_SEEDS:
        return _OF_SEEDS[reason]
    article = "an" if outcome.kind[:1] in "aeiou" else "a"
    return _WHY[reason].format(a_kind=f"{article} {outcome.kind}")


def what_failed(outcome: Outcome) -> str:
    """What failed, if that is known more precisely than the reason says; otherwise empty."""
    if outcome.reason in (Reason.CREATION_FAILED, Reason.COMMAND_FAILED):
        return outcome.failed_step or ""
    if outcome.reason is not Reason.ERROR:
        return ""
    for audit in outcome.audits:
        if audit.error is not None and audit.error == outcome.error:
            return f"its audit {audit_label(outcome, audit)} could not be run"
    failed = [batch for batch in outcome.batches if batch.status is Status.FAILED]
    if failed and failed[0].unrecorded:
        return f"{_written(outcome)}, but its interval could not be recorded"
    return ""


def _written(outcome: Outcome) -> str:
    if outcome.kind in ONLY_AUDITED_KINDS:
        return "its audits were run"
    return "its view was created" if outcome.kind == "view" else "its rows were written"


def which_batches(outcome: Outcome) -> str:
    """`in batch 3 of 5; 2 recorded` if the model failed, `2 of 5 batches recorded` if it was
    interrupted after some batches; empty if there was only one."""
    recorded, failed = len(outcome.recorded_batches), failed_batches(outcome)
    if failed:
        return f"{failed}; {f'{recorded:,}' if recorded else 'none'} recorded"
    several = outcome.status is Status.INTERRUPTED and recorded and len(outcome.batches) > 1
    return f"{recorded:,} of {quantity(len(outcome.batches), 'batch')} recorded" if several else ""


def failed_batches(outcome: Outcome) -> str:
    """`in batch 3 of 5`, counted from 1; empty if there was only one batch."""
    batches = outcome.batches
    failed = [batch for batch in batches if batch.status is Status.FAILED]
    if len(batches) < 2 or not failed:
        return ""
    if len(failed) == 1:
        count = max(batch.index for batch in batches if batch.round == failed[0].round) + 1
        return f"in batch {failed[0].index + 1:,} of {count:,}"
    return f"in {len(failed):,} of {quantity(len(batches), 'batch')}"


def error_text(first: str, *, followed_by: Iterable[str] = (), raised_as: str | None = None) -> str:
    """The text of an error in a report, in paragraphs, which `in_short` shortens again.

    Args:
        first: type and message of what failed first.
        followed_by: the same of the errors that followed while it was handled.
        raised_as: the same of the error that reached the caller, if it is another one.
    """
    paragraphs = [first, *(f"{_FOLLOWED_BY}{error}" for error in followed_by)]
    if raised_as is not None:
        paragraphs.append(f"{_RAISED_AS}{raised_as}")
    return "\n\n".join(paragraphs)


def in_short(error: str, limit: int = 200) -> str:
    """The message of an error, in one line.

    It leaves out the paragraphs on what the error was raised as, and the statement in which a
    database marks the position.
    """
    first, *rest = _STATEMENT.sub("", error).strip().split("\n\n")
    own = takewhile(lambda paragraph: not paragraph.startswith((_RAISED_AS, _FOLLOWED_BY)), rest)
    return one_line(" ".join([first, *own]), limit)


@dataclass(frozen=True)
class OutcomePhrases:
    """An outcome in words, in the parts from which sentences and rows of tables are composed."""

    status: str
    batches: str
    """`in batch 3 of 5; 2 recorded`; empty if the batches are not worth mentioning."""
    why: str
    """The reason, or the causes, without a full stop; empty if there are none."""
    detail: str
    """The fact that matters most; empty if there is none."""
    separator: str
    """The text between `why` and `detail`; a parenthesis that it opens is closed."""

    @property
    def headline(self) -> str:
        """The status with its batches: `failed in batch 3 of 5; 2 recorded`."""
        return f"{self.status}{self.before_batches}{self.batches}" if self.batches else self.status

    @property
    def before_batches(self) -> str:
        """The text between the status, or the reason, and `batches`."""
        return " " if self.batches.startswith("in ") else "; "

    @property
    def because(self) -> str:
        """The reason or the causes, with the fact that matters most."""
        if not (self.why and self.detail):
            return self.why or self.detail
        closed = ")" if self.separator.endswith("(") else ""
        return f"{self.why}{self.separator}{self.detail}{closed}"

    @property
    def line(self) -> str:
        """The whole outcome in one line."""
        return self._after(self.headline)

    @property
    def without_status(self) -> str:
        """Everything but the status, which has its own column in tables."""
        return self._after(self.batches)

    def _after(self, head: str) -> str:
        between = ": " if self.why else self.separator
        return between.join(filter(None, (head, self.because)))


def phrases_of(outcome: Outcome) -> OutcomePhrases:
    """The outcome in words, without the remarks."""
    status = str(outcome.status)
    if outcome.status is Status.EXECUTED:
        batches = f"in {quantity(len(outcome.recorded_batches), 'batch')}"
        return OutcomePhrases(status, batches, causes_in_words(outcome), left_out(outcome), "; ")
    if outcome.status is Status.AUDITED and not outcome.reason:
        failed = sum(not audit.passed for audit in outcome.audits)
        changed = causes_in_words(outcome) if Cause.AUDITS_CHANGED in outcome.causes else ""
        counts = f"{len(outcome.audits) - failed} passed, {failed} failed"
        return OutcomePhrases(status, "", counts, changed, "; ")
    detail, separator = _detail(outcome)
    return OutcomePhrases(status, which_batches(outcome), why(outcome), detail, separator)


def _detail(outcome: Outcome) -> tuple[str, str]:
    """The fact that matters most besides the reason, and the text before it."""
    if outcome.note:
        return "", ""
    if outcome.blocked_by:
        return listed(outcome.blocked_by), " ("
    if outcome.signals:
        return listed(tuple(outcome.signals)), " ("
    blocking = [audit_label(outcome, audit) for audit in failed_audits(outcome, blocking=True)]
    if outcome.reason is Reason.AUDIT_FAILED and blocking:
        return listed(blocking), " ("
    if outcome.error:
        raised = outcome.reason is Reason.ERROR and not what_failed(outcome)
        return in_short(outcome.error), " " if raised else ": "
    if outcome.next_due and outcome.reason in TIMED:
        return f"next due {minute(outcome.next_due)}", ", "
    if outcome.undetermined_cron and outcome.reason in TIMED:
        return f"next due when SQLMesh next considers {outcome.cron} due", ", "
    return "", ""


def sentence(outcome: Outcome) -> str:
    """The outcome in one line: status, reason or cause, the fact that matters most, remarks."""
    parts = (phrases_of(outcome).line, remarks(outcome))
    return " ".join("; ".join(filter(None, parts)).split())


def left_out(outcome: Outcome) -> str:
    """What happened to the rest of an executed model: `partly held back: …`; empty without one."""
    for reason in outcome.reasons:
        if reason is not Reason.PLAN_LIMIT:
            return f"{PARTLY_HELD_BACK}: {_in_words(outcome, reason)}"
    return _rest(outcome) if outcome.reasons else ""


def _rest(outcome: Outcome) -> str:
    """The rest in words. What a plan leaves is not held back: the next run loads it at once."""
    rest = f"the rest is {LEFT_FOR_NEXT_RUN}"
    return f"{rest}: {amount(outcome.held_back)}" if outcome.held_back else rest


def failure(outcome: Outcome) -> str:
    """What follows the model's name in the line with its error: ` raised ValueError: …`,
    `: its audit positive could not be run: …`."""
    error = in_short(outcome.error or "", 400)
    specific = what_failed(outcome)
    return f": {specific}: {error}" if specific else f" raised {error}"


def is_waiting(outcome: Outcome) -> bool:
    """Whether any of its intervals wait for something other than its cron."""
    return outcome.waiting_since is not None and outcome.reasons != (Reason.CRON_NOT_DUE,)
