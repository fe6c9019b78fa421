"""Each reason, cause and quoted message in a chapter has a test, and each link has a target."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import Cause, Reason, Status

from .chapters import quotations

ROOT = Path(__file__).parents[1]
ROW = re.compile(
    r"^\| `(?P<word>\w+)` \| .+ \| `(?P<file>\w+\.py)::(?P<test>\w+)` \|$", re.MULTILINE
)
CHAPTER = (ROOT / "docs" / "reasons.md").read_text()
ROWS = ROW.findall(CHAPTER)


@cache
def functions(file: str) -> dict[str, str]:
    """The source of each function of a module of the tracking tests."""
    (path,) = (ROOT / "tests" / "tracking").rglob(file)
    source = path.read_text()
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_source_segment(source, node) or "" for node in nodes}


def test_every_status_has_its_row() -> None:
    [table] = re.findall(r"^## Statuses\n(.*?)^## ", CHAPTER, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [str(word) for word in Status]


def test_every_reason_and_cause_has_its_row_in_order_of_precedence() -> None:
    assert [word for word, _, _ in ROWS] == [str(word) for word in (*Reason, *Cause)]


@pytest.mark.long
@pytest.mark.parametrize(("word", "file", "test"), ROWS)
def test_the_test_of_a_row_produces_its_reason_or_cause(word: str, file: str, test: str) -> None:
    assert test in functions(file), f"docs/reasons.md names {file}::{test}, which is not there"
    assert f'"{word}"' in functions(file)[test]


@pytest.mark.parametrize("heading", quotations("troubleshooting.md"))
def test_a_quoted_message_is_produced_by_a_test(heading: str) -> None:
    sessions = (
        "pytest_plugin/test_troubleshooting_chapter.py",
        "cli/test_troubleshooting_chapter.py",
    )
    files = (*sessions, "dagster/test_documents.py")
    sources = [(ROOT / "tests" / file).read_text() for file in files]
    assert sum(f'"{heading}"' in source for source in sources) == 1


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@cache
def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    text = FENCED.sub("", document.read_text())
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = []
    for path, anchor in LINK.findall(FENCED.sub("", document.read_text())):
        if path.startswith("http"):
            continue
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    assert broken == []
