"""Hints next to errors: where a missing file is, and which database contains a table."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from pytest_sqlmesh_tracker import SandboxError
from pytest_sqlmesh_tracker.sandbox.problems.hints import Hints
from tests.sandbox.building import DEFAULTS, Sandboxes, database, project

IN_MEMORY = "{one: {connection: {type: duckdb}}}"
IN_A_FILE = "{{one: {{connection: {{type: duckdb, database: {} }} }} }}"
READERS = ("read_csv('data/x.csv')", "read_parquet('data/x.parquet')", "read_json('data/*.json')")
PATHS = ("data/x.csv", "data/x.parquet", "data/*.json")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tests run in another folder than the project's."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


class TestRelativePaths:
    @pytest.mark.parametrize("below", ["project", ".", "project/models/raw"])
    def test_files_of_the_project_are_located(
        self, sandboxes: Sandboxes, tmp_path: Path, elsewhere: Path, below: str
    ) -> None:
        made = project(tmp_path / "project", IN_MEMORY)
        for number, reader in enumerate(READERS):
            made.model(f"s.a{number}", f"SELECT a::INT AS a FROM {reader}", cron="'@daily'")
        folder = (tmp_path / below).resolve()
        (folder / "data").mkdir(parents=True)
        (folder / "data/x.csv").write_text("a\n1\n")
        (folder / "data/one.json").write_text('{"a": 1}')
        duckdb.sql("SELECT 1 AS a").write_parquet(str(folder / "data/x.parquet"))
        with pytest.raises(SandboxError) as error:
            with sandboxes(tmp_path / "project"):
                pass
        words = str(error.value)
        for path in PATHS:
            assert (
                f"{path} exists below {folder}, but relative paths start from the working "
                f"directory, {elsewhere}." in words
            )
        assert words.count(f'monkeypatch.chdir("{folder}")') == len(PATHS)

    def test_the_remedy_works(
        self, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = project(tmp_path, IN_MEMORY)
        made.write("data/x.csv", "a\n7\n")
        made.model("s.a", f"SELECT a::INT AS a FROM {READERS[0]}", cron="'@daily'")
        monkeypatch.chdir(tmp_path)
        with sandboxes(tmp_path) as copy:
            assert copy.fetch("SELECT a FROM s.a") == [(7,)]

    def test_a_file_that_does_not_exist_is_not_located(
        self,
        sandboxes: Sandboxes,
        tmp_path: Path,
        elsewhere: Path,  # noqa: ARG002
    ) -> None:
        made = project(tmp_path / "project", IN_MEMORY)
        made.model("s.a", f"SELECT a::INT AS a FROM {READERS[0]}", cron="'@daily'")
        with pytest.raises(SandboxError) as error:
            with sandboxes(tmp_path / "project"):
                pass
        assert "No files found that match the pattern" in str(error.value)
        assert "working folder" not in str(error.value)

    def test_copy_statements_and_python_models_have_hints(
        self,
        sandboxes: Sandboxes,
        tmp_path: Path,
        elsewhere: Path,  # noqa: ARG002
    ) -> None:
        made = project(tmp_path / "project", IN_MEMORY)
        made.write("data/x.csv", "a\n7\n")
        made.write(
            "models/copied.sql",
            "MODEL (name s.copied, kind FULL);\nCREATE TABLE IF NOT EXISTS x (a INT);\n"
            "COPY x FROM 'data/x.csv';\nSELECT a FROM x",
        )
        made.write(
            "models/python.py",
            """
            import pandas as pd
            from sqlmesh import model

            @model("s.python", columns={"a": "int"}, kind="FULL")
            def entry(context, **kwargs):
                return pd.read_csv("data/x.csv")
            """,
        )
        for name in ("s.copied", "s.python"):
            with pytest.raises(SandboxError) as error:
                with sandboxes(tmp_path / "project", select=name):
                    pass
            assert f"data/x.csv exists below {tmp_path / 'project'}, but" in str(error.value)


class TestObjectsOfALocalDatabase:
    @pytest.fixture(scope="class")
    def warehouse(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A database with a table and a view, which a project names."""
        return database(
            tmp_path_factory.mktemp("warehouse") / "w.duckdb",
            "CREATE TABLE events (id INT)",
            "CREATE SCHEMA raw",
            "CREATE VIEW raw.clicks AS SELECT * FROM events",
        )

    @pytest.fixture(scope="class")
    def shop(self, tmp_path_factory: pytest.TempPathFactory, warehouse: Path) -> Path:
        made = project(tmp_path_factory.mktemp("project"), IN_A_FILE.format(warehouse))
        made.model("s.a", "SELECT 1 AS id", cron="'@daily'")
        return made.path

    @pytest.mark.parametrize(
        ("sql", "name"),
        [
            ("CREATE TABLE events (id INT)", "events"),
            ("CREATE SCHEMA raw", "raw"),
            ("CREATE OR REPLACE TABLE raw.clicks (id INT)", "raw.clicks"),
        ],
    )
    def test_a_conflicting_object_is_named_with_its_file(
        self, sandboxes: Sandboxes, shop: Path, warehouse: Path, tmp_path: Path, sql: str, name: str
    ) -> None:
        words = (
            f"{name} already exists: it comes from {warehouse}, which the sandbox copies.\n"
            'state="empty" starts without that file.'
        )
        file = tmp_path / "raw.sql"
        file.write_text(sql)
        with pytest.raises(SandboxError) as error:
            with sandboxes(shop, setup=file):
                pass
        assert str(error.value).startswith("setup: raw.sql failed: ")
        assert str(error.value).endswith(f"\n\n{words}")

        with pytest.raises(SandboxError) as error:
            with sandboxes(shop, setup=file, state="keep"):
                pass
        assert words in str(error.value)

        with sandboxes(shop) as copy:
            with pytest.raises(duckdb.CatalogException) as raised:
                copy.execute(sql)
            assert words in str(raised.value)

    def test_the_remedy_works(self, sandboxes: Sandboxes, shop: Path, tmp_path: Path) -> None:
        file = tmp_path / "raw.sql"
        file.write_text(
            "CREATE TABLE events (id INT, name TEXT); INSERT INTO events VALUES (1, 'a')"
        )
        with sandboxes(shop, setup=file, state="empty") as copy:
            assert copy.fetch("SELECT * FROM events") == [(1, "a")]
            assert copy.fetch("SELECT id FROM s.a") == [(1,)]
            # The catalog is called as the file.
            assert copy.context.default_catalog == "w"

    def test_differing_columns_are_explained(
        self, sandboxes: Sandboxes, shop: Path, warehouse: Path
    ) -> None:
        with sandboxes(shop) as copy:
            with pytest.raises(duckdb.BinderException) as error:
                copy.execute("INSERT INTO events VALUES (1, 'a')")
            assert f"events has the same columns as in {warehouse}" in str(error.value)

    def test_before_all(self, sandboxes: Sandboxes, tmp_path: Path, warehouse: Path) -> None:
        made = project(
            tmp_path / "project",
            IN_A_FILE.format(warehouse),
            f"{DEFAULTS}before_all: [CREATE TABLE events (id INT)]",
        )
        made.model("s.a", "SELECT 1 AS id", cron="'@daily'")
        with pytest.raises(SandboxError, match=r"events already exists: it comes from"):
            with sandboxes(made.path):
                pass

    def test_a_model(self, sandboxes: Sandboxes, shop: Path, warehouse: Path) -> None:
        model = "MODEL (name s.b, kind FULL);\nCREATE TABLE events (id INT);\nSELECT 1 AS id"
        with sandboxes(shop) as copy:
            copy.write("models/b.sql", model)
            copy.plan().assert_failed("s.b")
            assert copy.hints == [
                f"events already exists: it comes from {warehouse}, which the sandbox copies.\n"
                'state="empty" starts without that file.'
            ]

    def test_objects_that_the_test_created_are_not_attributed_to_the_file(
        self, sandboxes: Sandboxes, shop: Path
    ) -> None:
        with sandboxes(shop) as copy:
            copy.execute("CREATE TABLE mine (id INT)")
            with pytest.raises(duckdb.CatalogException) as error:
                copy.execute("CREATE TABLE mine (id INT)")
            assert "comes from" not in str(error.value)


@pytest.mark.parametrize("path", ["a" * 300, "**x", "", ".", "a[", "a\0b", "a\0*/b"])
def test_a_path_without_a_target_has_no_hint(tmp_path: Path, path: str) -> None:
    assert Hints((tmp_path,)).of(f"No such file or directory: '{path}'") == []


def test_a_file_with_glob_characters_has_a_hint(tmp_path: Path) -> None:
    (tmp_path / "rows[1].csv").touch()
    (hint,) = Hints((tmp_path,)).of("No such file or directory: 'rows[1].csv'")
    assert hint.startswith(f"rows[1].csv exists below {tmp_path}")
