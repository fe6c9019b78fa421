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
PURE = {
    "pytest_sqlmesh_tracker": (),
    "pytest_sqlmesh_tracker.plugin": ("pytest",),
    "pytest_sqlmesh_tracker.outcomes.outcomes": ("pydantic",),
    "pytest_sqlmesh_tracker.process.frozen": (),
    "pytest_sqlmesh_tracker.models.definitions": ("pydantic",),
    "pytest_sqlmesh_tracker.models.index": (),
    "pytest_sqlmesh_tracker.pytest_plugin.markers": (),
    "pytest_sqlmesh_tracker.pytest_plugin.session": (),
    "pytest_sqlmesh_tracker.pytest_plugin.settings": (),
    "pytest_sqlmesh_tracker.pytest_plugin.tries": (),
    "pytest_sqlmesh_tracker.reports.expectations": ("pydantic",),
    "pytest_sqlmesh_tracker.wording.explanation": ("pydantic",),
    "pytest_sqlmesh_tracker.reports.assertions": ("pydantic",),
    "pytest_sqlmesh_tracker.reports.listening": ("pydantic",),
    "pytest_sqlmesh_tracker.wording.formats": ("pydantic",),
    "pytest_sqlmesh_tracker.wording.causes": ("pydantic",),
    "pytest_sqlmesh_tracker.reports.report": ("pydantic",),
    "pytest_sqlmesh_tracker.reports.files": ("pydantic",),
    "pytest_sqlmesh_tracker.wording.brief": ("pydantic",),
    "pytest_sqlmesh_tracker.gate": ("pydantic",),
    "pytest_sqlmesh_tracker.pytest_plugin.strict": ("pydantic",),
    "pytest_sqlmesh_tracker.render.files": (),
    "pytest_sqlmesh_tracker.render.junit": ("pydantic",),
    "pytest_sqlmesh_tracker.render.junit_file": ("pydantic",),
    "pytest_sqlmesh_tracker.cli": (),
    "pytest_sqlmesh_tracker.dagster": (),
    "pytest_sqlmesh_tracker.dagster.definitions.selection": ("pydantic",),
    "pytest_sqlmesh_tracker.doctor.diagnosis": (),
    "pytest_sqlmesh_tracker.reports.diff": ("pydantic",),
    "pytest_sqlmesh_tracker.render.doctor": ("pydantic",),
    "pytest_sqlmesh_tracker.render.page.graph": (),
    "pytest_sqlmesh_tracker.render.page.anchors": (),
    "pytest_sqlmesh_tracker.render.page.schemas": (),
    "pytest_sqlmesh_tracker.render.page.html": ("pydantic",),
    "pytest_sqlmesh_tracker.render.markdown": ("pydantic",),
    "pytest_sqlmesh_tracker.render.words": ("pydantic",),
    "pytest_sqlmesh_tracker.render.terminal": ("pydantic", "rich"),
    "pytest_sqlmesh_tracker.doctor.contract": (),
    "pytest_sqlmesh_tracker.doctor.doctor": ("pydantic",),
    "pytest_sqlmesh_tracker.tracking.errors.types": (),
    "pytest_sqlmesh_tracker.tracking.queries.process": ("pydantic",),
    "pytest_sqlmesh_tracker.tracking.errors.redaction": (),
    "pytest_sqlmesh_tracker.tracking.errors.secrets": ("pydantic",),
    "pytest_sqlmesh_tracker.tracking.events.live": ("pydantic",),
    "pytest_sqlmesh_tracker.tracking.queries.missing": (),
    "pytest_sqlmesh_tracker.tracking.tracker": ("pydantic",),
    "pytest_sqlmesh_tracker.sandbox.options": (),
    "pytest_sqlmesh_tracker.sandbox.finding": (),
    "pytest_sqlmesh_tracker.sandbox.clock": (),
}


def imported_by(*modules: str) -> set[str]:
    """Which heavy packages a fresh process has after importing the modules."""
    code = (
        f"import sys\nfor name in {modules!r}: __import__(name)\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


@pytest.mark.parametrize("module", PURE)
def test_a_module_imports_no_more_than_it_needs(module: str) -> None:
    # The plugin's start-up includes pytest; pytest brings no other of these.
    assert imported_by(module) <= set(PURE[module])


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
