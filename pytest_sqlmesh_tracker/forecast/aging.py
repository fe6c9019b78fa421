"""When the data of models will be older than the gate's policy allows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from pytest_sqlmesh_tracker.gate import GatePolicy
from pytest_sqlmesh_tracker.gate.freshness import AgeLimit, age_limits

from .results import Forecast, ForecastModel, StaleSpan


def judged(forecast: Forecast, policy: GatePolicy) -> Forecast:
    """A forecast with what the rules on `fresh_within` of a policy say about it.

    As for reports, the rules pass over seeds, models that are only audited, models that have not
    started and models that have ended. Data of a model becomes too old while nothing loads it, so
    unlike the gate, which judges reports, this looks at the time between runs as well.
    """
    limits = age_limits(policy.rules, forecast.models, forecast.at)
    loaded: dict[str, list[tuple[datetime, datetime]]] = {}
    for run in forecast.runs:
        for name, through in run.loaded_through.items():
            if name in limits:
                loaded.setdefault(name, []).append((run.at, through))
    stale = {
        model.name: spans
        for model in forecast.models
        if model.name in limits and model.is_evaluated and model.kind != "seed"
        if model.name not in forecast.undetermined
        if (spans := list(_spans(forecast, model, loaded.get(model.name, []), limits[model.name])))
    }
    return replace(forecast, stale=stale)


def _spans(
    forecast: Forecast,
    model: ForecastModel,
    loaded: Sequence[tuple[datetime, datetime]],
    limits: Sequence[AgeLimit],
) -> Iterator[StaleSpan]:
    """When a model's data is too old.

    Args:
        loaded: the times of runs, each with the end of what is then loaded.
    """
    for limit in limits:
        pending: StaleSpan | None = None
        for since, until, through in _constant(forecast, model, loaded):
            begin = since if through is None else through + limit.within
            # What is too old already has been since before the forecast.
            if since > forecast.at or limit.since > forecast.at:
                begin = max(begin, since, limit.since)
            ends = [each for each in (until, limit.until, model.loads.end) if each is not None]
            end = min(ends, default=None)
            if begin >= (end or forecast.until) or (end is not None and end <= limit.since):
                continue
            if pending is not None and pending.until == begin:
                # A run loaded something, but not enough.
                pending = replace(pending, until=end)
                continue
            if pending is not None:
                yield pending
            pending = StaleSpan(limit.within, begin, end)
        if pending is not None:
            yield pending


def _constant(
    forecast: Forecast, model: ForecastModel, loaded: Sequence[tuple[datetime, datetime]]
) -> Iterator[tuple[datetime, datetime | None, datetime | None]]:
    """Spans of time in which nothing is loaded, each with the end of what has been before."""
    since, through = forecast.at, model.loads.through
    if through is None:
        since = max(since, model.loads.start)
    for at, loaded_through in loaded:
        yield since, at, through
        since, through = at, loaded_through
    yield since, None, through
