"""The page in a browser: filters, models, the graph, appearance and print."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from pytest_sqlmesh_tracker import ModelOutcome, RunReport
from tests.builders import NOW, executed, run, skipped

from .conftest import Opener
from .reports import LONG, hostile, session, warehouse

SMALL, LARGE = warehouse(20), warehouse(500)
both_sizes = pytest.mark.parametrize("report", [SMALL, LARGE], ids=["20", "500"])


def listed(page: Page) -> list[str]:
    """The models that the table shows, in its order."""
    return rows(page).locator("th a").all_inner_texts()


def rows(page: Page) -> Locator:
    return page.locator("section.chosen tbody tr[data-s]:visible")


def row(page: Page, model: str) -> Locator:
    return rows(page).filter(has=page.get_by_role("link", name=model, exact=True))


def button(page: Page, name: str, within: str = ".models") -> Locator:
    return page.locator(f"section.chosen {within}").get_by_role("button", name=name, exact=True)


def drawer(page: Page) -> Locator:
    return page.locator("article.open")


def node(page: Page, model: str) -> Locator:
    return page.locator("section.chosen svg a").filter(has_text=re.compile(f"^{re.escape(model)}:"))


def names(report: RunReport, chosen: Callable[..., bool]) -> list[str]:
    return [outcome.name for outcome in report.counted if chosen(outcome)]


def every(report: RunReport) -> list[str]:
    """All models but those that are not evaluatable."""
    return [outcome.name for outcome in report.counted]


def loading(page: Page) -> float:
    """From the start of the navigation to the end of loading, in milliseconds."""
    return float(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))


def root_of(report: RunReport) -> str:
    (root,) = report.failed
    return root


def blocked_in(report: RunReport) -> str:
    return next(name for name, outcome in report.outcomes.items() if outcome.blocked_by)


@both_sizes
def test_models_are_listed_in_topological_order_in_time(
    open_page: Opener, report: RunReport
) -> None:
    page = open_page(report)

    assert listed(page) == every(report)
    # A second, which machines that do something else as well may exceed here.
    assert loading(open_page(report)) <= 10_000


def test_models_are_shown_by_time(open_page: Opener) -> None:
    def from_to(name: str, start: int, end: int, *upstream: str) -> ModelOutcome:
        times = {"started_at": NOW + second * start, "finished_at": NOW + second * end}
        return executed(name, upstream=upstream, **times)

    second = timedelta(seconds=1)
    page = open_page(run(from_to("a.x", 0, 2), from_to("a.y", 2, 4, "a.x"), skipped("a.z")))
    page.get_by_text("Models by time").click()
    expect(page.locator(".gantt p")).to_have_text(
        "4.00 s from the first model to the last. Critical path of 2 models: a.x → a.y."
    )
    page.locator(".gantt").get_by_role("link", name="a.y").click()
    expect(drawer(page).locator("h3")).to_contain_text("a.y")


@both_sizes
def test_filtering_by_status_and_reason(open_page: Opener, report: RunReport) -> None:
    page = open_page(report)
    due = names(report, lambda outcome: "cron_not_due" in outcome.reasons)

    button(page, f"failed {len(report.failed)}").click()
    assert listed(page) == [root_of(report)]
    button(page, f"executed {len(report.executed)}").click()
    assert set(listed(page)) == report.executed | report.failed
    others = len(report.skipped | report.audited | report.not_evaluatable)
    expect(page.locator("svg a.out")).to_have_count(others)
    button(page, f"cron_not_due {len(due)}").click()
    expect(page.locator(".none")).to_have_text("No models match.")
    expect(page.locator(".none")).to_be_visible()
    button(page, "Clear").click()
    button(page, f"cron_not_due {len(due)}").click()
    assert listed(page) == due
    expect(page.locator("output")).to_have_text(f"{len(due)} of {len(every(report))} models")


def test_filtering_by_cause(open_page: Opener) -> None:
    report = run(
        executed("a.new", causes=("first_load",)),
        executed("a.old", causes=("restated", "reloaded"), restated_by=("a.old",)),
        executed("a.day", causes=("new_interval", "reloaded")),
        skipped("a.late"),
    )
    page = open_page(report)

    button(page, "reloaded 2").click()
    assert listed(page) == ["a.old", "a.day"]
    button(page, "first_load 1").click()
    assert listed(page) == ["a.new", "a.old", "a.day"]
    expect(page.locator("output")).to_have_text("3 of 4 models")
    button(page, "executed 3").click()
    button(page, "Clear").click()
    assert listed(page) == list(report.outcomes)


def test_models_that_are_not_evaluatable_are_listed_on_request(open_page: Opener) -> None:
    report = run(
        skipped("raw.rates", "not_evaluatable", kind="external"),
        executed("a.x", upstream=("raw.rates",)),
        skipped("a.y"),
    )
    page = open_page(report)

    assert listed(page) == ["a.x", "a.y"]
    expect(page.locator("output")).to_have_text("2 models")
    expect(page.locator("svg a")).to_have_count(3)
    expect(page.locator("svg a.out")).to_have_count(0)
    button(page, "not_evaluatable 1").click()
    assert listed(page) == ["raw.rates"]
    expect(page.locator("output")).to_have_text("1 of 3 models")
    button(page, "Clear").click()
    assert listed(page) == ["a.x", "a.y"]
    page.get_by_label("Search models by name").fill("raw")
    assert listed(page) == ["raw.rates"]
    page.get_by_label("Search models by name").fill("")
    button(page, "skipped 1").click()
    assert listed(page) == ["a.y"]


@both_sizes
def test_searching_by_name(open_page: Opener, report: RunReport) -> None:
    page = open_page(report)

    page.keyboard.press("/")
    page.keyboard.type("Marts.S")

    assert listed(page) == names(report, lambda outcome: outcome.name.startswith("marts.s"))
    expect(page.get_by_label("Search models by name")).to_be_focused()


def test_filtering_by_findings_of_the_gate(open_page: Opener) -> None:
    report = SMALL
    page = open_page(report)

    button(page, "unexpected 2").click()

    assert listed(page) == [root_of(report), blocked_in(report)]


def test_sorting_up_down_and_back(open_page: Opener) -> None:
    report = SMALL
    page = open_page(report)
    heading = button(page, "Rows")
    counted = [outcome.rows or -1 for outcome in report.counted]

    heading.click()
    assert [report[name].rows or -1 for name in listed(page)] == sorted(counted)
    heading.click()
    assert [report[name].rows or -1 for name in listed(page)] == sorted(counted, reverse=True)
    heading.click()
    assert listed(page) == every(report)
    button(page, "Model").click()
    assert listed(page) == sorted(every(report))


@both_sizes
def test_opening_a_model_with_a_click(open_page: Opener, report: RunReport) -> None:
    page = open_page(report)
    blocked = blocked_in(report)

    row(page, blocked).locator(".why").click()

    expect(drawer(page).locator("h3")).to_have_text(blocked)
    expect(drawer(page)).to_contain_text(f"{blocked} was skipped: an upstream model failed")
    button(page, "Close", ".open").click()
    expect(drawer(page)).to_have_count(0)


@both_sizes
def test_opening_a_model_with_the_keyboard(open_page: Opener, report: RunReport) -> None:
    page = open_page(report)
    first, second = every(report)[:2]

    row(page, first).get_by_role("link").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(drawer(page).locator("h3")).to_have_text(second)
    expect(drawer(page)).to_be_focused()
    page.keyboard.press("Escape")

    expect(drawer(page)).to_have_count(0)
    expect(row(page, second).get_by_role("link")).to_be_focused()


@both_sizes
def test_links_lead_from_a_blocked_model_to_its_root_cause(
    open_page: Opener, report: RunReport
) -> None:
    page = open_page(report, fragment=f"#{blocked_in(report)}")
    root = root_of(report)

    blockers = drawer(page).locator("h4:text-is('Blocked by') + ul")
    blockers.get_by_role("link", name=root).click()

    expect(drawer(page).locator("h3")).to_have_text(root)
    expect(drawer(page).locator("pre.error")).to_have_text(report[root].error or "")
    page.go_back()
    expect(drawer(page).locator("h3")).to_have_text(blocked_in(report))


@both_sizes
def test_the_graph_shows_and_opens_the_root_cause(open_page: Opener, report: RunReport) -> None:
    page = open_page(report)
    root = node(page, root_of(report))

    expect(root).to_contain_text("root cause")
    expect(root).to_be_in_viewport()
    root.click()

    expect(drawer(page).locator("h3")).to_have_text(root_of(report))
    expect(root).to_have_class(re.compile("self"))
    blocked = names(report, lambda outcome: outcome.blocked_by == (root_of(report),))
    for model in blocked:
        expect(node(page, model)).to_have_class(re.compile(r"\bon\b"))


def test_a_selected_model_shows_the_path_to_its_blockers(open_page: Opener) -> None:
    report = SMALL
    page = open_page(report, fragment=f"#{blocked_in(report)}")

    (parent,) = [list(report.outcomes).index(name) for name in report[blocked_in(report)].upstream]
    child = list(report.outcomes).index(blocked_in(report))
    expect(page.locator("path.cause")).to_have_count(1)
    expect(page.locator("path.cause")).to_have_attribute("data-e", f"{parent} {child}")


def test_the_graph_of_many_models_starts_with_root_causes_and_can_show_all(
    open_page: Opener,
) -> None:
    report = LARGE
    page = open_page(report)
    shown = page.locator("svg a.n:visible")

    expect(button(page, "Root causes", ".graph")).to_have_attribute("aria-pressed", "true")
    root = report[root_of(report)]
    blocked = names(report, lambda outcome: bool(outcome.blocked_by))
    assert shown.count() == len({root.name, *root.upstream, *blocked})
    button(page, "All", ".graph").click()

    expect(shown).to_have_count(500)


def test_arrow_keys_move_through_the_graph(open_page: Opener) -> None:
    report = SMALL
    page = open_page(report)

    node(page, root_of(report)).focus()
    page.keyboard.press("ArrowRight")
    expect(node(page, blocked_in(report))).to_be_focused()
    page.keyboard.press("Enter")

    expect(drawer(page).locator("h3")).to_have_text(blocked_in(report))


def test_the_graph_is_a_single_tab_stop(open_page: Opener) -> None:
    page = open_page(SMALL)

    assert page.locator("svg a[tabindex='0']").count() == 1


def test_zooming_and_dragging_the_graph(open_page: Opener) -> None:
    page = open_page(SMALL)
    box = node(page, "raw.sales_orders").bounding_box()

    for _ in range(3):
        button(page, "Zoom in", ".graph").click()
    larger = node(page, "raw.sales_orders").bounding_box()
    canvas = page.locator(".canvas")
    page.mouse.move(600, 700)
    before = canvas.evaluate("canvas => canvas.scrollLeft")
    canvas.hover()
    page.mouse.down()
    page.mouse.move(400, 600, steps=4)
    page.mouse.up()

    assert box is not None
    assert larger is not None
    assert larger["width"] > box["width"] * 1.5
    assert canvas.evaluate("canvas => canvas.scrollLeft") > before
    expect(drawer(page)).to_have_count(0)


def test_an_address_opens_a_model(open_page: Opener) -> None:
    report = SMALL
    page = open_page(warehouse(5), report, fragment=f"#00000000-2/{list(report.outcomes)[4]}")

    expect(drawer(page).locator("h3")).to_have_text(list(report.outcomes)[4])


def test_choosing_among_invocations(open_page: Opener) -> None:
    page = open_page(*session(30))
    items = page.locator("nav li:visible")

    expect(page.locator("section.chosen")).to_have_attribute("id", "00000000-4")
    expect(page.locator("nav [aria-current]")).to_contain_text("test_night[3]")
    page.get_by_role("searchbox", name="Search invocations").fill("night[17]")
    items.get_by_role("link").click()
    expect(page.locator("section.invocation:visible")).to_have_attribute("id", "00000000-18")
    page.get_by_role("searchbox", name="Search invocations").fill("")
    page.get_by_label("only failed or unexpected").check()
    assert 4 <= items.count() < 30


def test_a_finding_leads_to_its_model_in_its_invocation(open_page: Opener) -> None:
    page = open_page(*session(5))

    page.locator(".findings").get_by_role("link").first.click()

    expect(page.locator("section.chosen")).to_have_attribute("id", "00000000-4")
    expect(drawer(page)).to_contain_text("root cause")


def test_dark_mode_follows_the_system_and_the_button(open_page: Opener) -> None:
    page = open_page(warehouse(5), color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"

    assert page.evaluate(ground) == "rgb(18, 21, 27)"
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(ground) == "rgb(245, 246, 248)"


@pytest.mark.parametrize(
    "reports",
    [[SMALL], [LARGE], session(9), [hostile()]],
    ids=["20", "500", "session", "hostile"],
)
def test_the_page_never_scrolls_sideways(open_page: Opener, reports: list[RunReport]) -> None:
    page = open_page(*reports, viewport={"width": 400, "height": 900})
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

    assert page.evaluate(overflow) == 0
    page.locator("section.chosen tbody tr:not([hidden]) th a").first.click()
    expect(drawer(page)).to_be_visible()
    assert page.evaluate(overflow) == 0
    page.set_viewport_size({"width": 1280, "height": 900})
    assert page.evaluate(overflow) == 0


def test_print_shows_everything_but_controls(open_page: Opener) -> None:
    report = SMALL
    page = open_page(report)
    button(page, f"executed {len(report.executed)}").click()
    page.emulate_media(media="print")

    expect(page.locator("article:visible")).to_have_count(len(report.executed))
    # Headings can be sorted by, and stay.
    expect(page.locator("button:visible:not(th *), input:visible")).to_have_count(0)
    expect(page.locator("svg a.n:visible")).to_have_count(20)


def test_everything_is_readable_without_scripts(open_page: Opener) -> None:
    report = SMALL
    page = open_page(report, report, java_script_enabled=False)

    expect(page.locator("article:visible")).to_have_count(40)
    expect(page.locator("tbody tr[data-s]:visible")).to_have_count(40)
    expect(page.locator("button:visible, input:visible")).to_have_count(0)
    page.locator("[id='00000000-2'] tbody").get_by_role("link", name=root_of(report)).click()
    expect(page.locator("article:target")).to_be_in_viewport()


def test_a_hostile_report_runs_no_code_and_loses_no_text(open_page: Opener) -> None:
    page = open_page(hostile())
    page.locator("section.chosen tbody tr th a").first.click()

    expect(drawer(page)).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    error = drawer(page).locator("pre.error")
    assert (error.text_content() or "").endswith(LONG)
    drawn = error.bounding_box()
    assert drawn is not None
    assert drawn["height"] < 600
