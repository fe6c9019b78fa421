"""The step of SQLMesh in which an exception was raised, by the functions it passed through.

If SQLMesh no longer has such a function or variable, the exception is described like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from pytest_sqlmesh_tracker.tracking.reliance import Reliance

from .exceptions import chain, frames, module_of

_STAGES = {
    "before_all": "the before_all statements of the plan failed",
    "after_all": "the after_all statements of the plan failed",
    "create_snapshot_records": "the plan could not record the new versions of its models",
    "physical_layer_update": "the plan failed while creating tables",
    "physical_layer_schema_creation": "the plan could not create its schemas",
    "audit_only_run": "the plan failed while auditing models with only audit changes",
    "restatement": "the plan could not remove the intervals to restate",
    "backfill": "an earlier backfill of the plan failed",
    "environment_record_update": "the plan could not record its environment",
    "migrate_schemas": "the plan failed while altering tables",
    "unpause": "the plan could not unpause its model versions",
    "virtual_layer_update": "the plan failed while updating the views of its environment",
    "finalize_environment": "the plan could not finalize its environment",
}
_STAGES_SINCE = {"physical_layer_schema_creation": "0.210.0"}

_EVALUATOR = "core.snapshot.evaluator:SnapshotEvaluator"
_AUDIT = Reliance(
    f"{_EVALUATOR}._audit",
    "which audit could not be run (audit_that_raised)",
    variables=("audit", "audit_args", "blocking"),
)
_ADD_INTERVAL = Reliance(
    "core.state_sync:StateSync.add_interval",
    "Batch.unrecorded (raised_in_recording)",
)
_PROMOTE_SNAPSHOT = Reliance(
    f"{_EVALUATOR}._promote_snapshot",
    "which view could not be created (creation_step)",
    variables=("view_name",),
)
_PROMOTE = Reliance(
    "core.snapshot.evaluator:EvaluationStrategy.promote",
    "whether a view could not be created, or its statements failed (creation_step)",
)
_MIGRATE_TARGET_TABLE = Reliance(
    f"{_EVALUATOR}._migrate_target_table",
    "which table could not be altered (creation_step)",
    variables=("target_table_name", "snapshot"),
    since="0.210.0",
)
_MIGRATE_SNAPSHOT = Reliance(
    f"{_EVALUATOR}._migrate_snapshot",
    "which table could not be altered (creation_step)",
    variables=("target_table_name", "snapshot"),
)
_EXECUTE_CREATE = Reliance(
    f"{_EVALUATOR}._execute_create",
    "which table could not be created (creation_step)",
    variables=("table_name", "snapshot"),
)
_CHECK_READY_INTERVALS = Reliance(
    "core.scheduler:Scheduler._check_ready_intervals",
    "which signal raised (failed_step)",
    variables=("signal_name",),
)
_ENVIRONMENT_STATEMENTS = Reliance(
    "core.environment:execute_environment_statements",
    "which statements failed (failed_step)",
    variables=("runtime_stage",),
)
_PLAN_EVALUATOR = "core.plan.evaluator:BuiltInPlanEvaluator"
_STAGE_VISITS = {
    Reliance(
        f"{_PLAN_EVALUATOR}.visit_{stage}_stage",
        "which stage of a plan failed (failed_step)",
        since=_STAGES_SINCE.get(stage),
    ): words
    for stage, words in _STAGES.items()
}
# Altering comes first: to alter a table, SQLMesh creates another one.
_OF_TABLES = (
    (_MIGRATE_TARGET_TABLE, "altered"),
    (_MIGRATE_SNAPSHOT, "altered"),
    (_EXECUTE_CREATE, "created"),
)
RELIES_ON = (
    *(_AUDIT, _ADD_INTERVAL, _PROMOTE_SNAPSHOT, _PROMOTE, _MIGRATE_TARGET_TABLE, _MIGRATE_SNAPSHOT),
    *(_EXECUTE_CREATE, _CHECK_READY_INTERVALS, _ENVIRONMENT_STATEMENTS, *_STAGE_VISITS),
)


@dataclass(frozen=True)
class AuditCall:
    """A call of an audit whose query, or the rendering of it, raised."""

    audit: Any
    arguments: Any
    blocking: bool


def audit_that_raised(error: BaseException) -> AuditCall | None:
    """The audit that could not be run; None if the exception came from elsewhere."""
    for frame in _of_function(error, _AUDIT):
        variables = frame.f_locals
        if "audit" in variables:
            audit = variables["audit"]
            blocking = variables.get("blocking", audit.blocking)
            return AuditCall(audit, variables.get("audit_args") or {}, bool(blocking))
    return None


def raised_in_recording(error: BaseException) -> bool:
    """Whether recording the interval of an evaluated and audited batch in the state failed."""
    return any(True for _ in _of_function(error, _ADD_INTERVAL))


def creation_step(error: BaseException) -> str | None:
    """What failed for a model's table or view, in words; None if it can't be determined."""
    for frame in _of_function(error, _PROMOTE_SNAPSHOT):
        view = _relation(frame, _PROMOTE_SNAPSHOT)
        if view and any(_of_function(error, _PROMOTE, below=frame)):
            return f"its view {view} could not be created"
        return f"the ON_VIRTUAL_UPDATE statements of its view {view} failed" if view else None
    for function, action in _OF_TABLES:
        for frame in _of_function(error, function):
            table, snapshot = _relation(frame, function), frame.f_locals.get("snapshot")
            kind = "view" if getattr(snapshot, "is_view", False) else "table"
            return f"its {kind} {table} could not be {action}" if table else None
    return None


def failed_step(error: BaseException) -> str | None:
    """What failed in a run or plan outside its models' batches, in words; None if unknown."""
    for frame in _of_function(error, _CHECK_READY_INTERVALS):
        signal = frame.f_locals.get("signal_name")
        if signal:
            return f"the signal {signal} raised"
    words_of = {visit.name: words for visit, words in _STAGE_VISITS.items()}
    for frame in _of_function(error, *_STAGE_VISITS):
        return words_of[frame.f_code.co_name]
    for frame in _of_function(error, _ENVIRONMENT_STATEMENTS):
        when = getattr(frame.f_locals.get("runtime_stage"), "value", None)
        return f"the {when} statements failed" if when else None
    return None


def _of_function(
    error: BaseException, *functions: Reliance, below: FrameType | None = None
) -> Iterator[FrameType]:
    """The frames of these functions, in their modules or submodules, that the error passed."""
    for one in chain(error):
        passed = below is None
        for frame in frames(one):
            if passed and any(_is_of(frame, function) for function in functions):
                yield frame
            passed = passed or frame is below


def _is_of(frame: FrameType, function: Reliance) -> bool:
    module = module_of(frame)
    inside = module == function.module or module.startswith(f"{function.module}.")
    return inside and frame.f_code.co_name == function.name


def _relation(frame: FrameType, function: Reliance) -> str | None:
    """The name of the table or view that the function handles: its first variable."""
    name = frame.f_locals.get(function.variables[0])
    return None if name is None else str(name).replace('"', "").replace("`", "")
