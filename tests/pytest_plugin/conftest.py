"""A user's repository: a small planned SQLMesh project, and tests that use the plugin on it."""

from __future__ import annotations

import gc
import importlib
from pathlib import Path

# Its plugin imports this at the end of each session, and a session in this process forgets what was
# first imported in it: half of what a small session takes.
import hypothesis.internal.observability  # noqa: F401
import pytest

from tests.projects import Project, at

CONFTEST = '''
import shutil
from datetime import datetime, timezone
from pathlib import Path

import pytest
import time_machine
from sqlmesh import Context


@pytest.fixture
def context(tmp_path):
    """A copy of the planned project, on Wednesday."""
    shutil.copytree({project!r}, tmp_path / "project")
    config = tmp_path / "project" / "config.yaml"
    config.write_text(config.read_text().replace({project!r}, str(tmp_path / "project")))
    with time_machine.travel(datetime(2024, 1, 10, 12, tzinfo=timezone.utc), tick=True):
        yield Context(paths=str(tmp_path / "project"))
'''


@pytest.fixture(scope="session", autouse=True)
def imported() -> None:
    """Import what sessions in this process import: each forgets what it has imported first, but
    numpy and DuckDB can't be imported twice, and freezegun, time_machine and importlib_metadata
    change other modules."""
    for module in ("freezegun", "importlib_metadata", "pandas"):
        importlib.import_module(module)
    import pytest_sqlmesh_tracker.sandbox.sandbox  # noqa: F401


@pytest.fixture(scope="session")
def planned_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`shop.daily`, loaded up to January 9th, and `shop.weekly`."""
    project = Project(tmp_path_factory.mktemp("shop"))
    project.model("shop.daily", "SELECT 1 AS id", cron="'@daily'")
    project.model("shop.weekly", "SELECT id FROM shop.daily", cron="'@weekly'")
    with at("2024-01-09 12:00"):
        project.plan().assert_executed("shop.*")
    project.context.close()
    # Each session collects garbage several times; SQLMesh's modules never become garbage.
    gc.freeze()
    return project.path


@pytest.fixture
def repository(pytester: pytest.Pytester, planned_project: Path) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST.format(project=str(planned_project)))
    pytester.makeini("[pytest]\nfilterwarnings = ignore")
    return pytester
