"""The page at every width, with 5 to 500 models and unbalanced graphs: everything is readable."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from pytest_sqlmesh_tracker import RunReport
from tests.builders import batches, executed, interval, run, skipped

from .conftest import Opener
from .shapes import LONG_NAME, deep, estate, unconnected, wide

SHAPES = {
    **{str(models): estate(models) for models in (5, 15, 40, 100, 500)},
    "wide": wide(),
    "deep": deep(),
    "unconnected": unconnected(),
}
every_shape = pytest.mark.parametrize("report", SHAPES.values(), ids=SHAPES)
every_width = pytest.mark.parametrize("width", [400, 800, 1280])

LEGIBLE = 9.5
"""So high, in pixels, are the smallest letters that can be read."""
OVERLAPPING = """selector => {
    const boxes = [...document.querySelectorAll(selector)].map(e => e.getBoundingClientRect())
        .filter(box => box.width);
    return boxes.flatMap((a, n) => boxes.slice(n + 1).filter(b =>
        a.left < b.right - .5 && b.left < a.right - .5 &&
        a.top < b.bottom - .5 && b.top < a.bottom - .5)).length;
}"""
OUTSIDE = """selector => [...document.querySelectorAll(selector)]
    .map(e => e.getBoundingClientRect())
    .filter(box => box.width && (box.left < 0 || box.right > innerWidth)).length"""
HIDDEN = "e => e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1"


def opened_at(open_page: Opener, width: int, *reports: RunReport, **options: Any) -> Page:
    return open_page(*reports, viewport={"width": width, "height": 900}, **options)


def scrolls_sideways(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@every_width
@every_shape
def test_the_graph_fits_and_is_readable(open_page: Opener, report: RunReport, width: int) -> None:
    page = opened_at(open_page, width, report)

    boxes = "section.chosen .n rect, section.chosen .schema"
    assert page.locator(".n:visible, .schema:visible").count() > 0
    assert page.evaluate(OUTSIDE, boxes) == 0
    assert page.evaluate(OVERLAPPING, boxes) == 0
    assert not page.locator(".canvas, .schemas").locator("visible=true").evaluate(HIDDEN)
    for label in page.locator(".n:visible text:not(.tag)").all()[:3]:
        box = label.bounding_box()
        assert box is not None
        assert box["height"] > LEGIBLE
    assert not scrolls_sideways(page)


@every_width
def test_no_view_makes_the_page_scroll_sideways(open_page: Opener, width: int) -> None:
    page = opened_at(open_page, width, SHAPES["500"])

    for view in ("All", "Root causes", "Schemas"):
        page.locator(".views").get_by_role("button", name=view).click()
        assert not scrolls_sideways(page)


def test_the_graph_is_redrawn_when_the_width_changes(open_page: Opener) -> None:
    page = opened_at(open_page, 1280, SHAPES["40"])
    page.set_viewport_size({"width": 400, "height": 900})

    expect(page.locator(".canvas.whole:visible, .schemas:visible")).to_have_count(1)
    page.wait_for_function(f"({OUTSIDE})('.n rect, .schema') === 0")


def test_a_long_chain_is_drawn_in_bands(open_page: Opener) -> None:
    page = opened_at(open_page, 1280, SHAPES["deep"])

    expect(page.locator(".n:visible")).to_have_count(60)
    tops = page.locator(".n rect").evaluate_all("all => all.map(e => e.getBoundingClientRect().y)")
    assert 5 < len(set(tops)) < 15
    assert tops == sorted(tops)


def test_in_a_narrow_graph_arrows_point_up_to_upstream_models(open_page: Opener) -> None:
    names = [f"finance_warehouse.{name}_invoices" for name in ("above", "below", "last")]
    upstream = [(), names[:1], names[1:2]]
    made = [executed(name, upstream=reads) for name, reads in zip(names, upstream, strict=True)]
    page = opened_at(open_page, 400, run(*made))
    above, below = (page.locator(".n").filter(has_text=name) for name in names[:2])

    above.focus()
    page.keyboard.press("ArrowDown")
    expect(below).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(above).to_be_focused()


def test_a_schema_unfolds_to_its_models_with_the_keyboard(open_page: Opener) -> None:
    page = opened_at(open_page, 400, SHAPES["500"])
    schema = page.locator(".schema").filter(has_text="finance_marts")

    schema.locator("summary").focus()
    page.keyboard.press("Enter")
    model = schema.get_by_role("link", name=LONG_NAME.partition(".")[2])
    expect(model).to_be_visible()
    assert page.evaluate(OVERLAPPING, ".schema") == 0
    assert not scrolls_sideways(page)
    model.focus()
    page.keyboard.press("Enter")
    expect(page.locator("article.open h3")).to_have_text(LONG_NAME)


def test_a_schema_counts_its_models_by_status_with_urgent_ones_first(open_page: Opener) -> None:
    report = run(
        *[executed(f"s.m{number}") for number in range(12)],
        skipped("s.seen", "not_evaluatable"),
        *[skipped(f"s.late{number}", "upstream_failed", blocked_by=("s.m1",)) for number in (1, 2)],
    )
    page = opened_at(open_page, 800, report)
    page.get_by_role("button", name="Schemas").click()

    counts = page.locator(".counts > span")
    assert counts.all_inner_texts() == ["2 blocked", "12 executed", "1 not evaluatable"]
    assert page.locator(".schema li").all_inner_texts()[:3] == ["late1", "late2", "m0"]


def test_hovering_over_a_schema_shows_all_of_its_lines(
    open_page: Opener,
) -> None:
    page = opened_at(open_page, 1280, SHAPES["500"])
    lines, lit = page.locator(".links path:not(.minor)[d]"), page.locator(".links path.on")

    assert lines.count() >= page.locator(".schema").count() - 1
    assert lit.count() == 0
    page.locator(".schema").filter(has_text="sales_marts").hover()
    ends = [
        (one, other)
        for one, reads in enumerate(
            page.locator(".schema").evaluate_all("all => all.map(e => e.dataset.reads)")
        )
        for other in map(int, reads.split())
    ]
    place = page.locator(".schema b").all_inner_texts().index("sales_marts")
    expect(lit).to_have_count(sum(place in pair for pair in ends))


def test_schemas_that_the_table_does_not_list_are_dimmed(open_page: Opener) -> None:
    report = SHAPES["500"]
    page = opened_at(open_page, 1280, report)

    page.get_by_label("Search models by name").fill(LONG_NAME)

    expect(page.locator(".schema li:not(.out)")).to_have_count(1)
    expect(page.locator(".schema:not(.out) b")).to_have_text("finance_marts")


@every_width
def test_column_titles_stay_visible(open_page: Opener, width: int) -> None:
    page = opened_at(open_page, width, SHAPES["100"])

    page.locator("tbody tr:visible").nth(60).evaluate("row => row.scrollIntoView()")
    heads = page.locator(".models thead th")
    for head in heads.all():
        expect(head).to_be_in_viewport(ratio=1)
    box = page.locator(".models thead").bounding_box()
    assert box is not None
    assert box["height"] < 60


def test_the_titles_of_many_batches_stay_visible(open_page: Opener) -> None:
    many = executed("a", batches=batches(*["executed"] * 90))
    page = opened_at(open_page, 400, run(many))
    page.locator("tbody th a").click()
    table = page.locator(".open .wide")

    table.evaluate("e => { e.scrollIntoView(); e.scrollTop = 500 }")

    top = table.bounding_box()
    head = table.locator("th").first.bounding_box()
    assert top is not None
    assert head is not None
    assert abs(head["y"] - top["y"]) < 2


@every_width
def test_nothing_in_the_table_is_cut_off(open_page: Opener, width: int) -> None:
    report = SHAPES["100"]
    page = opened_at(open_page, width, report)

    shown = page.locator("tbody tr:visible")
    for text in (LONG_NAME, "2024-01-11 .. 2024-01-13"):
        assert text in " ".join(shown.all_inner_texts())
    rows = next(o.rows for o in report.outcomes.values() if o.rows)
    expect(shown.get_by_text(f"{rows:,}").first).to_be_visible()
    assert page.evaluate(OUTSIDE, ".models tbody tr > *, .chips button, .bar > *") == 0
    assert page.evaluate(OVERLAPPING, ".models tbody tr:nth-child(-n+40) > *") == 0
    clipped = page.locator("tbody tr:visible > *").evaluate_all(
        f"all => all.filter({HIDDEN}).length"
    )
    assert clipped == 0


@every_width
def test_long_lists_of_a_model_are_complete(open_page: Opener, width: int) -> None:
    days = tuple(
        interval(f"2023-{m:02}-{d:02}", f"2023-{m:02}-{d + 1:02}")
        for m in range(1, 7)
        for d in (2, 5, 9, 14, 20, 26)
    )
    name = "warehouse." + "_".join(["a_very_long_name"] * 9)
    held = skipped(
        "a.held", "signal_not_ready", signals={"feed": days}, held_back=days, upstream=(name,)
    )
    page = opened_at(open_page, width, run(executed(name), held), fragment="#00000000/a.held")
    drawer = page.locator("article.open")

    assert name in drawer.inner_text()
    more = drawer.locator("details.more")
    expect(more.first.locator("summary")).to_have_text("and 16 more")
    more.first.locator("summary").click()
    expect(more.first).to_contain_text("2023-06-26")
    assert drawer.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert page.evaluate(OUTSIDE, "article.open *") == 0


def test_an_address_leads_to_a_model_of_any_name(open_page: Opener) -> None:
    names = ["sales.orders", 'a."my orders/daily"', "売上.注文", "x" * 300]
    report = run(*map(executed, names))

    for name in names:
        page = opened_at(open_page, 1280, report)
        page.get_by_role("row").get_by_role("link", name=name[:200]).click()
        expect(page.locator("article.open h3")).to_have_text(name)
        page = opened_at(open_page, 1280, report, fragment=f"#{page.url.partition('#')[2]}")
        expect(page.locator("article.open h3")).to_have_text(name)


def test_an_address_leads_to_an_invocation(open_page: Opener) -> None:
    page = open_page(run(executed("a")), run(executed("b")), fragment="#00000000-2")

    expect(page.locator("section.chosen")).to_have_attribute("id", "00000000-2")
    expect(page.locator("section.chosen h2 a")).to_have_attribute("href", "#00000000-2")


@pytest.mark.parametrize(
    ("fragment", "within"),
    [("#00000000", "section.chosen h2"), ("#00000000/a.x", "article.open")],
    ids=["invocation", "model"],
)
def test_an_address_can_be_copied(open_page: Opener, fragment: str, within: str) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    page = open_page(run(executed("a.x")), fragment=fragment, permissions=permissions)

    button = page.locator(within).get_by_role("button", name="Copy link")
    button.focus()
    page.keyboard.press("Enter")

    expect(page.locator(within).get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.url.partition("#")[0] + fragment


def test_without_a_clipboard_the_address_is_in_the_address_bar(open_page: Opener) -> None:
    page = open_page(run(executed("a.x")))
    page.evaluate(
        "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }"
    )

    page.get_by_role("button", name="Copy link").click()

    expect(page.get_by_role("button", name="The link is in the address bar")).to_be_visible()
    assert page.url.endswith("#00000000")


def test_schemas_unfold_and_addresses_work_without_scripts(open_page: Opener) -> None:
    page = opened_at(open_page, 400, SHAPES["40"], java_script_enabled=False)

    page.locator(".schema summary").first.click()
    page.locator(".schema li a").locator("visible=true").first.click()

    expect(page.locator("article:target")).to_be_in_viewport()
    assert (
        page.locator("article:target h3 a").get_attribute("href")
        == "#" + page.url.partition("#")[2]
    )


def test_print_shows_schemas(open_page: Opener) -> None:
    page = open_page(SHAPES["500"])
    page.emulate_media(media="print")

    expect(page.locator(".schema:visible")).to_have_count(page.locator(".schema").count())
    expect(page.locator(".copy:visible, .links:visible")).to_have_count(0)
