"""What a plan of the project's files would do to the schedule: nothing of it is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.forecast.forecasting import Assumed, forecast_of, moments_of
from pytest_sqlmesh_tracker.forecast.reading import EnvironmentModels, read_environment
from pytest_sqlmesh_tracker.forecast.restating import Restatements
from pytest_sqlmesh_tracker.forecast.results import Forecast, LocalForecast, LocalPlan
from pytest_sqlmesh_tracker.forecast.scheduled import ScheduledModel, missing_at
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.tracking.errors.exceptions import described
from pytest_sqlmesh_tracker.tracking.spans import Millis, Span, as_intervals, utc, without
from pytest_sqlmesh_tracker.tracking.tracker import sqlmesh_run_tracker

_HORIZON = 400 * 24 * 60 * 60 * 1000
"""How far to look for the next evaluation of a model, in milliseconds."""
_OPTIONS = {"no_prompts": True, "auto_apply": True, "skip_tests": True, "skip_linter": True}


def forecast_with_local(
    context: Any,
    dry: Any,
    environment: str,
    *,
    at: datetime,
    until: datetime,
    times: Sequence[datetime] | None = None,
) -> Forecast:
    """Forecast an environment as it is, and as it would be after a plan of the project's files.

    Args:
        context: a SQLMesh context, which need not have loaded the project.
        dry: a `DryContext` of the same state that has loaded the project; the plan is applied to
            its copy of the state.
        environment: the environment, which must be planned.
        at: the present, to which the clock must be set.
        until: the last moment of a run.
        times: as in `forecast`; by default, at each moment at which something becomes due in either
            form of the environment.

    Raises:
        ProjectError: the environment is not planned, or its latest plan is not finished.
    """
    begin, end = to_timestamp(at), to_timestamp(until)
    before = read_environment(context, environment, begin)
    plan = _planned(dry, environment)
    after = None if plan.fails else read_environment(dry, environment, begin)
    every_moment = times is None
    if times is None:
        moments = set(moments_of(before, begin, end))
        moments.update(moments_of(after, begin, end) if after else ())
        times = [utc(moment) for moment in sorted(moments)]
    span = _Span(at, until, times, every_moment)
    if after is None:
        local = LocalForecast(plan, None, {}, {}, {}, ())
        return replace(_Schedule.of(before, span).forecast, local=local)
    # A plan renews its environment, which would count as a change of each model's schedule.
    lasting = _Schedule.of(before.expiring(after.expires), span)
    present = lasting if before.expires == after.expires else _Schedule.of(before, span)
    never = tuple(
        after.shown[model.fqn].name for model in after.models if _never_runs(after, model, begin)
    )
    coming = _Schedule.of(after, span)
    return replace(present.forecast, local=_compared(lasting, coming, plan, never))


def _planned(dry: Any, environment: str) -> LocalPlan:
    """Plan the project's files in a copy of the state."""
    error, categories = None, {}
    with sqlmesh_run_tracker(dry) as tracker:
        try:
            categories = _categories(dry.plan(environment, **_OPTIONS))
        except Exception as raised:
            error = described(raised)
    report = tracker.reports[-1] if tracker.reports else None
    if report is None:
        return LocalPlan(error, {}, {})
    return LocalPlan(
        fails=_failure(report) or error,
        backfills={name: _evaluated(report, name) for name in sorted(report.executed)},
        categories={
            name: categories[outcome.fqn]
            for name, outcome in report.outcomes.items()
            if outcome.fqn in categories
        },
    )


def _categories(plan: Any) -> dict[str, str]:
    """Fully qualified names of the models that a plan changes → SQLMesh's category.

    A change of metadata alone changes nothing downstream, although SQLMesh makes new versions.
    """
    categories: dict[str, str] = {}
    for name, (snapshot, previous) in plan.context_diff.modified_snapshots.items():
        own_metadata = snapshot.fingerprint.metadata_hash != previous.fingerprint.metadata_hash
        if snapshot.change_category is not None and (own_metadata or not snapshot.is_metadata):
            categories[name] = snapshot.change_category.name.lower()
    return categories


def _failure(report: RunReport) -> str | None:
    if report.completion in ("success", "nothing_to_do"):
        return None
    failed = [f"{name} {report[name].message}" for name in sorted(report.failed)]
    return "; ".join(failed) or report.error


