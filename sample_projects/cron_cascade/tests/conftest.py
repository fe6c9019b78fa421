"""Every test gets its own copy of the shop; nothing is ever written beside the models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import time_machine
from sqlmesh import Context

PROJECT = Path(__file__).parents[1]
NOT_COPIED = shutil.ignore_patterns("tests", ".cache", "*.duckdb*")


@pytest.fixture(scope="session")
def planned_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after its first plan, which was applied on Monday 2024-01-08 at 09:05."""
    folder = shutil.copytree(
        PROJECT, tmp_path_factory.mktemp("planned") / "shop", ignore=NOT_COPIED
    )
    with pytest.MonkeyPatch.context() as patch, time_machine.travel("2024-01-08 09:05Z", tick=True):
        patch.setenv("SHOP_DB", str(folder / "shop.duckdb"))
        with closing(Context(paths=[folder])) as context:
            context.plan(auto_apply=True, no_prompts=True)
    return folder


@pytest.fixture
def shop(
    planned_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Context]:
    """The shop on Monday morning, all models loaded."""
    folder = shutil.copytree(planned_project, tmp_path / "shop")
    monkeypatch.setenv("SHOP_DB", str(folder / "shop.duckdb"))
    with closing(Context(paths=[folder])) as context:
        yield context


@pytest.fixture
def new_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """The shop before anything was planned."""
    folder = shutil.copytree(PROJECT, tmp_path / "shop", ignore=NOT_COPIED)
    monkeypatch.setenv("SHOP_DB", str(folder / "shop.duckdb"))
    with closing(Context(paths=[folder])) as context:
        yield context
