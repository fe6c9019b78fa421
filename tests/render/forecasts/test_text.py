"""Forecasts on a terminal: all models in a table, or the evaluations of some."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from rich.cells import cell_len

from pytest_sqlmesh_tracker.forecast.results import restricted
from pytest_sqlmesh_tracker.render.forecasts.text import evaluations, overview

from .building import AT, DAILY, IRREGULAR, STALE, TOO_LATE, Coming, forecast, shop


def test_all_models_are_a_table_with_remarks_and_assumptions() -> None:
    assert overview(shop(), width=140).splitlines() == [
        "prod from 2024-01-05 00:05 to 2024-01-08 00:05 UTC: 72 runs evaluate something, models "
        "fail in 2 runs",
        "model        cron                      evaluations  first (UTC)  last         fails",
        "shop.rates   seed                            never",
        "shop.clicks  @hourly                            72  01-05 01:00  01-08 00:00",
        "shop.orders  @daily                              3  01-06 00:00  01-08 00:00",
        "shop.mirror  @daily in Europe/Berlin             3  01-06 00:00  01-08 00:00",
        "shop.weekly  @weekly                         never",
        "shop.late    @daily                              1  01-08 00:00                   2",
        "shop.desk    0 8-18 * * *             undetermined",
        "4 models evaluated, 1 failing, 2 never evaluated, 1 undetermined",
        "",
        "failing",
        f"  - shop.late: fails in 2 runs from 2024-01-06 00:00 on, because {TOO_LATE}",
        "",
        "undetermined",
        f"  - shop.desk: {IRREGULAR}",
        "",
        "assumptions",
        "  - None.",
    ]


def test_one_run_of_one_model() -> None:
    [headline, _, row, total, *_] = overview(forecast(Coming("a.b", [24]))).splitlines()
    assert headline.endswith(": 1 run evaluates something")
    assert row.split() == ["a.b", "@daily", "1", "01-06", "00:00"]
    assert total == "1 model evaluated"


def test_spans_of_a_year_show_the_year() -> None:
    rows = overview(forecast(Coming("a.b", [24]), days=365)).splitlines()
    assert "2024-01-06 00:00" in rows[2]


def test_an_environment_without_models_that_runs_evaluate() -> None:
    lines = overview(forecast(Coming("raw.feed", kind="external"))).splitlines()
    assert lines[0].endswith(": 0 runs evaluate something")
    assert lines[1] == "0 models evaluated"


def test_an_environment_that_has_expired() -> None:
    expired = replace(forecast(Coming("a.b")), until=AT - timedelta(days=1))
    first = overview(expired).splitlines()[0]
    assert first == "prod expired at 2024-01-04 00:05 UTC: nothing can be forecast"


def test_models_beyond_the_limit_are_counted_and_those_that_fail_are_kept() -> None:
    models = [Coming(f"m.n{number:02}", DAILY) for number in range(60)]
    models.append(Coming("m.late", fails=[24], why_failing=TOO_LATE))
    models += [Coming(f"m.u{number:02}", undetermined=IRREGULAR) for number in range(60)]
    lines = overview(forecast(*models), limit=3).splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["m.late", "m.u00", "m.u01"]
    assert lines[5] == "not shown: 118 models"
    assert "  - and 10 more" in lines


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = Coming("marketing.partner_clicks_attributed_to_campaigns_of_last_year", range(72))
    text = overview(
        forecast(long, *(Coming(f"a.b{n}", [24], fails=[48]) for n in range(3))), width=width
    )
    assert max(map(cell_len, text.splitlines())) <= width
    [head] = [line for line in text.splitlines() if line.startswith("model  ")]
    names = [line[: head.index("cron")].strip() for line in text.splitlines()]
    assert long.name in "".join(names)


def test_what_controls_a_terminal_is_replaced() -> None:
    hostile = Coming("a.\x1b[31mb", undetermined="see\x07 it", cron="\x1b]0;x")
    for text in (overview(forecast(hostile)), evaluations(forecast(hostile))):
        assert "\x1b" not in text
        assert "\x07" not in text


def test_colors() -> None:
    assert "\x1b[" in overview(shop(), color=True)


def test_the_evaluations_of_some_models_with_their_intervals() -> None:
    some = restricted(shop(), {"shop.orders", "shop.weekly", "shop.late", "shop.desk"})
    assert evaluations(some, width=120).splitlines() == [
        "prod from 2024-01-05 00:05 to 2024-01-08 00:05 UTC: 3 runs evaluate something, models "
        "fail in 2 runs",
        "",
        "shop.orders  @daily",
        "  evaluated at (UTC)  intervals",
        "  2024-01-06 00:00    2024-01-05 23:00 .. 2024-01-06 00:00 UTC",
        "  2024-01-07 00:00    2024-01-06 23:00 .. 2024-01-07 00:00 UTC",
        "  2024-01-08 00:00    2024-01-07 23:00 .. 2024-01-08 00:00 UTC",
        "",
        "shop.weekly  @weekly",
        "  never evaluated in this time",
        "",
        "shop.late  @daily",
        f"  fails in 2 runs from 2024-01-06 00:00 on, because {TOO_LATE}",
        "  evaluated at (UTC)  intervals",
        "  2024-01-08 00:00    2024-01-07 23:00 .. 2024-01-08 00:00 UTC",
        "",
        "shop.desk  0 8-18 * * *",
        f"  undetermined: {IRREGULAR}",
        "",
        "assumptions",
        "  - None.",
    ]


def test_a_model_that_runs_never_evaluate() -> None:
    text = evaluations(restricted(shop(), {"raw.feed"}))
    assert "raw.feed is of kind external, which runs never evaluate" in text


def test_long_lists_of_evaluations_are_cut() -> None:
    lines = evaluations(forecast(Coming("a.b", range(20, 60)))).splitlines()
    assert "  and 16 more evaluations, the last at 2024-01-07 11:00" in lines


def test_a_model_that_never_succeeds() -> None:
    text = evaluations(forecast(Coming("a.b", fails=DAILY, why_failing=TOO_LATE)))
    assert "never evaluated in this time" in text


def test_the_evaluations_of_a_model_whose_data_becomes_too_old() -> None:
    lines = evaluations(forecast(Coming("a.b", DAILY, stale=STALE)), width=160).splitlines()
    assert (
        "  older than 26 hours from 2024-01-06 20:00 to 2024-01-07 02:00, from 2024-01-07 20:00 on"
        in lines
    )


def test_a_single_failure() -> None:
    text = overview(forecast(Coming("a.b", fails=[24], why_failing=TOO_LATE)), width=120)
    assert f"  - a.b: fails in 1 run at 2024-01-06 00:00, because {TOO_LATE}" in text
