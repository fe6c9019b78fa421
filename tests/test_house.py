"""The house rules: what each module may import, and how long it may be."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_sqlmesh_tracker

HOUSE = Path(pytest_sqlmesh_tracker.__file__).parent
HEAVY = ("sqlmesh", "sqlglot", "dagster", "pandas", "duckdb", "pytest", "rich", "pydantic")
ENTRY_POINTS = {
    "pytest_sqlmesh_tracker": set(),
    # pytest imports no other of these.
    "pytest_sqlmesh_tracker.plugin": {"pytest"},
    "pytest_sqlmesh_tracker.cli": set(),
    "pytest_sqlmesh_tracker.dagster": set(),
}
"""What users import, and which heavy packages a fresh process has then."""


def imported_by(*modules: str) -> set[str]:
    """Which heavy packages a fresh process has after importing the modules."""
    code = (
        f"import sys\nfor name in {modules!r}: __import__(name)\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_an_entry_point_is_light(module: str) -> None:
    assert imported_by(module) == ENTRY_POINTS[module]


@pytest.mark.parametrize("name", ["tracking", "sandbox"])
def test_a_room_imports_neither_pytest_nor_dagster(name: str) -> None:
    modules = [f"pytest_sqlmesh_tracker.{name}.{path.stem}" for path in room(name)]
    assert imported_by(*modules) & {"pytest", "dagster"} == set()


def test_only_tracking_and_the_sandbox_import_sqlmesh() -> None:
    importing = re.compile(r"^\s*(from|import) sqlmesh\b", re.MULTILINE)
    inside = (*room("tracking"), *room("sandbox"))
    outside = [path for path in HOUSE.rglob("*.py") if path not in inside]
    assert [path.name for path in outside if importing.search(path.read_text())] == []


def test_modules_are_short() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in HOUSE.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 500} == {}


def test_nothing_points_back_at_the_sandbox() -> None:
    importing = re.compile(r"^from \.*(pytest_sqlmesh_tracker)?\.*sandbox\b", re.MULTILINE)
    outside = [path for path in HOUSE.rglob("*.py") if path not in room("sandbox")]
    assert [path.name for path in outside if importing.search(path.read_text())] == []


def room(name: str) -> list[Path]:
    return sorted((HOUSE / name).glob("*.py"))
