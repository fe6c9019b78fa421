"""Models that fail, and models that are not ready, because a test says so.

What follows from that is SQLMesh's own doing: a batch fails where it would be evaluated
(`SnapshotEvaluator.evaluate`), an audit where it has found its rows (`SnapshotEvaluator.audit`),
and a model is not ready where its signals are asked (`Scheduler._check_ready_intervals`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlmesh.core.snapshot import SnapshotEvaluator
from sqlmesh.core.snapshot.definition import merge_intervals

from pytest_sqlmesh_tracker.tracking.project.nodes import audit_names

SIGNAL = "held_by_test"
"""The name of the signal that holds a model back."""


class InjectedError(Exception):
    """What a model fails with when a test only says that it fails."""


@dataclass(eq=False)
class Fault:
    """One call of `fail`: which models, what of them fails, and how often it did.

    Attributes:
        models: fully qualified name → name to show.
        audit: the audit that fails, as it is shown; None where evaluation does.
        batch: the batch that fails, from 0; None for each.
        times: how many batches of a model fail; None for all.
    """

    models: dict[str, str]
    error: Exception | type[Exception]
    audit: str | None = None
    batch: int | None = None
    times: int | None = None
    struck: dict[str, int] = field(default_factory=dict)
    seen: list[int | None] = field(default_factory=list)

    def strikes(self, model: str, batch: int | None, audit: str | None) -> bool:
        """Whether it makes this batch, or this audit of it, fail; it counts what it did."""
        if model not in self.models or audit != self.audit:
            return False
        self.seen.append(batch)
        if self.batch not in (None, batch):
            return False
        if self.times is not None and self.struck.get(model, 0) >= self.times:
            return False
        self.struck[model] = self.struck.get(model, 0) + 1
        return True

    @property
    def never_struck(self) -> str | None:
        """Why nothing came of it, in a line; None if something did."""
        if self.struck:
            return None
        names = ", ".join(sorted(self.models.values()))
        what = f"audit {self.audit} of {names}" if self.audit else names
        if not self.seen:
            why = "it was not audited" if self.audit else "it was not evaluated"
            return f"the fault on {what} never struck: {why} after fail() was called"
        batches = [batch for batch in self.seen if batch is not None]
        why = "its audits were run by themselves, and are of no batch then"
        if batches:
            why = f"batches count from 0, and no invocation had more than {max(batches) + 1}"
        return f"the fault on batch {self.batch} of {what} never struck: {why}"


class Faults:
    """The faults and holds of one sandbox."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._batches = threading.local()

    def add(self, fault: Fault) -> None:
        """Let something fail from now on."""
        self._faults.append(fault)

    @property
    def never_struck(self) -> list[str]:
        """What each fault says of which nothing came."""
        return [line for fault in self._faults if (line := fault.never_struck)]

    def evaluating(self, model: str, batch: int) -> None:
        """A batch is about to be evaluated.

        Raises:
            Exception: that of the fault which strikes it.
        """
        for fault in self._striking(model, batch, None):
            error = fault.error
            raise error.with_traceback(None) if isinstance(error, Exception) else error

    def evaluated(self, batch: int) -> None:
        """A batch was evaluated: the next audits on this thread are of it."""
        self._batches.current = batch

    def audited(self, snapshot: Any, results: list[Any]) -> list[Any]:
        """The results of a batch's audits, of which some fail that did not."""
        batch = self._batches.__dict__.pop("current", None)
        changed, names = [], audit_names(snapshot.node)
        # One audit can be there several times, with other arguments: it fails as a whole.
        struck: dict[str, bool] = {}
        for result in results:
            name = names[result.audit.name]
            if not result.skipped and name not in struck:
                struck[name] = bool(self._striking(snapshot.name, batch, name))
            fails = not result.skipped and struck[name]
            changed.append(result.copy(update={"count": result.count or 1}) if fails else result)
        return changed

    def _striking(self, model: str, batch: int | None, audit: str | None) -> Iterable[Fault]:
        with self._lock:
            return [fault for fault in self._faults if fault.strikes(model, batch, audit)][:1]

    def hold_back(self, scheduler: Any) -> None:
        """Let a scheduler find held models not ready, as by a signal; it asks their own first."""
        check = scheduler._check_ready_intervals

        def check_ready_intervals(
            snapshot: Any, intervals: Any, context: Any, naming: Any, *args: Any, **kwargs: Any
        ) -> Any:
            ready = check(snapshot, intervals, context, naming, *args, **kwargs)
            if snapshot.name not in self.held:
                return ready
            console = scheduler.console
            console.start_signal_progress(snapshot, scheduler.default_catalog, naming)
            console.update_signal_progress(
                snapshot, SIGNAL, 0, 1, [], merge_intervals(ready), duration=0.0
            )
            console.stop_signal_progress()
            return []

        scheduler._check_ready_intervals = check_ready_intervals


class FaultyEvaluator(SnapshotEvaluator):
    """Evaluates and audits as SQLMesh does, unless a fault strikes."""

    faults: Faults

    @classmethod
    def like(cls, evaluator: SnapshotEvaluator, faults: Faults) -> FaultyEvaluator:
        """An evaluator on the same databases, made as SQLMesh makes one from another."""
        made = cls(evaluator.adapters, evaluator.ddl_concurrent_tasks, evaluator.selected_gateway)
        made.faults = faults
        return made

    def evaluate(self, snapshot: Any, **kwargs: Any) -> Any:
        """Evaluate a batch, or raise the error of a fault instead."""
        batch = kwargs.get("batch_index", 0)
        self.faults.evaluating(snapshot.name, batch)
        evaluated = super().evaluate(snapshot, **kwargs)
        self.faults.evaluated(batch)
        return evaluated

    def audit(self, snapshot: Any, **kwargs: Any) -> list[Any]:
        """Audit what was evaluated; audits that a fault strikes find rows."""
        return self.faults.audited(snapshot, super().audit(snapshot, **kwargs))

    def set_correlation_id(self, correlation_id: Any) -> SnapshotEvaluator:
        """The evaluator of a plan, with the same faults."""
        return self.like(super().set_correlation_id(correlation_id), self.faults)
