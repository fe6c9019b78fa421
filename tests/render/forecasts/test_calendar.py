"""The calendar as text: what each cell says, which models share evaluations, and safety."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from pytest_sqlmesh_tracker import Forecast
from pytest_sqlmesh_tracker.forecast.results import restricted
from pytest_sqlmesh_tracker.render.forecasts.calendar import calendar

from .building import AT, DAILY, IRREGULAR, STALE, TOO_LATE, Coming, forecast, shop


def texts(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def heads(made: Forecast) -> list[str]:
    [row] = re.findall(r"<thead>.*?</thead>", calendar(made), re.DOTALL)
    return [texts(head) for head in re.findall(r"<th .*?</th>", row, re.DOTALL)][3:]


def cells(made: Forecast, model: str) -> list[str]:
    """The cells in the row of a model, after its cron."""
    rows = re.findall(r"<tr.*?</tr>", calendar(made), re.DOTALL)
    [row] = [row for row in rows if model in texts(row).replace(" ", "")]
    return [texts(cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)][1:]


def test_cells_count_evaluations_by_day() -> None:
    assert heads(shop()) == ["Fri 05 Jan", "Sat 06 Jan", "Sun 07 Jan", "Mon 08 Jan"]
    assert cells(shop(), "shop.clicks") == ["72", "23", "24", "24", "1"]
    assert cells(shop(), "shop.orders") == ["3", "", "1", "1", "1"]
    assert cells(shop(), "shop.weekly") == ["never", "", "", "", ""]


def test_failures_and_undetermined_models() -> None:
    assert cells(shop(), "shop.late") == ["1", "", "1 fails", "1 fails", "1"]
    assert cells(shop(), "shop.desk") == ["", f"undetermined: {IRREGULAR}"]
    both = forecast(Coming("a.b", range(1, 5), fails=range(24, 30), why_failing=TOO_LATE))
    assert cells(both, "a.b") == ["4", "4", "6 fail", "", ""]
    mixed = forecast(Coming("a.b", [24], fails=[25], why_failing=TOO_LATE))
    assert cells(mixed, "a.b")[2] == "1 1 fails"


def test_times_at_which_the_data_is_older_than_the_gate_allows() -> None:
    made = forecast(Coming("a.b", [24, 50], fails=[49], why_failing=TOO_LATE, stale=STALE))
    late = "older than the gate allows"
    assert cells(made, "a.b") == ["2", "", f"1 {late}", f"1 1 fails {late}", late]
    page = calendar(made)
    assert f"1 {late}" in texts(page)
    words = "older than 26 hours from 2024-01-06 20:00 to 2024-01-07 02:00"
    assert (
        f'title="2024-01-06 00:00 UTC: 2024-01-05 23:00 .. 2024-01-06 00:00 UTC\n{words}"' in page
    )
    assert f'<p class="failed">{words}, from 2024-01-07 20:00 on</p>' in page


def test_models_that_only_audits_run_of_have_no_row() -> None:
    assert "raw.feed" not in heads(shop())
    assert not re.search(r"<tr[^>]*>\s*<th[^>]*><a[^>]*>raw", calendar(shop()))


def test_two_days_are_shown_by_hour_and_a_quarter_by_week() -> None:
    hours = heads(forecast(Coming("a.b", [1]), days=2))
    assert len(hours) == 49
    assert [hours[0], hours[1], hours[24]] == ["05 Jan 00", "01", "06 Jan 00"]
    quarter = forecast(Coming("a.b", DAILY), days=90)
    assert heads(quarter)[:2] == ["2024 01 Jan", "2024 08 Jan"]
    assert cells(quarter, "a.b")[:3] == ["3", "2", "1"]


def test_a_tooltip_has_the_first_times_and_intervals() -> None:
    model = Coming("a.b", range(25, 31), fails=range(31, 37), why_failing=TOO_LATE)
    [title] = re.findall(r'<td class="f" title="([^"]*)"', calendar(forecast(model)))
    lines = title.splitlines()
    assert lines[0] == "2024-01-06 01:00 UTC: 2024-01-06 00:00 .. 01:00 UTC"
    assert lines[4:6] == ["and 2 more evaluations", "2024-01-06 07:00 UTC: fails"]
    assert lines[-1] == "and 2 more failures"


def test_models_that_are_scheduled_alike_share_their_evaluations() -> None:
    page = calendar(shop())
    sections = re.findall(r'<section class="schedule".*?</section>', page, re.DOTALL)
    assert [texts(section).split(" 2024")[0] for section in sections] == [
        "shop.clicks",
        "shop.orders , shop.mirror",
        "shop.late fails at",
    ]
    assert "2024-01-06 00:00 2024-01-05 23:00 .. 2024-01-06 00:00 UTC" in texts(sections[1])
    assert TOO_LATE in sections[2]


def test_long_lists_are_cut() -> None:
    hourly = [Coming(f"m.n{number:02}", range(1, 900)) for number in range(12)]
    failing = Coming("m.late", fails=range(1, 30), why_failing=TOO_LATE)
    readers = [Coming(f"r.n{number:02}", upstream=("m.late",)) for number in range(60)]
    page = texts(calendar(forecast(*hourly, failing, *readers, days=40)))
    assert "and 4 more models" in page
    assert "and 399 more evaluations, the last at 2024-02-11 11:00" in page
    assert "and 9 more times" in page
    assert "and 10 more models" in page


def test_what_a_model_reads_and_who_reads_it() -> None:
    [orders] = re.findall(
        r'<section class="about" id="model/shop.orders".*?</section>', calendar(shop()), re.DOTALL
    )
    assert "reads shop.clicks , raw.feed is read by shop.mirror , shop.weekly" in texts(orders)
    # There is nothing on the page about external models.
    assert 'href="#model/shop.clicks"' in orders
    assert 'href="#model/raw.feed"' not in orders


def test_every_link_has_a_target() -> None:
    page = calendar(restricted(shop(), {"shop.orders", "shop.weekly", "shop.late"}))
    targets = set(re.findall(r' id="([^"]*)"', page))
    assert set(re.findall(r' href="#([^"]*)"', page)) <= targets
    assert len(targets) == len(re.findall(r' id="[^"]*"', page))


def test_a_page_without_models() -> None:
    assert "No models that runs evaluate." in calendar(forecast())


def test_an_environment_that_has_expired() -> None:
    expired = replace(forecast(Coming("a.b")), until=AT - timedelta(days=1))
    page = calendar(expired)
    assert "prod expired at 2024-01-04 00:05 UTC" in page
    assert heads(expired) == []


def test_names_crons_and_reasons_are_no_markup() -> None:
    hostile = "<script>alert(1)</script>"
    model = Coming(f"a.{hostile}", cron=hostile, undetermined=hostile, upstream=(hostile,))
    failing = Coming("a.b\u202e", fails=[24], why_failing=hostile)
    page = calendar(forecast(model, failing, assumptions=[hostile]))
    assert page.count("<script>") == 1
    assert "\u202e" not in page


@pytest.mark.parametrize(("models", "titled"), [(100, True), (500, False)])
def test_with_many_cells_only_the_lists_of_evaluations_have_the_times(
    models: int, titled: bool
) -> None:
    page = calendar(forecast(*(Coming(f"m.n{n:03}", range(49)) for n in range(models)), days=2))
    assert ('title="2024-01-05 01:00 UTC: ' in page) == titled


@pytest.mark.long
def test_a_large_project_makes_a_page_of_a_few_megabytes() -> None:
    models = [Coming(f"warehouse.model_{n:04}", range(n % 9, 169)) for n in range(2000)]
    assert len(calendar(forecast(*models, days=7))) < 8_000_000


def test_the_same_forecast_makes_the_same_page() -> None:
    assert calendar(shop()) == calendar(shop())
