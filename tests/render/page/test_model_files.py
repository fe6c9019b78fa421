"""Pages have links to the files of models that exist."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.history.appending import append
from pytest_sqlmesh_tracker.history.trends.reading import read_trends
from pytest_sqlmesh_tracker.render.files import write
from pytest_sqlmesh_tracker.render.page.model_files import ModelFiles
from pytest_sqlmesh_tracker.render.trends import page as trends
from pytest_sqlmesh_tracker.reports.files import Entry
from tests.builders import executed, run

REPORT = run(
    executed("a.x", file="models/50 %/a.x.sql"),
    executed("a.y", file="models/gone.sql"),
    executed("a.z"),
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    file = tmp_path / "project" / "models" / "50 %" / "a.x.sql"
    file.parent.mkdir(parents=True)
    file.write_text("SELECT 1")
    return tmp_path / "project"


def test_of_a_report(project: Path, tmp_path: Path) -> None:
    write(tmp_path / "pages" / "r.html", [Entry(None, REPORT)], source="cli", project=project)
    text = (tmp_path / "pages" / "r.html").read_text()
    assert '<a href="../project/models/50%20%25/a.x.sql">models/50 %/a.x.sql</a>' in text
    assert "<dd>models/gone.sql</dd>" in text


def test_of_a_history(project: Path, tmp_path: Path) -> None:
    history = tmp_path / "runs.duckdb"
    append(history, [Entry(None, REPORT)], source="cli")
    text = trends.page(read_trends(history), {}, ModelFiles(project / "h.html", project))
    assert '"file":["models/50 %/a.x.sql","models/50%20%25/a.x.sql"]' in text
    assert '"file":["models/gone.sql",""]' in text
    assert '"file":["",""]' in text


def test_are_relative_to_the_page(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)
    files = ModelFiles(Path("r.html"), Path("project"))
    assert files.address("models/50 %/a.x.sql") == "project/models/50%20%25/a.x.sql"


def test_never_leave_the_machine(project: Path) -> None:
    """What a report has instead of a path is part of a path, and has no link."""
    (project / "http:").mkdir()
    (project / "http:" / "x").write_text("")
    files = ModelFiles(project / "r.html", project)
    assert files.address("http:/x") == "http%3A/x"
    (project.parent / "secret").write_text("")
    assert Path("/etc/passwd").exists()
    for text in ("../secret", "/etc/passwd", "javascript:alert(1)", "a\0b", "a" * 300, os.sep):
        assert files.address(text) is None
