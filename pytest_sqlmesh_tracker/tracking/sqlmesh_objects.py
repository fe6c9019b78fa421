"""Protocols for SQLMesh's objects, limited to what the tracker reads and calls.

Each protocol names the class that it is a part of. mypy checks the tracker against the protocols,
and `doctor.contract` checks the installed SQLMesh. A method's docstring names the part of a report
that depends on it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from .reliance import part_of_sqlmesh


class KindName(Protocol):
    """The name of a model's kind, a member of an enum."""

    value: str


class Kind(Protocol):
    """A model's kind."""

    name: KindName
    is_symbolic: bool
    is_view: bool
    is_embedded: bool


class IntervalUnit(Protocol):
    """The interval unit of a model."""

    milliseconds: int
    cron_next: Any
    cron_floor: Any


@part_of_sqlmesh("core.model:SqlModel", "ModelOutcome's description, next_due, local_edit")
class Model(Protocol):
    """A model as its project defines it."""

    name: str
    dialect: str
    cron: str
    cron_next: Any
    start: Any
    end: Any
    is_model: bool
    data_hash: str
    metadata_hash: str
    depends_on: Collection[str]
    kind: Kind
    mapping_schema: Any
    auto_restatement_cron: str | None
    disable_restatement: bool
    interval_unit: IntervalUnit
    audits: Collection[Any]
    audit_metadata_hash: Any


class Fingerprint(Protocol):
    """What a snapshot's version is computed from."""

    data_hash: str
    metadata_hash: str


@part_of_sqlmesh("core.snapshot:Snapshot", "FrozenSnapshot, and every inferred reason")
class Snapshot(Protocol):
    """A version of a model or of a standalone audit (which is not a `Model`)."""

    name: str
    snapshot_id: Any
    version: Any
    intervals: list[Any]
    dev_intervals: list[Any]
    pending_restatement_intervals: list[Any]
    next_auto_restatement_ts: int | None
    change_category: Any
    effective_from: Any
    parents: Collection[Any]
    node: Any
    model: Model
    model_or_none: Any
    fingerprint: Fingerprint
    is_model: bool
    is_metadata: bool
    is_seed: bool
    is_forward_only: bool
    evaluatable: bool
    depends_on_past: bool
    allow_partials: bool

    def copy(self) -> Any:
        """FrozenSnapshot."""

    def remove_interval(self, interval: Any) -> None:
        """What a restatement evaluates."""

    def get_removal_interval(
        self, start: Any, end: Any, execution_time: Any, *, is_preview: bool
    ) -> Any:
        """`not_applied`, of changed audits."""

    def missing_intervals(
        self,
        start: Any,
        end: Any,
        *,
        execution_time: Any,
        deployability_index: Any,
        ignore_cron: bool,
        end_bounded: bool,
    ) -> Any:
        """Every inferred reason, and next_due."""

    def get_next_auto_restatement_interval(self, execution_time: Any) -> Any:
        """`auto_restated`."""


@part_of_sqlmesh("core.snapshot:DeployabilityIndex", "which intervals count as loaded")
class DeployabilityIndex(Protocol):
    """Determines which snapshots of a plan share prod's table."""

    def is_representative(self, snapshot: Any) -> bool:
        """Which intervals count as loaded."""

    def is_deployable(self, snapshot: Any) -> bool:
        """`upstream_behind`."""


@part_of_sqlmesh("core.plan:Plan", "the moments at which a plan is applied")
class AppliedPlan(Protocol):
    """A plan as the console receives it when SQLMesh starts to apply it."""

    start: Any
    end: Any
    execution_time: Any


class ContextDiff(Protocol):
    """What a plan changes in its environment."""

    modified_snapshots: Mapping[str, tuple[Snapshot, Snapshot]]
    added: Collection[Any]
    removed_snapshots: Mapping[Any, Any]
    has_changes: bool
    new_snapshots: Mapping[Any, Any]


class EnvironmentNamingInfo(Protocol):
    """The environment of a plan."""

    name: str


@part_of_sqlmesh("core.plan:Plan", "PlanFacts, on which every reason in plans depends")
class Plan(Protocol):
    """A built plan."""

    start: Any
    end: Any
    execution_time: Any
    end_bounded: bool
    start_override_per_model: Mapping[str, Any] | None
    end_override_per_model: Mapping[str, Any] | None
    snapshots: Mapping[Any, Snapshot]
    context_diff: ContextDiff
    models_to_backfill: Collection[str] | None
    deployability_index: Any
    is_dev: bool
    skip_backfill: bool
    empty_backfill: bool
    restatements: Mapping[Any, Any]
    requires_backfill: bool
    has_unmodified_unpromoted: bool
    environment_naming_info: EnvironmentNamingInfo
    user_provided_flags: Mapping[str, Any] | None
    directly_modified: Collection[Any]
    indirectly_modified: Mapping[Any, Collection[Any]]

    def copy(self) -> Any:
        """PlanFacts, which is made of a copy."""


class Audit(Protocol):
    """An audit."""

    name: str


@part_of_sqlmesh("core.model.definition:AuditResult", "ModelOutcome.audits")
class AuditReturn(Protocol):
    """What the evaluator returns for one audit."""

    audit: Audit
    audit_args: Mapping[Any, Any]
    blocking: bool
    count: int | None
    skipped: bool


@part_of_sqlmesh("utils.errors:AuditError", "failed audits (AuditOutcome)")
class AuditError(Protocol):
    """A failed blocking audit in a `NodeAuditsErrors`."""

    audit_name: str
    audit_args: Mapping[Any, Any]
    count: int


class Evaluator(Protocol):
    """Evaluates and audits snapshots."""

    audit: Any


@part_of_sqlmesh(
    "core.scheduler:Scheduler", "what is recorded of a scheduler (MethodEvents.attach)"
)
class Scheduler(Protocol):
    """Evaluates the snapshots of a run or of a plan's stage."""

    snapshots: Mapping[Any, Snapshot]
    snapshot_evaluator: Evaluator
    state_sync: Any
    default_catalog: str | None


class Config(Protocol):
    """The configuration of a project."""

    default_target_environment: str


@part_of_sqlmesh(
    "core.context:GenericContext",
    "InvocationRecorder: the console that it replaces, and the models of the project",
)
class Context(Protocol):
    """A loaded project and its state."""

    console: Any
    state_sync: Any
    snapshot_evaluator: Evaluator
    models: Mapping[str, Any]
    standalone_audits: Mapping[str, Any]
    default_catalog: str | None
    config: Config


class IntervalState(Protocol):
    """The table of loaded intervals."""

    intervals_table: Any
    engine_adapter: Any


class InnerState(Protocol):
    """The state behind a context's cache."""

    interval_state: IntervalState


@part_of_sqlmesh("core.state_sync:StateSync", "`removed_before` (removed.py)")
class StateSync(Protocol):
    """SQLMesh's state, including the cache that a context puts in front of it."""

    state_sync: InnerState

    def get_environment(self, environment: str) -> Any:
        """`environment_missing` and `environment_busy` (environments.py)."""

    def get_environments_summary(self) -> Sequence[Any]:
        """Which environments exist (environments.py)."""

    def get_snapshots(self, snapshot_ids: Any) -> Mapping[Any, Any]:
        """The models of an environment that is busy (environments.py)."""


PARTS: tuple[type, ...] = (
    *(Plan, AppliedPlan, Snapshot, Model, AuditReturn, AuditError),
    *(DeployabilityIndex, Context, Scheduler, StateSync),
)
"""The protocols that name a SQLMesh class."""
