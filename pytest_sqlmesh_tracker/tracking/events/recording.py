"""What is recorded of one invocation, as plain facts: nothing here judges, or calls SQLMesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from pytest_sqlmesh_tracker.outcomes.invocation import Command, EnvironmentState
from pytest_sqlmesh_tracker.tracking.errors.exceptions import Connection
from pytest_sqlmesh_tracker.tracking.errors.redaction import Secrets
from pytest_sqlmesh_tracker.tracking.spans import Millis, Span
from pytest_sqlmesh_tracker.tracking.sqlmesh_objects import Snapshot


@dataclass(frozen=True)
class Lifetime:
    """When a model starts and ends, if it says so by the clock ("1 week ago"), as of a moment."""

    start: Any
    end: Any


@dataclass(frozen=True)
class FrozenSnapshot:
    """A SQLMesh snapshot as it was, which SQLMesh goes on changing."""

    snapshot: Any
    """A copy: the versions of a plan that is not applied are categorized anew by the next one."""
    intervals: tuple[Span, ...]
    dev_intervals: tuple[Span, ...]
    pending: tuple[Span, ...]
    """What automatic restatements removed and no run has loaded again."""
    change_category: str | None
    next_restatement: Millis | None
    """When SQLMesh will restate the model by its `auto_restatement_cron`."""
    lifetime: Lifetime | None = None
    """None: its node's start and end mean the same at any time."""

    @classmethod
    def of(cls, snapshot: Snapshot, lifetime: Lifetime | None = None) -> FrozenSnapshot:
        """The snapshot as it is now."""
        category = getattr(snapshot, "change_category", None)
        return cls(
            snapshot=snapshot.copy(),
            intervals=tuple(snapshot.intervals),
            dev_intervals=tuple(snapshot.dev_intervals),
            pending=tuple(snapshot.pending_restatement_intervals),
            change_category=None if category is None else category.name.lower(),
            next_restatement=snapshot.next_auto_restatement_ts,
            lifetime=lifetime,
        )

    def thawed(self) -> Any:
        """A snapshot to compute with: a copy that has the frozen intervals and lifetime."""
        copy = self.snapshot.copy()
        if self.lifetime:
            # Only now: SQLMesh computes what it knows of a node's cron after it was frozen.
            lifetime = {"start": self.lifetime.start, "end": self.lifetime.end}
            copy.node = copy.node.copy(update=lifetime)
        copy.intervals = list(self.intervals)
        copy.dev_intervals = list(self.dev_intervals)
        copy.pending_restatement_intervals = list(self.pending)
        copy.next_auto_restatement_ts = self.next_restatement
        return copy


@dataclass(frozen=True)
class AuditResult:
    """What the evaluator returned for one audit over one interval."""

    name: str
    arguments: Mapping[str, str]
    blocking: bool
    rows_failed: int
    error: str | None = None
    """Type and message of what its own query raised: it could not be run."""


@dataclass(frozen=True)
class SignalCheck:
    """One signal's answer: the intervals that it checked, and those that it let through."""

    signal: str
    checked: tuple[Span, ...]
    ready: tuple[Span, ...]


@dataclass(frozen=True)
class NodeFailure:
    """A node of SQLMesh's schedule that raised: a batch, or (`batch` None) a table's creation."""

    name: str
    batch: int | None
    error: str | None
    """Type and message; None where SQLMesh only reports failed audits, as `Context.audit` does."""
    audits: tuple[AuditResult, ...] | None
    """The blocking audits that failed; None when something else raised."""
    audit: AuditResult | None = None
    """The audit that could not be run, where its own query is what raised."""
    unrecorded: bool = False
    """It was evaluated and audited; then its interval could not be recorded in the state."""
    connection: Connection = None
    step: str | None = None
    """What of a table's or a view's creation failed, in words."""


@dataclass(frozen=True)
class BatchEnd:
    """An update callback: the batch ended, `recorded` only if SQLMesh had a duration for it."""

    recorded: bool
    started_at: datetime | None
    finished_at: datetime
    seconds: float | None
    """Measured with `perf_counter`."""
    rows: int | None
    bytes: int | None
    audits_passed: int
    audits_failed: int
    failure: NodeFailure | None = None
    """What it raised, when it was not recorded."""
    interrupted: bool = False
    """What it raised was no ordinary exception: a KeyboardInterrupt or the like."""
    triggers: tuple[str, ...] | None = None
    """The models whose automatic restatement SQLMesh names as what triggered it; None before
    SQLMesh 0.210."""


@dataclass(frozen=True)
class Start:
    """When the first batch of a model started."""

    order: int
    """Its place among the models of the invocation, from 0."""
    at: datetime


