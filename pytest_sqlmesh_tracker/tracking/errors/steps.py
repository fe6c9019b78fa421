"""Which step of SQLMesh's an exception was raised in, told by the functions that it passed through.

Those that are named here, and the names of their variables, are asked of the installed SQLMesh by
`contract`; where one is missing, the words are those for any exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from .exceptions import chain, frames

_STAGES = {
    "before_all": "the before_all statements of the plan failed",
    "after_all": "the after_all statements of the plan failed",
    "create_snapshot_records": "the plan could not record the new versions of its models",
    "physical_layer_update": "the plan failed when it created tables",
    "physical_layer_schema_creation": "the plan could not create its schemas",
    "audit_only_run": "the audits of models of which only the audits changed failed",
    "restatement": "the plan could not remove the intervals that it restates",
    "backfill": "an earlier backfill of the plan failed",
    "environment_record_update": "the plan could not record its environment",
    "migrate_schemas": "the plan failed when it altered tables",
    "unpause": "the plan could not make its versions those that runs evaluate",
    "virtual_layer_update": "the plan failed when it updated the views of its environment",
    "finalize_environment": "the plan could not finalize its environment",
}
_EVALUATOR = "sqlmesh.core.snapshot.evaluator"
# To alter a table, SQLMesh creates another one beside it.
_OF_TABLES = (
    ("_migrate_target_table", "target_table_name", "altered"),
    ("_migrate_snapshot", "target_table_name", "altered"),
    ("_execute_create", "table_name", "created"),
)


@dataclass(frozen=True)
class AuditCall:
    """An audit whose own query, or what renders it, raised."""

    audit: Any
    arguments: Any
    blocking: bool


def audit_that_raised(error: BaseException) -> AuditCall | None:
    """The audit that could not be run; None where the exception came from elsewhere."""
    for frame in _of_function(error, _EVALUATOR, "_audit"):
        variables = frame.f_locals
        if "audit" in variables:
            blocking = variables.get("blocking", variables["audit"].blocking)
            return AuditCall(variables["audit"], variables.get("audit_args") or {}, bool(blocking))
    return None


def raised_in_recording(error: BaseException) -> bool:
    """Whether the state would not take the interval of a batch that was evaluated and audited."""
    return any(True for _ in _of_function(error, "sqlmesh.core.state_sync", "add_interval"))


def creation_step(error: BaseException) -> str | None:
    """What of a model's table or view failed, in words; None where that can't be told."""
    for frame in _of_function(error, _EVALUATOR, "_promote_snapshot"):
        view = _relation(frame, "view_name")
        if view and any(_of_function(error, _EVALUATOR, "promote", below=frame)):
            return f"its view {view} could not be created"
        return f"the ON_VIRTUAL_UPDATE statements of its view {view} failed" if view else None
    for function, variable, happened in _OF_TABLES:
        for frame in _of_function(error, _EVALUATOR, function):
            table, snapshot = _relation(frame, variable), frame.f_locals.get("snapshot")
            what = "view" if getattr(snapshot, "is_view", False) else "table"
            return f"its {what} {table} could not be {happened}" if table else None
    return None


def failed_step(error: BaseException) -> str | None:
    """What of a run or a plan failed, outside of its models' batches, in words."""
    for frame in _of_function(error, "sqlmesh.core.scheduler", "_check_ready_intervals"):
        signal = frame.f_locals.get("signal_name")
        if signal:
            return f"the signal {signal} raised"
    stages = [
        frame.f_code.co_name.removeprefix("visit_").removesuffix("_stage")
        for frame in _of_function(error, "sqlmesh.core.plan.evaluator", None)
    ]
    for stage in stages:
        if stage in _STAGES:
            return _STAGES[stage]
    for frame in _of_function(error, "sqlmesh.core.environment", "execute_environment_statements"):
        when = getattr(frame.f_locals.get("runtime_stage"), "value", None)
        return f"the {when} statements failed" if when else None
    return None


def _of_function(
    error: BaseException, module: str, function: str | None, below: FrameType | None = None
) -> Iterator[FrameType]:
    """The frames of a function (None: of any) of a module, or a package, that it came through."""
    for one in chain(error):
        passed = below is None
        for frame in frames(one):
            if passed and function in (None, frame.f_code.co_name):
                name = str(frame.f_globals.get("__name__", ""))
                if name == module or name.startswith(f"{module}."):
                    yield frame
            passed = passed or frame is below


def _relation(frame: FrameType, variable: str) -> str | None:
    name = frame.f_locals.get(variable)
    return None if name is None else str(name).replace('"', "").replace("`", "")
