"""Each model's batches over all rounds of an invocation, and the resulting status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from pytest_sqlmesh_tracker.outcomes.outcome import AuditOutcome, Batch
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.tracking.events.recording import (
    AuditResult,
    BatchEnd,
    NodeFailure,
    Recording,
    Round,
)
from pytest_sqlmesh_tracker.tracking.spans import Span, utc

from .root_causes import RootCauses


@dataclass(frozen=True)
class Evaluation:
    """What happened to one model in all rounds: the deciding batches, and the failures."""

    batches: tuple[Batch, ...]
    status: Status | None
    """None if nothing of the model was scheduled."""
    failures: tuple[NodeFailure, ...]
    blocked_by: tuple[str, ...]
    """Fully qualified names of the failed models that caused it to be skipped."""
    cut_by_environment: bool
    """Whether batches of it did not begin because the environment changed."""

    @property
    def partial(self) -> bool:
        """Whether some but not all of its scheduled batches were recorded."""
        recorded = any(batch.status is Status.EXECUTED for batch in self.batches)
        return recorded and self.status is not Status.EXECUTED


class Evaluations:
    """What has happened to the models of a recording, as it is now."""

    def __init__(self, recording: Recording, sees_through: bool) -> None:
        """Index the recording lazily.

        Args:
            sees_through: see `compat.sees_through_idle_parents`.
        """
        self._recording = recording
        self._rounds = [RoundByModel(round_, sees_through) for round_ in recording.rounds]

    def of(self, name: str, only_audits: bool) -> Evaluation:
        """What happened to the model `name` in all rounds.

        Args:
            only_audits: whether batches of its kind only run audits (external, embedded, standalone
                audit).
        """
        scheduled: list[_Scheduled] = []
        failures: list[NodeFailure] = []
        blocked_by: tuple[str, ...] = ()
        cut_by_environment = False
        decision = self._recording.decision
        rounds_void = decision.rounds_before if decision else 0
        for number, round_ in enumerate(self._rounds):
            latest = list(_scheduled_in(round_, number, name, only_audits))
            if number < rounds_void:
                # The run was restarted: SQLMesh decided again on what had not run by then.
                latest = [each for each in latest if _ran(each.batch)]
            creation = [failure for failure in round_.failures_of(name) if failure.batch is None]
            if not latest and not creation:
                continue
            later = [each.batch for each in latest]
            scheduled = [each for each in scheduled if not _superseded(each.batch, later)] + latest
            failures += creation
            blocked_by = tuple(_roots(round_, name))
            cut_by_environment = round_.round.circuit_broken
        failures += self._outside_rounds.get(name, ())
        failures += [each.failure for each in scheduled if each.failure]
        batches = tuple(each.batch for each in scheduled)
        return Evaluation(
            batches=batches,
            status=_status(batches, failures),
            failures=tuple(failures),
            blocked_by=blocked_by,
            cut_by_environment=cut_by_environment,
        )

    @cached_property
    def _outside_rounds(self) -> Mapping[str, list[NodeFailure]]:
        return _by_name(_outside_rounds(self._recording))

    @cached_property
    def connections_lost(self) -> Sequence[NodeFailure]:
        """The failures in which a connection was lost, in chronological order."""
        ends = [end for round_ in self._recording.rounds for end in round_.ends.values()]
        failures = [e.failure for e in sorted(ends, key=lambda e: e.finished_at) if e.failure]
        return [failure for failure in failures if failure.connection == "lost"]


class RoundByModel:
    """A round as it is now, indexed by model."""

    def __init__(self, round_: Round, sees_through: bool) -> None:
        self.round = round_
        self._sees_through = sees_through

    def failures_of(self, name: str) -> Sequence[NodeFailure]:
        """The failures of a model that SQLMesh listed at the end."""
        return self._failures.get(name, ())

    @cached_property
    def _failures(self) -> Mapping[str, list[NodeFailure]]:
        return _by_name(self.round.failures or ())

    @cached_property
    def failed(self) -> Set[str]:
        """The models that failed."""
        return _failed(self.round)

    @cached_property
    def root_causes(self) -> RootCauses:
        """The failed models upstream, along the edges of SQLMesh's schedule.

        They lead through skipped models, and through models without batches if the schedule sees
        through them (sqlmesh/core/scheduler.py, `_dag`).
        """
        skipped = self.round.skipped or frozenset()
        scheduled = {name for name, spans in (self.round.batches or {}).items() if spans}

        def passes_on(name: str) -> bool:
            return name in skipped or (self._sees_through and name not in scheduled)

        return RootCauses(self.failed, self.round.parents, passes_on)


def _by_name(failures: Iterable[NodeFailure]) -> Mapping[str, list[NodeFailure]]:
    by_name: dict[str, list[NodeFailure]] = {}
    for failure in failures:
        by_name.setdefault(failure.name, []).append(failure)
    return by_name


def audits(
    recording: Recording,
    name: str,
    failures: Sequence[NodeFailure],
) -> list[AuditOutcome]:
    """The outcome of each audit of the model, with its failed rows summed over all intervals.

    If an interval was audited in several rounds, the latest round counts. The names are SQLMesh's.
    """
    results: dict[Span, tuple[AuditResult, ...]] = {}
    for round_ in recording.rounds:
        results.update(round_.audits.get(name, {}))
    ran_audits = [result for ran in results.values() for result in ran]
    if not ran_audits:
        ran_audits = [audit for failure in failures for audit in failure.audits or ()]
    ran_audits += [failure.audit for failure in failures if failure.audit]
    outcomes: dict[tuple[str, tuple[tuple[str, str], ...]], AuditOutcome] = {}
    for result in ran_audits:
        key = result.name, tuple(sorted(result.arguments.items()))
        before = outcomes.get(key)
        rows_failed = (before.rows_failed if before else 0) + result.rows_failed
        error = (before.error if before else None) or result.error
        outcomes[key] = AuditOutcome(
            name=result.name,
            arguments=dict(result.arguments),
            blocking=result.blocking,
            passed=not rows_failed and error is None,
            rows_failed=rows_failed,
            error=error,
        )
    return list(outcomes.values())


@dataclass(frozen=True)
class _Scheduled:
    """A batch and its failure, if any."""

    batch: Batch
    failure: NodeFailure | None


def _scheduled_in(
    by_model: RoundByModel, number: int, name: str, only_audits: bool
) -> Iterator[_Scheduled]:
    round_ = by_model.round
    listed = {failure.batch: failure for failure in by_model.failures_of(name)}
    for index, span in enumerate((round_.batches or {}).get(name, ())):
        end = round_.ends.get((name, index))
        status = _batch_status(by_model, name, index, only_audits or round_.audit_only)
        failure = listed.get(index) or (end.failure if end and not end.interrupted else None)
        audits = round_.audits.get(name, {}).get(span)
        batch = _batch(index, number, span, status, end, audits)
        if failure and failure.unrecorded:
            batch = batch.model_copy(update={"unrecorded": True})
        yield _Scheduled(batch, failure)


def _ran(batch: Batch) -> bool:
    return batch.status in (Status.EXECUTED, Status.AUDITED, Status.FAILED)


def _batch(
    index: int,
    number: int,
    span: Span,
    status: Status,
    end: BatchEnd | None,
    audits: Sequence[AuditResult] | None,
) -> Batch:
    seconds = end.seconds if end else None
    passed, failed = (end.audits_passed, end.audits_failed) if end else (0, 0)
    if audits is not None:
        # SQLMesh reports 0 for both if a blocking audit failed, and counts skipped audits as
        # passed (sqlmesh/core/scheduler.py, `run_merged_intervals`).
        failed = sum(audit.rows_failed > 0 for audit in audits)
        passed = len(audits) - failed
    return Batch(
        index=index,
        round=number,
        start=utc(span[0]),
        end=utc(span[1]),
        status=status,
        duration=None if seconds is None else timedelta(seconds=seconds),
        rows=end.rows if end else None,
        bytes=end.bytes if end else None,
        audits_passed=passed,
        audits_failed=failed,
    )


def _batch_status(by_model: RoundByModel, name: str, index: int, audits_only: bool) -> Status:
    end = by_model.round.ends.get((name, index))
    # A failure that SQLMesh lists outweighs an update that reported success: the console itself
    # can raise in that callback.
    if any(failure.batch == index for failure in by_model.failures_of(name)):
        return Status.FAILED
    if end is None:
        return Status.SKIPPED if _skipped(by_model, name, index) else Status.INTERRUPTED
    if end.recorded and not end.failure:
        return Status.AUDITED if audits_only else Status.EXECUTED
    return Status.INTERRUPTED if end.interrupted else Status.FAILED


def _skipped(by_model: RoundByModel, name: str, index: int) -> bool:
    """Whether a batch did not begin because something failed.

    SQLMesh does not list what had not begun when the invocation or the round ended. If a round is
    cancelled, or ends because the environment changed, SQLMesh also lists models as skipped
    although nothing upstream failed.
    """
    round_ = by_model.round
    if name not in (round_.skipped or ()) or round_.circuit_broken:
        return False
    if not round_.cancelled:
        return True
    if (name, index) in round_.cancelled:
        return False
    return name in by_model.failed or bool(_roots(by_model, name))


def _superseded(batch: Batch, later: Sequence[Batch]) -> bool:
    """Whether batches of a later round replace this one.

    The latest round decides for each interval, except that a batch that ran is not replaced by one
    that was only scheduled, nor an evaluation by an audit. An executed batch is replaced only as a
    whole: a lookback reloads only a part of it.
    """
    deciding = [
        other
        for other in later
        if other.start < batch.end
        and batch.start < other.end
        and (_ran(other) or not _ran(batch))
        and not (batch.status is Status.EXECUTED and other.status is Status.AUDITED)
    ]
    if batch.status is not Status.EXECUTED:
        return bool(deciding)
    reached = batch.start
    for other in sorted(deciding, key=lambda one: one.start):
        if other.start <= reached:
            reached = max(reached, other.end)
    return reached >= batch.end


def _status(batches: Sequence[Batch], failures: Sequence[NodeFailure]) -> Status | None:
    statuses = {batch.status for batch in batches}
    if failures or Status.FAILED in statuses:
        return Status.FAILED
    if not statuses:
        return None
    if Status.INTERRUPTED in statuses:
        return Status.INTERRUPTED
    if Status.SKIPPED not in statuses:
        return Status.EXECUTED if Status.EXECUTED in statuses else Status.AUDITED
    if Status.EXECUTED in statuses:
        # Some were recorded before the run was restarted; the rest was not reached afterwards.
        return Status.INTERRUPTED
    return Status.AUDITED if Status.AUDITED in statuses else Status.SKIPPED


def failed_upstream(recording: Recording, parents: Callable[[str], Iterable[str]]) -> RootCauses:
    """The failed upstream models that later batches of a model would have waited for."""
    outside = _outside_rounds(recording)
    failed = {failure.name for failure in outside}.union(*map(_failed, recording.rounds))
    return RootCauses(failed, parents, lambda _: True)


def _outside_rounds(recording: Recording) -> list[NodeFailure]:
    """The failures that SQLMesh did not report in a round."""
    raised = recording.raised.nodes if recording.raised else ()
    return [*recording.creation_failures, *raised]


def _failed(round_: Round) -> set[str]:
    failed = {failure.name for failure in round_.failures or ()}
    raised = {name for (name, _), end in round_.ends.items() if _raised(end)}
    return failed | raised


def _raised(end: BatchEnd) -> bool:
    return not (end.recorded or end.interrupted)


def _roots(by_model: RoundByModel, name: str) -> Sequence[str]:
    """The failed ancestors that caused the model's batches to be skipped, nearest first."""
    if name not in (by_model.round.skipped or ()) or name in by_model.failed:
        return []
    return by_model.root_causes.of(name)
