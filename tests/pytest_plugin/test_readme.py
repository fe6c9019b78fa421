"""The examples of the README and of chapters without a project, on a copy of the sample project."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import pytest_sqlmesh_tracker

from .outcomes import outcomes

pytestmark = pytest.mark.documents

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CHAPTER = (ROOT / "docs" / "assertions.md").read_text()
TRUTH = (ROOT / "docs" / "truth.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README + CHAPTER + TRUTH, re.MULTILINE | re.DOTALL)
EXAMPLES = [text for language, text in BLOCKS if language == "python"]
OUTPUT = next(text for language, text in BLOCKS if language == "text")


@pytest.fixture
def shop_repository(pytester: pytest.Pytester, planned_project: Path) -> Path:  # noqa: ARG001
    """A copy of `cron_cascade` without its tests."""
    ignore = shutil.ignore_patterns("test_*.py", "__pycache__", ".cache")
    source = ROOT / "sample_projects" / "cron_cascade"
    shutil.copytree(source, pytester.path, dirs_exist_ok=True, ignore=ignore)
    pytester.makeini("[pytest]\nfilterwarnings = ignore")
    return pytester.path / "tests"


def test_the_first_example_fails_as_shown_and_the_others_pass(
    pytester: pytest.Pytester, shop_repository: Path
) -> None:
    for number, example in enumerate(EXAMPLES):
        (shop_repository / f"test_example_{number}.py").write_text(example)
    result = pytester.runpytest_inprocess("-p", "no:xdist", "-v")
    result.assert_outcomes(failed=1, passed=8)
    failed = [test for test, each in outcomes(result).items() if each == {"FAILED"}]
    assert [test.partition("::")[0] for test in failed] == ["tests/test_example_0.py"]
    shown = [line.rstrip() for line in OUTPUT.splitlines()]
    printed = [line.rstrip() for line in result.outlines if line.startswith("E")]
    assert printed == shown


def test_the_chapter_lists_every_assertion() -> None:
    assertions = {name for name in pytest_sqlmesh_tracker.__all__ if name.startswith("assert_")}
    assert set(re.findall(r"^\| `(assert_\w+)\(", CHAPTER, re.MULTILINE)) == assertions
