"""Converts SQLMesh's objects into the facts that are recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any

from pytest_sqlmesh_tracker.tracking import compat, moments
from pytest_sqlmesh_tracker.tracking.errors.exceptions import chain, connection_after, described
from pytest_sqlmesh_tracker.tracking.errors.steps import (
    AuditCall,
    audit_that_raised,
    creation_step,
    raised_in_recording,
)
from pytest_sqlmesh_tracker.tracking.project.nodes import audit_arguments
from pytest_sqlmesh_tracker.tracking.reliance import Reliance
from pytest_sqlmesh_tracker.tracking.spans import Span
from pytest_sqlmesh_tracker.tracking.sqlmesh_objects import (
    AuditError,
    AuditReturn,
    ContextDiff,
    Plan,
    Snapshot,
)

from .recording import AuditResult, FrozenSnapshot, IntervalSearch, Lifetime, NodeFailure, PlanFacts

RELIES_ON = (
    Reliance("utils.concurrency:NodeExecutionFailedError", "which models failed (failures_in)"),
    Reliance("utils.errors:NodeAuditsErrors", "`audit_failed` (failure_of)"),
)

_NONE: Mapping[str, FrozenSnapshot] = MappingProxyType({})


def plan_facts(plan: Plan, to_restate: Collection[str]) -> PlanFacts:
    """The facts of a built plan as it is now; the user selected `to_restate` for restatement."""
    # A plan computes its moments on first read; reading a copy leaves that to the plan.
    plan = plan.copy()
    diff, to_backfill = plan.context_diff, plan.models_to_backfill
    return PlanFacts(
        snapshots=frozen_by_name(plan.snapshots.values()),
        search=IntervalSearch(
            start=moments.resolved(plan.start),
            end=moments.resolved(plan.end),
            execution_time=moments.resolved(plan.execution_time),
            ignore_cron=compat.ignores_cron(plan),
            end_bounded=plan.end_bounded,
            start_override_per_model=dict(plan.start_override_per_model or {}),
            end_override_per_model=dict(plan.end_override_per_model or {}),
            restatements={s_id.name: span for s_id, span in plan.restatements.items()},
        ),
        deployability_index=plan.deployability_index if plan.is_dev else None,
        user_arguments=frozenset(
            name for name, flag in (plan.user_provided_flags or {}).items() if flag
        ),
        is_dev=plan.is_dev,
        skip_backfill=plan.skip_backfill,
        empty_backfill=plan.empty_backfill,
        modified=frozenset(diff.modified_snapshots),
        added=frozenset(s_id.name for s_id in diff.added),
        removed=tuple(sorted(s_id.name for s_id in diff.removed_snapshots)),
        refused=frozenset(_refused(plan, to_restate)),
        to_audit=frozenset(
            name
            for name, (new, old) in diff.modified_snapshots.items()
            # An earlier plan has audited the versions that the state already has.
            if new.snapshot_id in diff.new_snapshots and _audits_changed(new, old)
        ),
        to_backfill=None if to_backfill is None else frozenset(to_backfill),
        to_restate=frozenset(to_restate),
        created=frozenset(s_id.name for s_id in diff.new_snapshots),
        changed_by=_changes(plan),
        overwritten={} if plan.is_dev else _overwritten(diff),
        has_work=bool(diff.has_changes or plan.requires_backfill or plan.has_unmodified_unpromoted),
    )


def _refused(plan: Plan, to_restate: Collection[str]) -> Iterator[str]:
    """The models that `PlanBuilder._build_restatements` skipped, with a warning at most."""
    # Without the user's selection, restatements are previews of forward-only changes.
    for snapshot in plan.snapshots.values() if to_restate else ():
        concerned = snapshot.name in to_restate or set(snapshot.parents) & plan.restatements.keys()
        if concerned and snapshot.snapshot_id not in plan.restatements:
            yield snapshot.name


def _changes(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Changed model → the models that changed it (sqlmesh/core/plan/builder.py,
    `_build_directly_and_indirectly_modified`)."""
    modified = plan.context_diff.modified_snapshots
    changes: dict[str, tuple[str, ...]] = {
        s_id.name: (s_id.name,) for s_id in plan.directly_modified if s_id.name in modified
    }
    for s_id, children in sorted(plan.indirectly_modified.items(), key=lambda item: item[0].name):
        for child in children:
            changes[child.name] = (*changes.get(child.name, ()), s_id.name)
    return changes


def _overwritten(diff: ContextDiff) -> dict[str, tuple[Span, ...]]:
    """Model changed with `effective_from` → what is loaded in the table that it continues to use
    (sqlmesh/core/snapshot/definition.py, `merge_intervals`)."""
    return {
        name: spans(old.intervals)
        for name, (new, old) in diff.modified_snapshots.items()
        if new.effective_from and new.version == old.version
    }


