"""Witnesses that do not listen to the console: calls of SQLMesh's evaluator, and their results."""

from __future__ import annotations

import inspect
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import SnapshotEvaluator

Span = tuple[int, int]


@dataclass
class ObservedAudit:
    """The result of one audit query for one batch."""

    name: str
    arguments: dict[str, str]
    """What it was called with, as SQL."""
    blocking: bool
    skipped: bool
    rows: int


@dataclass
class ObservedBatch:
    """One evaluation, or one round of audits without an evaluation."""

    fqn: str
    version: str | None
    span: Span | None
    order: int
    index: int | None = None
    """Which of the model's batches, as far as the scheduler numbers them."""
    evaluated: bool | None = None
    """None: it was only audited."""
    audited: bool | None = None
    """None: its audits were not reached; False: they raised, or a blocking one failed."""
    audits: list[ObservedAudit] = field(default_factory=list)
    error: BaseException | None = None
    tables: tuple[str, str] | None = None
    """The table that SQLMesh looked at for what is missing, and the one that it wrote to."""
    began_at: int = 0
    """When it began, counted in beginnings and ends of batches."""
    ended_at: int = 0

    @property
    def recorded(self) -> bool:
        """SQLMesh went on to record the interval."""
        return self.evaluated is not False and self.audited is True

    @property
    def stopped(self) -> bool:
        """It was not wrong, the whole command was cut off."""
        return self.error is not None and not isinstance(self.error, Exception)

    @property
    def broke(self) -> bool:
        return not self.recorded and not self.stopped


@dataclass
class ObservedRound:
    """What SQLMesh set out to evaluate, and how many batches there were before."""

    scheduled: dict[str, list[Span]]
    begins: int


@dataclass
class Witness:
    """What was observed while one invocation lasted."""

    batches: list[ObservedBatch] = field(default_factory=list)
    rounds: list[ObservedRound] = field(default_factory=list)
    creations_failed: dict[str, BaseException] = field(default_factory=dict)
    """Models whose table, or view at promotion, could not be created outside of an evaluation."""
    plan: Any = None
    """The last plan that was built."""
    plan_restates: dict[str, Span] = field(default_factory=dict)
    """What that plan restates, or previews, of each model."""
    plan_missing: set[str] = field(default_factory=set)
    """Models with something missing that the plan would load."""
    plan_loads: set[str] = field(default_factory=set)
    """Those that it does load when it is applied: no further than the plan's end, which a plan that
    has none leaves out of what it lists."""

    def of(self, fqn: str) -> list[ObservedBatch]:
        return [batch for batch in self.batches if batch.fqn == fqn]

    def keep_creation_failure(self, fqn: str | None) -> None:
        """Forget all failed creations but this model's."""
        self.creations_failed = {
            name: error for name, error in self.creations_failed.items() if name == fqn
        }

    def scheduled(self, fqn: str) -> list[Span]:
        return [span for each in self.rounds for span in each.scheduled.get(fqn, ())]

    def first_starts(self) -> list[str]:
        return list(dict.fromkeys(batch.fqn for batch in self.batches))


