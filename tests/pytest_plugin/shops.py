"""A user's repository in which `shop.orders` fails at night: for real, or in a report alone."""

from __future__ import annotations

import pytest

from tests.installed_packages import KEEP_PACKAGES
from tests.projects import Project

CONFIG = """
gateways:
  local: {connection: {type: duckdb}}
model_defaults: {dialect: duckdb, start: 2024-01-01}
disable_anonymized_analytics: true
"""
NIGHT = '''
import pytest


@pytest.fixture
def night(sqlmesh_project):
    """A run in which shop.orders fails, so that shop.revenue is skipped."""
    sqlmesh_project.fail("shop.orders", error="the till is closed")
    return sqlmesh_project.run(at="2024-01-10")
'''
TOLD_NIGHT = '''
import pytest
from types import SimpleNamespace
from tests.builders import failed, run, skipped


@pytest.fixture
def night(sqlmesh_tracker):
    """What the tracker would tell of it: SQLMesh has no part in this."""
    revenue = skipped("shop.revenue", "upstream_failed", blocked_by=("shop.orders",))
    report = run(failed("shop.orders"), revenue, completion="failure")
    sqlmesh_tracker._tracked.append(SimpleNamespace(report=report))
    return report
'''


def write_two_projects(pytester: pytest.Pytester, config: str) -> None:
    """Write two SQLMesh projects: one in the root, one in `other`."""
    for folder, model in ((pytester.path, "shop.daily"), (pytester.path / "other", "shop.other")):
        folder.mkdir(exist_ok=True)
        project = Project(folder)
        project.write("config.yaml", config)
        project.model(model, "SELECT @rate AS rate", cron="'@daily'")
    pytester.makeini("[pytest]\nfilterwarnings = ignore\naddopts = --strict-markers")


def write_shop(pytester: pytest.Pytester) -> None:
    """A project, not planned yet, with the fixture `night`: `shop.revenue` reads `shop.orders`."""
    project = Project(pytester.path)
    project.write("config.yaml", CONFIG)
    project.model("shop.orders", "SELECT 1 AS id", cron="'@daily'")
    project.model("shop.revenue", "SELECT id FROM shop.orders", cron="'@daily'")
    pytester.makeconftest(KEEP_PACKAGES + NIGHT)
    write_ini(pytester)


def write_reported_shop(pytester: pytest.Pytester) -> None:
    """The same fixture without a project: for what follows a run, real or not."""
    pytester.makeconftest(TOLD_NIGHT)
    write_ini(pytester)


def write_ini(pytester: pytest.Pytester, *lines: str) -> None:
    pytester.makeini("\n".join(["[pytest]", "filterwarnings = ignore", *lines]))
