"""The examples of the chapter on `why`, run as they stand, on a copy of the sample project."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

# A session in this process restores `sys.modules`, but numpy can't be imported twice.
import duckdb
import pandas  # type: ignore[import-untyped,unused-ignore] # noqa: F401
import pytest
from sqlmesh import Context

from tests.chapters import DOCS, not_printed, sample_in
from tests.projects import at

from .conftest import Typed

pytestmark = pytest.mark.documents

CHAPTER, _ = (DOCS / "why-and-forecast.md").read_text().split("\n## What will run when\n")
[EXAMPLE] = re.findall(r"^```python\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ sqlmesh-tracker (why.*)$", CHAPTER, re.MULTILINE)
OUTPUTS = re.findall(r"^```text\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)


def test_the_commands_print_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Typed
) -> None:
    project = sample_in(tmp_path, "signals_and_batches")
    monkeypatch.chdir(project)
    with closing(duckdb.connect("energy.duckdb")) as connection:
        connection.execute((project / "raw.sql").read_text())
    with at("2024-05-11 06:00"):
        context = Context(paths=str(project))
        context.plan(auto_apply=True, no_prompts=True)
        context.plan("dev", include_unmodified=True, auto_apply=True, no_prompts=True)
        context.close()
    (of_a_model, every_model), (paragraph, table) = COMMANDS, OUTPUTS
    assert not_printed(table, typed(*every_model.split(), when="2024-05-12 06:00").out) == []
    with closing(duckdb.connect("energy.duckdb")) as connection:
        connection.execute("DELETE FROM raw.deliveries WHERE delivered_for >= '2024-05-11'")
    ended = typed(*of_a_model.split(), when="2024-05-12 06:00")
    assert not_printed(paragraph, ended.out) == []
    assert len(ended.out.splitlines()) == len(paragraph.splitlines())


def test_the_example_passes(pytester: pytest.Pytester) -> None:
    sample_in(pytester.path, "signals_and_batches")
    (pytester.path / "test_example.py").write_text(EXAMPLE)
    pytester.makeini("[pytest]\nfilterwarnings = ignore")
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(passed=1)
