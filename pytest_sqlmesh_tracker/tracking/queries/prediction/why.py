"""Why models would be evaluated or not if their environment were run now; nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from sqlmesh.core.snapshot import DeployabilityIndex
from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.predictions.model_now import ModelNow
from pytest_sqlmesh_tracker.predictions.predicted_run import PredictedRun
from pytest_sqlmesh_tracker.tracking.errors.secrets import secrets_of
from pytest_sqlmesh_tracker.tracking.events.recording import Recording
from pytest_sqlmesh_tracker.tracking.intervals.loaded import After, Before
from pytest_sqlmesh_tracker.tracking.project.environments import deployability
from pytest_sqlmesh_tracker.tracking.project.nodes import project_folders, project_nodes
from pytest_sqlmesh_tracker.tracking.queries.messages import Why, WhyQuery
from pytest_sqlmesh_tracker.tracking.queries.planned import planned
from pytest_sqlmesh_tracker.tracking.queries.project_files import ProjectFiles, load_project_files
from pytest_sqlmesh_tracker.tracking.queries.scheduling import RunStart
from pytest_sqlmesh_tracker.tracking.reasons.reporting import report_of
from pytest_sqlmesh_tracker.tracking.spans import utc

from .recording import new_recording, record_run, record_wait


def why(context: Any, environment: str | None = None, *, signals: bool = False) -> PredictedRun:
    """What a run of an environment would report now, for every model. Nothing is run or written.

    SQLMesh's own scheduler decides what such a run would schedule (sqlmesh/core/scheduler.py,
    `_run_or_audit`). Only the state is read, unless signals are called.

    Args:
        context: the SQLMesh `Context`. If it has loaded the project, the models of its files are
            compared with those of the environment.
        environment: the environment's name; by default, the context's target environment.
        signals: whether to call the models' signals, which are the project's code. Without it, the
            models are assumed to be ready.

    Raises:
        ProjectError: the environment is not planned. No state is created.
    """
    files = ProjectFiles({}, unread="the context has not loaded the project")
    if getattr(context, "_loaded", True):
        files = ProjectFiles(project_nodes(context), project_folders(context))
    return _predicted(context, environment, datetime.now(timezone.utc), files, signals=signals)


def answer_why(context: Any, query: WhyQuery) -> Why:
    """The answer to a query, with a context that has not loaded the project.

    The project's files are read first, before a database is opened: a DuckDB file would be locked.

    Raises:
        ProjectError: the environment is not planned.
    """
    files = load_project_files(context)
    predicted = _predicted(context, query.environment, query.moment, files, signals=query.signals)
    return Why(predicted=predicted)


def _predicted(
    context: Any, name: str | None, at: datetime, files: ProjectFiles, *, signals: bool
) -> PredictedRun:
    environment = planned(context, name or context.config.default_target_environment)
    moment = to_timestamp(at)
    recording = new_recording(context, environment.name, utc(moment))
    recording.local_nodes, recording.folders = files.nodes, files.folders
    if files.unread is not None:
        recording.project_files, recording.project_files_note = "not_read", files.unread
    start = RunStart.of(context, environment, moment)
    if environment.finalized_ts:
        record_run(recording, context, start, signals=signals)
    else:
        record_wait(recording, context)
    if recording.has_errors or files.unread is not None:
        recording.secrets = secrets_of(context)
    report = report_of(recording)
    others = _other_environments(context, environment)
    facts = _Facts(recording, start, others, called=signals)
    return PredictedRun(
        report=report,
        signals_called=signals,
        expires_at=None if environment.expiration_ts is None else utc(environment.expiration_ts),
        now={
            name: facts.of(outcome.fqn)
            for name, outcome in report.outcomes.items()
            if outcome.fqn in start.stored
        },
    )


class _Facts:
    """What is known of the models of an environment, beside the report."""

    def __init__(
        self,
        recording: Recording,
        start: RunStart,
        others: Mapping[str, frozenset[tuple[str, str]]],
        *,
        called: bool,
    ) -> None:
        self._start = start
        self._others = others
        self._called = called
        self._due = recording.decision.due if recording.decision else {}
        unstarted = replace(recording, rounds=[], recorded=[])
        self._present = After(unstarted, Before(unstarted))

    def of(self, fqn: str) -> ModelNow:
        start = self._start
        restatement = start.compared.frozen[fqn].next_restatement
        is_model = start.stored[fqn].snapshot.is_model
        return ModelNow(
            loaded_through=self._present.loaded_through(fqn, utc(start.moment)),
            assumed_ready=tuple(self._assumed_ready(fqn)),
            next_restatement=(
                utc(restatement) if start.compared.restates and restatement else None
            ),
            shared_with=tuple(self._shared_with(fqn)) if is_model else (),
        )

    def _assumed_ready(self, fqn: str) -> Iterator[str]:
        snapshot = self._start.stored[fqn].snapshot
        if snapshot.is_model and not self._called and fqn in self._due:
            yield from (name for name, _ in snapshot.model.signals if name)

    def _shared_with(self, fqn: str) -> Iterator[str]:
        snapshot = self._start.stored[fqn].snapshot
        table = _table(snapshot, self._start.index.is_representative(snapshot))
        evaluates = snapshot.evaluatable and not snapshot.is_seed
        for name, tables in self._others.items() if evaluates else ():
            if (fqn, table) in tables:
                yield name


def _other_environments(context: Any, environment: Any) -> dict[str, frozenset[tuple[str, str]]]:
    """Name of another environment → its models, and the tables that its runs load."""
    loaded: dict[str, frozenset[tuple[str, str]]] = {}
    for other in sorted(context.state_sync.get_environments(), key=lambda each: each.name):
        if other.name != environment.name:
            snapshots = context.state_sync.get_snapshots(other.snapshots).values()
            loaded[other.name] = frozenset(_loaded_tables(other.name, snapshots))
    return loaded


def _loaded_tables(environment: str, snapshots: Iterable[Any]) -> Iterator[tuple[str, str]]:
    index = deployability(environment, list(snapshots)) or DeployabilityIndex.all_deployable()
    for snapshot in snapshots:
        yield snapshot.name, _table(snapshot, index.is_deployable(snapshot))


def _table(snapshot: Any, is_shared: bool) -> str:
    """What identifies the table of a version, or that of its preview."""
    return str(snapshot.version) if is_shared else f"preview {snapshot.dev_version}"
