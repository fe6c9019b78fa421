"""The statements of a report that are not true of SQLMesh's state, evaluator and tables."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_sqlmesh_tracker import ModelOutcome, Status
from tests.properties.playing.spans import millis

from .scenario import Played


def false_statements(played: Played) -> list[str]:
    """Each in a line; none if the report is true."""
    return [
        f"{outcome.name}: {statement}"
        for outcome in played.report.outcomes.values()
        for statement in (*_of_evaluator(played, outcome), *_of_tables(played, outcome))
    ]


def _of_evaluator(played: Played, outcome: ModelOutcome) -> Iterator[str]:
    # `Context.audit` looks at models without audits, too.
    batches = [b for b in played.witness.of(outcome.fqn) if b.evaluated is not None or b.audits]
    # A standalone audit is evaluated, but it loads nothing.
    loaded = [b for b in batches if b.evaluated and b.audited and outcome.kind != "audit"]
    reported = [(millis(batch.start), millis(batch.end)) for batch in outcome.recorded_batches]
    if sorted(reported) != sorted(batch.span for batch in loaded if batch.span):
        yield f"{reported} reported, {loaded} observed"
    broke = any(batch.audited is not True for batch in batches)
    if broke or outcome.fqn in played.witness.creations_failed:
        status = Status.FAILED
    elif not batches:
        status = Status.SKIPPED
    else:
        status = Status.EXECUTED if loaded else Status.AUDITED
    if outcome.status is not status:
        yield f"{outcome.status} reported, {status} observed: {batches}"


def _of_tables(played: Played, outcome: ModelOutcome) -> Iterator[str]:
    """What was executed wrote rows in this invocation, and what was skipped did not."""
    latest = played.tables.written_by.get(outcome.name.lower().removeprefix("shop."))
    if latest is None:
        return
    if outcome.status is Status.EXECUTED and latest != played.number:
        yield f"executed, but its rows are of invocation {latest}"
    if outcome.status in (Status.SKIPPED, Status.AUDITED) and latest == played.number:
        yield f"{outcome.status}, but it has rows of this invocation"
