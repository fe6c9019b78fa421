"""`Context.audit`, which has no scheduler and tells its console nothing but text.

What is known of it is what `SnapshotEvaluator.audit` was called with and returned
(sqlmesh/core/context.py, `audit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pytest_sqlmesh_tracker.process.frozen import perf_counter
from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.spans import Span

from .facts import audit_result, failure_of, frozen_by_name
from .invocation import Invocation, now
from .recording import AuditResult, BatchEnd, NodeFailure, Round


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


class AuditInvocation(Invocation):
    """One call of `Context.audit`: one round, with a batch for each model that has audits."""

    _under_way: _UnderWay | None = None

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Hear the context's evaluator as well."""
        with super().listen():
            with self.faultless():
                evaluator = self._context.snapshot_evaluator
                self._taps.add(evaluator, "audit", self._auditing_alone, self._admit)
            yield

    def _auditing_alone(self, _: Any, asked: dict[str, Any]) -> Callable[[Any], None]:
        if self.recording.audited is None:
            self.recording.audited = frozen_by_name(asked["snapshots"].values())
            self.recording.rounds.append(Round(batches={}, audit_only=True))
        span = compat.span(asked.get("start"), asked.get("end"))
        self._under_way = _UnderWay(asked["snapshot"].name, span)
        return self._audited

    def _audited(self, results: Any) -> None:
        ran = tuple(audit_result(result) for result in results if not result.skipped)
        blocking = tuple(audit for audit in ran if audit.blocking and audit.rows_failed)
        assert self._under_way is not None
        failure = NodeFailure(self._under_way.name, 0, None, blocking) if blocking else None
        self._ended(ran, failure)

    def _ended(self, ran: tuple[AuditResult, ...], failure: NodeFailure | None) -> None:
        (round_,), audited = self.recording.rounds, self._under_way
        assert audited is not None
        self._under_way = None
        # A model without audits that run has no batch.
        has_batch = bool(ran or failure)
        round_.batches = {**(round_.batches or {}), audited.name: (audited.span,) * has_batch}
        if has_batch:
            self.recording.started(audited.name, audited.started_at)
            round_.audits[audited.name] = {audited.span: ran}
            round_.ends[audited.name, 0] = audited.end(ran, failure)

    def raised(self, error: BaseException) -> None:
        """The call raised: of the audits under way, if they were what raised."""
        super().raised(error)
        with self.faultless():
            if self._under_way and isinstance(error, Exception):
                self._ended((), failure_of(self._under_way.name, 0, error))