@contextmanager
def watching(evaluator: type[SnapshotEvaluator]) -> Iterator[Witness]:
    """Note every evaluation, audit and failed creation of this process.

    Args:
        evaluator: the class that SQLMesh's scheduler asks, whatever it is made from.
    """
    from sqlmesh.core.plan import PlanBuilder
    from sqlmesh.core.scheduler import Scheduler
    from sqlmesh.core.snapshot import SnapshotEvaluator

    witness = Witness()
    moments = itertools.count(1)
    lock = threading.Lock()
    current = threading.local()

    def schedule(original: Callable[..., Any]) -> Callable[..., Any]:
        # The scheduler checks the dates before it asks the evaluator, and records afterwards.
        signature = inspect.signature(original)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            batch = _begin(_arguments_of(signature, args, kwargs), evaluated=False)
            current.batch = batch
            try:
                return original(*args, **kwargs)
            except BaseException as error:
                batch.error = batch.error or error
                raise

        return wrapped

    def evaluate(original: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(original)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            arguments = _arguments_of(signature, args, kwargs)
            batch: ObservedBatch | None = getattr(current, "batch", None)
            if batch is None or (batch.fqn, batch.span) != (
                arguments["snapshot"].name,
                _span(arguments),
            ):
                batch = current.batch = _begin(arguments, evaluated=False)
            current.evaluating = True
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                batch.error = error
                raise
            finally:
                current.evaluating = False
            batch.evaluated = True
            return result

        return wrapped

    def audit(original: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(original)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            arguments = _arguments_of(signature, args, kwargs)
            batch: ObservedBatch | None = getattr(current, "batch", None)
            current.batch = None
            fqn, span = arguments["snapshot"].name, _span(arguments)
            if batch is None or (batch.fqn, batch.span) != (fqn, span):
                batch = _begin(arguments, evaluated=None)
            batch.audited = False
            try:
                results = original(*args, **kwargs)
            except BaseException as error:
                batch.error = error
                raise
            batch.audits = [_observed_audit(result) for result in results]
            batch.audited = not any(
                each.rows and each.blocking and not each.skipped for each in batch.audits
            )
            batch.ended_at = next(moments)
            return results

        return wrapped

    def create(original: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(original)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            try:
                return original(*args, **kwargs)
            except Exception as error:
                if not getattr(current, "evaluating", False):
                    arguments = _arguments_of(signature, args, kwargs)
                    witness.creations_failed.setdefault(arguments["snapshot"].name, error)
                raise

        return wrapped

    def build(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            plan = original(*args, **kwargs)
            if plan is not witness.plan:
                witness.plan = plan
                witness.plan_restates = {id_.name: s for id_, s in plan.restatements.items()}
                witness.plan_missing = {each.snapshot_id.name for each in plan.missing_intervals}
                bounded = plan.copy(update={"provided_start": plan.start, "provided_end": plan.end})
                witness.plan_loads = {each.snapshot_id.name for each in bounded.missing_intervals}
            return plan

        return wrapped

    def arrange(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            batches = original(*args, **kwargs)
            scheduled = {snapshot.name: list(spans) for snapshot, spans in batches.items()}
            witness.rounds.append(ObservedRound(scheduled, len(witness.batches)))
            return batches

        return wrapped

    def _begin(arguments: dict[str, Any], evaluated: bool | None) -> ObservedBatch:
        snapshot = arguments["snapshot"]
        with lock:
            order = len(witness.batches)
            index = arguments.get("batch_index")
            batch = ObservedBatch(
                snapshot.name, snapshot.version, _span(arguments), order, index, evaluated
            )
            batch.began_at = next(moments)
            if index_of_tables := arguments.get("deployability_index"):
                looked_at = not index_of_tables.is_representative(snapshot)
                wrote_to = not index_of_tables.is_deployable(snapshot)
                batch.tables = (table_of(snapshot, looked_at), table_of(snapshot, wrote_to))
            witness.batches.append(batch)
        return batch

    creator = (
        "create_snapshot" if hasattr(SnapshotEvaluator, "create_snapshot") else "_create_snapshot"
    )
    wrappers: list[tuple[type, str, Callable[[Callable[..., Any]], Callable[..., Any]]]] = [
        (Scheduler, "batch_intervals", arrange),
        (Scheduler, "evaluate", schedule),
        (evaluator, "evaluate", evaluate),
        (evaluator, "audit", audit),
        (SnapshotEvaluator, creator, create),
        (SnapshotEvaluator, "_promote_snapshot", create),
        (SnapshotEvaluator, "_migrate_snapshot", create),
        (PlanBuilder, "build", build),
    ]
    patches = [
        mock.patch.object(owner, name, _method(wrap, getattr(owner, name)))
        for owner, name, wrap in wrappers
    ]
    for patch in patches:
        patch.start()
    try:
        yield witness
    finally:
        for patch in patches:
            patch.stop()


def table_of(snapshot: Any, dev: bool) -> str:
    """A table of a version: the one that environments share, or that of development alone."""
    return f"{snapshot.version}{snapshot.dev_version}true" if dev else f"{snapshot.version}false"


def _method(
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]], original: Callable[..., Any]
) -> Callable[..., Any]:
    wrapped = wrap(original)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return wrapped(self, *args, **kwargs)

    return method


def _arguments_of(signature: inspect.Signature, args: Any, kwargs: Any) -> dict[str, Any]:
    """The arguments of a call by name, those that it takes as `**kwargs`."""
    arguments = signature.bind(*args, **kwargs).arguments
    return {**arguments.pop("kwargs", {}), **arguments}


def _span(arguments: dict[str, Any]) -> Span | None:
    """The batch's interval, or none: `Context.audit` passes on its caller's arguments."""
    start, end = arguments.get("start"), arguments.get("end")
    return (start, end) if isinstance(start, int) and isinstance(end, int) else None


def _observed_audit(result: Any) -> ObservedAudit:
    return ObservedAudit(
        name=result.audit.name,
        arguments={
            name: value.sql("duckdb")
            for name, value in result.audit_args.items()
            if name != "blocking"
        },
        blocking=bool(result.blocking),
        skipped=bool(result.skipped),
        rows=result.count or 0,
    )
