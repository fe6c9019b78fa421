"""The tables of external models in a sandbox: those that the project creates are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from tests.projects import Project
from tests.sandbox.building import DEFAULTS, Sandboxes, database, plain, project

LOCAL = "{local: {connection: {type: duckdb, database: w.duckdb}}}"
SCHEMA = "CREATE SCHEMA IF NOT EXISTS raw"
PEOPLE = "- {name: raw.people, columns: {id: int}}\n"
MAKING = {
    "a_view": [
        "CREATE SCHEMA IF NOT EXISTS a_view",
        "CREATE OR REPLACE VIEW a_view.people AS SELECT 1 id",
    ],
    "a_view_after_a_drop": [
        "CREATE SCHEMA IF NOT EXISTS a_view_after_a_drop",
        "DROP VIEW IF EXISTS a_view_after_a_drop.people",
        "CREATE VIEW a_view_after_a_drop.people AS (SELECT 1 AS id)",
    ],
    "a_table_unless_it_exists": [
        "CREATE SCHEMA IF NOT EXISTS a_table_unless_it_exists",
        "CREATE TABLE IF NOT EXISTS a_table_unless_it_exists.people AS SELECT 1 AS id",
    ],
    "a_replaced_table": [
        "CREATE SCHEMA IF NOT EXISTS a_replaced_table",
        "CREATE OR REPLACE TABLE a_replaced_table.people AS SELECT 1 AS id",
    ],
    "a_table_after_a_drop": [
        "CREATE SCHEMA IF NOT EXISTS a_table_after_a_drop",
        "DROP TABLE IF EXISTS a_table_after_a_drop.people",
        "CREATE TABLE a_table_after_a_drop.people (id INT)",
        "INSERT INTO a_table_after_a_drop.people VALUES (1)",
    ],
    "a_schema_after_a_drop": [
        "DROP SCHEMA IF EXISTS a_schema_after_a_drop CASCADE",
        "CREATE SCHEMA a_schema_after_a_drop",
        "CREATE VIEW a_schema_after_a_drop.people AS SELECT 1 id",
    ],
    "a_temporary_table": [
        "CREATE SCHEMA IF NOT EXISTS a_temporary_table",
        "CREATE OR REPLACE TEMP TABLE people AS SELECT 1 AS id",
        "CREATE OR REPLACE TABLE w.a_temporary_table.people AS SELECT * FROM temp.people",
    ],
    "in_any_case": [
        "CREATE SCHEMA IF NOT EXISTS IN_ANY_CASE",
        'CREATE OR REPLACE VIEW "In_Any_Case"."People" AS SELECT 1 id',
    ],
}
"""A schema → the statements of `before_all` that make the schema, and `people` in it."""


def shop(path: Path, *before_all: str, external: str = PEOPLE, query: str = "") -> Project:
    """A project whose `before_all` has these statements, with a model that reads `raw.people`."""
    statements = "".join(f"\n  - {statement}" for statement in before_all)
    made = project(path, LOCAL, f"before_all:{statements}\n{DEFAULTS}")
    made.write("external_models.yaml", external)
    made.model("shop.a", query or "SELECT id FROM raw.people")
    return made


class TestTablesOfBeforeAll:
    """What `before_all` creates takes the place of the empty table of an external model."""

    @pytest.mark.long
    def test_are_read(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        made = project(
            tmp_path / "shop",
            LOCAL,
            "before_all:"
            + "".join(f"\n  - {each}" for statements in MAKING.values() for each in statements)
            + f"\n{DEFAULTS}",
        )
        made.write(
            "external_models.yaml",
            "".join(f"- {{name: {schema}.people, columns: {{id: int}}}}\n" for schema in MAKING),
        )
        for schema in MAKING:
            made.model(f"shop.{schema}", f"SELECT id FROM {schema}.people", cron="'@daily'")

        with sandboxes(made.path) as copy:
            rows = {schema: copy.fetch(f"SELECT id FROM shop.{schema}") for schema in MAKING}
            assert rows == {schema: [(1,)] for schema in MAKING}
            copy.run(at="+1 day").assert_executed(*(f"shop.{schema}" for schema in MAKING))
            rows = {schema: copy.fetch(f"SELECT id FROM shop.{schema}") for schema in MAKING}
            assert rows == {schema: [(1,)] for schema in MAKING}

    def test_may_be_created_only_once(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        made = shop(tmp_path, "CREATE SCHEMA raw", "CREATE TABLE raw.people AS SELECT 1 AS id")

        with sandboxes(made.path) as copy:
            assert copy.fetch("SELECT id FROM shop.a") == [(1,)]
            with pytest.raises(SQLMeshError, match='Schema with name "raw" already exists'):
                copy.run(at="+1 day")

    def test_may_be_created_by_a_macro(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        made = shop(tmp_path, "'@people()'")
        made.write(
            "macros/people.py",
            """
            from sqlmesh import macro

            @macro()
            def people(evaluator):
                if evaluator.runtime_stage == "before_all":
                    adapter = evaluator.engine_adapter
                    adapter.create_schema("raw")
                    adapter.execute("CREATE OR REPLACE VIEW raw.people AS SELECT 3 AS id")
            """,
        )

        with sandboxes(made.path) as copy:
            assert copy.fetch("SELECT id FROM shop.a") == [(3,)]

    def test_may_be_only_some_of_the_externals(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        made = shop(
            tmp_path,
            SCHEMA,
            "CREATE OR REPLACE TABLE raw.people AS SELECT 1 AS id",
            external=PEOPLE + "- {name: raw.pets, columns: {id: int, name: text}}",
        )

        with sandboxes(made.path) as copy:
            assert copy.fetch("SELECT id FROM raw.people") == [(1,)]
            assert copy.fetch("SELECT id, name FROM raw.pets") == []

    def test_may_read_other_external_tables(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        made = shop(
            tmp_path,
            "CREATE OR REPLACE VIEW raw.people AS SELECT id FROM raw.pets",
            external=PEOPLE + "- {name: raw.pets, columns: {id: int}}",
        )

        with sandboxes(made.path) as copy:
            copy.execute("INSERT INTO raw.pets VALUES (7)")
            copy.run(at="+1 day")
            assert copy.fetch("SELECT id FROM shop.a") == [(7,)]

    def test_may_be_in_another_catalog(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        catalogs = "{type: duckdb, catalogs: {w: ':memory:', lake: ':memory:'}}"
        made = shop(
            tmp_path,
            "CREATE SCHEMA IF NOT EXISTS lake.raw",
            "CREATE OR REPLACE VIEW lake.raw.people AS SELECT 5 AS id",
            external="- {name: lake.raw.people, columns: {id: int}}",
            query="SELECT id FROM lake.raw.people",
        )
        config = (made.path / "config.yaml").read_text()
        made.write("config.yaml", config.replace(LOCAL, f"{{local: {{connection: {catalogs}}}}}"))

        with sandboxes(made.path) as copy:
            assert copy.fetch("SELECT id FROM shop.a") == [(5,)]

    def test_are_the_same_as_for_plain_sqlmesh(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        made = shop(
            tmp_path,
            SCHEMA,
            "CREATE TABLE IF NOT EXISTS raw.people AS SELECT 1 AS id",
        )
        config = (made.path / "config.yaml").read_text()
        made.write("config.yaml", config.replace("w.duckdb", str(tmp_path / "w.duckdb")))

        with sandboxes(made.path) as copy:
            in_sandbox = copy.fetch("SELECT id FROM shop.a")
        with plain(made.path) as context:
            context.plan(auto_apply=True, no_prompts=True)
            assert context.engine_adapter.fetchall("SELECT id FROM shop.a") == in_sandbox

    def test_keep_existing_tables_of_the_users_database(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        database(
            tmp_path / "w.duckdb", "CREATE SCHEMA raw", "CREATE TABLE raw.people AS SELECT 9 AS id"
        )
        made = shop(tmp_path, "CREATE TABLE IF NOT EXISTS raw.people AS SELECT 1 AS id")

        with sandboxes(made.path) as copy:
            assert copy.fetch("SELECT id FROM shop.a") == [(9,)]

    def test_do_not_replace_rows_that_a_test_inserted(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        made = shop(tmp_path, "CREATE TABLE IF NOT EXISTS raw.people AS SELECT 1 AS id")

        with sandboxes(made.path, plan=False) as copy:
            copy.execute("INSERT INTO raw.people VALUES (4)")
            copy.plan()
            assert copy.fetch("SELECT id FROM shop.a") == [(4,)]


@pytest.mark.long
def test_a_test_or_the_statements_of_a_model_may_create_external_tables(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    made = project(tmp_path, LOCAL)
    made.write("external_models.yaml", PEOPLE + "- {name: raw.pets, columns: {id: int}}")
    made.write(
        "models/a.sql",
        """
        MODEL (name shop.a, kind FULL, cron '@daily');
        CREATE TABLE IF NOT EXISTS raw.people AS SELECT 2 AS id;
        SELECT id FROM raw.people
        """,
    )
    made.model("shop.b", "SELECT id FROM raw.pets", cron="'@daily'")

    with sandboxes(made.path) as copy:
        assert copy.fetch("SELECT id FROM shop.a") == [(2,)]
        copy.execute("CREATE TABLE raw.pets AS SELECT 6 AS id")
        copy.run(at="+1 day")
        assert copy.fetch("SELECT id FROM shop.b") == [(6,)]


class TestUndeclaredTables:
    """Tables that no model declares get the columns that the queries read."""

    @pytest.mark.long
    def test_have_the_columns_that_queries_read(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        made = project(tmp_path, LOCAL)
        made.model(
            "shop.paid",
            """
            WITH source AS (SELECT * FROM raw.payments), renamed AS (
              SELECT id AS payment_id, amount, paid_at, method, refunded FROM source
            )
            SELECT payment_id, amount, paid_at::DATE AS day, UPPER(method) AS method FROM renamed
            WHERE NOT refunded
            """,
        )
        made.model("shop.total", "SELECT SUM(amount) AS amount FROM shop.paid", cron="'@daily'")
        made.model(
            "shop.joined",
            "SELECT p.id, o.customer FROM raw.payments AS p JOIN raw.orders AS o ON p.id = o.id",
        )

        with sandboxes(made.path) as copy:
            columns = copy.fetch(
                "SELECT column_name, data_type FROM duckdb_columns() "
                "WHERE schema_name = 'raw' AND table_name = 'payments' ORDER BY 1"
            )
            assert columns == [
                ("amount", "DOUBLE"),
                ("id", "VARCHAR"),
                ("method", "VARCHAR"),
                ("paid_at", "TIMESTAMP"),
                ("refunded", "BOOLEAN"),
            ]
            copy.execute(
                "INSERT INTO raw.payments (id, amount, refunded) "
                "VALUES (1, 20.5, false), (2, 1, true)"
            )
            copy.run(at="+1 day")
            assert copy.fetch("SELECT amount FROM shop.total") == [(20.5,)]

    def test_are_replaced_by_tables_that_the_project_creates(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        made = shop(
            tmp_path,
            SCHEMA,
            "CREATE TABLE IF NOT EXISTS raw.people AS SELECT 1 AS id, 'x' AS name",
            external="[]",
        )

        with sandboxes(made.path) as copy:
            assert copy.fetch("SELECT * FROM raw.people") == [(1, "x")]

    def test_tables_with_unknown_columns_are_named_with_remedies(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        made = project(tmp_path, LOCAL)
        made.model("shop.a", "SELECT * FROM raw.people")
        made.model("shop.b", "SELECT id FROM raw.people")

        with pytest.raises(
            SandboxError,
            match=r"raw.people, which shop.a, shop.b read, is not declared by any model, and the "
            r"queries that read it don't show its columns, as with SELECT \* or COUNT\(\*\). "
            r"Declare it with its columns in external_models.yaml, or create it with setup= or "
            r"before_all",
        ):
            with sandboxes(made.path):
                pass

    def test_tables_with_incomplete_columns_are_explained(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        made = project(tmp_path, LOCAL)
        made.model("shop.a", "SELECT list_sum(amounts) AS amount FROM raw.orders")

        with pytest.raises(
            SandboxError, match=r"inferred its columns .*: amounts TEXT. Declare it"
        ):
            with sandboxes(made.path):
                pass

    def test_are_not_created_for_files_and_system_tables(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        (tmp_path / "people.csv").write_text("id\n1\n")
        made = project(tmp_path, LOCAL)
        made.model("shop.a", f"SELECT id FROM read_csv('{tmp_path}/people.csv')")
        made.model("shop.b", "SELECT COUNT(*) AS n FROM duckdb_tables()", kind="VIEW")

        with sandboxes(made.path) as copy:
            assert copy.fetch("SELECT id FROM shop.a") == [(1,)]
            assert (
                copy.fetch("SELECT schema_name FROM duckdb_tables() WHERE schema_name = 'raw'")
                == []
            )
