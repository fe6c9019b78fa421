"""What is known about one model in one invocation, as data. Does not import SQLMesh."""

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
    """From 0. A plan may evaluate a model in two rounds, and so does a restarted run."""
    start: UtcDatetime
    """Inclusive."""
    end: UtcDatetime
    """Exclusive."""
    status: Status
    """`executed`, `failed`, `interrupted`, or `audited` where only audits ran."""
    duration: Seconds | None = None
    """Measured with `perf_counter`; None when the batch did not start or did not end."""
    rows: int | None = None
    """Rows that were written; None where the database does not report them, as DuckDB."""
    bytes: int | None = None
    """Bytes that were processed; None where the database does not report them."""
    audits_passed: int = 0
    """The number of audits that passed."""
    audits_failed: int = 0
    """The number of audits that failed."""
    unrecorded: bool = False
    """True if SQLMesh evaluated and audited the batch, but could not record its interval: its rows
    are written, and the next run evaluates it again."""


class AuditOutcome(Frozen):
    """The result of one audit of a model, over all batches that it ran for."""

    name: str
    """The audit's name."""
    arguments: Mapping[str, str] = {}
    """The audit's arguments as SQL."""
    blocking: bool = True
    """True if a failure of the audit fails its model."""
    passed: bool
    """False if it found rows or could not be run."""
    rows_failed: int = 0
    """The number of rows that it found."""
    error: str | None = None
    """Type and message of the exception that its own query raised. Such an audit could not be run:
    it has neither passed nor found rows."""


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
    file: str | None = None
    """The file that defines it, relative to the project's folder (to the common one of several),
    with `/` between folders; None if the project's files were not read, or do not define it."""
    cron: str | None = None
    """The model's cron expression."""
    undetermined_cron: bool = False
    """True if the moment at which SQLMesh considers this cron due depends on the process; then
    `next_due` is None."""
    safe_cron: str | None = None
    """For an undetermined cron: the rarest one with equal gaps that ticks whenever this one does,
    and that SQLMesh determines; None if it accepts no such cron."""
    status: Status
    """What happened to the model."""
    reason: Reason | None = None
    """The primary reason, which is the first of `reasons`; None for a model that executed and of
    which nothing was held back."""
    reasons: tuple[Reason, ...] = ()
    """All reasons that hold, in order of precedence."""
    evidence: Mapping[Reason, Evidence] = {}
    """For each of `reasons`: `observed` if SQLMesh reported it, `inferred` if it was recomputed."""
    message: str = ""
    """The outcome in one line."""
    note: str | None = None
    """Why it has its status, in words, where that is more than its reason says: why its status is
    unknown, or what is wrong with the environment."""
    partial: bool = False
    """True if the model failed or was interrupted, but some of its batches were recorded."""
    local_edit: bool = False
    """True if its definition in the project differs from the one in the environment that was
    run."""
    stubbed: bool = False
    """True if it has a test's data instead of its query."""
    cause: Cause | None = None
    """The primary cause, which is the first of `causes`; None if no batch of the model began."""
    causes: tuple[Cause, ...] = ()
    """Why its intervals were evaluated, or only audited, in order of precedence."""
    cause_evidence: Mapping[Cause, Evidence] = {}
    """For each of `causes`: `observed` or `inferred`, as in `evidence`."""
    intervals_by_cause: Mapping[Cause, tuple[Interval, ...]] = {}
    """For each of `causes`, its intervals. Each evaluated interval has exactly one cause."""
    restated_by: tuple[str, ...] = ()
    """Names of the models whose restatement is the cause, whether by the user or by a cron."""
    changed_by: tuple[str, ...] = ()
    """Names of the models whose change made the version that is loaded for the first time."""
    loaded_through: UtcDatetime | None = None
    """The exclusive end of what was loaded without a gap when the invocation ended."""
    waiting_since: UtcDatetime | None = None
    """The end of the earliest complete interval that was still missing at the execution time after
    the invocation, whatever held it back; None if nothing was missing."""
    next_due: UtcDatetime | None = None
    """The first cron tick at which an interval will be missing, if nothing else happens before."""
    held_back: tuple[Interval, ...] = ()
    """Intervals that were still missing at the execution time after the invocation, for its
    `reasons`: what `ignore_cron=True` would have evaluated, what signals or a window left out, or
    what a plan left for the next run."""
    upstream_behind: Mapping[str, tuple[Interval, ...]] = {}
    """Upstream model → intervals that were evaluated here before they were loaded there: their rows
    may be missing for good."""
    blocked_by: tuple[str, ...] = ()
    """Names of the models at the root of `upstream_failed` or `upstream_not_ready`."""
    signals: Mapping[str, tuple[Interval, ...]] = {}
    """For each of its own signals that was not ready, the intervals that it held back."""
    change_category: str | None = None
    """SQLMesh's category of the change that made this version, such as `breaking`."""
    error: str | None = None
    """Type and message of the exception that made the model fail; of several, the first one. The
    exceptions that followed from it have paragraphs of their own."""
    failed_step: str | None = None
    """For `creation_failed` and `command_failed`: the step that failed, in words, if SQLMesh's
    exception shows it (`its view sales.orders could not be created`)."""
    batches: tuple[Batch, ...] = ()
    """The batches that were scheduled, in order."""
    audits: tuple[AuditOutcome, ...] = ()
    """The audits that ran."""
    rows: int | None = None
    """The sum over its batches; None where the database does not report rows."""
    bytes: int | None = None
    """The sum over its batches; None where the database does not report bytes."""
    duration: Seconds | None = None
    """The sum over its batches."""
    started_at: UtcDatetime | None = None
    """When its first batch started."""
    finished_at: UtcDatetime | None = None
    """When its last batch ended."""
    start_order: int | None = None
    """The model's place in the order in which the models of the report started, from 0."""
    upstream: tuple[str, ...] = ()
    """Names of its parents in the report, including those that it reads through embedded models."""

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
            raise ValueError("reason must be the first of reasons")
        if self.cause is not (self.causes[0] if self.causes else None):
            raise ValueError("cause must be the first of causes")
        return self

    @property
    def is_counted(self) -> bool:
        """Whether sets, totals and tables count the model: False for external and embedded models
        without audits, in which there is nothing to evaluate."""
        return self.status is not Status.SKIPPED or self.reason is not Reason.NOT_EVALUATABLE

    @property
    def recorded_batches(self) -> tuple[Batch, ...]:
        """The batches that were evaluated and recorded."""
        return tuple(batch for batch in self.batches if batch.status is Status.EXECUTED)

    @property
    def executed_intervals(self) -> tuple[Interval, ...]:
        """The intervals that were evaluated and recorded, in order; adjacent ones are merged."""
        merged: list[Interval] = []
        for batch in sorted(self.recorded_batches, key=lambda batch: batch.start):
            if merged and batch.start <= merged[-1].end:
                merged[-1] = Interval(merged[-1].start, max(merged[-1].end, batch.end))
            else:
                merged.append(Interval(batch.start, batch.end))
        return tuple(merged)
