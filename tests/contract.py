"""To hold the SQLMesh that is installed to what the tracker relies on.

What that is, the package knows (`doctor/contract.py`), except for what is only seen in runs. The
tests: `doctor/test_sqlmesh_contract.py`.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from importlib.metadata import version
from inspect import signature
from typing import Any

import pytest

from pytest_sqlmesh_tracker.doctor import contract
from pytest_sqlmesh_tracker.doctor.contract import HEARD
from pytest_sqlmesh_tracker.tracking import compat


def demand(holds: object, what: str, concern: str) -> None:
    """Fail with what SQLMesh changed, and what it concerns, unless it holds."""
    __tracebackhide__ = True
    if not holds:
        pytest.fail(f"SQLMesh {version('sqlmesh')}: {what} changed; it concerns {concern}")


def found(path: str, concern: str) -> Any:
    """An object of SQLMesh, by `module:name.name` below `sqlmesh`."""
    __tracebackhide__ = True
    try:
        return contract.found(path)
    except LookupError as error:
        demand(False, f"{path} ({error})", concern)
        raise


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


# What is read of an object, and what it is for.
FIELDS = {
    "plan": (
        "snapshots context_diff models_to_backfill start end execution_time end_bounded "
        "start_override_per_model end_override_per_model deployability_index is_dev "
        "skip_backfill empty_backfill restatements requires_backfill has_unmodified_unpromoted "
        "environment_naming_info.name user_provided_flags context_diff.modified_snapshots "
        "context_diff.added context_diff.removed_snapshots context_diff.has_changes "
        "context_diff.new_snapshots directly_modified indirectly_modified",
        "PlanFacts (facts.plan_facts), on which every reason in plans rests",
    ),
    "snapshot": (
        "name snapshot_id version intervals dev_intervals change_category parents node is_seed "
        "evaluatable depends_on_past is_forward_only fingerprint.data_hash "
        "fingerprint.metadata_hash model_or_none next_auto_restatement_ts remove_interval "
        "pending_restatement_intervals "
        "allow_partials model.kind.is_view model.kind.is_embedded",
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
    "state sync": (
        "state_sync.interval_state.intervals_table state_sync.interval_state.engine_adapter",
        "`removed_before` (state.py)",
    ),
    "context": (
        "console state_sync snapshot_evaluator models standalone_audits default_catalog "
        "config.default_target_environment",
        "Invocation: what it taps, and the models of the project",
    ),
    "scheduler": ("snapshots snapshot_evaluator default_catalog", "Invocation.attach"),
    "applied plan": ("start end execution_time", "the moments at which a plan is applied"),
}
