"""Where a sandbox's data comes from: the user's database, SQL files, a function, and declarations.

The user's files are copied and never opened; what SQLMesh made in them is removed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlmesh.core.config import Config

from pytest_sqlmesh_tracker import Sandbox, track_all
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from tests.projects import Project
from tests.sandbox.building import (
    DEFAULTS,
    Sandboxes,
    database,
    maker,
    planned,
    project,
    snapshot_of,
)

RAW = "CREATE SCHEMA raw; CREATE TABLE raw.sales AS SELECT 5 AS amount"
RELATIONS = """
SELECT schema_name || '.' || table_name FROM duckdb_tables()
WHERE NOT internal AND database_name = current_catalog()
UNION ALL
SELECT schema_name || '.' || view_name FROM duckdb_views()
WHERE NOT internal AND database_name = current_catalog()
ORDER BY 1
"""
FIELDS = Config.model_fields
PLACES = (
    "physical_schema_mapping: {'^shop$': stock}\nenvironment_suffix_target: table",
    "physical_schema_mapping: {'^shop$': stock}\nphysical_table_naming_convention: hash_md5",
    *(["virtual_environment_mode: dev_only"] if "virtual_environment_mode" in FIELDS else []),
)


def shop_on(path: Path, file: Path, more: str = DEFAULTS) -> Project:
    """A table and a view, made of what the user's database has in `raw.sales`."""
    shop = project(path, f"{{local: {{connection: {{type: duckdb, database: {file}}}}}}}", more)
    shop.model("shop.orders", "SELECT amount FROM raw.sales", cron="'@daily'")
    shop.model("shop.report", "SELECT amount FROM shop.orders", kind="VIEW")
    return shop


def relations(sandbox: Sandbox) -> list[str]:
    """The tables and views that users would see: without SQLMesh's versions and state."""
    names = [name for (name,) in sandbox.fetch(RELATIONS)]
    return [name for name in names if not name.startswith("sqlmesh")]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop that was planned on the user's database: to prod, then changed and planned to dev."""
    folder = tmp_path_factory.mktemp("used")
    shop = shop_on(folder, database(folder / "wh.db", RAW))
    shop.model("shop.gone", "SELECT 1 AS id")
    planned(shop.path)
    shop.model("shop.orders", "SELECT amount + 1 AS amount FROM raw.sales", cron="'@daily'")
    planned(shop.path, "dev", include_unmodified=True)
    (shop.path / "models/shop.gone.sql").unlink()
    mine = "SELECT amount FROM wh.shop.report"
    database(
        folder / "wh.db",
        "CREATE SCHEMA mine",
        f"CREATE VIEW mine.reads_a_model AS {mine}",
        "CREATE VIEW mine.reads_raw AS SELECT amount FROM raw.sales",
        "CREATE TABLE mine.orders__2024 AS SELECT 1 AS id",
        "CREATE TABLE _mine AS SELECT 2 AS id",
    )
    return folder


