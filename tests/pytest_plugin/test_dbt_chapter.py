"""The examples of the chapter on dbt projects, run as they stand, next to a copy of the project."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.documents

ROOT = Path(__file__).parents[2]
CHAPTER = (ROOT / "docs" / "dbt.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)


def test_every_example_passes(pytester: pytest.Pytester) -> None:
    shop = ROOT / "sample_projects" / "dbt_shop"
    ignore = shutil.ignore_patterns("test_*.py", "conftest.py", "__pycache__", ".cache")
    shutil.copytree(shop, pytester.path / "sample_projects" / "dbt_shop", ignore=ignore)
    for number, example in enumerate(EXAMPLES):
        (pytester.path / f"test_example_{number}.py").write_text(example)
    pytester.makeini("[pytest]\nfilterwarnings = ignore\naddopts = --strict-markers")
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(passed=3)
    assert len(EXAMPLES) == 2
