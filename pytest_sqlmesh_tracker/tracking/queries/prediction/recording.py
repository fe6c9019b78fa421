"""What would be recorded of a run of an environment now, if everything that can succeed does.

Nothing is evaluated or written. The report is made of this recording as of that of a real run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlmesh.core.console import NoopConsole
from sqlmesh.utils.date import validate_date_range

from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.errors.exceptions import described
from pytest_sqlmesh_tracker.tracking.errors.steps import failed_step
from pytest_sqlmesh_tracker.tracking.evaluation.root_causes import RootCauses
from pytest_sqlmesh_tracker.tracking.events.console_events import ConsoleEvents
from pytest_sqlmesh_tracker.tracking.events.console_proxy import ConsoleProxy
from pytest_sqlmesh_tracker.tracking.events.facts import (
    failure_of,
    frozen_by_name,
    spans_by_name,
)
from pytest_sqlmesh_tracker.tracking.events.journal import Journal
from pytest_sqlmesh_tracker.tracking.events.live import Executions
from pytest_sqlmesh_tracker.tracking.events.recording import (
    BatchEnd,
    IntervalSearch,
    NodeFailure,
    Raised,
    RecordedIntervals,
    Recording,
    Round,
    RunDecision,
)
from pytest_sqlmesh_tracker.tracking.project.environments import (
    EnvironmentBusyError,
    environment_state,
    planned_snapshots,
)
from pytest_sqlmesh_tracker.tracking.project.removed import removed_intervals
from pytest_sqlmesh_tracker.tracking.queries.scheduling import RunStart
from pytest_sqlmesh_tracker.tracking.reasons.reporting import outcomes_so_far
from pytest_sqlmesh_tracker.tracking.spans import Span


def new_recording(context: Any, environment: str, at: datetime) -> Recording:
    """The recording of a run that begins and ends at this moment, before it has decided."""
    return Recording(
        command="run",
        arguments={},
        environment=environment,
        started_at=at,
        finished_at=at,
        default_catalog=context.default_catalog,
    )


def record_wait(recording: Recording, context: Any) -> None:
    """Record what a run does that waits for an unfinished plan until its longest wait is over."""
    name = recording.environment
    state = environment_state(context, name)
    assert state is not None
    recording.environment_state = state
    recording.snapshots_of_environment = frozen_by_name(planned_snapshots(context, name))
    busy = EnvironmentBusyError(name, state)
    recording.raised = Raised("error", described(busy))


def record_run(recording: Recording, context: Any, start: RunStart, *, signals: bool) -> None:
    """Record what the run decides, schedules and evaluates.

    Args:
        recording: what is known of the run so far.
        context: a SQLMesh context, for its scheduler.
        start: what the run starts from.
        signals: whether to call signals, as a run does; otherwise no model has any.
    """
    journal = Journal(recording)
    console = ConsoleEvents(
        journal,
        Executions(recording, (), outcomes_so_far),
        admit=lambda: None,
        on_applied=lambda: None,
    )
    scheduler = start.scheduler(
        context, console=ConsoleProxy(NoopConsole(), console), signals=signals
    )
    missing = start.missing(scheduler)
    recording.snapshots_in_state = start.stored
    recording.snapshots_at_first_decision = start.compared.frozen
    recording.decision = _decision(start, recording.started_at, spans_by_name(missing))
    recording.returned = "success" if missing else "nothing_to_do"
    if not missing:
        return
    journal.pending.due = spans_by_name(missing)
    journal.pending.snapshots = {each.name: each for each in scheduler.snapshots.values()}
    _record_removed(recording, context, start)
    try:
        batches = start.batches(scheduler, missing)
    except Exception as error:
        # A signal raised; SQLMesh then evaluates nothing.
        recording.raised = Raised("error", described(error), step=failed_step(error))
        return
    console.start_evaluation_progress(batched_intervals=batches, audit_only=False)
    _evaluate(recording, journal.round, start)


def _decision(start: RunStart, at: datetime, due: Mapping[str, tuple[Span, ...]]) -> RunDecision:
    return RunDecision(
        snapshots=start.compared.frozen,
        search=IntervalSearch(end=at, execution_time=at),
        end_given=False,
        selected=None,
        deployability_index=start.index,
        due=due,
        rounds_before=0,
    )


def _record_removed(recording: Recording, context: Any, start: RunStart) -> None:
    """Record which missing intervals had been removed.

    Before a run of prod, the janitor deletes what the state knows of them.
    """
    if start.compared.restates:
        return
    due = recording.decision.due if recording.decision else {}
    versions = {name: start.stored[name].snapshot.version for name in due}
    recording.removed_intervals = removed_intervals(context.state_sync, versions)


def _evaluate(recording: Recording, round_: Round, start: RunStart) -> None:
    """Record that all batches end as well as they can."""
    batches = {name: spans for name, spans in (round_.batches or {}).items() if spans}
    rejected = {name: failure for name in batches if (failure := _rejected(name, batches[name]))}
    roots = RootCauses(rejected.keys(), round_.parents, _passing_on(round_))
    skipped = frozenset(name for name in batches if roots.of(name))
    failures = {name: rejected[name] for name in rejected.keys() - skipped}
    for name in batches.keys() - skipped:
        for number in range(len(batches[name])):
            round_.ends[name, number] = _end(recording.started_at, failures.get(name))
        if name not in failures:
            recording.recorded.append(_recorded(start, name, batches[name]))
    round_.stopped, round_.skipped, round_.failures = True, skipped, tuple(failures.values())
    if failures:
        recording.returned = "failure"


def _passing_on(round_: Round) -> Callable[[str], bool]:
    """Whether a model that does not fail lets its children wait for its parents."""
    if compat.sees_through_idle_parents():
        return lambda name: name in round_.snapshots
    return lambda name: bool((round_.batches or {}).get(name))


def _rejected(name: str, spans: Sequence[Span]) -> NodeFailure | None:
    """Why SQLMesh rejects the batches of a model; None if it does not.

    If nothing of a model is loaded, and it starts after the last tick of its cron, its missing
    interval ends before it starts.
    """
    for number, span in enumerate(spans):
        try:
            validate_date_range(*span)
        except ValueError as error:
            return failure_of(name, number, error)
    return None


def _end(at: datetime, failure: NodeFailure | None) -> BatchEnd:
    return BatchEnd(
        recorded=failure is None,
        started_at=at,
        finished_at=at,
        seconds=None,
        rows=None,
        bytes=None,
        audits_passed=0,
        audits_failed=0,
        failure=failure,
    )


def _recorded(start: RunStart, name: str, spans: Sequence[Span]) -> RecordedIntervals:
    """As `Scheduler.evaluate` records it in the state."""
    snapshot = start.compared.snapshot(name)
    intervals = tuple(
        (snapshot.inclusive_exclusive(*span, strict=False, expand=False)) for span in spans
    )
    in_table = start.index.is_deployable(snapshot)
    return RecordedIntervals(
        name, snapshot.version, intervals if in_table else (), () if in_table else intervals
    )
