"""Templates that are not kept, and why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.projects import Project

from .projects import made_by
from .sessions import Sessions


@pytest.mark.long
@pytest.mark.parametrize(
    ("statement", "imports", "reason"),
    [
        (
            "with socket.socket() as s: s.connect_ex(('127.0.0.1', 9))",
            "import socket",
            "planning it opened a connection",
        ),
        ("subprocess.run(['true'])", "import subprocess", "planning it started a process"),
        (
            "sqlite3.connect(':memory:').close()",
            "import sqlite3",
            "planning it opened an SQLite database",
        ),
        ("dict(os.environ)", "import os", "planning it read all environment variables at once"),
        ("duckdb.connect()", "import duckdb", "planning it opened a DuckDB database"),
        (
            "os.environ.get('PYTEST_XDIST_WORKER')",
            "import os",
            "planning it read PYTEST_XDIST_WORKER",
        ),
        (
            "str(pyarrow)",
            "import pyarrow",
            "its Python code uses pyarrow, which can read files unseen",
        ),
    ],
)
def test_planning_reads_what_is_not_recorded(
    tmp_path: Path, statement: str, imports: str, reason: str
) -> None:
    if "pyarrow" in imports:
        pytest.importorskip("pyarrow")
    project = made_by(tmp_path / "shop", statement, imports=imports)
    sessions = Sessions(tmp_path)
    assert sessions.why_not_kept(project) == reason
    # The next session does not lock what its workers can't share.
    assert sessions.why_not_kept(project) == reason


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"at": None}, "it is planned as of now; set at="),
        ({"variables": {"unused": object()}}, "it depends on a object"),
        ({"stub": {"shop.one": [{"n": 2}]}}, "it has stubs"),
    ],
    ids=["now", "object", "stubs"],
)
def test_it_can_not_be_compared(tmp_path: Path, arguments: dict[str, Any], reason: str) -> None:
    project = made_by(tmp_path / "shop")
    sessions = Sessions(tmp_path, plan=False)
    assert sessions.why_not_kept(project, **arguments) == reason


class Loads:
    def __call__(self, connection: Any) -> None:
        connection.execute("CREATE TABLE main.loaded (id int)")


def test_a_setup_that_is_an_object(tmp_path: Path) -> None:
    project = made_by(tmp_path / "shop")
    sessions = Sessions(tmp_path, plan=False)
    reason = sessions.why_not_kept(project, setup=Loads())
    assert reason == "its set-up is a Loads, not a plain function"


@pytest.mark.long
@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (
            "INSTALL httpfs_of_nobody",
            "planning it executed SQL that can read from a network or another database",
        ),
        (
            "SELECT count(*) FROM read_csv('{folder}/' || '*.csv')",
            "planning it read files whose names are computed in SQL",
        ),
    ],
)
def test_sql_that_can_not_be_watched(tmp_path: Path, sql: str, reason: str) -> None:
    (tmp_path / "rows.csv").write_text("id\n1\n")

    statement = sql.format(folder=tmp_path)
    project = made_by(
        tmp_path / "shop",
        f"""try:
        context.engine_adapter.cursor.execute({statement!r})
    except Exception:
        pass""",
    )
    assert Sessions(tmp_path).why_not_kept(project) == reason


@pytest.mark.long
def test_the_folder_of_the_copy_is_part_of_a_model(tmp_path: Path) -> None:
    project = made_by(tmp_path / "shop")
    Project(project).write(
        "macros/where.py",
        """
        from pathlib import Path

        from sqlmesh import macro

        HERE = str(Path(__file__).parent)

        @macro()
        def here(evaluator):
            return f"'{HERE}'"
        """,
    )
    Project(project).write("models/where.sql", "MODEL (name shop.place); SELECT @here() AS place")
    reason = Sessions(tmp_path, plan=False).why_not_kept(project)
    assert reason == "its models contain the path of the files that they were loaded from"


@pytest.mark.long
def test_the_code_changes_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_SEASON", raising=False)
    project = made_by(tmp_path / "shop")
    Project(project).write("macros/season.py", "import os\n\nos.environ['SHOP_SEASON'] = 'x'\n")
    reason = Sessions(tmp_path, plan=False).why_not_kept(project)
    assert reason == "loading it changes environment variables or sys.path"
    assert "SHOP_SEASON" not in os.environ
