"""What the tracker relies on in SQLMesh, and what of the tracker each of it concerns.

The tests that hold it against the SQLMesh that is installed: `tracking/test_sqlmesh_contract.py`.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from inspect import signature
from typing import Any

import pytest

from pytest_sqlmesh_tracker.tracking import compat


def demand(holds: object, what: str, concern: str) -> None:
    """Fail with what SQLMesh changed, and what it concerns, unless it holds."""
    __tracebackhide__ = True
    if not holds:
        pytest.fail(f"SQLMesh {version('sqlmesh')}: {what} changed; it concerns {concern}")


def found(path: str, concern: str) -> Any:
    """An object of SQLMesh, by `module:name.name` below `sqlmesh`."""
    __tracebackhide__ = True
    module, _, names = path.partition(":")
    try:
        thing: Any = import_module(f"sqlmesh.{module}")
    except ImportError:
        demand(False, f"{path} (no such module)", concern)
    for name in filter(None, names.split(".")):
        demand(hasattr(thing, name), f"{path} (no {name!r})", concern)
        thing = getattr(thing, name)
    return thing


def has_fields(thing: Any, label: str, fields: str, concern: str) -> None:
    """Demand that an object has these fields, given as `one two.three`."""
    __tracebackhide__ = True
    for name in fields.split():
        value = thing
        for part in name.split("."):
            demand(hasattr(value, part), f"{label} (no {name!r})", concern)
            value = getattr(value, part)


def short(name: str) -> str:
    """The name of a model of the test project, as the test writes it."""
    return name.replace('"', "").removeprefix("wh.s.")


@dataclass
class Heard:
    """One call, as it was made."""

    event: str
    named: dict[str, Any]
    thread: int = field(default_factory=threading.get_ident)
    handled: BaseException | None = field(default_factory=lambda: sys.exc_info()[1])

    @property
    def model(self) -> str:
        """The short name of the snapshot that was passed."""
        return short(self.named["snapshot"].name)


class Recorder:
    """A console that notes every call that the tracker hears, and passes all on."""

    def __init__(self, console: Any, heard: list[Heard]) -> None:
        self._console, self._heard = console, heard

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._console, name)
        if name not in HEARD:
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            self._heard.append(Heard(name, compat.by_name(name, args, kwargs)))
            return method(*args, **kwargs)

        return call


def tap(owner: Any, name: str, heard: list[Heard]) -> None:
    """Note the calls of a method of one object, with what it returned, as the tracker does."""
    if name in vars(owner):
        return
    method = getattr(owner, name)

    def tapped(*args: Any, **kwargs: Any) -> Any:
        call = Heard(name, compat.bound(signature(method), args, kwargs))
        heard.append(call)
        call.named["result"] = method(*args, **kwargs)
        return call.named["result"]

    setattr(owner, name, tapped)


# Console method → the parameters that are read, and what they are for.
HEARD = {
    "start_plan_evaluation": ("plan", "whether a plan was applied, and its moments when it was"),
    "update_signal_progress": (
        "snapshot signal_name check_intervals ready_intervals",
        "`signal_not_ready` and `upstream_not_ready` (Round.signals)",
    ),
    "start_evaluation_progress": (
        "batched_intervals audit_only",
        "what was scheduled (Round.batches), on which every status rests",
    ),
    "start_snapshot_evaluation_progress": ("snapshot", "start times and order (Round.started)"),
    "update_snapshot_evaluation_progress": (
        "snapshot batch_idx duration_ms num_audits_passed num_audits_failed",
        "how batches ended (Round.ends): executed or failed",
    ),
    "stop_evaluation_progress": ("", "whether a round came to its end (Round.stopped)"),
    "log_skipped_models": ("snapshot_names", "`upstream_failed` (Round.skipped)"),
    "log_failed_models": ("errors", "`error`, `audit_failed`, `creation_failed` (Round.failures)"),
}

# Called or heard method → the parameters that are read or passed by name, and what they are for.
NAMED = {
    "core.scheduler:Scheduler.merged_missing_intervals": (
        "start end execution_time ignore_cron selected_snapshots deployability_index",
        "what a run decided (RunDecision), on which every reason in runs rests",
    ),
    "core.scheduler:Scheduler.run_merged_intervals": (
        "merged_intervals",
        "what was due before signals (Round.due): `signal_not_ready`, `upstream_not_ready`",
    ),
    "core.scheduler:interval_diff": ("uninterrupted", "`depends_on_past_gap` (reasons.py)"),
    "core.snapshot:SnapshotEvaluator.audit": (
        "snapshot snapshots start end",
        "ModelOutcome.audits, and all that is said of Context.audit",
    ),
    "core.state_sync:StateSync.refresh_snapshot_intervals": (
        "snapshots",
        "the intervals from which a plan's stages start (PlanFacts)",
    ),
    "core.snapshot:Snapshot.missing_intervals": (
        "start end execution_time deployability_index ignore_cron end_bounded",
        "every inferred reason, and next_due (intervals.missing)",
    ),
    "core.snapshot:DeployabilityIndex.create": ("start", "which intervals count as loaded"),
    "core.snapshot:start_date": ("relative_to", "where a model starts (intervals.Project.start)"),
    "core.context:GenericContext.run": (
        "environment execution_time select_models ignore_cron",
        "the arguments in reports of runs (Recording.arguments)",
    ),
    "core.context:GenericContext.plan": (
        "environment execution_time restate_models select_models backfill_models",
        "the arguments in reports of plans (Recording.arguments)",
    ),
    "core.context:GenericContext.apply": ("plan", "plans that are applied later (PlanFacts)"),
    "core.context:GenericContext.audit": ("execution_time", "reports of Context.audit"),
}  # fmt: skip

# Function that is called with positional arguments → how many, and what it is for.
POSITIONAL = {
    "core.scheduler:interval_diff": (2, "what signals leave of a model (reasons.held_up)"),
    "core.snapshot:start_date": (3, "where a model starts (intervals.Project.start)"),
    "core.snapshot:merge_intervals": (1, "all intervals in reports"),
    "core.snapshot.definition:remove_interval": (3, "intervals.without"),
    "core.snapshot.definition:expand_range": (3, "units of intervals (reasons.held_up)"),
    "core.snapshot:apply_auto_restatements": (2, "next_due of models that SQLMesh restates"),
    "core.snapshot:DeployabilityIndex.is_representative": (2, "which intervals count as loaded"),
    "core.environment:Environment.sanitize_name": (1, "the environment's name in reports"),
    "utils.date:to_timestamp": (1, "moments (compat.span, intervals.py)"),
    "utils.date:to_datetime": (1, "moments (compat.resolved, intervals.py)"),
    "utils.date:is_date": (1, "moments that mean a whole day (compat.resolved)"),
    "utils.date:make_exclusive": (1, "`ended`, and the intervals of audits"),
}

# What is read of an object, and what it is for.
FIELDS = {
    "plan": (
        "snapshots context_diff models_to_backfill start end execution_time end_bounded "
        "start_override_per_model end_override_per_model deployability_index is_dev "
        "skip_backfill empty_backfill restatements requires_backfill has_unmodified_unpromoted "
        "environment_naming_info.name user_provided_flags context_diff.modified_snapshots "
        "context_diff.added context_diff.removed_snapshots context_diff.has_changes",
        "PlanFacts (facts.plan_facts), on which every reason in plans rests",
    ),
    "snapshot": (
        "name snapshot_id intervals dev_intervals change_category parents node is_seed evaluatable "
        "depends_on_past is_forward_only fingerprint.data_hash fingerprint.metadata_hash "
        "model_or_none next_auto_restatement_ts remove_interval",
        "FrozenSnapshot, and every inferred reason",
    ),
    "model": (
        "name dialect cron cron_next start end is_model data_hash metadata_hash depends_on "
        "kind.name.value kind.is_symbolic mapping_schema auto_restatement_cron "
        "disable_restatement interval_unit.milliseconds interval_unit.cron_next "
        "interval_unit.cron_floor",
        "ModelOutcome's description, next_due, local_edit",
    ),
    "audit result": ("audit.name audit_args blocking count skipped", "ModelOutcome.audits"),
    "context": (
        "console state_sync snapshot_evaluator models standalone_audits default_catalog "
        "config.default_target_environment",
        "Invocation: what it taps, and the models of the project",
    ),
    "scheduler": ("snapshots snapshot_evaluator", "Invocation.attach"),
    "applied plan": ("start end execution_time", "the moments at which a plan is applied"),
}
