"""The page of a history in a browser: cells, models, invocations, filters, keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from pytest_sqlmesh_tracker import RunReport
from pytest_sqlmesh_tracker.history.appending import append
from pytest_sqlmesh_tracker.history.trends.reading import read_trends
from pytest_sqlmesh_tracker.history.trends.recent import read_recent
from pytest_sqlmesh_tracker.render.trends.page import page as rendered
from pytest_sqlmesh_tracker.reports.files import Entry
from tests.builders import NOW, audit, executed, failed, run, skipped

from .conftest import USUAL

DAY = timedelta(days=1)


def night(number: int) -> RunReport:
    """`sales.orders` feeds `sales.refunds`, which fails from the eighth night on."""
    at = NOW + number * DAY

    def times(start: int, end: int) -> dict[str, Any]:
        start_at, end_at = at + timedelta(seconds=start), at + timedelta(seconds=end)
        return {"started_at": start_at, "finished_at": end_at, "duration": end_at - start_at}

    refunds = failed if number > 7 else executed
    check = audit("not_null", rows_failed=2 if number > 5 else 0, blocking=False)
    outcomes = [
        executed("sales.orders", audits=(check,), rows=1200 + number, **times(0, 3)),
        executed("sales.aside", **times(0, 1)),
        refunds("sales.refunds", upstream=("sales.orders",), **times(3, 5)),
        skipped("finance.weekly"),
    ]
    report = run(*outcomes, started_at=at, finished_at=at, execution_time=at)
    return report.model_copy(update={"id": uuid4()})


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("history")
    append(folder / "runs.duckdb", [Entry(None, night(n)) for n in range(10)], source="cli")
    file: Path = folder / "history.html"
    history = folder / "runs.duckdb"
    file.write_text(rendered(read_trends(history), read_recent(history, most=100)))
    return file.as_uri()


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page, which must not complain or load anything."""
    complaints: list[str] = []
    requested: list[str] = []
    contexts = []

    def opened(**options: Any) -> Page:
        contexts.append(browser.new_context(**{**USUAL, **options}))
        made: Page = contexts[-1].new_page()
        made.on("console", lambda message: complaints.append(message.text))
        made.on("pageerror", lambda error: complaints.append(str(error)))
        made.on("request", lambda request: requested.append(request.url))
        made.goto(address)
        return made

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert set(requested) <= {address}


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page()


def cells(page: Page, model: str) -> Any:
    return page.locator("tbody tr", has=page.get_by_role("link", name=model)).locator(
        "td:not(.line)"
    )


def test_a_cell_shows_what_happened(page: Page) -> None:
    cells(page, "sales.refunds").last.hover()
    expect(page.locator(".status")).to_have_text(
        "sales.refunds, 2024-01-23 06:30: failed: its evaluation raised ValueError: no luck"
        " (2.00 s)"
    )
    cells(page, "sales.refunds").last.click()
    panel = page.locator(".panel")
    expect(panel.locator("h3")).to_have_text("sales.refunds")
    expect(panel.locator(".error")).to_have_text("ValueError: no luck")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    cells(page, "sales.orders").last.click()
    expect(panel).to_contain_text("1,209")
    expect(panel).to_contain_text("failed audits")


def test_a_model_shows_durations_and_audits(page: Page) -> None:
    page.get_by_role("link", name="sales.orders").last.click()
    panel = page.locator(".panel")
    expect(panel).to_contain_text("Durations, 3.00 s at most")
    expect(panel.locator(".chart rect")).to_have_count(10)
    expect(panel.locator(".audits")).to_contain_text("not_null failed in 4 of 10")
    expect(panel.locator(".audits rect.f")).to_have_count(4)


def test_an_invocation_shows_its_models_by_time(page: Page) -> None:
    page.locator(".at button").last.click()
    gantt = page.locator(".panel .gantt")
    expect(gantt.locator("p")).to_have_text(
        "5.00 s from the first model to the last. Critical path of 2 models: "
        "sales.orders → sales.refunds."
    )
    expect(gantt.locator("li")).to_have_count(3)
    expect(gantt.locator("li.critical.failed")).to_contain_text("sales.refunds")
    widths = gantt.locator("rect").evaluate_all("all => all.map((e) => +e.getAttribute('width'))")
    assert widths == [600, 200, 400]


