"""Every test gets its own copy of the project; nothing is ever written beside the models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
import time_machine
from sqlmesh import Context

PROJECT = Path(__file__).parents[1]
NOT_COPIED = shutil.ignore_patterns("tests", ".cache", "*.duckdb*")


@pytest.fixture(scope="session")
def planned_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after its first plan, which was applied on Monday 2024-03-04 at 06:00."""
    folder = shutil.copytree(
        PROJECT, tmp_path_factory.mktemp("planned") / "payments", ignore=NOT_COPIED
    )
    database = folder / "payments.duckdb"
    with duckdb.connect(database) as connection:
        connection.execute((folder / "raw.sql").read_text())
    with pytest.MonkeyPatch.context() as patch, time_machine.travel("2024-03-04 06:00Z", tick=True):
        patch.setenv("PAYMENTS_DB", str(database))
        with closing(Context(paths=[folder])) as context:
            context.plan(auto_apply=True, no_prompts=True)
    return folder


@pytest.fixture
def warehouse(
    planned_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Context]:
    """The project with everything loaded up to Sunday 2024-03-03."""
    folder = shutil.copytree(planned_project, tmp_path / "payments")
    monkeypatch.setenv("PAYMENTS_DB", str(folder / "payments.duckdb"))
    with closing(Context(paths=[folder])) as context:
        yield context
