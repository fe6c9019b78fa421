"""The calendar of a forecast in a browser: search, links, widths, appearance, without scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from pytest_sqlmesh_tracker import Forecast
from pytest_sqlmesh_tracker.render.forecasts.calendar import calendar
from tests.render.forecasts.building import Coming, forecast, shop

from .conftest import USUAL

Opener = Callable[..., Page]

LARGE = forecast(
    *(
        Coming(f"s{n % 25:02}.model_{n:04}", range(n % 24, 169, 1 + 23 * (n % 2)))
        for n in range(2000)
    ),
    days=7,
)


@pytest.fixture
def open_calendar(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Opens the calendar of a forecast; the page must make no requests and report no errors."""
    complaints: list[str] = []
    requested: list[str] = []
    contexts = []

    def open_one(made: Forecast, **options: Any) -> Page:
        file = tmp_path / "calendar.html"
        file.write_text(calendar(made), encoding="utf-8")
        context = browser.new_context(**{**USUAL, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requested.append(request.url))
        page.goto(file.as_uri())
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []
    assert len(requested) == len(contexts)


def listed(page: Page) -> list[str]:
    return page.locator(".calendar tbody tr:visible th").all_inner_texts()


def test_models_are_listed_in_order_and_can_be_searched(open_calendar: Opener) -> None:
    page = open_calendar(shop())
    assert listed(page) == [model.name for model in shop().models if model.name != "raw.feed"]
    page.get_by_role("searchbox").fill("WEEK")
    assert listed(page) == ["shop.weekly"]
    expect(page.locator("output")).to_have_text("1 of 7 models")
    page.get_by_role("searchbox").fill("")
    page.get_by_role("checkbox").check()
    assert listed(page) == ["shop.clicks", "shop.orders", "shop.mirror", "shop.late"]


def test_links_lead_from_a_model_to_its_readers_and_its_evaluations(open_calendar: Opener) -> None:
    page = open_calendar(shop())
    page.locator(".calendar").get_by_role("link", name="shop.orders").click()
    about = page.locator(".about:target")
    expect(about).to_contain_text("is read by shop.mirror, shop.weekly")
    about.get_by_role("link", name="times and intervals").click()
    schedule = page.locator(".schedule:target")
    expect(schedule).to_contain_text("2024-01-06 00:00 2024-01-05 23:00 .. 2024-01-06 00:00 UTC")
    expect(schedule).to_be_in_viewport()


def test_failures_are_red_and_cells_have_tooltips(open_calendar: Opener) -> None:
    page = open_calendar(shop())
    failing, evaluated = page.locator("td.f").first, page.locator("td.e").first
    colors = [each.evaluate("e => getComputedStyle(e).color") for each in (failing, evaluated)]
    assert colors == ["rgb(179, 35, 26)", "rgb(17, 112, 58)"]
    assert failing.get_attribute("title") == "2024-01-06 00:00 UTC: fails"


@pytest.mark.parametrize("width", [400, 800, 1280])
@pytest.mark.parametrize("hours", [True, False])
def test_only_the_calendar_itself_scrolls_sideways(
    open_calendar: Opener, width: int, hours: bool
) -> None:
    late = Coming("shop.late", fails=[47], why_failing="it starts too late")
    by_hour = forecast(Coming("shop.clicks", range(48), cron="@hourly"), late, days=2)
    page = open_calendar(by_hour if hours else shop(), viewport={"width": width, "height": 900})
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    # The names stay in view.
    page.locator(".calendar").evaluate("e => e.scrollTo(e.scrollWidth, 0)")
    expect(page.locator(".calendar tbody th").first).to_be_in_viewport()


def test_it_is_complete_without_scripts(open_calendar: Opener) -> None:
    page = open_calendar(shop(), java_script_enabled=False)
    assert len(listed(page)) == 7
    expect(page.locator(".schedule").first).to_be_visible()
    assert page.locator(".js-only:visible").count() == 0


def test_dark_and_light(open_calendar: Opener) -> None:
    page = open_calendar(shop(), color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(18, 21, 27)"
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(background) == "rgb(245, 246, 248)"


def test_two_thousand_models_can_be_searched_at_once(open_calendar: Opener) -> None:
    page = open_calendar(LARGE)
    page.get_by_role("searchbox").fill("s03.")
    expect(page.locator("output")).to_have_text("80 of 2000 models")
    took = page.evaluate("""() => {
        const search = document.querySelector(".bar input"), begin = performance.now();
        search.value = "s04.";
        search.dispatchEvent(new Event("input"));
        document.body.offsetHeight;
        return performance.now() - begin;
    }""")
    assert took < 1000
