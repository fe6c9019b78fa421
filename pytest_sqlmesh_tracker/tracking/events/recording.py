"""What is recorded of one invocation: plain facts, without judgments or calls of SQLMesh."""

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
    """A model's start and end as resolved at one moment, if they are relative ("1 week ago")."""

    start: Any
    end: Any


@dataclass(frozen=True)
class FrozenSnapshot:
    """A SQLMesh snapshot as it was at one moment; SQLMesh continues to change its own."""

    snapshot: Any
    """A copy: after a plan that is not applied, the next plan categorizes its versions again."""
    intervals: tuple[Span, ...]
    dev_intervals: tuple[Span, ...]
    pending: tuple[Span, ...]
    """Intervals that automatic restatements removed and that no run has loaded again."""
    change_category: str | None
    next_restatement: Millis | None
    """When SQLMesh will next restate the model by its `auto_restatement_cron`."""
    lifetime: Lifetime | None = None
    """None if the node's start and end are absolute."""

    @classmethod
    def of(
        cls,
        snapshot: Snapshot,
        lifetime: Lifetime | None = None,
        earlier: FrozenSnapshot | None = None,
    ) -> FrozenSnapshot:
        """The snapshot as it is now.

        Args:
            lifetime: its node's start and end, if they are relative.
            earlier: the snapshot of the same name as it was earlier in the same run. Both share the
                copy if they are the same version, as a run only changes intervals.
        """
        category = getattr(snapshot, "change_category", None)
        is_same = (
            earlier is not None
            and earlier.snapshot.node is snapshot.node
            and earlier.snapshot.version == snapshot.version
        )
        return cls(
            snapshot=earlier.snapshot if earlier and is_same else snapshot.copy(),
            intervals=tuple(snapshot.intervals),
            dev_intervals=tuple(snapshot.dev_intervals),
            pending=tuple(snapshot.pending_restatement_intervals),
            change_category=None if category is None else category.name.lower(),
            next_restatement=snapshot.next_auto_restatement_ts,
            lifetime=lifetime,
        )

    @property
    def start(self) -> Any:
        """The node's start, as resolved when it was frozen."""
        return self.lifetime.start if self.lifetime else self.snapshot.node.start

    @property
    def end(self) -> Any:
        """The node's end, as resolved when it was frozen."""
        return self.lifetime.end if self.lifetime else self.snapshot.node.end

    def thawed(self) -> Any:
        """A copy for computations, with the frozen intervals and lifetime."""
        copy = self.snapshot.copy()
        if self.lifetime:
            # Not earlier: SQLMesh computes a node's cron properties after it was frozen.
            lifetime = {"start": self.lifetime.start, "end": self.lifetime.end}
            copy.node = copy.node.copy(update=lifetime)
        copy.intervals = list(self.intervals)
        copy.dev_intervals = list(self.dev_intervals)
        copy.pending_restatement_intervals = list(self.pending)
        copy.next_auto_restatement_ts = self.next_restatement
        return copy


@dataclass(frozen=True)
class AuditResult:
    """The result of one audit over one interval."""

    name: str
    arguments: Mapping[str, str]
    blocking: bool
    rows_failed: int
    error: str | None = None
    """Type and message of the exception from the audit's query if it could not be run."""


@dataclass(frozen=True)
class SignalCheck:
    """The result of one signal: the intervals that it checked and those that are ready."""

    signal: str
    checked: tuple[Span, ...]
    ready: tuple[Span, ...]


@dataclass(frozen=True)
class NodeFailure:
    """A failed node of SQLMesh's schedule: a batch or, if `batch` is None, a table's creation."""

    name: str
    batch: int | None
    error: str | None
    """Type and message; None if SQLMesh only reports failed audits, as `Context.audit` does."""
    audits: tuple[AuditResult, ...] | None
    """The blocking audits that failed; None if something else raised."""
    audit: AuditResult | None = None
    """The audit that could not be run because its query raised."""
    unrecorded: bool = False
    """Whether the batch was evaluated and audited, but recording it in the state failed."""
    connection: Connection = None
    step: str | None = None
    """The step of a table's or view's creation that failed, in words."""


@dataclass(frozen=True)
class BatchEnd:
    """How a batch ended; it is `recorded` only if SQLMesh passed a duration to the console."""

    recorded: bool
    started_at: datetime | None
    finished_at: datetime
    seconds: float | None
    """The duration, measured with `perf_counter`."""
    rows: int | None
    bytes: int | None
    audits_passed: int
    audits_failed: int
    failure: NodeFailure | None = None
    """What the batch raised if it was not recorded."""
    interrupted: bool = False
    """Whether a KeyboardInterrupt or similar ended the batch, not an ordinary exception."""
    triggers: tuple[str, ...] | None = None
    """The models whose automatic restatement triggered the batch, according to SQLMesh; None before
    SQLMesh 0.210."""


