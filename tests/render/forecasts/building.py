"""Forecasts, arranged in a few lines: what each model does, at hours after 2024-01-05 00:00 UTC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from pytest_sqlmesh_tracker import Forecast, ForecastRun
from pytest_sqlmesh_tracker.forecast.results import ForecastModel, LoadedSpan, StaleSpan
from pytest_sqlmesh_tracker.outcomes.types import Interval
from tests.builders import utc

BEGIN = utc("2024-01-05")
AT = BEGIN + timedelta(minutes=5)
LOADED = LoadedSpan(start=utc("2024-01-01"), end=None, through=BEGIN)


@dataclass(frozen=True)
class Coming:
    """A model, and the hours after `BEGIN` at which it is evaluated or fails."""

    name: str
    hours: Iterable[int] = ()
    fails: Iterable[int] = ()
    cron: str = "@daily"
    kind: str = "full"
    upstream: tuple[str, ...] = ()
    undetermined: str | None = None
    why_failing: str | None = None
    time_zone: str | None = None
    stale: tuple[StaleSpan, ...] = ()


def forecast(*models: Coming, days: int = 3, assumptions: Iterable[str] = ("None.",)) -> Forecast:
    """The forecast; each evaluation loads the hour before."""
    runs = []
    for hour in range(1, days * 24 + 1):
        at = BEGIN + timedelta(hours=hour)
        before = (Interval(at - timedelta(hours=1), at),)
        executed = {model.name: before for model in models if hour in model.hours}
        failed = tuple(sorted(model.name for model in models if hour in model.fails))
        if executed or failed:
            runs.append(ForecastRun(at, executed, failed))
    return Forecast(
        environment="prod",
        at=AT,
        until=AT + timedelta(days=days),
        runs=runs,
        undetermined={m.name: m.undetermined for m in models if m.undetermined},
        assumptions=list(assumptions),
        models=[
            ForecastModel(m.name, f'"{m.name}"', m.kind, m.cron, LOADED, m.time_zone, m.upstream)
            for m in models
        ],
        failing={m.name: m.why_failing for m in models if m.why_failing},
        stale={m.name: m.stale for m in models if m.stale},
    )


DAILY = (24, 48, 72)
STALE = (
    StaleSpan(timedelta(hours=26), utc("2024-01-06 20:00"), utc("2024-01-07 02:00")),
    StaleSpan(timedelta(hours=26), utc("2024-01-07 20:00"), None),
)
TOO_LATE = "it starts after the last tick of its cron, which SQLMesh rejects"
IRREGULAR = "SQLMesh takes the cron 0 8-18 * * * to be due at different times"


def shop() -> Forecast:
    """A model of every future."""
    return forecast(
        Coming("shop.rates", kind="seed"),
        Coming("raw.feed", kind="external"),
        Coming("shop.clicks", range(1, 73), cron="@hourly"),
        Coming("shop.orders", DAILY, upstream=("shop.clicks", "raw.feed")),
        Coming("shop.mirror", DAILY, time_zone="Europe/Berlin", upstream=("shop.orders",)),
        Coming("shop.weekly", cron="@weekly", upstream=("shop.orders",)),
        Coming("shop.late", [72], fails=[24, 48], why_failing=TOO_LATE),
        Coming("shop.desk", cron="0 8-18 * * *", undetermined=IRREGULAR),
    )