@dataclass
class Round:
    """One evaluation block of SQLMesh's scheduler: from batching to the lists of what failed."""

    due: dict[str, tuple[Span, ...]] | None = None
    """What was missing, before signals and batching; None when that is not known."""
    batches: dict[str, tuple[Span, ...]] | None = None
    """What was scheduled; an empty tuple: due, but blocked. None: the block did not get there."""
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    """The scheduler's snapshots; only what never changes of them may be read."""
    audit_only: bool = False
    signals: dict[str, list[SignalCheck]] = field(default_factory=dict)
    ends: dict[tuple[str, int], BatchEnd] = field(default_factory=dict)
    stopped: bool = False
    skipped: frozenset[str] | None = None
    failures: tuple[NodeFailure, ...] | None = None
    cancelled: frozenset[tuple[str, int | None]] = frozenset()
    """Model and index of the batches that SQLMesh lists as failed because they did not begin: the
    invocation was cancelled."""
    audits: dict[str, dict[Span, tuple[AuditResult, ...]]] = field(default_factory=dict)

    def copied(self) -> Round:
        """What was recorded until now."""
        return replace(
            self,
            signals={name: list(checks) for name, checks in self.signals.items()},
            ends=dict(self.ends),
            audits={name: dict(audits) for name, audits in self.audits.items()},
        )

    def ends_of(self, name: str) -> list[BatchEnd]:
        """How those batches of a model ended that did."""
        count = len((self.batches or {}).get(name, ()))
        ends = (self.ends.get((name, index)) for index in range(count))
        return [end for end in ends if end]

    def parents(self, name: str) -> list[str]:
        """The direct parents of a model, as the scheduler knew them."""
        snapshot = self.snapshots.get(name)
        return [] if snapshot is None else [parent.name for parent in snapshot.parents]

    @property
    def circuit_broken(self) -> bool:
        """The environment changed: the scheduler raises before it would log what failed."""
        return self.stopped and self.skipped is not None and self.failures is None


@dataclass(frozen=True)
class Question:
    """The arguments with which SQLMesh looked for missing intervals.

    Moments are SQLMesh's `TimeLike`s, with relative ones ("1 day ago") resolved.
    """

    end: Any
    execution_time: Any
    start: Any = None
    ignore_cron: bool = False
    end_bounded: bool = False
    start_override_per_model: Mapping[str, Any] = field(default_factory=dict)
    end_override_per_model: Mapping[str, Any] = field(default_factory=dict)
    restatements: Mapping[str, Span] = field(default_factory=dict)
    """Of these models, what is loaded in the span counts as missing, and nothing else does."""

    def but(self, **changes: Any) -> Question:
        """The same question with other arguments."""
        return replace(self, **changes)


@dataclass(frozen=True)
class RunDecision:
    """How SQLMesh's scheduler decided what a run has to evaluate.

    Recorded in `Scheduler.merged_missing_intervals`, after it refreshed the snapshots' intervals
    and applied automatic restatements (sqlmesh/core/scheduler.py, `_run_or_audit`).
    """

    snapshots: Mapping[str, FrozenSnapshot]
    question: Question
    end_given: bool
    """Whether the caller passed an end; else it is the wall clock that SQLMesh took for it."""
    selected: frozenset[str] | None
    deployability_index: Any
    due: Mapping[str, tuple[Span, ...]]
    rounds_before: int
    """How many rounds this decision made void: the run was restarted after them."""


@dataclass(frozen=True)
class PlanFacts:
    """A built plan with its snapshots as they were before anything was evaluated."""

    snapshots: Mapping[str, FrozenSnapshot]
    """With the intervals that SQLMesh compared: those that it forgets, to load them anew, are not
    among them."""
    question: Question
    """What it looks for as missing (sqlmesh/core/plan/stages.py, `_missing_intervals`)."""
    deployability_index: Any
    """None in prod, where everything is deployable."""
    user_arguments: frozenset[str]
    """The arguments of `Context.plan` that the user passed."""
    is_dev: bool
    skip_backfill: bool
    empty_backfill: bool
    modified: frozenset[str]
    added: frozenset[str]
    removed: tuple[str, ...]
    refused: frozenset[str]
    """What the user selected, or is downstream of what is restated, and is not restated."""
    to_audit: frozenset[str]
    """Of what only the audits changed: they run before anything is evaluated."""
    to_backfill: frozenset[str] | None
    """None: every model."""
    to_restate: frozenset[str]
    """What the user selected for a restatement."""
    created: frozenset[str]
    """The models of which the plan makes a version that the state does not know."""
    changed_by: Mapping[str, tuple[str, ...]]
    """Changed model → the models whose own change, or appearance, made its version; of models that
    are new to the environment nothing did."""
    overwritten: Mapping[str, tuple[Span, ...]]
    """Of models that are changed in prod from a date on: what the version before had loaded into
    the same table, which SQLMesh takes for missing from that date on."""
    has_work: bool
    """`Context.apply` returns at once without it (sqlmesh/core/context.py)."""