def test_the_grid_can_be_read_with_the_keyboard(page: Page) -> None:
    first = cells(page, "sales.orders").last
    first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    status = page.locator(".status")
    expect(status).to_contain_text("sales.refunds, 2024-01-22 06:30: failed")
    page.keyboard.press("Home")
    expect(status).to_contain_text("sales.refunds, 2024-01-14 06:30: executed")
    page.keyboard.press("Enter")
    expect(page.locator(".panel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(cells(page, "sales.refunds").first).to_be_focused()


def test_models_can_be_searched(page: Page) -> None:
    page.get_by_label("Search models").fill("finance")
    expect(page.locator("output")).to_have_text("1 of 4 models")
    page.get_by_label("Search models").fill("")
    page.get_by_label("only those that need attention").check()
    expect(page.locator("tbody tr:visible")).to_have_count(2)
    expect(page.locator("output")).to_have_text("2 of 4 models")


def test_the_tab_key_reaches_the_grid_after_a_search(page: Page) -> None:
    cells(page, "sales.orders").nth(3).click()
    page.keyboard.press("Escape")
    page.get_by_label("Search models").fill("finance")
    expect(cells(page, "finance.weekly").nth(3)).to_have_attribute("tabindex", "0")
    expect(page.locator("td[tabindex]")).to_have_count(1)


def test_a_link_to_a_row_that_a_search_hides_shows_it(page: Page) -> None:
    page.get_by_label("Search models").fill("finance")
    page.locator(".findings").get_by_role("link", name="sales.refunds").click()
    expect(page.locator("tr:target")).to_be_visible()
    expect(page.locator("output")).to_have_text("4 models")


def test_a_link_to_a_hidden_row_may_be_encoded(browser: Browser, large: str) -> None:
    page = browser.new_page()
    page.goto(large)
    page.get_by_label("Search models").fill("long")
    page.locator(".findings").get_by_role("link", name='sales."m 3"').click()
    expect(page.locator("tr:target")).to_be_visible()
    page.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    """As many invocations as the page shows, a long name, and more models that need attention than
    are listed at first."""
    names = [f"sales.{'a_long_name_' * 12}", *(f'sales."m {number}"' for number in range(12))]
    nights = []
    for number in range(100):
        at = NOW + number * DAY
        report = run(*map(failed, names), started_at=at, finished_at=at, execution_time=at)
        nights.append(Entry(None, report.model_copy(update={"id": uuid4()})))
    folder = tmp_path_factory.mktemp("large")
    history = folder / "runs.duckdb"
    append(history, nights, source="cli")
    file: Path = folder / "history.html"
    file.write_text(rendered(read_trends(history), read_recent(history, most=100)))
    return file.as_uri()


class TestPrinted:
    """On A4 in landscape, without the margins."""

    @pytest.fixture
    def printed(self, browser: Browser, large: str) -> Iterator[Page]:
        context = browser.new_context(viewport={"width": 1047, "height": 718})
        page = context.new_page()
        page.goto(large)
        page.emulate_media(media="print")
        yield page
        context.close()

    def test_has_all_columns(self, printed: Page) -> None:
        wide = "element => element.scrollWidth > element.clientWidth"
        assert printed.locator("html").evaluate(wide) is False
        assert printed.locator(".grid").evaluate(wide) is False
        for name in printed.locator("tbody .name").all():
            assert name.evaluate(wide) is False
        times = printed.locator(".at span")
        expect(times).to_have_count(100)
        expect(times.last).to_be_visible()

    def test_repeats_the_times_on_each_sheet(self, printed: Page) -> None:
        """Chromium does so, except for those in boxes of buttons."""
        button = printed.locator(".at button").first
        assert button.evaluate("button => getComputedStyle(button).display") == "contents"

    def test_lists_all_models_that_need_attention(self, printed: Page) -> None:
        models = printed.locator(".findings li")
        expect(models).to_have_count(13)
        expect(models.last).to_be_visible()


def test_a_long_name_takes_one_line(browser: Browser, large: str) -> None:
    page = browser.new_page()
    page.goto(large)
    heights = page.locator("tbody tr").evaluate_all("rows => rows.map((row) => row.offsetHeight)")
    page.close()
    assert len(set(heights)) == 1


@pytest.mark.parametrize("width", [400, 500, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_only_the_grid_scrolls_sideways(
    open_page: Callable[..., Page], width: int, scheme: str
) -> None:
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert page.evaluate(wide) is False
    cells(page, "sales.orders").last.click()
    expect(page.locator(".panel")).to_be_visible()
    assert page.evaluate(wide) is False


def test_it_is_complete_without_scripts(open_page: Callable[..., Page]) -> None:
    page = open_page(java_script_enabled=False)
    expect(cells(page, "sales.refunds").last).to_have_class("f")
    expect(page.locator(".findings")).to_contain_text("failing since 2024-01-22 06:30, 2 times")
    expect(page.locator(".bar")).to_be_hidden()
