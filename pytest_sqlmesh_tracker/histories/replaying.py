"""Plays histories on a sandbox."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlmesh.core.snapshot import DeployabilityIndex, earliest_start_date

from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.sandbox.sandbox import Sandbox
from pytest_sqlmesh_tracker.tracking.project.names import display_names
from pytest_sqlmesh_tracker.tracking.project.nodes import audit_names, project_nodes

from .steps import Change, EvaluatedModels, Failure, History, Restate, Step, time_of


def replay(project: Sandbox, history: History) -> list[RunReport]:
    """Play a history on a sandbox, and then load what is missing at its end.

    The history begins at the time to which the sandbox's clock was last set. At its end, faults and
    holds are removed, the environment is run with `ignore_cron`, and each model of kind FULL is
    evaluated once more, so that its rows do not depend on when it was last due.

    Args:
        project: a sandbox whose environment is planned.
        history: the steps; a number in place of a model means the model with this position among
            those that SQLMesh evaluates, in the order of evaluation.

    Returns:
        The reports of all plans and runs.

    Raises:
        UnknownModelError: a step names a model that the project does not have.
        SandboxError: a model in a step is never evaluated, or can't fail in this way.
        Exception: SQLMesh raised it for a cause other than failed models.
    """
    __tracebackhide__ = True
    begin = project.last_set
    before = len(project.tracker.reports)
    for step in history.steps:
        play(project, step, begin)
    settle(project, begin + timedelta(days=history.days))
    return project.tracker.reports[before:]


def play(project: Sandbox, step: Step, begin: datetime) -> None:
    """Play one step of a history that begins at this time.

    A plan that was not finished before is applied first, since runs would wait for it.
    """
    __tracebackhide__ = True
    project.travel(max(time_of(step, begin), project.last_set))
    _finish(project)
    if isinstance(step, Change):
        project.write(step.path, step.text)
    models = evaluated_models(project)
    for failure in step.failures:
        _fail(project, failure, models)
    for model in step.held:
        project.hold(models.name(model))
    if isinstance(step, Restate):
        _restate(project, step, models, begin)
    elif isinstance(step, Change):
        project.plan()
    else:
        _run(project, ignore_cron=step.ignore_cron)
    project.clear_faults()


def settle(project: Sandbox, end: datetime) -> RunReport:
    """Load what is missing at the end of a history, and return the report of the last run."""
    __tracebackhide__ = True
    project.clear_faults()
    project.travel(max(end, project.last_set))
    _finish(project, or_promote=True)
    report = _run(project, ignore_cron=True)
    _evaluate_full_models(project)
    return report


def restate_everything(project: Sandbox, last: datetime) -> RunReport:
    """Restate all models from their start until a day, which is included."""
    __tracebackhide__ = True
    return _restated(project, list(evaluated_models(project).names), None, last)


def evaluated_models(project: Sandbox) -> EvaluatedModels:
    """The models of a project that SQLMesh evaluates more than once."""
    context = project.context
    nodes = project_nodes(context)
    names = display_names(nodes, context.default_catalog)
    models: dict[str, Any] = {
        names[fqn]: context.models[fqn] for fqn in context.dag.sorted if fqn in context.models
    }
    evaluated = {
        name: model
        for name, model in models.items()
        if not (model.kind.is_symbolic or model.kind.is_seed)
    }
    audits = {name: tuple(audit_names(model).values()) for name, model in evaluated.items()}
    parents = {
        name: tuple(names[fqn] for fqn in sorted(model.depends_on) if fqn in names)
        for name, model in evaluated.items()
    }
    return EvaluatedModels(tuple(evaluated), audits, parents)


def _fail(project: Sandbox, failure: Failure, models: EvaluatedModels) -> None:
    __tracebackhide__ = True
    name = models.name(failure.model)
    audits = models.audits.get(name, ())
    if failure.audit is not None and audits:
        audit = audits[failure.audit % len(audits)]
        project.fail(name, audit=audit, batch=failure.batch, times=1)
    else:
        after_write = failure.after_write and failure.audit is None
        project.fail(name, batch=failure.batch, times=1, after_write=after_write)


def _restate(project: Sandbox, step: Restate, models: EvaluatedModels, begin: datetime) -> None:
    __tracebackhide__ = True
    names = list(models.names) if step.model is None else [models.name(step.model)]
    first = None if step.first is None else begin + timedelta(days=step.first)
    last = project.now if step.last is None else begin + timedelta(days=step.last)
    _restated(project, names, first, min(last, project.now))


def _restated(
    project: Sandbox, names: list[str], first: datetime | None, last: datetime
) -> RunReport:
    __tracebackhide__ = True
    if first is None:
        first = earliest_start_date(project.context.snapshots.values(), relative_to=project.now)
    start, end = first.date().isoformat(), last.date().isoformat()
    return project.plan(restate_models=names, start=min(start, end), end=end)


def _run(project: Sandbox, *, ignore_cron: bool) -> RunReport:
    __tracebackhide__ = True
    # Nothing expires in a sandbox: SQLMesh would only look for it.
    return project.run(ignore_cron=ignore_cron, skip_janitor=True)


def _finish(project: Sandbox, *, or_promote: bool = False) -> None:
    """Apply a plan again that was not finished, because models failed.

    Args:
        or_promote: apply it also if they failed before the new versions were promoted: then, the
            environment still has the old ones, and runs do not wait.
    """
    __tracebackhide__ = True
    environment = project.context.state_reader.get_environment(project.environment)
    if environment is None:
        return
    unfinished = not environment.finalized_ts
    if or_promote and not unfinished:
        versions = {each.name: each.version for each in environment.snapshots}
        unfinished = any(
            versions.get(snapshot.name, snapshot.version) != snapshot.version
            for snapshot in project.context.snapshots.values()
        )
    if unfinished:
        project.plan()


def _evaluate_full_models(project: Sandbox) -> None:
    """Evaluate each model of kind FULL once more, alone and in order, over all of its intervals.

    A restatement would also load the models downstream again, and hide what is wrong with them.
    """
    context: Any = project.context
    with context.surroundings.in_use(), context.connections.postgres.used():
        environment = context.state_reader.get_environment(project.environment)
        loaded = context.state_reader.get_snapshots(environment.snapshots).values()
        snapshots = {snapshot.name: snapshot for snapshot in loaded}
        index = DeployabilityIndex.create(loaded, start=environment.start_at)
        for name in filter(snapshots.__contains__, context.dag.sorted):
            snapshot = snapshots[name]
            if snapshot.model.kind.is_full and snapshot.intervals:
                context.snapshot_evaluator.evaluate(
                    snapshot,
                    start=snapshot.intervals[0][0],
                    end=snapshot.intervals[-1][1],
                    execution_time=project.now,
                    snapshots=snapshots,
                    deployability_index=index,
                )
