"""Forecasts the runs after a drawn history, lets them take place, and lists what was wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from sqlmesh.core.snapshot.definition import inclusive_exclusive

from pytest_sqlmesh_tracker import RunReport, sqlmesh_run_tracker
from pytest_sqlmesh_tracker.forecast.forecasting import Assumed, forecast
from pytest_sqlmesh_tracker.forecast.results import Forecast, ForecastRun
from pytest_sqlmesh_tracker.sandbox.faults import Fault, InjectedError
from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError

from .demanding.tally import TALLY, Ledger, Violation
from .drawing.outlooks import Outlook
from .drawing.specs import ONLY_AUDITED
from .playing.invocations import Story, in_haste, played
from .playing.spans import merged, millis
from .playing.state import shown
from .playing.witnesses import Witness, watching
from .playing.world import World

Spans = list[tuple[int, int]]


def forecast_violations(outlook: Outlook) -> list[Violation]:
    """Play a history, forecast the runs after it, and let them take place; what was wrong."""
    ledger = Ledger()
    with played(outlook.history) as story:
        _look_ahead(outlook, story, ledger)
    TALLY.examples += 1
    return ledger.violations


def _look_ahead(outlook: Outlook, story: Story, ledger: Ledger) -> None:
    now = story.world.clock.now
    with story.world.copy(now) as other, in_haste():
        other.clock.start()
        other.faults.clear()
        # A model that was removed from the project can still be in an environment.
        other.switch((), {model.name: model for model in story.definitions.values()}.values())
        fqns = {shown(fqn): fqn for fqn, *_ in story.definitions}
        failing = {fqns[name]: name for name in outlook.failing if name in fqns}
        held = frozenset(fqns[name] for name in outlook.held if name in fqns)
        times = [time.replace(tzinfo=timezone.utc) for time in outlook.times]
        try:
            forecasted = forecast(
                other.context,
                outlook.environment,
                at=now,
                until=times[-1],
                times=times,
                assumed=Assumed(failing=frozenset(failing), held=held),
            )
        except ProjectError:
            TALLY.draws["environments that are not planned"] += 1
            return
        if failing:
            other.faults.add(Fault(failing, InjectedError("assumed")))
        other.faults.held.update(held)
        follow(other, forecasted, times, ledger)


def follow(
    world: World, forecasted: Forecast, times: Sequence[datetime], ledger: Ledger
) -> dict[datetime, Mapping[str, Spans]]:
    """Run the environment at these times, and compare each run with the forecast.

    Returns:
        The times of the runs → what was evaluated of each model, by fully qualified name.
    """
    runs = {run.at: run for run in forecasted.runs}
    through = {m.name: m.loads.through for m in forecasted.models}
    evaluated: dict[datetime, Mapping[str, Spans]] = {}
    # An environment expires.
    for time in (time for time in times if time <= forecasted.until):
        ledger.where = f"{forecasted.environment} at {time:%Y-%m-%d %H:%M}"
        world.clock.travel(time)
        # SQLMesh remembers where a relative end was, but each run has a process of its own.
        inclusive_exclusive.cache_clear()
        with (
            watching(type(world.context.snapshot_evaluator)) as witness,
            sqlmesh_run_tracker(world.context) as tracker,
        ):
            try:
                world.context.run(forecasted.environment)
            except Exception as error:
                TALLY.raised[type(error).__name__] += 1
                ledger.demand(False, "run-raised", f"{type(error).__name__}: {error}")
                return evaluated
        TALLY.draws["runs"] += 1
        run = runs.get(time, ForecastRun(time, {}, ()))
        evaluated[time] = _compare(forecasted, run, witness, ledger)
        through.update(run.loaded_through)
        _compare_loaded(forecasted, through, tracker.last, ledger)
    return evaluated


def _compare(
    forecasted: Forecast, run: ForecastRun, witness: Witness, ledger: Ledger
) -> Mapping[str, Spans]:
    """Compare a run with the forecast; what was evaluated of each model."""
    executed, failed = observed(witness)
    for model in forecasted.models:
        name = model.name
        if name in forecasted.undetermined:
            TALLY.draws["undetermined models"] += 1
            continue
        if model.kind not in ONLY_AUDITED:
            foreseen = [(millis(start), millis(end)) for start, end in run.executed.get(name, ())]
            actual = executed.get(model.fqn, [])
            TALLY.draws["executions forecast"] += bool(foreseen)
            ledger.demand(
                merged(foreseen) == actual,
                "forecast",
                f"{name}: forecast {foreseen}; evaluated {actual}",
            )
        TALLY.draws["failures forecast"] += name in run.failed
        ledger.demand(
            (name in run.failed) == (model.fqn in failed),
            "forecast-failure",
            f"{name}: forecast to fail: {name in run.failed}; {failed.get(model.fqn, 'did not')}",
        )
    return executed


def _compare_loaded(
    forecasted: Forecast,
    through: Mapping[str, datetime | None],
    report: RunReport,
    ledger: Ledger,
) -> None:
    """Compare how far each model is loaded with what the report of the run has."""
    for model in forecasted.models:
        if model.name not in forecasted.undetermined and model.kind not in ONLY_AUDITED:
            foreseen, reported = through[model.name], report[model.fqn].loaded_through
            ledger.demand(
                foreseen == reported,
                "forecast-loaded",
                f"{model.name}: forecast to be loaded through {foreseen}; reported {reported}",
            )


def observed(witness: Witness) -> tuple[Mapping[str, Spans], Mapping[str, str]]:
    """The intervals that were evaluated and recorded, and the models that failed, with why."""
    executed: dict[str, Spans] = {}
    failed: dict[str, str] = {}
    for batch in witness.batches:
        if batch.broke:
            failed[batch.fqn] = f"failed: {batch.error}"
        elif batch.evaluated and batch.span:
            executed.setdefault(batch.fqn, []).append(batch.span)
    for fqn, error in witness.creations_failed.items():
        failed[fqn] = f"its creation failed: {error}"
    return {fqn: merged(spans) for fqn, spans in executed.items()}, failed