@dataclass(frozen=True)
class Booking:
    """Intervals that SQLMesh recorded in its state, whether or not they were evaluated."""

    name: str
    version: str
    intervals: tuple[Span, ...]
    dev_intervals: tuple[Span, ...]


@dataclass
class Recording:
    """Everything that is known of one invocation."""

    command: Command
    arguments: dict[str, Any]
    """As they were passed, in values that JSON can hold: the caller's own may change later."""
    environment: str
    started_at: datetime
    finished_at: datetime
    local_nodes: Mapping[str, Any] = field(default_factory=dict)
    """Fully qualified name → model or standalone audit of the loaded project."""
    project_files: Literal["read", "not_read"] | None = "read"
    """None: nobody was to read them."""
    project_files_note: str | None = None
    """Why they were not read."""
    id: UUID = field(default_factory=uuid4)
    default_catalog: str | None = None
    rounds: list[Round] = field(default_factory=list)
    starts: dict[str, Start] = field(default_factory=dict)
    decision: RunDecision | None = None
    """The latest, where a run was restarted."""
    first_seen: Mapping[str, FrozenSnapshot] = field(default_factory=dict)
    """What the first decision of the invocation saw, before anything was evaluated."""
    plan: PlanFacts | None = None
    stored: Mapping[str, FrozenSnapshot] = field(default_factory=dict)
    """The snapshots with the intervals that the state had when the invocation began, before SQLMesh
    forgot what it restates by itself or by a plan."""
    removed: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    """Of models with something missing that was loaded once, as far as the state still had it."""
    bookings: list[Booking] = field(default_factory=list)
    audited: Mapping[str, FrozenSnapshot] | None = None
    """The snapshots of `Context.audit`; None if it did not come to its first model."""
    environment_state: EnvironmentState | None = None
    """Why a run could not begin, or in which state a plan left the environment."""
    planned: Mapping[str, FrozenSnapshot] = field(default_factory=dict)
    """The models of an environment that a run could not begin with, since it is busy."""
    applied: bool = False
    audits_decided: bool = False
    """A plan came so far as to know what of its changed audits there is to run."""
    creation_failures: list[NodeFailure] = field(default_factory=list)
    returned: Literal["success", "nothing_to_do", "failure"] | None = None
    """What a run returned."""
    raised: str | None = None
    raised_kind: str | None = None
    """`interrupt`, or `error` for an ordinary exception."""
    raised_nodes: tuple[NodeFailure, ...] = ()
    raised_step: str | None = None
    """What of a run or a plan failed, outside of its models' batches, in words."""
    faults: dict[str | None, str] = field(default_factory=dict)
    """Model → what went wrong in the tracker itself; None: it concerns every model."""
    under_way: frozenset[str] = frozenset()
    """Models of which a batch was under way when a tracker was detached from the invocation, which
    went on."""
    secrets: Secrets | None = field(default_factory=Secrets)
    """What no text of the report may hold; None: that is not known. It is
    looked for only where there are texts of errors."""

    @property
    def has_errors(self) -> bool:
        """Whether there are texts of errors, from wherever."""
        failed = any(
            round_.failures or any(end.failure for end in round_.ends.values())
            for round_ in self.rounds
        )
        return bool(failed or self.creation_failures or self.raised or self.faults)

    def copied(self) -> Recording:
        """What was recorded until now; what is recorded from now on changes nothing of it."""
        return replace(
            self,
            rounds=[round_.copied() for round_ in self.rounds],
            starts=dict(self.starts),
            bookings=list(self.bookings),
            creation_failures=list(self.creation_failures),
            faults=dict(self.faults),
        )

    def started(self, name: str, at: datetime) -> None:
        """A batch of the model started."""
        self.starts.setdefault(name, Start(len(self.starts), at))

    @property
    def cancelled(self) -> bool:
        """Whether something did not begin because the invocation was cancelled."""
        return any(round_.cancelled for round_ in self.latest_rounds)

    @property
    def latest_rounds(self) -> list[Round]:
        """The rounds that the latest decision led to: all, unless a run was restarted."""
        return self.rounds[self.decision.rounds_before if self.decision else 0 :]
