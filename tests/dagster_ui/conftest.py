"""Dagster's web UI, in a browser: of a shop with a run that failed behind it, or of any site."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import browser as browser
from tests.dagster.sites import Installation, until

from .shops import Shop

SCREEN: Any = {
    "viewport": {"width": 1600, "height": 900},
    "device_scale_factor": 2,
    "color_scheme": "light",
    "locale": "en-US",
    "timezone_id": "UTC",
}
PATIENCE = 60_000
"""Milliseconds: the code location loads while the first pages wait for it."""

Opener = Callable[[Installation], AbstractContextManager[Page]]


@pytest.fixture(scope="session")
def open_ui(browser: Browser) -> Opener:
    """Opens the UI of a site, as `dagster dev` starts it."""
    pytest.importorskip("dagster_webserver", reason="dagster-webserver is not installed: make ui")
    expect.set_options(timeout=PATIENCE)

    @contextmanager
    def opened(site: Installation) -> Iterator[Page]:
        with dagster_dev(site) as address:
            context = browser.new_context(**SCREEN, base_url=address)
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            page.goto("/")
            # An offer of Dagster's, once for each instance.
            page.get_by_role("button", name="Skip").click()
            page.get_by_text("Hide navigation").click()
            yield page
            context.close()

    return opened


@contextmanager
def dagster_dev(site: Installation) -> Iterator[str]:
    """`dagster dev` on a port that is free; its address, as soon as it answers there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with site.dagster("dev", "-f", "defs.py", "-h", "127.0.0.1", "-p", str(port)):
        until(lambda: answers(f"{address}/server_info"))
        yield address


def answers(address: str) -> bool:
    try:
        with urlopen(address) as answer:
            return bool(answer.status == 200)
    except URLError:
        return False


@pytest.fixture(scope="session")
def ui(open_ui: Opener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Of the shop: everything deployed, the weekly models not due, and a bad payment delivered."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    assert shop.succeeds("deploy")
    assert shop.succeeds("weekly")
    shop.deliver_a_bad_payment()
    assert not shop.succeeds("due")
    with open_ui(shop) as page:
        yield page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where screenshots go: `SQLMESH_TRACKER_SCREENSHOTS`, if it names a folder."""
    return Path(os.environ.get("SQLMESH_TRACKER_SCREENSHOTS") or tmp_path)
