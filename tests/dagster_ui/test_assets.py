"""What the web UI shows about a shop's assets after a run in which one of its models failed."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK

GROUPS = ("raw", "sales", "finance", "marketing")
RUN = re.compile("^[0-9a-f]{8}$")
NOT_DUE = re.compile(r"skipped: its cron was not due, next due \d{4}-\d\d-\d\d 06:00 UTC")


def node(page: Page, asset: str) -> Locator:
    """Of a model, in the graph."""
    checks = page.locator(f"a[href='/assets/{asset}?view=checks']")
    return page.locator("foreignObject").filter(has=checks)


def open_check(page: Page, asset: str) -> None:
    page.goto(f"/assets/{asset}?view=checks&checkDetail={STATUS_CHECK}")
    expect(page.get_by_text("Latest execution", exact=True)).to_be_visible()


def fact(page: Page, name: str) -> Locator:
    """The row of the check's metadata."""
    return page.get_by_role("row").filter(has=page.get_by_text(f"sqlmesh/{name}", exact=True))


def test_the_graph_has_a_group_for_each_schema_and_shows_the_kinds_of_models(
    ui: Page, folder: Path
) -> None:
    expanded = ",".join(f"global@global:{group}" for group in GROUPS)
    ui.goto(f"/asset-groups/?expanded={expanded}")
    for group in GROUPS:
        expect(ui.get_by_text(group, exact=True).last).to_be_visible()
    for kind in ("SQLMesh", "full", "DuckDB"):
        expect(node(ui, "finance/revenue")).to_contain_text(kind)
    expect(node(ui, "sales/orders")).to_contain_text("incremental_by_time_range")
    expect(node(ui, "sales/orders")).to_contain_text("3 / 3 Passed")
    expect(node(ui, "sales/orders")).to_contain_text("Materialized")
    expect(node(ui, "finance/weekly_revenue")).to_contain_text("1 / 1 Passed")
    expect(node(ui, "finance/weekly_revenue")).to_contain_text("Materialized")
    expect(node(ui, "finance/payments")).to_contain_text("Failed")
    ui.screenshot(path=folder / "graph.png")


def test_the_check_of_a_skipped_asset_shows_why_and_when_it_is_next_due(
    ui: Page, folder: Path
) -> None:
    open_check(ui, "finance/weekly_revenue")
    expect(ui.get_by_text(NOT_DUE).first).to_be_visible()
    expect(ui.get_by_text("Passed", exact=True)).to_be_visible()
    expect(fact(ui, "status")).to_contain_text("skipped")
    expect(fact(ui, "reason")).to_contain_text("cron_not_due")
    expect(fact(ui, "next_due")).to_contain_text("T06:00:00+00:00")
    ui.screenshot(path=folder / "skipped.png")


def test_a_failed_asset_is_shown_as_failed_and_its_check_shows_the_error(
    ui: Page, folder: Path
) -> None:
    ui.goto("/assets/finance/payments")
    expect(ui.get_by_text("Failed in")).to_be_visible()
    open_check(ui, "finance/payments")
    expect(ui.get_by_text("Failed", exact=True).last).to_be_visible()
    expect(ui.get_by_text("failed: its evaluation raised").first).to_be_visible()
    expect(fact(ui, "error")).to_contain_text("Could not convert string 'n/a' to INT32")
    ui.screenshot(path=folder / "failed.png")


def test_a_blocked_asset_is_shown_as_failed_and_its_check_warns_of_the_root_cause(
    ui: Page, folder: Path
) -> None:
    """Dagster's own status for assets that a failed run requested and did not materialize."""
    ui.goto("/assets/finance/revenue")
    expect(ui.get_by_text("Failed in")).to_be_visible()
    open_check(ui, "finance/revenue")
    expect(ui.get_by_label("warning_outline").first).to_be_visible()
    expect(fact(ui, "reason")).to_contain_text("upstream_failed")
    expect(fact(ui, "blocked_by")).to_contain_text("finance.payments")
    ui.screenshot(path=folder / "blocked.png")


def test_a_failed_run_shows_which_model_failed(ui: Page, folder: Path) -> None:
    ui.goto("/assets/finance/payments")
    run = ui.get_by_role("link", name=RUN).get_attribute("href")
    ui.goto(str(run))
    expect(ui.get_by_text("1 model failed, 1 skipped as a result").first).to_be_visible()
    ui.screenshot(path=folder / "run.png")
