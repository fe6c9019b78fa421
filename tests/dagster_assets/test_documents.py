"""The examples of the chapters on Dagster, in the files that they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
CHAPTER, COMING_FROM = (
    re.findall(r"^```(\w+)\n(.*?)^```$", (DOCS / name).read_text(), re.MULTILINE | re.DOTALL)
    for name in ("dagster.md", "dagster-coming-from.md")
)
FILE = re.compile(r"^(?:#|--) (\S+/?\S*\.\w+)\n")


@pytest.fixture
def from_zero(pytester: pytest.Pytester) -> Path:
    """What a reader of the chapter has in front of them."""
    pytester.makeini("[pytest]\npythonpath = .\nfilterwarnings = ignore")
    for _, text in CHAPTER:
        named = FILE.match(text)
        if named:
            file = pytester.path / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return pytester.path


def test_the_tests_of_the_chapter_pass(pytester: pytest.Pytester, from_zero: Path) -> None:
    assert (from_zero / "definitions.py").exists()
    pytester.runpytest_subprocess("-p", "no:xdist").assert_outcomes(passed=3)


def test_the_other_examples_run(from_zero: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(from_zero)
    known: dict[str, Any] = {"__name__": "examples"}
    exec((from_zero / "definitions.py").read_text(), known)
    others = [text for language, text in CHAPTER if language == "python" and not FILE.match(text)]
    for example in [*others, *(text for language, text in COMING_FROM if language == "python")]:
        exec(example, known)
    assert len(others) == 2
