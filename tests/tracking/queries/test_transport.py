"""Queries that SQLMesh answers in a separate process, and what can go wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker.tracking.errors.types import BusyError, ProjectError
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.queries import transport
from pytest_sqlmesh_tracker.tracking.queries.messages import Due, DueQuery, UnfinishedPlan
from tests.databases import held
from tests.engines.engine import only_duckdb
from tests.projects import Project, at

pytestmark = pytest.mark.processes

PLANNED, NEXT_DAY = "2024-01-05 00:05", "2024-01-06T00:05:00+00:00"
ORDERS = '"wh"."s"."orders"'


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A planned project, whose signal and configuration print what they like."""
    project = Project(tmp_path_factory.mktemp("noisy"))
    config = (project.path / "config.yaml").read_text()
    (project.path / "config.yaml").unlink()
    project.write("settings.txt", config)
    project.write(
        "config.py",
        """
        import os, yaml
        from pathlib import Path
        from sqlmesh.core.config import Config

        print("{}")
        os.write(1, b"{}")
        text = (Path(__file__).parent / "settings.txt").read_text()
        config = Config.model_validate(yaml.safe_load(text))
        """,
    )
    project.write(
        "signals/__init__.py",
        """
        from sqlmesh import signal

        @signal()
        def noisy(batch):
            print("a signal says what it likes")
            return True
        """,
    )
    project.incremental(
        "s.orders", "SELECT @start_dt::TIMESTAMP AS ts", cron="'@daily'", signals="(noisy())"
    )
    with at(PLANNED):
        project.plan()
    project.context.close()
    return project


QUERY = DueQuery(environment="prod", moment=datetime.fromisoformat(NEXT_DAY), models=(ORDERS,))


def ask(path: Path, *, timeout: float = 60) -> Due | UnfinishedPlan:
    """What is due on the next day."""
    return transport.ask(ProjectLocation([str(path)]), QUERY, timeout=timeout)


@pytest.mark.long
def test_output_of_a_project_is_not_part_of_the_reply(planned: Project) -> None:
    assert ask(planned.path) == Due(due=(ORDERS,), waiting=(), next_due=None)


def test_the_calling_process_does_not_load_sqlmesh(planned: Project) -> None:
    code = (
        "import json, sys\n"
        "from pytest_sqlmesh_tracker.dagster import SqlmeshProject, SqlmeshResource\n"
        "resource = SqlmeshResource(project=SqlmeshProject(sys.argv[1]))\n"
        "from pytest_sqlmesh_tracker.tracking.queries.messages import DueQuery\n"
        "answer = resource.ask(DueQuery.model_validate_json(sys.argv[2]))\n"
        "print(json.dumps([answer.due, 'sqlmesh' in sys.modules]))"
    )
    query = QUERY.model_dump_json()
    command = [sys.executable, "-W", "ignore", "-c", code, str(planned.path), query]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == [[ORDERS], False]


@pytest.mark.long
@only_duckdb("PostgreSQL has no lock of the whole database")
def test_a_database_locked_by_another_process(planned: Project) -> None:
    with held(planned.path / "wh.db"), pytest.raises(BusyError, match="Could not set lock"):
        ask(planned.path)


@pytest.mark.long
def test_a_missing_project(tmp_path: Path) -> None:
    with pytest.raises(
        ProjectError, match=r"no SQLMesh project in .*nowhere: the folder does not exist"
    ):
        ask(tmp_path / "nowhere")


@pytest.mark.long
def test_a_broken_configuration(project: Project) -> None:
    project.write("config.yaml", "gateways: [")
    with pytest.raises(ProjectError) as raised:
        ask(project.path)
    assert not isinstance(raised.value, BusyError)
    assert str(raised.value).startswith(f"the SQLMesh project {project.path} can't be loaded: ")
    assert "\n" not in str(raised.value)


@pytest.mark.long
def test_modules_in_the_current_folder_do_not_replace_libraries(
    planned: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sqlmesh").mkdir()
    for name in ("json.py", "sqlmesh/__init__.py"):
        (tmp_path / name).write_text("raise ImportError('of the current folder')")
    monkeypatch.chdir(tmp_path)
    assert ask(planned.path) == Due(due=(ORDERS,), waiting=(), next_due=None)


def test_a_reply_that_takes_too_long(planned: Project) -> None:
    with pytest.raises(ProjectError, match=r"did not answer within 0\.01 s"):
        ask(planned.path, timeout=0.01)


@pytest.mark.parametrize(
    ("dies", "complaint"),
    [
        ("os._exit(3)", "its process exited with 3"),
        ("os.write(2, b'out of memory'); os._exit(3)", "out of memory"),
    ],
)
def test_a_process_that_dies(tmp_path: Path, dies: str, complaint: str) -> None:
    (tmp_path / "config.py").write_text(f"import os; {dies}")
    with pytest.raises(ProjectError) as raised:
        ask(tmp_path)
    assert str(raised.value) == f"the SQLMesh project {tmp_path} did not answer: {complaint}"
