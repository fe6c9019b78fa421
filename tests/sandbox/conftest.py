"""One small project with everything that can fail or be held back, and sandboxes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from tests.projects import ONE_AND_FOUR, Project, read_between
from tests.sandbox.building import Sandboxes, sandboxes_of

AUDITS = """
AUDIT (name is_positive);
SELECT * FROM @this_model WHERE amount <= 0;

AUDIT (name is_small, blocking false);
SELECT * FROM @this_model WHERE amount > 100;

AUDIT (name pay_slips_exist, standalone true);
SELECT 1 AS missing WHERE NOT EXISTS (SELECT * FROM pay.slips);
"""


@pytest.fixture(scope="session")
def payroll(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hours that are booked a day a batch, slips that are written from them, and more."""
    project = Project(tmp_path_factory.mktemp("payroll"))
    project.write("config.yaml", ONE_AND_FOUR)
    project.write("audits/audits.sql", AUDITS)
    project.write(
        "external_models.yaml",
        """
        - name: raw.clock
          columns: {ts: timestamp, amount: int}
          audits: [{name: is_positive}]
        - name: raw.notes
          columns: {ts: timestamp, amount: int}
        """,
    )
    hours = "SELECT range AS ts, 8 AS amount FROM range(@start_dt, @end_dt, INTERVAL 1 DAY)"
    project.incremental("pay.hours", hours, options=", batch_size 1", cron="'@daily'")
    project.incremental(
        "pay.slips", read_between("pay.hours"), cron="'@daily'", audits="(is_positive, is_small)"
    )
    project.model("pay.total", "SELECT SUM(amount) AS amount FROM pay.slips", cron="'@daily'")
    project.model("pay.now", "SELECT amount FROM pay.total", kind="VIEW", cron="'@daily'")
    project.model("pay.pieces", "SELECT amount FROM pay.hours", kind="EMBEDDED")
    project.model("pay.clocked", "SELECT ts FROM raw.clock", cron="'@daily'")
    project.model("pay.noted", "SELECT ts FROM raw.notes", cron="'@weekly'", start="'2023-12-01'")
    return project.path


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Templates]:
    made = Templates(Path("/"), lambda: tmp_path_factory.mktemp("sandbox"))
    yield made
    made.remove()


@pytest.fixture(scope="session")
def sandboxes(templates: Templates) -> Sandboxes:
    """Makes a sandbox of a project, as the fixture `sqlmesh_project` does, with its arguments."""
    return sandboxes_of(templates)
