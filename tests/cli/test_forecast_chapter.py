"""The examples of the chapter on forecasts, run as they stand, on a copy of the sample project."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

# A session in this process restores `sys.modules`, but numpy can't be imported twice.
import pandas  # type: ignore[import-untyped,unused-ignore] # noqa: F401
import pytest
from sqlmesh import Context

from tests.chapters import DOCS, not_printed, sample_in
from tests.projects import at

from .conftest import Typed

pytestmark = pytest.mark.documents

_, CHAPTER = (DOCS / "why-and-forecast.md").read_text().split("\n## What will run when\n")
[EXAMPLE] = re.findall(r"^```python\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ sqlmesh-tracker (forecast.*)$", CHAPTER, re.MULTILINE)
[POLICY] = re.findall(r"^```toml\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)
OUTPUTS = re.findall(r"^```text\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)


def replace_cron(model: str, old: str, new: str) -> None:
    """Edit a model in the current folder, as the chapter says."""
    file = Path("models", f"{model}.sql")
    text = file.read_text()
    assert f"'{old}'" in text
    file.write_text(text.replace(f"'{old}'", f"'{new}'"))


def test_the_commands_print_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Typed
) -> None:
    monkeypatch.chdir(sample_in(tmp_path, "cron_cascade"))
    with at("2024-01-09 00:05"):
        context = Context(paths=".")
        context.plan(auto_apply=True, no_prompts=True)
        context.close()
    Path("pyproject.toml").write_text(POLICY)
    assert len(COMMANDS) == len(OUTPUTS) == 4
    for command, output in zip(COMMANDS, OUTPUTS, strict=True):
        if "--local" in command:
            replace_cron("finance/weekly_revenue", "@weekly", "@monthly")
            replace_cron("sales/bestsellers", "@daily", "@weekly")
        ended = typed(*shlex.split(command), when="2024-01-09 00:05")
        assert not_printed(output, ended.out) == []


def test_the_examples_pass(pytester: pytest.Pytester) -> None:
    sample_in(pytester.path, "cron_cascade")
    (pytester.path / "test_example.py").write_text(EXAMPLE)
    pytester.makeini("[pytest]\nfilterwarnings = ignore")
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(passed=2)
