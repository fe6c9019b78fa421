"""Forecasts a plan of a drawn change and a week, lets them take place; lists what was wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from pytest_sqlmesh_tracker import sqlmesh_run_tracker
from pytest_sqlmesh_tracker.forecast.dry.context import dry_context
from pytest_sqlmesh_tracker.forecast.dry.local import forecast_with_local
from pytest_sqlmesh_tracker.forecast.results import Forecast, LocalForecast
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError
from tests.projects import without

from .demanding.tally import TALLY, Ledger, Violation
from .drawing.changes import WEEK, Change
from .drawing.specs import ONLY_AUDITED
from .forecasting import Spans, follow, observed
from .playing.invocations import Story, in_haste, played
from .playing.spans import merged, millis
from .playing.state import missing, read_state, restated
from .playing.witnesses import Witness, watching
from .playing.world import World

PLAN = {"no_prompts": True, "auto_apply": True, "skip_tests": True, "skip_linter": True}


def local_violations(change: Change) -> list[Violation]:
    """Play a history, forecast a plan of its edits, and let it and a week's runs take place."""
    ledger = Ledger()
    with played(change.history) as story:
        _look_ahead(change, story, ledger)
    TALLY.examples += 1
    return ledger.violations


def _look_ahead(change: Change, story: Story, ledger: Ledger) -> None:
    now = story.world.clock.now
    models = change.edited(story.models)
    with story.world.copy(now, reads_files=True) as other, in_haste():
        other.rewrite(models)
        other.clock.start()
        other.faults.clear()
        everything = {model.name: model for model in (*story.definitions.values(), *models)}
        other.switch((), everything.values())
        times = change.times(now)
        try:
            forecasted, state = _forecast(other, change, now, times)
        except ProjectError as error:
            # The command rejects the environment.
            TALLY.draws[f"no forecast: {str(error).partition(';')[0][-24:]}"] += 1
            return
        assert forecasted.local is not None
        other.clock.travel(now)
        ledger.where = f"plan {change.environment}"
        if not _is_planned(other, change.environment, forecasted.local, state, ledger):
            return
        overdue = _missing(other, change.environment)
        # The last look at what is missing took some time, too.
        if times is None:
            runs = [run.at for each in _forms(forecasted) for run in each.runs]
            times = sorted({*runs, *([] if overdue else _between(change, forecasted))})
        _live(other, forecasted, times, overdue, ledger)


def _forecast(
    world: World, change: Change, now: datetime, times: Sequence[datetime] | None
) -> tuple[Forecast, Mapping[str, Any]]:
    """The forecast, and the state that it expects after the plan."""
    context = world.context
    if not context.state_sync.get_environments_summary():
        raise ProjectError("nothing is planned")
    with dry_context(context, config=context.configs, gateway="local") as dry:
        dry.load()
        forecasted = forecast_with_local(
            context, dry, change.environment, at=now, until=now + WEEK, times=times
        )
        return forecasted, _state(dry)


def _forms(forecasted: Forecast) -> list[Forecast]:
    """The forecasts of the environment as it is, and as it is after the plan."""
    after = forecasted.local and forecasted.local.after
    return [forecasted, *([after] if after else [])]


def _between(change: Change, forecasted: Forecast) -> list[datetime]:
    """Times at which nothing is due."""
    assert forecasted.local is not None
    after = forecasted.local.after
    assert after is not None
    partial = any(model.allow_partials for model in change.edited(change.history.models_at_end))
    # Parts of intervals and previews are due all the time, and so is what fails.
    if partial or after.failing or change.environment != "prod":
        return []
    TALLY.draws["runs in which nothing is due"] += len(change.between)
    return [after.at + wait for wait in change.between]


