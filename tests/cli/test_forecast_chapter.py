"""The examples of the chapter on forecasts, run as they stand, on a copy of the sample project."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

# A session in this process restores `sys.modules`, but numpy can't be imported twice.
import pandas  # type: ignore[import-untyped,unused-ignore] # noqa: F401
import pytest
from sqlmesh import Context

from tests.chapters import DOCS, not_printed
from tests.projects import at

from .conftest import Typed

pytestmark = pytest.mark.documents

_, CHAPTER = (DOCS / "why-and-forecast.md").read_text().split("\n## What will run when\n")
[EXAMPLE] = re.findall(r"^```python\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ sqlmesh-tracker (forecast.*)$", CHAPTER, re.MULTILINE)
OUTPUTS = re.findall(r"^```text\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)
SAMPLE = Path("sample_projects", "cron_cascade")


def copied_to(folder: Path) -> Path:
    """The sample project, next to which an example is run."""
    ignored = shutil.ignore_patterns("tests", "__pycache__", ".cache", "*.duckdb*")
    return Path(shutil.copytree(DOCS.parent / SAMPLE, folder / SAMPLE, ignore=ignored))


def test_the_commands_print_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Typed
) -> None:
    monkeypatch.chdir(copied_to(tmp_path))
    with at("2024-01-09 00:05"):
        context = Context(paths=".")
        context.plan(auto_apply=True, no_prompts=True)
        context.close()
    assert len(COMMANDS) == len(OUTPUTS) == 2
    for command, output in zip(COMMANDS, OUTPUTS, strict=True):
        ended = typed(*shlex.split(command), when="2024-01-09 00:05")
        assert not_printed(output, ended.out) == []


def test_the_examples_pass(pytester: pytest.Pytester) -> None:
    copied_to(pytester.path)
    (pytester.path / "test_example.py").write_text(EXAMPLE)
    pytester.makeini("[pytest]\nfilterwarnings = ignore")
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(passed=2)
