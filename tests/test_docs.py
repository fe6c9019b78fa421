"""What the documents say of reasons, causes and tests is what there is."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import Cause, Reason

ROOT = Path(__file__).parents[1]
ROW = re.compile(
    r"^\| `(?P<word>\w+)` \| .+ \| `(?P<file>\w+\.py)::(?P<test>\w+)` \|$", re.MULTILINE
)
ROWS = ROW.findall((ROOT / "docs" / "reasons.md").read_text())


@cache
def functions(file: str) -> dict[str, str]:
    """The source of each function of a module of the tracking tests."""
    (path,) = (ROOT / "tests" / "tracking").rglob(file)
    source = path.read_text()
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_source_segment(source, node) or "" for node in nodes}


def test_every_reason_and_cause_has_its_row_in_order_of_precedence() -> None:
    assert [word for word, _, _ in ROWS] == [str(word) for word in (*Reason, *Cause)]


@pytest.mark.parametrize(("word", "file", "test"), ROWS)
def test_the_test_of_a_row_demands_its_reason_or_cause(word: str, file: str, test: str) -> None:
    assert test in functions(file), f"docs/reasons.md names {file}::{test}, which is not there"
    assert f'"{word}"' in functions(file)[test]