def _is_planned(
    world: World, environment: str, local: LocalForecast, state: Mapping[str, Any], ledger: Ledger
) -> bool:
    """Plan for real; whether there is anything to be run then, as was forecast."""
    context, raised = world.context, None
    with (
        watching(type(context.snapshot_evaluator)) as witness,
        sqlmesh_run_tracker(context) as tracker,
    ):
        try:
            context.plan(environment, **PLAN)
        except Exception as error:
            raised = error
    report = tracker.reports[-1] if tracker.reports else None
    failed = report is None or report.completion not in ("success", "nothing_to_do")
    foreseen = local.plan.fails
    TALLY.draws["plans that fail" if failed else "plans that succeed"] += 1
    ledger.demand(
        bool(foreseen) == failed, "local-fails", f"forecast: {foreseen}; for real: {raised}"
    )
    if failed:
        for name in sorted(report.failed) if report else ():
            ledger.demand(name in (foreseen or ""), "local-failed", f"{name}, but {foreseen}")
        return False
    if foreseen:
        return False
    assert report is not None
    executed, _ = observed(witness)
    evaluated = {
        report[fqn].name: spans
        for fqn, spans in executed.items()
        if report[fqn].kind not in ONLY_AUDITED
    }
    backfills = {name: _spans(spans) for name, spans in local.plan.backfills.items()}
    ledger.demand(
        backfills == evaluated, "local-backfills", f"forecast {backfills}; evaluated {evaluated}"
    )
    categories = _categories(witness)
    for name, category in local.plan.categories.items():
        ledger.demand(
            categories.get(report[name].fqn) == category,
            "local-category",
            f"{name}: forecast {category}; planned {categories.get(report[name].fqn)}",
        )
    actual = _state(context)
    ledger.demand(state == actual, "local-state", f"forecast {state}\nfor real {actual}")
    return True


def _live(
    world: World,
    forecasted: Forecast,
    times: Sequence[datetime],
    overdue: Mapping[str, Spans],
    ledger: Ledger,
) -> None:
    """Run the environment at the times, and compare."""
    local = forecasted.local
    assert local is not None
    assert local.after is not None
    evaluated = follow(world, local.after, times, ledger)
    ledger.where = f"week of {local.after.environment}"
    shortest = min(form.until for form in _forms(forecasted))
    for model in local.after.models:
        name = model.name
        if not model.is_evaluated or name in local.after.undetermined:
            continue
        ran = {time: spans[model.fqn] for time, spans in evaluated.items() if model.fqn in spans}
        ledger.demand(
            not ran or name not in local.never, "local-never", f"{name} ran at {list(ran)}"
        )
        late = overdue.get(model.fqn, [])
        ticks = {time for time, spans in ran.items() if not late or without(spans, late)}
        weeks = (local.after.until - local.after.at) / WEEK
        rate = local.per_week[name][1]
        ledger.demand(
            rate == round(len(ticks) / weeks),
            "local-per-week",
            f"{name}: forecast {rate} a week; evaluated at {sorted(ticks)}",
        )
        lost, new = (set(each.get(name, ())) for each in (local.ticks_lost, local.ticks_new))
        ledger.demand(not lost & ticks, "local-lost", f"{name}: not lost: {lost & ticks}")
        ledger.demand(new <= ticks, "local-new", f"{name}: not new: {new - ticks}")
        before = forecasted.ticks(name) if _has(forecasted, name) else []
        rest = {time for time in ticks - new if time <= shortest}
        ledger.demand(
            rest <= set(before), "local-new", f"{name}: new, too: {sorted(rest - set(before))}"
        )


def _has(forecasted: Forecast, name: str) -> bool:
    names = {model.name for model in forecasted.models}
    return name in names and name not in forecasted.undetermined


def _missing(world: World, environment: str) -> dict[str, Spans]:
    """What is missing now, by SQLMesh's own functions, with what a run now would restate."""
    state = read_state(world.context, environment)
    now = datetime.now(timezone.utc)
    snapshots = state.environment or {}
    restated(snapshots, environment, now)
    spans = missing(snapshots, environment, execution_time=now)
    return {fqn: merged(each) for fqn, each in spans.items()}


def _spans(intervals: Sequence[Interval]) -> Spans:
    return merged((millis(start), millis(end)) for start, end in intervals)


def _categories(witness: Witness) -> dict[str, str]:
    """Fully qualified names of the models that the plan changed → SQLMesh's category."""
    modified = witness.plan.context_diff.modified_snapshots if witness.plan else {}
    return {
        fqn: snapshot.change_category.name.lower()
        for fqn, (snapshot, _) in modified.items()
        if snapshot.change_category is not None
    }


def _state(context: Any) -> Mapping[str, Any]:
    """What each environment has, and which intervals of it are loaded."""
    known = {}
    state = context.state_sync
    for environment in state.get_environments():
        snapshots = state.get_snapshots(environment.snapshots)
        for snapshot in snapshots.values():
            known[f"{environment.name} {snapshot.name}"] = (
                snapshot.version,
                snapshot.change_category,
                list(snapshot.intervals),
                list(snapshot.dev_intervals),
                list(snapshot.pending_restatement_intervals),
                bool(snapshot.unpaused_ts),
            )
    return known
