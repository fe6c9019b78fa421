"""Models that fail, and models that are not ready, because a test requests it.

SQLMesh itself handles the consequences: a batch fails where it would be evaluated
(`SnapshotEvaluator.evaluate`), an audit where its rows were counted (`SnapshotEvaluator.audit`),
and a model is not ready where its signals are checked (`Scheduler._check_ready_intervals`).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlmesh.core.snapshot import SnapshotEvaluator
from sqlmesh.core.snapshot.definition import merge_intervals

from pytest_sqlmesh_tracker.tracking.project.nodes import audit_names
from pytest_sqlmesh_tracker.wording.formats import quantity

SIGNAL = "held_by_test"
"""The name of the signal that holds a model back."""


class InjectedError(Exception):
    """The error of a failing model, unless the test chooses another one."""


@dataclass(frozen=True)
class Fault:
    """One call to `fail`: the models, and which part of them fails.

    Attributes:
        models: fully qualified name → name to show.
        audit: the shown name of the audit that fails; None if the evaluation fails.
        batch: the batch that fails, counted from 0; None for every batch.
        times: how many batches of each model fail; None for all.
        after_write: whether the evaluation fails after the rows were written.
    """

    models: Mapping[str, str]
    error: Exception | type[Exception]
    audit: str | None = None
    batch: int | None = None
    times: int | None = None
    after_write: bool = False

    @property
    def is_total(self) -> bool:
        """Whether each batch fails, always."""
        return (self.audit, self.batch, self.times) == (None, None, None)

    @property
    def extent(self) -> str:
        """What fails, in a fault that is not total."""
        if self.audit is not None:
            return f"the test makes its audit {self.audit} fail"
        if self.batch is not None:
            return f"the test makes its batch {self.batch} fail"
        return f"the test makes its evaluation fail {quantity(self.times or 0, 'time')}"


class _ActiveFault:
    """A fault, the batches that it could have struck, and how often it struck."""

    def __init__(self, fault: Fault, copied_from: _ActiveFault | None = None) -> None:
        self.fault = fault
        self._copied_from = copied_from
        self._struck_in_copies = False
        self.is_forecast = False
        """Whether a forecast has assumed it."""
        self._struck: Counter[str] = Counter()
        self._batches: list[int | None] = []

    def copy(self) -> _ActiveFault:
        """The fault in a copy of its sandbox, where it strikes as often as it still would here."""
        copied = _ActiveFault(self.fault, self._copied_from or self)
        copied._struck = self._struck.copy()
        return copied

    def strikes(
        self, model: str, batch: int | None, audit: str | None, *, written: bool = False
    ) -> bool:
        """Whether it makes this batch, or this audit of it, fail. The call is recorded.

        Args:
            written: whether the rows of the batch were written.
        """
        fault = self.fault
        if model not in fault.models or (audit, written) != (fault.audit, fault.after_write):
            return False
        self._batches.append(batch)
        if fault.batch not in (None, batch):
            return False
        if self.is_over(model):
            return False
        self._struck[model] += 1
        if self._copied_from is not None:
            self._copied_from._struck_in_copies = True
        return True

    def is_over(self, model: str) -> bool:
        """Whether it has made all the batches of a model fail that it is limited to."""
        return self.fault.times is not None and self._struck[model] >= self.fault.times

    @property
    def never_struck(self) -> str | None:
        """Why it never struck, in one line; None if it did, here or in a copy of the sandbox.

        A fault that was copied is expected to strike somewhere, not in each copy.
        """
        if self._struck or self._struck_in_copies or self._copied_from is not None:
            return None
        if self.is_forecast:
            return None
        audit = self.fault.audit
        names = ", ".join(sorted(self.fault.models.values()))
        what = f"audit {audit} of {names}" if audit else names
        if not self._batches:
            why = "it was not audited" if audit else "it was not evaluated"
            return f"the fault on {what} was never triggered: {why} after fail() was called"
        batches = [batch for batch in self._batches if batch is not None]
        why = "its audits ran on their own, so they did not belong to a batch"
        if batches:
            why = f"batches count from 0, and no invocation had more than {max(batches) + 1}"
        return f"the fault on batch {self.fault.batch} of {what} was never triggered: {why}"


class Faults:
    """The faults and holds of one sandbox."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self._active: list[_ActiveFault] = []
        self._lock = threading.Lock()
        self._batches = threading.local()

    def add(self, fault: Fault) -> None:
        """Add a fault, which strikes from now on."""
        self._active.append(_ActiveFault(fault))

    def copy(self) -> Faults:
        """The same faults and holds; changes are independent."""
        copied = Faults()
        copied.held = set(self.held)
        copied._active = [active.copy() for active in self._active]
        return copied

    def clear(self) -> None:
        """Remove all faults and holds."""
        self._active.clear()
        self.held.clear()

    def assume_in_forecast(self) -> None:
        """Count the present faults as triggered, since a forecast says what comes of them."""
        for active in self._active:
            active.is_forecast = True

    @property
    def failing(self) -> frozenset[str]:
        """Fully qualified names of the models of which each batch fails."""
        return frozenset(
            model for each in self._active if each.fault.is_total for model in each.fault.models
        )

    @property
    def uncertain(self) -> dict[str, str]:
        """Fully qualified names of the models that can still fail, but not with each batch → why
        it can't be known beforehand whether they do."""
        return {
            model: each.fault.extent
            for each in self._active
            if not each.fault.is_total
            for model in each.fault.models.keys() - self.failing
            if not each.is_over(model)
        }

    @property
    def never_struck(self) -> list[str]:
        """Why each fault that never struck did not, one line each."""
        return [line for active in self._active if (line := active.never_struck)]

    def evaluating(self, model: str, batch: int, *, written: bool = False) -> None:
        """Let faults strike a batch that is about to be evaluated.

        Args:
            written: whether its rows were just written.

        Raises:
            Exception: the fault's own, if one strikes.
        """
        fault = self._striking(model, batch, None, written=written)
        if fault is not None:
            error = fault.error
            raise error.with_traceback(None) if isinstance(error, Exception) else error

    def evaluated(self, batch: int) -> None:
        """Record that a batch was evaluated: the next audits on this thread belong to it."""
        self._batches.current = batch

    def audited(self, snapshot: Any, results: list[Any]) -> list[Any]:
        """The results of a batch's audits, which fail where a fault strikes."""
        batch = self._batches.__dict__.pop("current", None)
        changed, names = [], audit_names(snapshot.node)
        # An audit can occur several times with different arguments: it fails as a whole.
        struck: dict[str, bool] = {}
        for result in results:
            name = names[result.audit.name]
            if not result.skipped and name not in struck:
                struck[name] = self._striking(snapshot.name, batch, name) is not None
            fails = not result.skipped and struck[name]
            changed.append(result.copy(update={"count": result.count or 1}) if fails else result)
        return changed

    def _striking(
        self, model: str, batch: int | None, audit: str | None, *, written: bool = False
    ) -> Fault | None:
        """The first fault that strikes; the others record that they would have."""
        with self._lock:
            striking = [
                each.fault
                for each in self._active
                if each.strikes(model, batch, audit, written=written)
            ]
        return striking[0] if striking else None

    def hold_back(self, scheduler: Any) -> None:
        """Make held models not ready, as a signal would do; their own signals are checked first."""
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
        """An evaluator on the same databases, copied as SQLMesh copies evaluators."""
        made = cls(evaluator.adapters, evaluator.ddl_concurrent_tasks, evaluator.selected_gateway)
        made.faults = faults
        return made

    def evaluate(self, snapshot: Any, **kwargs: Any) -> Any:
        """Evaluate a batch, or raise a fault's error instead."""
        batch = kwargs.get("batch_index", 0)
        self.faults.evaluating(snapshot.name, batch)
        evaluated = super().evaluate(snapshot, **kwargs)
        self.faults.evaluating(snapshot.name, batch, written=True)
        self.faults.evaluated(batch)
        return evaluated

    def audit(self, snapshot: Any, **kwargs: Any) -> list[Any]:
        """Audit what was evaluated; audits that a fault strikes find rows."""
        return self.faults.audited(snapshot, super().audit(snapshot, **kwargs))

    def set_correlation_id(self, correlation_id: Any) -> SnapshotEvaluator:
        """The evaluator for a plan, with the same faults."""
        return self.like(super().set_correlation_id(correlation_id), self.faults)