def _evaluated(report: RunReport, name: str) -> tuple[Interval, ...]:
    spans = [(to_timestamp(b.start), to_timestamp(b.end)) for b in report[name].batches]
    return as_intervals(spans)


@dataclass(frozen=True)
class _Span:
    """The time that is forecast, and when runs take place in it."""

    at: datetime
    until: datetime
    times: Sequence[datetime]
    every_moment: bool
    """Whether they are all the moments at which something becomes due."""


@dataclass(frozen=True)
class _Schedule:
    """The forecast of one form of an environment, and what was overdue at its beginning."""

    forecast: Forecast
    overdue: Mapping[str, Sequence[Span]]
    """By shown name."""

    @classmethod
    def of(cls, known: EnvironmentModels, span: _Span) -> _Schedule:
        overdue = _overdue(known, to_timestamp(span.at))
        forecast = forecast_of(
            known,
            at=span.at,
            until=span.until,
            times=span.times,
            assumed=Assumed(),
            every_moment=span.every_moment,
        )
        return cls(forecast, overdue)

    @property
    def names(self) -> list[str]:
        """The models whose evaluations are known."""
        return [
            model.name
            for model in self.forecast.models
            if model.is_evaluated and model.name not in self.forecast.undetermined
        ]

    def ticks(self) -> dict[str, list[datetime]]:
        """Model → the times of its evaluations, without those of what was overdue."""
        ticks: dict[str, list[datetime]] = {}
        for run in self.forecast.runs:
            for name, intervals in run.executed.items():
                overdue = self.overdue[name]
                if not overdue or without(map(_span, intervals), overdue):
                    ticks.setdefault(name, []).append(run.at)
        return ticks


def _overdue(known: EnvironmentModels, begin: Millis) -> dict[str, Sequence[Span]]:
    """Shown name → what a run at a moment would evaluate, with what it would restate."""
    progress = {fqn: each.copy() for fqn, each in known.progress.items()}
    if known.restates:
        Restatements(known.models, progress).apply(begin)
    return {
        known.shown[model.fqn].name: missing_at(model.terms, progress[model.fqn], begin).spans
        for model in known.models
    }


def _span(interval: Interval) -> Span:
    return to_timestamp(interval.start), to_timestamp(interval.end)


def _compared(
    before: _Schedule, after: _Schedule, plan: LocalPlan, never: tuple[str, ...]
) -> LocalForecast:
    forecast = before.forecast
    weeks = (forecast.until - forecast.at) / timedelta(weeks=1)
    old, new = before.ticks(), after.ticks()
    names = dict.fromkeys([*after.names, *before.names])
    present = {model.name for model in before.forecast.models}
    coming = {model.name for model in after.forecast.models}

    def rate(schedule: _Schedule, ticks: Mapping[str, list[datetime]], name: str) -> int | None:
        return round(len(ticks.get(name, ())) / weeks) if name in schedule.names else None

    return LocalForecast(
        plan=plan,
        after=after.forecast,
        per_week={name: (rate(before, old, name), rate(after, new, name)) for name in names},
        ticks_lost=_without(old, new),
        ticks_new=_without(new, old),
        never=never,
        added=[model.name for model in after.forecast.models if model.name not in present],
        removed=[model.name for model in forecast.models if model.name not in coming],
    )


def _without(
    ticks: Mapping[str, list[datetime]], others: Mapping[str, list[datetime]]
) -> dict[str, tuple[datetime, ...]]:
    """The ticks of each model that it does not have among others; models without any left out."""
    left = {
        name: tuple(time for time in times if time not in set(others.get(name, ())))
        for name, times in ticks.items()
    }
    return {name: times for name, times in left.items() if times}


def _never_runs(known: EnvironmentModels, model: ScheduledModel, begin: Millis) -> bool:
    """Whether time alone never makes anything of a model missing, as far as one can look ahead."""
    terms, progress = model.terms, known.progress[model.fqn]
    if not terms.evaluatable or terms.is_seed or model.only_audited:
        return False
    at: Millis | None = begin
    while at is not None and at <= begin + _HORIZON:
        missing = missing_at(terms, progress, at)
        if any(start < end for start, end in missing.spans):
            return False
        # An end that moves with the clock can add something at any moment: each tick will do.
        at = missing.look_again if missing.look_again != at + 1 else terms.cron.next(at)
    return True