def _audits_changed(new: Snapshot, old: Snapshot) -> bool:
    """Whether only audits changed, as in `PlanStagesBuilder._get_audit_only_snapshots`."""
    if not (new.is_model and old.is_model and new.is_metadata and new.evaluatable):
        return False
    before, now = old.model.audit_metadata_hash(), new.model.audit_metadata_hash()
    return bool(new.model.audits) and before != now


def frozen_by_name(
    snapshots: Iterable[Snapshot], earlier: Mapping[str, FrozenSnapshot] = _NONE
) -> dict[str, FrozenSnapshot]:
    """The snapshots as they are now, by name; `earlier` in the same run, they were as given."""
    # Relative expressions are slow to resolve, and a project has few distinct ones.
    resolve = cache(moments.resolved)
    return {
        (name := snapshot.name): FrozenSnapshot.of(
            snapshot, _lifetime(snapshot.node, resolve), earlier.get(name)
        )
        for snapshot in snapshots
    }


def _lifetime(node: Any, resolve: Callable[[Any], Any]) -> Lifetime | None:
    """When the node starts and ends, resolved now; None if both are absolute.

    `start_date` and `Snapshot.missing_intervals` resolve "1 week ago" by the wall clock on every
    call (sqlmesh/core/snapshot/definition.py).
    """
    if moments.is_absolute(node.start) and moments.is_absolute(node.end):
        return None
    return Lifetime(resolve(node.start), resolve(node.end))


def as_first_loaded(
    earlier: Mapping[str, FrozenSnapshot], snapshots: Mapping[str, FrozenSnapshot]
) -> dict[str, FrozenSnapshot]:
    """The snapshots, with the intervals that the same versions had when they were first seen.

    A run that SQLMesh restarts also sees the intervals that it has loaded itself.
    """
    return {
        name: replace(frozen, intervals=first.intervals, dev_intervals=first.dev_intervals)
        if (first := earlier.get(name)) and first.snapshot.version == frozen.snapshot.version
        else frozen
        for name, frozen in snapshots.items()
    }


def node_failure(error: Any) -> NodeFailure:
    """The failure that a `NodeExecutionFailedError` reports."""
    name, batch = compat.node_of(error)
    return failure_of(name, batch, error.__cause__ or error)


def interrupt_behind(error: BaseException | None) -> BaseException | None:
    """The Ctrl-C or similar that an exception is or stands for; None for any other exception.

    DuckDB turns a Ctrl-C during a query into a RuntimeError that the interrupt caused, and SQLMesh
    fails the model. Other causes do not count: a model that catches a program's SystemExit and
    raises an error from it has failed.
    """
    if error is None or not isinstance(error, Exception):
        return error
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return error
        seen.add(id(error))
        error = error.__cause__
    return None


def failure_of(name: str, batch: int | None, cause: BaseException) -> NodeFailure:
    """The failure of a batch or, if `batch` is None, of a table's creation."""
    audits = getattr(cause, "errors", None) if type(cause).__name__ == "NodeAuditsErrors" else None
    error, call = described(cause), audit_that_raised(cause)
    return NodeFailure(
        name=name,
        batch=batch,
        error=error,
        audits=None if audits is None else tuple(map(_failed_audit, audits)),
        audit=None if call is None else _broken_audit(call, error),
        unrecorded=batch is not None and raised_in_recording(cause),
        connection=connection_after(cause),
        step=None if batch is not None else creation_step(cause),
    )


def failures_in(error: BaseException | None) -> Iterator[NodeFailure]:
    """The node failures in a chain of causes; promotion raises them without `log_failed_models`."""
    for one in chain(error):
        if type(one).__name__ == "NodeExecutionFailedError":
            yield node_failure(one)


def _failed_audit(error: AuditError) -> AuditResult:
    return AuditResult(
        name=error.audit_name,
        arguments=audit_arguments(error.audit_args),
        blocking=True,
        rows_failed=error.count,
    )


def _broken_audit(call: AuditCall, error: str) -> AuditResult:
    return AuditResult(
        name=call.audit.name,
        arguments=audit_arguments(call.arguments),
        blocking=call.blocking,
        rows_failed=0,
        error=error,
    )


def audit_result(result: AuditReturn) -> AuditResult:
    """The result that the evaluator returned for one audit."""
    return AuditResult(
        name=result.audit.name,
        arguments=audit_arguments(result.audit_args),
        blocking=result.blocking,
        rows_failed=result.count or 0,
    )


def spans_by_name(intervals: Mapping[Snapshot, Any]) -> dict[str, tuple[Span, ...]]:
    """SQLMesh's mapping of snapshots to intervals, by the snapshots' names."""
    return {snapshot.name: spans(each) for snapshot, each in intervals.items()}


def spans(intervals: Any) -> tuple[Span, ...]:
    """SQLMesh's intervals as spans."""
    return tuple((int(start), int(end)) for start, end in intervals)
