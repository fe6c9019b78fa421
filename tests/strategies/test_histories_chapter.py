"""The examples of the chapter on histories, run as they stand, next to a copy of the project."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

# A session in this process restores `sys.modules`, but numpy can't be imported twice.
import pandas  # type: ignore[import-untyped,unused-ignore] # noqa: F401
import pytest
import sqlmesh  # noqa: F401
from click.testing import CliRunner

from pytest_sqlmesh_tracker.cli import main
from tests.chapters import DOCS, not_printed

pytestmark = pytest.mark.documents

CHAPTER = (DOCS / "histories.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)
MESSAGE, *_ = re.findall(r"^```text\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)
[CONFIGURATION] = re.findall(r"^```toml\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)


def test_the_first_example_fails_as_shown_and_the_others_pass(pytester: pytest.Pytester) -> None:
    ignore = shutil.ignore_patterns("tests", "__pycache__", ".cache")
    project = Path("sample_projects", "histories")
    shutil.copytree(DOCS.parent / project, pytester.path / project, ignore=ignore)
    for number, example in enumerate(EXAMPLES):
        (pytester.path / f"test_example_{number}.py").write_text(example)
    pytester.makeini("[pytest]\nfilterwarnings = ignore")
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(failed=1, passed=len(EXAMPLES) - 1)
    assert not_printed(MESSAGE, result.stdout.str()) == []


def test_the_configuration_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text(CONFIGURATION)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["check", "--help"])
    assert result.exit_code == 0, result.output