@dataclass(frozen=True)
class Start:
    """The start of a model's first batch."""

    order: int
    """The model's position among those that started in the invocation, from 0."""
    at: datetime


@dataclass
class Round:
    """One evaluation block of SQLMesh's scheduler, from batching to the lists of failures."""

    due: dict[str, tuple[Span, ...]] | None = None
    """Missing intervals before signals and batching; None if unknown."""
    batches: dict[str, tuple[Span, ...]] | None = None
    """The scheduled batches; an empty tuple for a model that is due but blocked. None if the block
    did not reach scheduling."""
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    """The scheduler's snapshots; only their immutable attributes may be read."""
    audit_only: bool = False
    signals: dict[str, list[SignalCheck]] = field(default_factory=dict)
    ends: dict[tuple[str, int], BatchEnd] = field(default_factory=dict)
    stopped: bool = False
    skipped: frozenset[str] | None = None
    failures: tuple[NodeFailure, ...] | None = None
    cancelled: frozenset[tuple[str, int | None]] = frozenset()
    """Model and index of the batches that SQLMesh lists as failed because a cancellation kept
    them from starting."""
    audits: dict[str, dict[Span, tuple[AuditResult, ...]]] = field(default_factory=dict)

    def copied(self) -> Round:
        """A copy with what was recorded so far."""
        return replace(
            self,
            signals={name: list(checks) for name, checks in self.signals.items()},
            ends=dict(self.ends),
            audits={name: dict(audits) for name, audits in self.audits.items()},
        )

    def ends_of(self, name: str) -> list[BatchEnd]:
        """The ends of those batches of a model that have ended."""
        count = len((self.batches or {}).get(name, ()))
        ends = (self.ends.get((name, index)) for index in range(count))
        return [end for end in ends if end]

    def parents(self, name: str) -> list[str]:
        """The direct parents of a model, according to the scheduler, sorted."""
        snapshot = self.snapshots.get(name)
        return [] if snapshot is None else sorted(parent.name for parent in snapshot.parents)

    @property
    def circuit_broken(self) -> bool:
        """Whether the environment changed, so the scheduler raised before it logged failures."""
        return self.stopped and self.skipped is not None and self.failures is None


@dataclass(frozen=True)
class IntervalSearch:
    """The arguments with which SQLMesh computed missing intervals.

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
    """For these models, exactly what is loaded within the span counts as missing."""


@dataclass(frozen=True)
class RunDecision:
    """How SQLMesh's scheduler decided what a run must evaluate.

    Recorded in `Scheduler.merged_missing_intervals`, after it refreshed the snapshots' intervals
    and applied automatic restatements (sqlmesh/core/scheduler.py, `_run_or_audit`).
    """

    snapshots: Mapping[str, FrozenSnapshot]
    search: IntervalSearch
    end_given: bool
    """Whether the caller passed an end; otherwise SQLMesh used the wall clock."""
    selected: frozenset[str] | None
    deployability_index: Any
    due: Mapping[str, tuple[Span, ...]]
    rounds_before: int
    """The number of earlier rounds, which are void because the run was restarted."""


@dataclass(frozen=True)
class PlanFacts:
    """A built plan, with its snapshots as they were before any evaluation."""

    snapshots: Mapping[str, FrozenSnapshot]
    """With the intervals that SQLMesh compared, which exclude those that it removes to load them
    again."""
    search: IntervalSearch
    """The search for missing intervals (sqlmesh/core/plan/stages.py, `_missing_intervals`)."""
    deployability_index: Any
    """None in prod, where every snapshot is deployable."""
    user_arguments: frozenset[str]
    """The arguments of `Context.plan` that the user passed."""
    is_dev: bool
    skip_backfill: bool
    empty_backfill: bool
    modified: frozenset[str]
    added: frozenset[str]
    removed: tuple[str, ...]
    refused: frozenset[str]
    """Models that are selected, or downstream of restated ones, but not restated."""
    to_audit: frozenset[str]
    """Models whose audits alone changed; these audits run before any evaluation."""
    to_backfill: frozenset[str] | None
    """None for all models."""
    to_restate: frozenset[str]
    """The models that the user selected for restatement."""
    created: frozenset[str]
    """The models for which the plan creates a version that is not in the state."""
    changed_by: Mapping[str, tuple[str, ...]]
    """Changed model → the models whose own change or addition led to its version. Models that are
    new to the environment are left out."""
    overwritten: Mapping[str, tuple[Span, ...]]
    """Model changed in prod from a date on → the intervals that the previous version had loaded
    into the same table; SQLMesh treats them as missing from that date on."""
    has_work: bool
    """If False, `Context.apply` returns immediately (sqlmesh/core/context.py)."""


@dataclass(frozen=True)
class RecordedIntervals:
    """Intervals that SQLMesh recorded in its state, evaluated or not."""

    name: str
    version: str
    intervals: tuple[Span, ...]
    dev_intervals: tuple[Span, ...]


@dataclass(frozen=True)
class Raised:
    """The exception with which an invocation ended."""

    kind: Literal["interrupt", "error"]
    """`error` for an ordinary exception; `interrupt` for a cancellation, Ctrl-C or similar."""
    message: str
    nodes: tuple[NodeFailure, ...] = ()
    """The failed nodes in its chain of causes."""
    step: str | None = None
    """What failed in a run or plan outside its models' batches, in words."""


