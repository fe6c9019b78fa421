"""Projects in PostgreSQL, whose sandboxes are on a throw-away server."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pytest_sqlmesh_tracker import Sandbox
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from tests.projects import Project
from tests.sandbox.building import Sandboxes, project, sandboxes_of
from tests.sandbox.databases.postgres.building import DEFAULTS, NOWHERE, gateway, payroll

PAID_IN_PYTHON = """
from sqlmesh import model

@model("pay.paid", columns={"id": "int"}, kind="FULL")
def execute(context, **kwargs):
    yield from ()
"""
"""SQLMesh writes the database in small letters in the name of such a model."""


class TestASandbox:
    """What a sandbox is on PostgreSQL: the same as on DuckDB."""

    @pytest.mark.long
    def test_is_planned_under_the_names_of_the_user(self, sandbox: Sandbox) -> None:
        who = "SELECT current_database(), current_user, session_user"
        assert sandbox.fetch(who) == [("postgres", "shop", "shop")]
        assert sandbox.fetch("SELECT amount FROM pay.total") == [(32,)]

    @pytest.mark.long
    def test_runs_models_as_it_would_on_duckdb(self, sandbox: Sandbox) -> None:
        report = sandbox.run(at="2024-01-06 00:05")
        report.assert_only_executed("pay.hours", "pay.slips", "pay.total", "pay.people")
        # The oldest SQLMesh does not count rows.
        assert report["pay.hours"].rows in (1, None)
        assert sandbox.fetch("SELECT amount FROM pay.total") == [(40,)]

    @pytest.mark.long
    def test_starts_anew_for_each_test(self, wages: Path, sandboxes: Sandboxes) -> None:
        for _ in range(3):
            with sandboxes(wages) as sandbox:
                assert sandbox.fetch("SELECT COUNT(*) FROM pay.slips") == [(4,)]
                sandbox.execute("DROP SCHEMA pay CASCADE")
                sandbox.run(at="2024-01-09 00:05")

    @pytest.mark.long
    def test_fails_and_holds_models_on_request(self, sandbox: Sandbox) -> None:
        sandbox.fail("pay.slips", times=1)
        report = sandbox.run(at="2024-01-06 00:05")
        report.assert_failed("pay.slips", match="failed by the test")
        report.assert_skipped("pay.total", reason="upstream_failed")
        sandbox.hold("pay.slips")
        sandbox.run().assert_skipped("pay.slips", reason="signal_not_ready")
        sandbox.release("pay.slips")
        sandbox.run().assert_executed("pay.slips", "pay.total")

    def test_loads_files_that_a_test_writes(self, sandbox: Sandbox) -> None:
        sandbox.write("models/new.sql", "MODEL (name pay.new, kind FULL);\n\nSELECT 1 AS one\n")
        sandbox.plan().assert_executed("pay.new")
        assert sandbox.fetch("SELECT one FROM pay.new") == [(1,)]

    def test_has_environments_of_its_own(self, sandbox: Sandbox) -> None:
        sandbox.write(
            "models/pay.total.sql",
            "MODEL (name pay.total, kind VIEW);\n\nSELECT MAX(amount) AS amount FROM pay.slips\n",
        )
        sandbox.plan("dev", include_unmodified=True)
        assert sandbox.fetch("SELECT amount FROM pay__dev.total") == [(8,)]
        assert sandbox.fetch("SELECT amount FROM pay.total") == [(32,)]

    def test_commits_what_a_test_executes(self, sandbox: Sandbox) -> None:
        sandbox.execute("CREATE TABLE public.notes AS SELECT 1 AS id")
        with pytest.raises(Exception, match='column "nothing" does not exist'):
            sandbox.execute("INSERT INTO public.notes SELECT nothing")
        assert sandbox.fetch("SELECT id FROM public.notes") == [(1,)]

    def test_that_cannot_be_planned_says_why(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        made = project(tmp_path, f"{{wh: {{connection: {gateway('Shop')}}}}}", DEFAULTS)
        made.write("models/pay.py", PAID_IN_PYTHON)
        message = "the plan of prod failed: postgres requires .* a single catalog: Shop"
        with pytest.raises(SandboxError, match=message), sandboxes(made.path):
            pass

    def test_goes_on_after_a_statement_that_failed_on_a_cursor(self, sandbox: Sandbox) -> None:
        with pytest.raises(Exception, match='relation "nowhere" does not exist'):
            sandbox.context.engine_adapter.cursor.execute("SELECT * FROM nowhere")
        assert sandbox.fetch("SELECT COUNT(*) FROM pay.slips") == [(4,)]
        sandbox.run(at="2024-01-06 00:05").assert_executed("pay.slips")

    def test_goes_on_after_an_interruption(self, sandbox: Sandbox) -> None:
        adapter = sandbox.context.engine_adapter

        def interrupted() -> None:
            with adapter.transaction():
                with pytest.raises(Exception, match='relation "nowhere" does not exist'):
                    adapter.cursor.execute("SELECT * FROM nowhere")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert sandbox.fetch("SELECT COUNT(*) FROM pay.slips") == [(4,)]

    def test_rejects_programs_and_files_of_the_server(self, sandbox: Sandbox) -> None:
        for statement in (
            "COPY pay.slips TO PROGRAM 'cat'",
            "COPY pay.slips TO '/slips'",
            "CREATE EXTENSION dblink",
            "CREATE ROLE another SUPERUSER",
        ):
            with pytest.raises(
                Exception, match=r"superuser|permission denied|not have the extension"
            ):
                sandbox.execute(statement)
        assert sandbox.fetch("SELECT COUNT(*) FROM pay.slips") == [(4,)]


class TestExternalModels:
    """Tables that the warehouse has, and the sandbox does not."""

    def test_are_empty(self, sandbox: Sandbox) -> None:
        assert sandbox.fetch("SELECT * FROM raw.people") == []
        sandbox.execute("INSERT INTO raw.people VALUES (7)")
        sandbox.run(at="2024-01-06 00:05")
        assert sandbox.fetch("SELECT id FROM pay.people") == [(7,)]

    @pytest.mark.long
    @pytest.mark.parametrize(
        "before_all",
        [
            ["CREATE SCHEMA IF NOT EXISTS raw", "CREATE OR REPLACE VIEW raw.people AS SELECT 1 id"],
            [
                "CREATE SCHEMA IF NOT EXISTS raw",
                "CREATE TABLE IF NOT EXISTS raw.people AS SELECT 1 id",
            ],
            [
                "DROP SCHEMA IF EXISTS raw CASCADE",
                "CREATE SCHEMA raw",
                "CREATE TABLE raw.people AS SELECT 1 id",
            ],
        ],
        ids=["a_view", "a_table_unless_it_exists", "a_schema"],
    )
    def test_give_way_to_what_the_project_creates(
        self, tmp_path: Path, sandboxes: Sandboxes, before_all: list[str]
    ) -> None:
        statements = "".join(f"\n  - {statement}" for statement in before_all)
        made = project(
            tmp_path,
            f"{{wh: {{connection: {gateway()}}}}}",
            f"before_all:{statements}\n{DEFAULTS}",
        )
        made.write("external_models.yaml", "- {name: raw.people, columns: {id: int}}\n")
        made.model("shop.a", "SELECT id FROM raw.people")
        with sandboxes(made.path) as sandbox:
            assert sandbox.fetch("SELECT id FROM shop.a") == [(1,)]

    def test_that_no_model_declares_have_the_columns_that_are_read(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        made = project(tmp_path, f"{{wh: {{connection: {gateway()}}}}}", DEFAULTS)
        made.model("shop.a", "SELECT id, SUM(amount) AS amount FROM raw.orders GROUP BY id")
        with sandboxes(made.path) as sandbox:
            assert sandbox.fetch("SELECT id, amount FROM raw.orders") == []

    @pytest.mark.parametrize(
        ("query", "problem"),
        [
            ("SELECT * FROM raw.orders", "the queries that read it don't show its columns"),
            ("SELECT id / 2 AS half, UPPER(id) AS x FROM raw.orders", "the sandbox inferred"),
        ],
    )
    def test_that_cannot_be_inferred_are_explained(
        self, tmp_path: Path, sandboxes: Sandboxes, query: str, problem: str
    ) -> None:
        made = project(tmp_path, f"{{wh: {{connection: {gateway()}}}}}", DEFAULTS)
        made.model("shop.a", query)
        with (
            pytest.raises(SandboxError, match=f"raw.orders, which shop.a reads, .*{problem}"),
            sandboxes(made.path),
        ):
            pass


class TestRawData:
    """What a test loads before the plan."""

    @pytest.fixture
    def staff(self, tmp_path: Path) -> Project:
        made = project(tmp_path, f"{{wh: {{connection: {gateway()}}}}}", DEFAULTS)
        made.write("external_models.yaml", "- {name: raw.people, columns: {id: int}}\n")
        made.model("pay.people", "SELECT id FROM raw.people")
        return made

    def test_is_loaded_from_files(self, staff: Project, sandboxes: Sandboxes) -> None:
        staff.write(
            "people.sql",
            """
            CREATE SCHEMA raw; -- and its table
            CREATE FUNCTION raw.twice(n int) RETURNS int AS $$ SELECT n * 2; $$ LANGUAGE sql;
            CREATE TABLE raw.people AS SELECT raw.twice(2) AS id;
            """,
        )
        with sandboxes(staff.path, setup=staff.path / "people.sql") as sandbox:
            assert sandbox.fetch("SELECT id FROM pay.people") == [(4,)]

    def test_is_loaded_by_a_function(self, staff: Project, sandboxes: Sandboxes) -> None:
        def load(connection: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute("CREATE SCHEMA raw")
                cursor.execute("CREATE TABLE raw.people (id int)")
                cursor.execute("INSERT INTO raw.people VALUES (%s)", [5])

        with sandboxes(staff.path, setup=load) as sandbox:
            assert sandbox.fetch("SELECT id FROM pay.people") == [(5,)]

    def test_names_the_extension_that_the_server_does_not_have(
        self, staff: Project, sandboxes: Sandboxes
    ) -> None:
        staff.write("people.sql", "CREATE EXTENSION no_such_extension")
        message = (
            "setup: people.sql failed: the PostgreSQL server does not have the extension "
            "no_such_extension"
        )
        with (
            pytest.raises(SandboxError, match=message),
            sandboxes(staff.path, setup=staff.path / "people.sql"),
        ):
            pass

    def test_that_fails_names_the_file(self, staff: Project, sandboxes: Sandboxes) -> None:
        staff.write("people.sql", "CREATE TABLE nowhere.people (id int)")
        message = 'setup: people.sql failed: schema "nowhere" does not exist'
        with (
            pytest.raises(SandboxError, match=message),
            sandboxes(staff.path, setup=staff.path / "people.sql"),
        ):
            pass


class TestGateways:
    """Which databases of a project are on the server."""

    def test_that_nothing_uses_start_no_server(self, tmp_path: Path) -> None:
        made = payroll(
            tmp_path / "project",
            f"{{local: {{connection: {{type: duckdb}}}}, wh: {{connection: {gateway()}}}}}",
        )
        made.write("models/pay.hours.sql", "MODEL (name pay.hours, kind FULL);\nSELECT 1 AS a")
        for name in ("pay.slips", "pay.total"):
            (made.path / f"models/{name}.sql").unlink()
        templates = Templates(tmp_path, lambda: Path(tempfile.mkdtemp(dir=tmp_path)))
        try:
            with sandboxes_of(templates)(made.path, gateway="local") as sandbox:
                assert sandbox.fetch("SELECT a FROM pay.hours") == [(1,)]
            assert not templates.servers.shared.runs
        finally:
            templates.remove()

    def test_that_models_name_are_on_it(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        made = project(
            tmp_path,
            "{local: {connection: {type: duckdb, database: local.db}},"
            f" wh: {{connection: {gateway('reports')}}}}}",
            DEFAULTS + "\ngateway_managed_virtual_layer: true\n",
        )
        made.model("shop.a", "SELECT 1 AS id", gateway="wh", dialect="postgres")
        made.model("shop.b", "SELECT 2 AS id", dialect="duckdb")
        with sandboxes(made.path) as sandbox:
            assert sandbox.fetch("SELECT id FROM shop.b") == [(2,)]
            on_server = sandbox.context.engine_adapters["wh"]
            assert on_server.fetchall("SELECT id, current_database() FROM shop.a") == [
                (1, "reports")
            ]

    @pytest.mark.long
    def test_can_keep_their_state_elsewhere(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        made = payroll(
            tmp_path,
            f"{{wh: {{connection: {gateway()}, state_connection: {gateway('states')}}}}}",
        )
        with sandboxes(made.path) as sandbox:
            sandbox.run(at="2024-01-06 00:05").assert_executed("pay.slips")
            schemas = "SELECT COUNT(*) FROM pg_namespace WHERE nspname = 'sqlmesh'"
            assert sandbox.fetch(schemas) == [(0,)]

    def test_can_have_roles_and_odd_names(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        connection = (
            f"{{type: postgres, {NOWHERE}, user: 'Shop-Keeper', role: owners, "
            "database: 'My \"Shop\"'}"
        )
        made = project(tmp_path, f"{{wh: {{connection: {connection}}}}}", DEFAULTS)
        made.model("shop.a", "SELECT 1 AS id")
        with sandboxes(made.path) as sandbox:
            query = "SELECT current_database(), session_user, current_user, id FROM shop.a"
            assert sandbox.fetch(query) == [('My "Shop"', "Shop-Keeper", "owners", 1)]

    def test_can_name_a_database_that_the_tests_do_not_know(
        self, tmp_path: Path, sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("NO_SUCH_DATABASE", raising=False)
        connection = (
            "{type: postgres, host: \"{{ env_var('NO_SUCH_HOST') }}\", port: 5432, "
            "user: \"{{ env_var('NO_SUCH_USER') }}\", password: \"{{ env_var('NO_SUCH') }}\", "
            "database: \"{{ env_var('NO_SUCH_DATABASE') }}\"}"
        )
        made = project(tmp_path, f"{{wh: {{connection: {connection}}}}}", DEFAULTS)
        made.model("shop.a", "SELECT 1 AS id")
        with sandboxes(made.path) as sandbox:
            query = "SELECT current_database(), current_user, id FROM shop.a"
            assert sandbox.fetch(query) == [("postgres", "postgres", 1)]

    def test_cannot_have_databases_of_one_name_on_two_servers(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        other = gateway().replace("warehouse.invalid", "other.invalid")
        made = project(
            tmp_path,
            f"{{wh: {{connection: {gateway()}}}, other: {{connection: {other}}}}}",
            DEFAULTS,
        )
        made.model("shop.a", "SELECT 1 AS id", gateway="other")
        message = (
            "the gateway other has a database of the same name as the gateway wh on another "
            "server, and shop.a uses it"
        )
        with pytest.raises(SandboxError, match=message), sandboxes(made.path):
            pass

    def test_cannot_keep_what_is_in_the_warehouse(self, wages: Path, sandboxes: Sandboxes) -> None:
        message = "state='keep': the gateway 'wh' is in PostgreSQL, which sandboxes do not copy"
        with pytest.raises(SandboxError, match=message), sandboxes(wages, state="keep"):
            pass


class TestSandboxesOfOneDatabase:
    """A database is in every name, so only one sandbox can have it at a time."""

    def test_take_turns(self, wages: Path, sandboxes: Sandboxes) -> None:
        with sandboxes(wages) as one, sandboxes(wages) as other:
            one.execute("DELETE FROM pay.slips")
            assert other.fetch("SELECT COUNT(*) FROM pay.slips") == [(4,)]
            other.run(at="2024-01-06 00:05")
            assert one.fetch("SELECT COUNT(*) FROM pay.slips") == [(0,)]
            one.run(at="2024-01-06 00:05").assert_executed("pay.slips")
            assert one.fetch("SELECT COUNT(*) FROM pay.slips") == [(1,)]
            assert other.fetch("SELECT COUNT(*) FROM pay.slips") == [(5,)]

    @pytest.mark.long
    def test_can_have_other_templates(self, wages: Path, sandboxes: Sandboxes) -> None:
        with sandboxes(wages) as one, sandboxes(wages, at="2024-01-03 00:05") as other:
            for _ in range(2):
                assert one.fetch("SELECT COUNT(*) FROM pay.slips") == [(4,)]
                assert other.fetch("SELECT COUNT(*) FROM pay.slips") == [(2,)]

    def test_cannot_be_used_while_another_runs(self, wages: Path, sandboxes: Sandboxes) -> None:
        errors: list[str] = []
        with sandboxes(wages) as other, sandboxes(wages) as one:

            class ReadingError(Exception):
                def __init__(self) -> None:
                    with pytest.raises(SandboxError) as raised:
                        other.fetch("SELECT 1")
                    errors.append(str(raised.value))

            one.fail("pay.slips", error=ReadingError)
            one.run(at="2024-01-06 00:05").assert_failed("pay.slips")
            (error,) = errors
            # SQLMesh evaluates models on threads of its own.
            assert "another thread is using the sandbox of wages0" in error
            assert other.fetch("SELECT COUNT(*) FROM pay.slips") == [(4,)]


def test_tasks_read_data_frames_at_once_where_warnings_are_errors(sandbox: Sandbox) -> None:
    adapter = sandbox.context.engine_adapter
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as tasks:
        warnings.simplefilter("error")
        frames = list(tasks.map(adapter.fetchdf, ["SELECT id FROM pay.people"] * 200))
    assert all(list(frame) == ["id"] for frame in frames)


class TestCopies:
    """Copies of a sandbox as it stands. They take turns with it."""

    @pytest.fixture
    def original(self, wages: Path, sandboxes: Sandboxes) -> Iterator[Sandbox]:
        with sandboxes(wages) as made:
            yield made

    def test_have_what_is_committed(self, original: Sandbox) -> None:
        original.run(at="2024-01-06 00:05")
        original.execute("CREATE TABLE public.notes AS SELECT 7 AS id")
        original.context.engine_adapter.cursor.execute("INSERT INTO public.notes VALUES (8)")
        with original.copy() as copy:
            assert copy.fetch("SELECT amount FROM pay.total") == [(40,)]
            assert copy.fetch("SELECT id FROM public.notes") == [(7,)]
            copy.run().assert_nothing_executed()

    @pytest.mark.long
    def test_take_turns(self, original: Sandbox) -> None:
        with original.copy() as copy, copy.copy() as second:
            for sandbox, days in ((copy, 1), (second, 2), (original, 3), (copy, 2), (second, 3)):
                sandbox.run(at=f"2024-01-0{5 + days} 00:05").assert_executed("pay.total")
                assert sandbox.fetch("SELECT amount FROM pay.total") == [(32 + 8 * days,)]
        assert original.fetch("SELECT amount FROM pay.total") == [(56,)]

    def test_of_a_sandbox_that_has_used_nothing(self, original: Sandbox) -> None:
        with original.copy() as copy:
            original.close()
            assert copy.fetch("SELECT amount FROM pay.total") == [(32,)]

    def test_are_dropped(self, original: Sandbox) -> None:
        original.fetch("SELECT 1")
        databases = original.context.connections.postgres._server.databases

        def number() -> int:
            # Without the copy of the template that the server makes in advance.
            return sum(" copy " not in name for name in databases.names())

        before = number()
        for _ in range(3):
            with original.copy() as copy:
                copy.fetch("SELECT 1")
        assert number() == before

    def test_are_rejected_while_the_sandbox_is_used(self, original: Sandbox) -> None:
        original.fetch("SELECT 1")
        with original.context.connections.postgres.used():
            with pytest.raises(SandboxError, match="is using its database"):
                original.copy()
