"""When data will be older than a policy allows: between runs, and after the last one."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from pytest_sqlmesh_tracker import Forecast, ForecastRun, GatePolicy
from pytest_sqlmesh_tracker.forecast.aging import judged
from pytest_sqlmesh_tracker.forecast.results import ForecastModel, LoadedSpan, StaleSpan
from pytest_sqlmesh_tracker.outcomes.types import Interval
from tests.builders import utc

AT, UNTIL = utc("2024-01-10 00:05"), utc("2024-01-14")
DAY = timedelta(days=1)


def model(name: str = "shop.orders", through: str | None = "2024-01-10", **facts: Any) -> Any:
    loads = LoadedSpan(
        start=utc(facts.pop("start", "2024-01-01")),
        end=utc(end) if (end := facts.pop("end", None)) else None,
        through=utc(through) if through else None,
    )
    return ForecastModel(name, f'"{name}"', facts.pop("kind", "full"), "@daily", loads)


def forecast(*models: ForecastModel, loaded: dict[str, str], **facts: Any) -> Forecast:
    """The forecast of runs, each of which loads all models through a moment."""
    runs = []
    for at, through in loaded.items():
        ends = {each.name: utc(through) for each in models}
        executed = {name: (Interval(end - DAY, end),) for name, end in ends.items()}
        runs.append(ForecastRun(utc(at), executed, (), ends))
    return Forecast("prod", AT, UNTIL, runs, facts.pop("undetermined", {}), (), models, **facts)


def stale(made: Forecast, *rules: dict[str, Any]) -> dict[str, list[StaleSpan]]:
    return {name: list(spans) for name, spans in judged(made, GatePolicy(rules)).stale.items()}


def span(since: str, until: str | None = None, hours: int = 26) -> StaleSpan:
    return StaleSpan(timedelta(hours=hours), utc(since), utc(until) if until else None)


def within(hours: int, models: str = "shop.*", **facts: Any) -> dict[str, Any]:
    return {"models": models, "fresh_within": f"{hours} hours", **facts}


def test_between_two_runs() -> None:
    made = forecast(model(), loaded={"2024-01-11 06:00": "2024-01-11", "2024-01-13": "2024-01-13"})
    assert stale(made, within(26)) == {
        "shop.orders": [
            span("2024-01-11 02:00", "2024-01-11 06:00"),
            span("2024-01-12 02:00", "2024-01-13 00:00"),
        ]
    }
    # The run of the 13th is at the moment at which the data is 48 hours old, not older.
    assert stale(made, within(48)) == {}


def test_since_before_the_forecast_and_until_after_it() -> None:
    made = forecast(model(through="2024-01-08"), loaded={"2024-01-11": "2024-01-11"})
    assert stale(made, within(26)) == {
        "shop.orders": [span("2024-01-09 02:00", "2024-01-11 00:00"), span("2024-01-12 02:00")]
    }


def test_a_run_that_does_not_load_enough() -> None:
    loaded = {"2024-01-12 12:00": "2024-01-11", "2024-01-13": "2024-01-13"}
    made = forecast(model(), loaded=loaded)
    assert stale(made, within(26))["shop.orders"] == [span("2024-01-11 02:00", "2024-01-13 00:00")]


def test_nothing_loaded_since_the_model_has_started() -> None:
    old, new = model("shop.old", None), model("shop.new", None, start="2024-01-12")
    made = forecast(old, new, loaded={"2024-01-13 02:00": "2024-01-13"})
    assert stale(made, within(26)) == {
        "shop.old": [span("2024-01-10 00:05", "2024-01-13 02:00")],
        "shop.new": [span("2024-01-12 00:00", "2024-01-13 02:00")],
    }


@pytest.mark.parametrize(
    "passed_over",
    [
        model(kind="seed"),
        model(kind="external"),
        model(through="2024-01-09", end="2024-01-10"),
        model("sales.orders"),
    ],
)
def test_what_the_gate_passes_over(passed_over: ForecastModel) -> None:
    assert stale(forecast(passed_over, loaded={}), within(26)) == {}


def test_a_model_that_ends_is_judged_until_then() -> None:
    made = forecast(model(end="2024-01-12"), loaded={})
    assert stale(made, within(26)) == {
        "shop.orders": [span("2024-01-11 02:00", "2024-01-12 00:00")]
    }


def test_undetermined_models_are_not_judged() -> None:
    made = forecast(model(), loaded={}, undetermined={"shop.orders": "its cron is irregular"})
    assert stale(made, within(26)) == {}


def test_the_last_rule_decides_until_it_expires() -> None:
    made = forecast(model(), loaded={})
    lenient = within(48, "shop.orders", until=date(2024, 1, 12))
    assert stale(made, within(26), lenient) == {
        "shop.orders": [
            span("2024-01-12 00:00", "2024-01-13 00:00", hours=48),
            span("2024-01-13 00:00"),
        ]
    }
    assert stale(made, within(26), within(48, until=date(2024, 1, 9))) == {
        "shop.orders": [span("2024-01-11 02:00")]
    }


def test_without_a_rule_on_the_age_nothing_is_judged() -> None:
    made = forecast(model(through=None), loaded={})
    assert stale(made, {"models": "shop.*", "deny": ["failed"]}) == {}
