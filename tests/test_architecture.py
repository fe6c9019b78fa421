"""The rules of the package: what imports what, what entry points load, and sizes of modules."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_sqlmesh_tracker

ROOT = Path(__file__).parents[1]
PACKAGE = Path(str(pytest_sqlmesh_tracker.__file__)).parent
HEAVY = ("sqlmesh", "sqlglot", "dagster", "pandas", "duckdb", "pytest", "rich", "pydantic")
ENTRY_POINTS: dict[str, set[str]] = {
    "pytest_sqlmesh_tracker": set(),
    # pytest imports no other of these.
    "pytest_sqlmesh_tracker.plugin": {"pytest"},
    "pytest_sqlmesh_tracker.cli": set(),
    "pytest_sqlmesh_tracker.dagster": set(),
}
"""What users import, and which heavy packages a fresh process has then."""


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_an_entry_point_is_light(module: str) -> None:
    code = (
        f"import sys\nimport {module}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == ENTRY_POINTS[module]


def test_imports_point_in_one_direction() -> None:
    """The layers, and that there are no circles: the contracts in `pyproject.toml`."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_modules_are_short() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 500} == {}


def test_packages_are_small() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    sizes = {folder.name: len(list(modules(folder))) for folder in folders}
    assert {name: size for name, size in sizes.items() if size > 10} == {}


def test_public_names_are_unique() -> None:
    from pytest_sqlmesh_tracker import dagster, strategies

    names = [*pytest_sqlmesh_tracker.__all__, *dagster.__all__, *strategies.__all__]
    assert len(names) == len(set(names))


def test_contributing_shows_the_actual_tree() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (tree,) = re.findall(
        r"^```\npytest_sqlmesh_tracker/\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    )
    assert sorted(paths(tree)) == sorted(
        str(path.relative_to(PACKAGE))
        for folder in [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir())]
        for path in modules(folder)
    )


def modules(folder: Path) -> Iterator[Path]:
    """The modules of a package, except those that every package may have."""
    for path in folder.glob("*.py"):
        if path.name not in ("__init__.py", "__main__.py"):
            yield path


def paths(tree: str) -> Iterator[str]:
    """The files in a tree that is drawn by indentation, two columns a level."""
    folders: list[str] = []
    for line in tree.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        folders[depth:] = [name.rstrip("/")]
        if not name.endswith("/"):
            yield "/".join(folders)
