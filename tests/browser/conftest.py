"""A browser, and pages opened in it that must stay silent: no errors, no requests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Request,
    expect,
    sync_playwright,
)

from pytest_sqlmesh_tracker import GatePolicy, RunReport
from pytest_sqlmesh_tracker.render.page.html import page as rendered
from pytest_sqlmesh_tracker.reports.files import Entry

NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

PATIENCE = 30_000
"""Milliseconds: machines that do something else as well let a page wait."""

USUAL: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}

ReportLike = RunReport | Entry
Opener = Callable[..., Page]
"""Called with reports, or pairs with their tests, and what a browser's context takes."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of the machine; `SQLMESH_TRACKER_BROWSER=required` lets no test go without.

    Playwright's event loop runs until this fixture ends, and Dagster can't run its own meanwhile:
    a test of Dagster that comes next in the same process must find the loop ended.
    """
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing = f"no browser: none of {', '.join(NAMES)} is installed, and CHROMIUM names none"
        if os.environ.get("SQLMESH_TRACKER_BROWSER") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(SWITCHES))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def usual(browser: Browser) -> Iterator[Page]:
    """The page of all tests that need no other browser than a light one of 1280 pixels."""
    context = browser.new_context(**USUAL)
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[ReportLike]], str]:
    """Writes the page of reports, judged by the default gate; for the same reports only once."""
    folder = tmp_path_factory.mktemp("pages")
    written: dict[tuple[int, ...], tuple[str, Sequence[ReportLike]]] = {}

    def address(entries: Sequence[ReportLike]) -> str:
        key = tuple(map(id, entries))
        if key not in written:
            pairs = [
                report if isinstance(report, tuple) else Entry(None, report) for report in entries
            ]
            path = folder / f"{len(written)}.html"
            path.write_text(rendered(pairs, GatePolicy().evaluate(*pairs)), encoding="utf-8")
            # With the reports, lest others take their ids.
            written[key] = path.as_uri(), entries
        return written[key][0]

    return address


@pytest.fixture
def open_page(
    browser: Browser, usual: Page, files: Callable[[Sequence[ReportLike]], str]
) -> Iterator[Opener]:
    """Opens the page of reports at a fragment of its address, in a browser as usual or another."""
    complaints: list[str] = []
    requested: list[str] = []
    opened: list[str] = []
    contexts = []

    def on_console(message: ConsoleMessage) -> None:
        complaints.append(message.text)

    def on_error(error: Error) -> None:
        complaints.append(str(error))

    def on_request(request: Request) -> None:
        requested.append(request.url.partition("#")[0])

    def listen(page: Page) -> Page:
        page.on("console", on_console)
        page.on("pageerror", on_error)
        page.on("request", on_request)
        return page

    def open_one(*reports: ReportLike, fragment: str = "", **options: Any) -> Page:
        page = usual
        if options:
            contexts.append(browser.new_context(**{**USUAL, **options}))
            page = listen(contexts[-1].new_page())
            page.set_default_timeout(PATIENCE)
        opened.append(files(reports))
        page.goto(opened[-1] + fragment)
        return page

    usual.goto("about:blank")
    listen(usual)
    yield open_one
    for context in contexts:
        context.close()
    usual.emulate_media(media="screen")
    usual.remove_listener("console", on_console)
    usual.remove_listener("pageerror", on_error)
    usual.remove_listener("request", on_request)
    assert complaints == []
    assert requested == opened
