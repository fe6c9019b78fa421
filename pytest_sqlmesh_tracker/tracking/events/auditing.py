"""Records `Context.audit`, which has no scheduler and passes only text to its console.

The recording is made from the arguments and results of `SnapshotEvaluator.audit`
(sqlmesh/core/context.py, `audit`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pytest_sqlmesh_tracker.process.frozen import perf_counter
from pytest_sqlmesh_tracker.tracking.moments import span
from pytest_sqlmesh_tracker.tracking.reliance import handles, reliances_of
from pytest_sqlmesh_tracker.tracking.spans import Span
from pytest_sqlmesh_tracker.tracking.sqlmesh_objects import AuditReturn, Snapshot

from .facts import audit_result, failure_of, frozen_by_name
from .invocation import InvocationRecorder
from .journal import now
from .recording import AuditResult, BatchEnd, NodeFailure, Round
from .taps import OnReturn


@dataclass(frozen=True)
class _UnderWay:
    """The audits of one model, while they run."""

    name: str
    span: Span
    started_at: datetime = field(default_factory=now)
    began: float = field(default_factory=perf_counter)

    def end(self, audits: tuple[AuditResult, ...], failure: NodeFailure | None) -> BatchEnd:
        failed = sum(audit.rows_failed > 0 for audit in audits)
        return BatchEnd(
            recorded=failure is None,
            started_at=self.started_at,
            finished_at=now(),
            seconds=perf_counter() - self.began,
            rows=None,
            bytes=None,
            audits_passed=len(audits) - failed,
            audits_failed=failed,
            failure=failure,
        )


class AuditRecorder(InvocationRecorder):
    """A call of `Context.audit`: a single round with one batch per model that has audits."""

    _under_way: _UnderWay | None = None

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Also handle the audits of the context's evaluator."""
        with super().listen():
            with self.journal.guarded():
                evaluator = self._context.snapshot_evaluator
                self._taps.add(evaluator, self.auditing_alone, self._admit)
            yield

    @handles("core.snapshot:SnapshotEvaluator.audit", "everything reported about Context.audit")
    def auditing_alone(
        self, _: Any, *, snapshot: Snapshot, snapshots: Mapping[str, Snapshot], start: Any, end: Any
    ) -> OnReturn:
        """The audits of a model start."""
        if self.recording.snapshots_of_audit is None:
            self.recording.snapshots_of_audit = frozen_by_name(snapshots.values())
            self.recording.rounds.append(Round(batches={}, audit_only=True))
        self._under_way = _UnderWay(snapshot.name, span(start, end))
        return self._audited

    def _audited(self, results: Collection[AuditReturn]) -> None:
        ran = tuple(audit_result(result) for result in results if not result.skipped)
        blocking = tuple(audit for audit in ran if audit.blocking and audit.rows_failed)
        assert self._under_way is not None
        failure = NodeFailure(self._under_way.name, 0, None, blocking) if blocking else None
        self._ended(ran, failure)

    def _ended(self, ran: tuple[AuditResult, ...], failure: NodeFailure | None) -> None:
        (round_,), audited = self.recording.rounds, self._under_way
        assert audited is not None
        self._under_way = None
        # A model has a batch only if any of its audits run.
        has_batch = bool(ran or failure)
        round_.batches = {**(round_.batches or {}), audited.name: (audited.span,) * has_batch}
        if has_batch:
            self.recording.started(audited.name, audited.started_at)
            round_.audits[audited.name] = {audited.span: ran}
            round_.ends[audited.name, 0] = audited.end(ran, failure)

    def raised(self, error: BaseException) -> None:
        """Record that the call raised, as a failure of the running audits if there are any."""
        super().raised(error)
        with self.journal.guarded():
            if self._under_way and isinstance(error, Exception):
                self._ended((), failure_of(self._under_way.name, 0, error))


AUDIT_EVENTS = reliances_of(AuditRecorder)
