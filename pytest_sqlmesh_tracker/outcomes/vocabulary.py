"""The words for what happened to a model and why: statuses, reasons, causes."""

from __future__ import annotations

from enum import Enum
from typing import Literal


class Word(str, Enum):
    """Base of the words in a report. A member equals its value, and is formatted as its value."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(str(self.value), spec)


class RankedWord(Word):
    """Words whose members are in order of precedence."""

    @property
    def rank(self) -> int:
        """The position in the order of precedence, from 0."""
        return _RANKS[self]


class Status(Word):
    """What happened to a model. A member equals its value, and is formatted as its value."""

    EXECUTED = "executed"
    FAILED = "failed"
    SKIPPED = "skipped"
    AUDITED = "audited"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"


class Reason(RankedWord):
    """Why a model has its status. A member equals its value, and is formatted as its value.

    The order of the members is the order of precedence: the first reason that holds is the primary
    one.
    """

    NOT_IN_ENVIRONMENT = "not_in_environment"
    NOT_EVALUATABLE = "not_evaluatable"
    NOT_SELECTED = "not_selected"
    RESTATEMENT_REFUSED = "restatement_refused"
    ENDED = "ended"
    NOT_STARTED = "not_started"
    BACKFILL_SKIPPED = "backfill_skipped"
    BACKFILL_EMPTIED = "backfill_emptied"
    OUTSIDE_WINDOW = "outside_window"
    PLAN_LIMIT = "plan_limit"
    SIGNAL_NOT_READY = "signal_not_ready"
    UPSTREAM_NOT_READY = "upstream_not_ready"
    DEPENDS_ON_PAST_GAP = "depends_on_past_gap"
    UPSTREAM_FAILED = "upstream_failed"
    NOT_APPLIED = "not_applied"
    NO_PREVIEW = "no_preview"
    REUSED = "reused"
    NO_CHANGES = "no_changes"
    UP_TO_DATE = "up_to_date"
    CRON_NOT_DUE = "cron_not_due"
    NO_AUDITS = "no_audits"
    ERROR = "error"
    AUDIT_FAILED = "audit_failed"
    CREATION_FAILED = "creation_failed"
    ENVIRONMENT_CHANGED = "environment_changed"
    ENVIRONMENT_MISSING = "environment_missing"
    ENVIRONMENT_BUSY = "environment_busy"
    COMMAND_FAILED = "command_failed"
    ABORTED = "aborted"


class Cause(RankedWord):
    """Why an interval of a model was evaluated. A member equals its value, and is formatted as it.

    The order of the members is the order of precedence: an interval has the first cause that holds.
    """

    RESTATED = "restated"
    AUTO_RESTATED = "auto_restated"
    FIRST_LOAD = "first_load"
    REMOVED_BEFORE = "removed_before"
    FILLED_GAP = "filled_gap"
    NEW_INTERVAL = "new_interval"
    AHEAD_OF_CRON = "ahead_of_cron"
    RELOADED = "reloaded"
    AUDITS_CHANGED = "audits_changed"
    REQUESTED = "requested"


ONLY_AUDITED_KINDS = frozenset({"external", "embedded", "audit"})
"""Kinds, in lower case, in which there is nothing to evaluate but audits. Globs leave them out."""


UNREADY_ENVIRONMENT = frozenset({Reason.ENVIRONMENT_MISSING, Reason.ENVIRONMENT_BUSY})
"""The reasons why a run can't begin, whatever its models."""


_RANKS: dict[RankedWord, int] = {
    word: rank for words in (Reason, Cause) for rank, word in enumerate(words)
}


Evidence = Literal["observed", "inferred"]
"""`observed`: SQLMesh reported it; `inferred`: it was recomputed with SQLMesh's own functions."""
