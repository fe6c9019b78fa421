"""The command `check`: its result, its options in `pyproject.toml`, and exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import Result

from pytest_sqlmesh_tracker.cli import main
from tests.projects import Project

from .conftest import runner

RAW = """
CREATE SCHEMA raw;
CREATE TABLE raw.visits AS
SELECT range AS ts FROM range(TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-08', INTERVAL 12 HOUR);
"""
VISITS = "SELECT ts FROM raw.visits WHERE ts BETWEEN @start_dt AND @end_dt"


@pytest.fixture
def visits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a project whose model `site.appended` has a fault."""
    project = Project(tmp_path / "visits")
    project.write("raw.sql", RAW)
    project.incremental("site.visits", VISITS, cron="'@daily'")
    project.model("site.appended", VISITS, kind="INCREMENTAL_UNMANAGED", cron="'@daily'")
    project.model("site.counted", "SELECT COUNT(*) AS n FROM site.appended", kind="VIEW")
    monkeypatch.chdir(project.path)
    return project.path


def check(*arguments: str) -> Result:
    options = ["--setup", "raw.sql", "--days", "2", "--examples", "0"]
    return runner().invoke(main, ["check", *options, *arguments])


@pytest.mark.long
def test_a_difference_is_shown_with_its_history_and_a_row_for_each_model(visits: Path) -> None:
    result = check("--report", "all.md", "--report", "all.json")
    assert result.exit_code == 1
    first, _, table = result.stdout.partition("\n\n3 models")
    assert first.splitlines()[:2] == [
        "site.appended depends on history, and is not mended by a restatement: 2 too much",
        "  history         2024-01-03 00:00  run; site.appended fails, after its rows were written",
    ]
    headline, _, heads, *rows = table.splitlines()
    assert headline.endswith(": 1 differs, 1 not judged, 1 passed")
    assert heads.split() == ["model", "rows", "result"]
    assert sorted(row.split(None, 2) for row in rows) == [
        ["site.appended", "8", "not mended by a restatement"],
        ["site.counted", "1", "not judged, because it reads site.appended"],
        ["site.visits", "6", "passed"],
    ]
    assert "| `site.visits` | 6 | passed |" in (visits / "all.md").read_text()
    written = json.loads((visits / "all.json").read_text())
    assert written["begin"] == "2024-01-02T00:00:00+00:00"
    assert written["models"]["site.appended"]["result"] == "differs"
    assert "after_write=True" in written["models"]["site.appended"]["history"]


@pytest.mark.long
def test_options_are_read_from_pyproject(visits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (visits / "pyproject.toml").write_text(
        "[tool.sqlmesh_tracker.check]\n"
        'exclude = ["site.appended", "site.counted"]\nsetup = ["raw.sql"]\ndays = 2\nexamples = 0\n'
        'ignore = {"site.visits" = ["ts"]}\nstart = 2024-01-02\n'
    )
    # Its files are relative to it, wherever the command is called.
    monkeypatch.chdir(visits / "models")
    result = runner().invoke(main, ["check", "-p", "..", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert list(document["models"]) == ["site.visits"]
    assert document["begin"] == "2024-01-03T00:00:00+00:00"


@pytest.mark.long
def test_nothing_tried_is_an_error(visits: Path) -> None:
    (visits / "raw.sql").write_text("CREATE SCHEMA raw; CREATE TABLE raw.visits (ts TIMESTAMP);")
    result = check("site.visits")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: nothing was tried: no model had any rows; load some with --setup FILE\n"
    )
    assert "site.visits          0  not tried" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "pyproject", "complaint"),
    [
        (["site.visit"], "", "no model 'site.visit' in the project; did you mean site.visits?"),
        (["--exclude", "site.*"], "", "no model is left to check"),
        (["--ignore", "site.visits"], "", "'site.visits' must be MODEL=COLUMN"),
        (["--report", "all.txt"], "", "--report: all.txt must end in .json or .md"),
        (["--report", "no/all.md"], "", "does not exist"),
        (["--setup", "nothing.sql"], "", "nothing.sql"),
        (["-p", "nowhere"], "", "nowhere"),
        ([], "exampels = 1", "unknown key 'exampels'; did you mean examples?"),
        ([], "days = 'many'", "'many' is not a valid integer"),
    ],
)
def test_what_is_not_valid_is_one_line(
    visits: Path, arguments: list[str], pyproject: str, complaint: str
) -> None:
    (visits / "pyproject.toml").write_text(f"[tool.sqlmesh_tracker.check]\n{pyproject}\n")
    result = runner().invoke(main, ["check", *arguments])
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("visits")
def test_hypothesis_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    result = check()
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: check requires Hypothesis: pip install 'pytest-sqlmesh-tracker[hypothesis]'\n",
    )