class TestTheUsersDatabase:
    def test_is_the_initial_state_of_a_sandbox(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        shop = shop_on(tmp_path, database(tmp_path / "wh.db", RAW))

        with sandboxes(shop.path) as copy:
            assert copy.fetch("SELECT * FROM raw.sales") == [(5,)]
            assert copy.fetch("SELECT * FROM shop.report") == [(5,)]

    def test_is_not_changed(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        shop = shop_on(tmp_path, database(tmp_path / "wh.db", RAW))
        before = snapshot_of(tmp_path)

        with sandboxes(shop.path) as copy:
            copy.execute("DELETE FROM raw.sales")
            copy.run(at="+2 days").assert_executed("shop.orders")

        assert snapshot_of(tmp_path) == before

    def test_may_be_missing(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        shop = project(
            tmp_path, f"{{l: {{connection: {{type: duckdb, database: {tmp_path}/x.db}}}}}}"
        )
        shop.model("shop.orders", "SELECT 1 AS id")

        with sandboxes(shop.path) as copy:
            assert copy.fetch("SELECT * FROM x.shop.orders") == [(1,)]

        assert not (tmp_path / "x.db").exists()

    @pytest.mark.long
    def test_can_be_open_in_another_process_with_unwritten_changes(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        file = database(tmp_path / "wh.db", RAW)
        shop = shop_on(tmp_path, file)
        with other_process_writing(file, "INSERT INTO raw.sales VALUES (6)"):
            before = snapshot_of(tmp_path)
            assert "wh.db.wal" in before

            with sandboxes(shop.path) as copy:
                assert copy.fetch("SELECT * FROM shop.orders ORDER BY 1") == [(5,), (6,)]

            assert snapshot_of(tmp_path) == before

    @pytest.mark.long
    def test_is_found_below_the_project_if_it_is_not_in_the_current_folder(
        self, tmp_path: Path, sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop = shop_on(tmp_path / "shop", Path("data/wh.db"))
        database(shop.path / "data/wh.db", RAW)

        with sandboxes(shop.path) as copy:
            assert copy.fetch("SELECT * FROM shop.orders") == [(5,)]
        monkeypatch.chdir(tmp_path)
        with sandboxes(shop.path) as copy:
            assert copy.fetch("SELECT * FROM shop.orders") == [(5,)]

    @pytest.mark.long
    def test_is_searched_first_where_sqlmesh_searches(
        self, tmp_path: Path, sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop = shop_on(tmp_path / "shop", Path("wh.db"))
        database(shop.path / "wh.db", RAW)
        database(tmp_path / "wh.db", RAW, "UPDATE raw.sales SET amount = 7")
        monkeypatch.chdir(tmp_path)

        with sandboxes(shop.path) as copy:
            assert copy.fetch("SELECT * FROM shop.orders") == [(7,)]

    def test_stays_the_same_when_the_current_folder_changes(
        self, tmp_path: Path, sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop = shop_on(tmp_path / "shop", Path("wh.db"))
        database(tmp_path / "wh.db", RAW)
        monkeypatch.chdir(tmp_path)
        with sandboxes(shop.path):
            pass
        monkeypatch.chdir(shop.path)

        with sandboxes(shop.path) as copy:
            assert copy.fetch("SELECT * FROM shop.orders") == [(5,)]

    def test_is_not_looked_at_with_an_empty_state(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        file = tmp_path / "shop.db"
        file.write_text("not a database")
        setup = tmp_path / "raw.sql"
        setup.write_text(RAW)
        shop = shop_on(tmp_path / "project", file)
        with sandboxes(shop.path, state="empty", setup=setup) as sandbox:
            sandbox.assert_rows("shop.report", [{"amount": 5}])
        assert file.read_text() == "not a database"


class TestSqlmeshObjectsInIt:
    @pytest.mark.long
    def test_are_not_in_a_sandbox(self, used: Path, sandboxes: Sandboxes) -> None:
        with sandboxes(used, plan=False) as copy:
            assert relations(copy) == [
                "main._mine",
                "mine.orders__2024",
                "mine.reads_a_model",
                "mine.reads_raw",
                "raw.sales",
            ]
            schemas = "SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'wh'"
            assert not [s for (s,) in copy.fetch(schemas) if s.startswith("sqlmesh__")]
            assert copy.context.state_reader.get_environments() == []

    def test_are_created_again_by_the_plan(self, used: Path, sandboxes: Sandboxes) -> None:
        with sandboxes(used) as copy:
            names = [e.name for e in copy.context.state_reader.get_environments()]
            assert names == ["prod"]
            assert copy.fetch("SELECT * FROM shop.orders") == [(6,)]
            assert copy.fetch("SELECT * FROM mine.reads_a_model") == [(6,)]
            assert copy.tracker.reports == []

    def test_can_be_kept(self, used: Path, sandboxes: Sandboxes) -> None:
        with sandboxes(used, state="keep", at="2024-01-06 00:05", plan=False) as copy:
            assert copy.fetch("SELECT * FROM shop__dev.orders") == [(6,)]
            assert copy.fetch("SELECT * FROM shop.orders") == [(5,)]
            assert "shop.gone" in relations(copy)
            assert len(copy.context.state_reader.get_environments()) == 2

    def test_cannot_be_kept_before_the_newest_interval(
        self, used: Path, sandboxes: Sandboxes
    ) -> None:
        with pytest.raises(SandboxError, match="loaded through 2024-01-05 00:00:00") as raised:
            with sandboxes(used, state="keep", at="2024-01-04 12:00"):
                pass
        assert len(str(raised.value).splitlines()) == 1

    @pytest.mark.parametrize("more", PLACES)
    def test_are_found_in_any_schema(self, more: str, tmp_path: Path, sandboxes: Sandboxes) -> None:
        file = database(
            tmp_path / "wh.db", RAW, "CREATE SCHEMA stock; CREATE TABLE stock.raw AS SELECT 1 AS id"
        )
        shop = shop_on(tmp_path, file, DEFAULTS + more)
        shop.model("shop.gone", "SELECT amount FROM raw.sales")
        planned(shop.path)
        planned(shop.path, "dev", include_unmodified=True)
        (shop.path / "models/shop.gone.sql").unlink()

        with sandboxes(shop.path, plan=False) as copy:
            assert relations(copy) == ["raw.sales", "stock.raw"]

    def test_are_found_if_the_state_is_elsewhere(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        database(tmp_path / "wh.db", RAW)
        shop = shop_on(tmp_path, tmp_path / "wh.db")
        shop.write(
            "config.yaml",
            f"""
gateways:
  local:
    connection: {{type: duckdb, database: {tmp_path}/wh.db}}
    state_connection: {{type: duckdb, database: {tmp_path}/state.db}}
{DEFAULTS}""",
        )
        planned(shop.path)
        planned(shop.path, "dev", include_unmodified=True)

        with sandboxes(shop.path, plan=False) as copy:
            assert relations(copy) == ["raw.sales"]
            assert copy.context.state_reader.get_environments() == []


class other_process_writing:  # noqa: N801
    """Another process, which has a database open and has written to it."""

    def __init__(self, file: Path, statement: str) -> None:
        code = (
            f"import duckdb, sys; c = duckdb.connect({str(file)!r}); c.execute({statement!r}); "
            "print('written', flush=True); sys.stdin.read()"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"written\n"

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


Loaded = Callable[..., AbstractContextManager[Sandbox]]


class TestSetUp:
    @pytest.fixture
    def loaded(self, templates: Templates) -> Loaded:
        """Makes a sandbox with raw data from SQL files, and from a function."""

        @contextmanager
        def loaded(shop: Project, *files: str, function: Any = None) -> Iterator[Sandbox]:
            paths = [shop.path / "sql" / file for file in files]
            making = maker(
                templates, function=function, path=shop.path, at="2024-01-05", setup=paths
            )
            with track_all() as tracker, making.of_test(tracker) as copy:
                yield copy

        return loaded

    @pytest.fixture(scope="class")
    def shop(self, tmp_path_factory: pytest.TempPathFactory) -> Project:
        folder = tmp_path_factory.mktemp("set_up")
        shop = project(folder, "{local: {connection: {type: duckdb}}}")
        shop.model("shop.orders", "SELECT name FROM raw.sales")
        shop.write("sql/1_create.sql", "CREATE SCHEMA raw; CREATE TABLE raw.sales (name TEXT);")
        shop.write("sql/2_fill.sql", "-- Zoë\nINSERT INTO raw.sales VALUES ('é;')")
        shop.write("sql/3_broken.sql", "INSERT INTO raw.sales\nSELECT 1\nFROM nowhere")
        return shop

    def test_files_are_executed_in_their_order(self, shop: Project, loaded: Loaded) -> None:
        with loaded(shop, "1_create.sql", "2_fill.sql") as copy:
            assert copy.fetch("SELECT * FROM shop.orders") == [("é;",)]

    def test_a_function_has_a_connection_after_the_files(
        self, shop: Project, loaded: Loaded
    ) -> None:
        def load(connection: Any) -> None:
            connection.execute("INSERT INTO raw.sales VALUES ('by hand')")

        with loaded(shop, "1_create.sql", function=load) as copy:
            assert copy.fetch("SELECT * FROM shop.orders") == [("by hand",)]

    @pytest.mark.parametrize(
        ("file", "why"),
        [
            ("4_missing.sql", r"setup: .*4_missing.sql does not exist"),
            ("3_broken.sql", r"setup: 3_broken.sql failed: Catalog Error: .*nowhere"),
        ],
    )
    def test_a_failing_file_is_reported(
        self, file: str, why: str, shop: Project, loaded: Loaded
    ) -> None:
        with pytest.raises(SandboxError, match=why) as raised:
            with loaded(shop, "1_create.sql", file):
                pass
        assert len(str(raised.value).splitlines()) == 1

    def test_a_function_that_raises_is_reported(self, shop: Project, loaded: Loaded) -> None:
        def load(_: Any) -> None:
            raise ValueError("no data today")

        with pytest.raises(SandboxError, match="ValueError: no data today"):
            with loaded(shop, function=load):
                pass


class TestExternalModels:
    def test_are_created_empty_if_they_declare_columns_and_are_missing(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        database(
            tmp_path / "wh.db",
            RAW,
            "CREATE VIEW raw.view AS SELECT 1 AS id",
            "CREATE TABLE raw.Spelled AS SELECT 2 AS id",
        )
        shop = project(
            tmp_path,
            f"{{local: {{connection: {{type: duckdb, database: {tmp_path}/wh.db}}}}}}",
            "model_defaults: {dialect: snowflake, start: 2024-01-01}",
        )
        shop.write(
            "external_models.yaml",
            """
            - name: raw.events
              columns: {id: 'number(38,0)', at: timestamp_ntz, price: number, payload: variant,
                        tags: array, map: object}
            - name: raw.sales
              columns: {amount: text}
            - name: raw.view
              columns: {id: int}
            - name: raw.spelled
              columns: {id: int}
            - name: raw.undeclared
            - name: '"New Schema"."And Table"'
              columns: {id: int}
            - name: elsewhere.raw.other
              columns: {id: int}
            """,
        )
        shop.model("shop.orders", "SELECT id, price FROM raw.events")

        with sandboxes(shop.path) as copy:
            columns = copy.fetch(
                "SELECT column_name, data_type FROM duckdb_columns() "
                "WHERE lower(schema_name) = 'raw' AND lower(table_name) = 'events'"
            )
            assert [name.lower() for name, _ in columns] == [
                "id", "at", "price", "payload", "tags", "map",
            ]  # fmt: skip
            assert [kind for _, kind in columns][3:] == ["JSON", "JSON", "JSON"]
            assert copy.fetch("SELECT * FROM shop.orders") == []
            assert copy.fetch("SELECT * FROM raw.sales") == [(5,)]
            assert copy.fetch("SELECT * FROM raw.view") == [(1,)]
            assert copy.fetch("SELECT * FROM raw.spelled") == [(2,)]
            assert copy.fetch('SELECT * FROM "New Schema"."And Table"') == []
            assert "raw.undeclared" not in relations(copy)

    def test_types_that_duckdb_does_not_have_are_reported(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        shop = project(tmp_path, "{local: {connection: {type: duckdb}}}")
        shop.write("external_models.yaml", "- {name: raw.x, columns: {place: geography}}")
        shop.model("shop.orders", "SELECT place FROM raw.x")

        with pytest.raises(SandboxError, match=r"model raw.x can't be created.*setup=") as raised:
            with sandboxes(shop.path):
                pass
        assert len(str(raised.value).splitlines()) == 1
