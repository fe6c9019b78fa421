"""Outcomes have the files that define their models, relative to the project's folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlmesh.core.model import create_external_model

from pytest_sqlmesh_tracker import Tracker, sqlmesh_run_tracker
from pytest_sqlmesh_tracker.tracking.project.nodes import common_folder, defining_file
from tests.projects import Project, at

PYTHON_MODEL = """
import pandas as pd
from sqlmesh import model

@model("f.python", kind="FULL", columns={"id": "int"})
def rows(context, **kwargs):
    return pd.DataFrame({"id": [1]})
"""


@pytest.fixture
def project(project: Project) -> Project:
    project.model("f.sql", "SELECT 1 AS id")
    project.write("models/sub folder/deeper.sql", "MODEL (name f.deeper); SELECT id FROM f.sql")
    project.write("models/python.py", PYTHON_MODEL)
    project.write(
        "audits/checked.sql", "AUDIT (name checked, standalone true); SELECT 1 FROM f.sql"
    )
    project.write("external_models.yaml", "- name: raw.orders\n  columns:\n    id: int\n")
    return project


def files(tracker: Tracker) -> dict[str, str | None]:
    return {name: outcome.file for name, outcome in tracker.last.outcomes.items()}


def test_files_of_all_kinds(project: Project) -> None:
    with at("2024-01-09 00:05"), sqlmesh_run_tracker(project.context) as tracker:
        project.context.plan(auto_apply=True, no_prompts=True)
    assert files(tracker) == {
        "raw.orders": "external_models.yaml",
        "f.sql": "models/f.sql.sql",
        "f.deeper": "models/sub folder/deeper.sql",
        "f.python": "models/python.py",
        "checked": "audits/checked.sql",
    }


def test_a_model_that_the_project_no_longer_has(project: Project) -> None:
    with at("2024-01-09 00:05"):
        project.unwitnessed_plan(auto_apply=True)
        (project.path / "models/sub folder/deeper.sql").unlink()
        project.reload()
        with sqlmesh_run_tracker(project.context) as tracker:
            project.context.run()
    assert files(tracker)["f.deeper"] is None
    assert files(tracker)["f.sql"] == "models/f.sql.sql"


def node(path: Path | None) -> SimpleNamespace:
    return SimpleNamespace(_path=path)


class TestOfSeveralFolders:
    def test_are_relative_to_the_common_one(self, tmp_path: Path) -> None:
        folders = [str(tmp_path / name) for name in ("orders", "web")]
        assert common_folder(folders) == str(tmp_path)
        file = tmp_path / "web" / "models" / "a.sql"
        assert defining_file(node(file), str(tmp_path)) == "web/models/a.sql"

    def test_may_have_detours(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert common_folder(["here/orders", "../elsewhere"]) == str(tmp_path.parent)
        file = Path("../elsewhere/models/a.sql")
        assert defining_file(node(file), str(tmp_path.parent)) == "elsewhere/models/a.sql"

    def test_may_be_relative_to_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert common_folder(["orders", str(tmp_path / "web")]) == str(tmp_path)
        assert defining_file(node(Path("web/a.sql")), str(tmp_path)) == "web/a.sql"


@pytest.mark.parametrize("path", [None, Path("/elsewhere/a.sql"), Path("/project-2/a.sql")])
def test_a_file_outside_of_the_project_is_not_named(path: Path | None) -> None:
    assert defining_file(node(path), "/project") is None
    assert defining_file(node(path), None) is None


def test_a_model_that_a_program_made_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path / "models")
    made = create_external_model("f.made", columns={"id": "int"})
    assert defining_file(made, str(tmp_path)) is None


def test_no_folders_have_none_in_common() -> None:
    assert common_folder([]) is None