@dataclass
class Recording:
    """Everything that is known about one invocation."""

    command: Command
    arguments: dict[str, Any]
    """As passed, copied as JSON-compatible values, since the caller can change the originals."""
    environment: str
    started_at: datetime
    finished_at: datetime
    local_nodes: Mapping[str, Any] = field(default_factory=dict)
    """Fully qualified name → model or standalone audit of the loaded project."""
    folders: tuple[str, ...] = ()
    """The folders of the project whose files define them, as the context has them."""
    project_files: Literal["read", "not_read"] | None = "read"
    """None if they were not to be read."""
    project_files_note: str | None = None
    """Why they were not read."""
    id: UUID = field(default_factory=uuid4)
    default_catalog: str | None = None
    rounds: list[Round] = field(default_factory=list)
    starts: dict[str, Start] = field(default_factory=dict)
    decision: RunDecision | None = None
    """The latest decision if a run was restarted."""
    snapshots_at_first_decision: Mapping[str, FrozenSnapshot] = field(default_factory=dict)
    """The snapshots at the invocation's first decision, before any evaluation."""
    plan: PlanFacts | None = None
    snapshots_in_state: Mapping[str, FrozenSnapshot] = field(default_factory=dict)
    """The snapshots with the intervals that the state had when the invocation started, before
    SQLMesh removed those that it restates automatically or by a plan."""
    removed_intervals: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    """Model with missing intervals → what was loaded and removed, if the state still has it."""
    recorded: list[RecordedIntervals] = field(default_factory=list)
    snapshots_of_audit: Mapping[str, FrozenSnapshot] | None = None
    """The snapshots of `Context.audit`; None if it did not reach its first model."""
    environment_state: EnvironmentState | None = None
    """Why a run could not start, or the state in which a plan left the environment."""
    snapshots_of_environment: Mapping[str, FrozenSnapshot] = field(default_factory=dict)
    """The models of an environment whose run could not start because it is busy."""
    applied: bool = False
    audits_decided: bool = False
    """Whether a plan got as far as deciding which of its changed audits to run."""
    creation_failures: list[NodeFailure] = field(default_factory=list)
    returned: Literal["success", "nothing_to_do", "failure"] | None = None
    """The result of the call."""
    raised: Raised | None = None
    tracker_errors: dict[str | None, str] = field(default_factory=dict)
    """Model → the error in the tracker itself; the key None stands for every model."""
    under_way: frozenset[str] = frozenset()
    """Models with a running batch when a tracker detached from the invocation, which continued."""
    secrets: Secrets | None = field(default_factory=Secrets)
    """Values that must not appear in any text of the report; None if they could not be determined.
    They are collected only if there are error texts."""

    @property
    def has_errors(self) -> bool:
        """Whether there are any error texts."""
        failed = any(
            round_.failures or any(end.failure for end in round_.ends.values())
            for round_ in self.rounds
        )
        return bool(failed or self.creation_failures or self.raised or self.tracker_errors)

    def copied(self) -> Recording:
        """A copy of the recording so far, which later events do not change."""
        return replace(
            self,
            rounds=[round_.copied() for round_ in self.rounds],
            starts=dict(self.starts),
            recorded=list(self.recorded),
            creation_failures=list(self.creation_failures),
            tracker_errors=dict(self.tracker_errors),
        )

    def started(self, name: str, at: datetime) -> None:
        """A batch of the model started."""
        if name not in self.starts:
            self.starts[name] = Start(len(self.starts), at)

    @property
    def cancelled(self) -> bool:
        """Whether any batch did not start because the invocation was cancelled."""
        return any(round_.cancelled for round_ in self.latest_rounds)

    @property
    def latest_rounds(self) -> list[Round]:
        """The rounds after the latest decision: all rounds, unless a run was restarted."""
        return self.rounds[self.decision.rounds_before if self.decision else 0 :]
