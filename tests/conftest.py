"""Fixtures for all tests: real projects, not planned yet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .engines.engine import ENGINE
from .projects import Project, read_between, rows_every


@pytest.fixture(autouse=True, scope="module")
def signals_of_one_module() -> Iterator[None]:
    """The oldest SQLMesh keeps the signals of all projects, and refuses a second one of a name."""
    yield
    if "sqlmesh.core.signal" in sys.modules:
        registry = sys.modules["sqlmesh.core.signal"].signal.registry()
        for name, entry in list(registry.items()):
            if not entry.func.__module__.startswith("sqlmesh."):
                del registry[name]


@pytest.fixture(autouse=True, scope="module")
def databases_of_one_module() -> Iterator[None]:
    """Of the projects that fixtures of a module have written, none is used by later modules."""
    with ENGINE.databases_ended():
        yield


@pytest.fixture(autouse=True)
def databases_of_one_test() -> Iterator[None]:
    """Of the projects that a test has written, none is used by later tests."""
    with ENGINE.databases_ended():
        yield


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project, to be filled with models."""
    return Project(tmp_path)


@pytest.fixture
def shop(project: Project) -> Project:
    """Half-hourly to weekly models, each level reading the one before; not planned yet."""
    ticks = rows_every("30 minutes")
    project.incremental("shop.clicks", ticks, cron="'*/30 * * * *'")
    project.incremental("shop.hourly", read_between("shop.clicks"), cron="'@hourly'")
    project.incremental("shop.daily", read_between("shop.hourly"), cron="'@daily'")
    project.model("shop.weekly", "SELECT COUNT(*) AS n FROM shop.daily", cron="'@weekly'")
    project.model("shop.report", "SELECT COUNT(*) AS n FROM shop.daily", kind="VIEW")
    return project
