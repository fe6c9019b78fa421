"""What is known of one model in one invocation, as data. Knows no SQLMesh."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import (
    field_serializer,
    model_validator,
)

from .types import Frozen, Interval, Seconds, UtcDatetime
from .vocabulary import (
    Cause,
    Evidence,
    Reason,
    Status,
)


class Batch(Frozen):
    """One evaluation of a model over one interval `[start, end)`, as SQLMesh scheduled it."""

    index: int
    """The batch's place among the model's batches of its round, from 0."""
    round: int = 0
    """A plan may evaluate in two rounds, and so does a restarted run; from 0."""
    start: UtcDatetime
    end: UtcDatetime
    status: Status
    duration: Seconds | None = None
    """Measured with `perf_counter`; None when the batch did not start or did not end."""
    rows: int | None = None
    bytes: int | None = None
    audits_passed: int = 0
    audits_failed: int = 0
    unrecorded: bool = False
    """It failed after it was evaluated and audited: SQLMesh could not record its interval, so its
    rows are written and the next run evaluates it again."""


class AuditOutcome(Frozen):
    """What one audit of a model found, over all batches that it was run for."""

    name: str
    arguments: Mapping[str, str] = {}
    """The audit's arguments as SQL."""
    blocking: bool = True
    passed: bool
    rows_failed: int = 0
    error: str | None = None
    """Type and message of the exception that its own query raised: it could not be run, so that it
    has neither passed nor found rows; `passed` is False."""


class Outcome(Frozen):
    """What is known of one model (or standalone audit) in one invocation, as data.

    Datetimes are timezone-aware and in UTC, intervals are half-open, durations are measured with
    `perf_counter`.
    """

    name: str
    """As users write it: without the default catalog. Unique within its report."""
    fqn: str
    """SQLMesh's quoted, fully qualified name; a standalone audit's bare name."""
    kind: str
    """SQLMesh's kind, in lower case; `audit` for a standalone audit."""
    cron: str | None = None
    undetermined_cron: bool = False
    """Whether it depends on the process when SQLMesh takes this cron for due; `next_due` is None
    then."""
    status: Status
    reason: Reason | None = None
    """The primary one of `reasons`; None for a model that executed and had nothing held back."""
    reasons: tuple[Reason, ...] = ()
    """All that hold, in order of precedence."""
    evidence: Mapping[Reason, Evidence] = {}
    """For each of `reasons`: did SQLMesh say so, or was it recomputed."""
    message: str = ""
    """The outcome in one line."""
    note: str | None = None
    """Why it has its status, in words, where that is more than its reason says: why the tracker
    could not tell, or what is the matter with the environment."""
    partial: bool = False
    """Failed or interrupted, but some of its batches were recorded."""
    local_edit: bool = False
    """Its definition in the project differs from the one in the environment that was run."""
    cause: Cause | None = None
    """The first of `causes`; None for a model of which no batch began."""
    causes: tuple[Cause, ...] = ()
    """Why its intervals were evaluated, or audited alone, in order of precedence."""
    cause_evidence: Mapping[Cause, Evidence] = {}
    """For each of `causes`: did SQLMesh say so, or was it recomputed."""
    intervals_by_cause: Mapping[Cause, tuple[Interval, ...]] = {}
    """For each of `causes` the intervals that have it; each evaluated interval has exactly one."""
    restated_by: tuple[str, ...] = ()
    """Names of the models whose restatement is the cause, of the user's or by a cron."""
    changed_by: tuple[str, ...] = ()
    """Names of the models whose change made the version that is loaded for the first time."""
    loaded_through: UtcDatetime | None = None
    """Exclusive end of what was loaded without a gap when the invocation ended."""
    waiting_since: UtcDatetime | None = None
    """End of the earliest complete interval that was missing at the execution time afterwards,
    whatever held it back; None where nothing was."""
    next_due: UtcDatetime | None = None
    """First cron tick at which something of it will be missing, if nothing else happens before."""
    held_back: tuple[Interval, ...] = ()
    """Still missing at the execution time after the invocation, for its `reasons`: what
    `ignore_cron=True` would have evaluated, what signals or a window left out, or what a plan left
    to time."""
    upstream_behind: Mapping[str, tuple[Interval, ...]] = {}
    """Model upstream → intervals that were evaluated here and were not loaded there at that moment:
    their rows may be missing for good."""
    blocked_by: tuple[str, ...] = ()
    """Names of the models at the root of `upstream_failed` or `upstream_not_ready`."""
    signals: Mapping[str, tuple[Interval, ...]] = {}
    """Of its own signals that were not ready: the intervals that each held back."""
    change_category: str | None = None
    error: str | None = None
    """Type and message of the exception that made it fail; of several, of the one that came first.
    What it was raised as, or was followed by, follows in paragraphs of its own."""
    failed_step: str | None = None
    """For `creation_failed` and `command_failed`: what failed, in words, where SQLMesh's exception
    tells (`its view sales.orders could not be created`)."""
    batches: tuple[Batch, ...] = ()
    audits: tuple[AuditOutcome, ...] = ()
    rows: int | None = None
    bytes: int | None = None
    duration: Seconds | None = None
    """Sum over its batches."""
    started_at: UtcDatetime | None = None
    finished_at: UtcDatetime | None = None
    start_order: int | None = None
    """Its place among the models of the report, by the start of its first batch, from 0."""
    upstream: tuple[str, ...] = ()
    """Names of its parents in the report, as SQLMesh has them: also what an embedded one reads."""

    @field_serializer("evidence", "cause_evidence", when_used="json")
    def _evidence_by_value(self, evidence: Mapping[Reason | Cause, Evidence]) -> dict[str, str]:
        return {str(key): kind for key, kind in evidence.items()}

    @field_serializer("intervals_by_cause", when_used="json")
    def _intervals_by_value(
        self, by_cause: Mapping[Cause, tuple[Interval, ...]]
    ) -> dict[str, tuple[Interval, ...]]:
        return {str(cause): intervals for cause, intervals in by_cause.items()}

    @model_validator(mode="after")
    def _reason_and_cause_are_the_first(self) -> Outcome:
        if self.reason is not (self.reasons[0] if self.reasons else None):
            raise ValueError("reason is not the first of reasons")
        if self.cause is not (self.causes[0] if self.causes else None):
            raise ValueError("cause is not the first of causes")
        return self

    @property
    def is_counted(self) -> bool:
        """Whether sets, totals and tables count it: all but external and embedded models without
        audits, in which there is nothing to evaluate."""
        return self.status is not Status.SKIPPED or self.reason is not Reason.NOT_EVALUATABLE

    @property
    def recorded_batches(self) -> tuple[Batch, ...]:
        """The batches that were evaluated and recorded."""
        return tuple(batch for batch in self.batches if batch.status is Status.EXECUTED)

    @property
    def executed_intervals(self) -> tuple[Interval, ...]:
        """What was evaluated and recorded, in order, adjacent batches merged."""
        merged: list[Interval] = []
        for batch in sorted(self.recorded_batches, key=lambda batch: batch.start):
            if merged and batch.start <= merged[-1].end:
                merged[-1] = Interval(merged[-1].start, max(merged[-1].end, batch.end))
            else:
                merged.append(Interval(batch.start, batch.end))
        return tuple(merged)
