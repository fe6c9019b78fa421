"""A run that is terminated with the button of the web UI."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.dagster.sites import MODELS, Site

from .conftest import Opener


def test_committed_models_are_materialized_and_the_next_run_completes_the_rest(
    tmp_path: Path, open_ui: Opener, folder: Path
) -> None:
    site = Site(tmp_path / "site")
    with open_ui(site) as page:
        page.goto("/locations/defs.py/jobs/in_process")
        page.get_by_text("Materialize all").click()
        site.wait_until_slow_begins()

        page.goto(f"/runs/{site.runs()[-1].run_id}")
        page.get_by_text("Terminate", exact=True).click()
        page.get_by_text("Terminate 1 run").click()
        site.wait_until_it_is_told_to_end()
        site.let_slow_go_on()

        expect(page.get_by_text("Canceled", exact=True).first).to_be_visible()
        page.screenshot(path=folder / "terminated.png")
        for key in ("first", "slow"):
            page.goto(f"/assets/c/{key}?view=events")
            expect(page.get_by_text("Materialized in run")).to_be_visible()
        assert {"c/first", "c/slow"} <= set(site.materialized()) < MODELS
        assert site.loaded() == set(site.materialized())

        site.run_to_its_end("in_process")
        assert set(site.materialized()) == MODELS
