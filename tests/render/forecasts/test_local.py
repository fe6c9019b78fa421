"""What a plan of the project's files would change, in each format."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from html import unescape

from pytest_sqlmesh_tracker import Forecast
from pytest_sqlmesh_tracker.forecast.results import LocalForecast, LocalPlan, restricted
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.render.forecasts.calendar import calendar
from pytest_sqlmesh_tracker.render.forecasts.markdown import markdown
from pytest_sqlmesh_tracker.render.forecasts.text import evaluations, overview

from .building import BEGIN, DAILY, Coming, forecast

DAYS = [BEGIN + timedelta(days=number) for number in range(4)]
NOTHING = LocalForecast(LocalPlan(None, {}, {}), None, {}, {}, {}, ())
CHANGED = LocalForecast(
    plan=LocalPlan(
        fails=None,
        backfills={"shop.new": (Interval(DAYS[0], DAYS[2]),)},
        categories={"shop.daily": "metadata", "shop.new": "breaking", "shop.quiet": "non_breaking"},
    ),
    after=None,
    per_week={
        "shop.daily": (7, 1),
        "shop.same": (7, 7),
        "shop.quiet": (7, 7),
        "shop.new": (None, 168),
        "shop.gone": (7, None),
        "shop.ended": (7, 0),
        "shop.unsure": (None, None),
    },
    ticks_lost={"shop.daily": (DAYS[1], DAYS[2]), "shop.gone": (DAYS[1],)},
    ticks_new={"shop.new": (DAYS[3],)},
    never=("shop.ended",),
    added=("shop.new",),
    removed=("shop.gone",),
)
FAILING = replace(NOTHING, plan=LocalPlan("shop.new failed: it has no rows", {}, {}))


def made(local: LocalForecast) -> Forecast:
    return replace(forecast(Coming("shop.daily", DAILY)), local=local)


def test_a_row_for_each_model_that_changes() -> None:
    lines = overview(made(CHANGED), width=120).splitlines()
    start = lines.index("") + 1
    assert lines[start : start + 7] == [
        "a plan of the project's files would change 5 models: 1 would be evaluated less often, "
        "1 never again",
        "model       change        a week     lost                         new               "
        "loaded by the plan",
        "shop.daily  metadata      7 → 1      2024-01-06 00:00 and 1 more",
        "shop.quiet  non breaking  7",
        "shop.new    added         - → 168                                 2024-01-08 00:00  "
        "2024-01-05 .. 2024-01-06",
        "shop.gone   removed       7 → -      2024-01-06 00:00",
        "shop.ended                7 → never",
    ]


def test_nothing_changes() -> None:
    line = "a plan of the project's files would change nothing"
    assert line in overview(made(NOTHING)).splitlines()
    assert line in evaluations(made(NOTHING)).splitlines()
    assert f"{line[0].upper()}{line[1:]}" in markdown(made(NOTHING)).splitlines()


def test_a_plan_that_would_fail() -> None:
    line = "applying a plan of the project's files would fail: shop.new failed: it has no rows"
    assert line in overview(made(FAILING)).splitlines()
    assert f"A{line[1:]}" in unescape(calendar(made(FAILING)))


def test_less_than_one_evaluation_a_week_is_not_none() -> None:
    text = overview(made(replace(NOTHING, per_week={"shop.daily": (1, 0), "shop.new": (0, 1)})))
    assert "shop.daily          1 → < 1" in text
    assert "shop.new            < 1 → 1" in text
    assert "would change 2 models: 1 would be evaluated less often" in text


def test_more_often() -> None:
    text = overview(made(replace(NOTHING, per_week={"shop.daily": (1, 7)})))
    assert "a plan of the project's files would change 1 model" in text.splitlines()


def test_only_so_many_rows() -> None:
    rates = {f"shop.m{number}": (7, 1) for number in range(60)}
    text = overview(made(replace(NOTHING, per_week=rates)))
    assert "not shown: 10 models" in text
    assert "shop.m49" in text
    assert "shop.m50" not in text


def test_markdown_has_the_same_table() -> None:
    lines = markdown(made(CHANGED)).splitlines()
    assert "| model | change | a week | lost | new | loaded by the plan |" in lines
    assert "| `shop.daily` | metadata | 7 → 1 | 2024-01-06 00:00 and 1 more |  |  |" in lines


def test_the_calendar_has_the_same_table() -> None:
    page = calendar(made(CHANGED))
    assert "<td>7 → 1</td>" in page
    assert "<td>2024-01-06 00:00 and 1 more</td>" in page


def test_only_some_models() -> None:
    only = restricted(made(CHANGED), {"shop.new", "shop.ended"}).local
    assert only is not None
    assert list(only.per_week) == ["shop.new", "shop.ended"]
    assert list(only.plan.backfills) == list(only.plan.categories) == ["shop.new"]
    assert list(only.ticks_new) == ["shop.new"]
    assert only.ticks_lost == {}
    assert only.never == ["shop.ended"]
