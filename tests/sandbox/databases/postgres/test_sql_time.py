"""The time that SQL sees on PostgreSQL: the sandbox's, wherever a statement reads it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest
from psycopg2.extras import RealDictCursor, execute_values
from psycopg2.sql import SQL, Identifier

from pytest_sqlmesh_tracker import Sandbox
from tests.sandbox.building import Sandboxes, project
from tests.sandbox.databases.postgres.building import DEFAULTS, gateway

TIMESTAMPS = [
    "now()",
    "CURRENT_TIMESTAMP",
    "CURRENT_TIMESTAMP(6)",
    "transaction_timestamp()",
    "statement_timestamp()",
    "clock_timestamp()",
    "LOCALTIMESTAMP",
    "CAST(timeofday() AS timestamptz)",
]
TIMES = ["CURRENT_TIME", "LOCALTIME"]
AUDIT = "AUDIT (name has_begun); SELECT * FROM @this_model WHERE day > CURRENT_DATE"
STATEMENTS = """
MODEL (name clock.statements, kind FULL, cron '@daily', audits (has_begun));
CREATE SCHEMA IF NOT EXISTS log;
CREATE TABLE IF NOT EXISTS log.days (day DATE DEFAULT CURRENT_DATE, place TEXT);
INSERT INTO log.days (place) VALUES ('before');
SELECT CURRENT_DATE AS day;
INSERT INTO log.days (place) VALUES ('after')
"""


@pytest.fixture(scope="module")
def clocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that read the time in all their places; planned on Friday, 2024-01-05."""
    gateways = f"{{wh: {{connection: {gateway('clocked', ', concurrent_tasks: 4')}}}}}"
    made = project(tmp_path_factory.mktemp("clocked"), gateways, DEFAULTS)
    made.model("clock.view", "SELECT CURRENT_DATE AS day, NOW() AS at", kind="VIEW")
    made.model("clock.query", "SELECT CURRENT_DATE AS day", cron="'@daily'")
    made.write("models/statements.sql", STATEMENTS)
    made.write("audits/begun.sql", AUDIT)
    return made.path


@pytest.fixture
def sandbox(clocked: Path, sandboxes: Sandboxes) -> Iterator[Sandbox]:
    with sandboxes(clocked) as made:
        yield made


@pytest.fixture
def standing(clocked: Path, sandboxes: Sandboxes) -> Iterator[Sandbox]:
    """A sandbox whose clock stands still."""
    with sandboxes(clocked, tick=False) as made:
        yield made


def only(sandbox: Sandbox, expression: str) -> Any:
    """The value of an expression."""
    ((value,),) = sandbox.fetch(f"SELECT {expression}")
    return value


class TestTheTime:
    @pytest.mark.long
    def test_is_the_sandboxs(self, standing: Sandbox) -> None:
        for expression in TIMESTAMPS:
            assert only(standing, expression).replace(tzinfo=timezone.utc) == standing.now
        for expression in TIMES:
            assert only(standing, expression).replace(tzinfo=None) == standing.now.time()
        assert only(standing, "CURRENT_DATE") == date(2024, 1, 5)
        assert only(standing, "age(timestamp '2024-01-01')") == timedelta(days=4)
        assert only(standing, "age(date '2024-01-01')") == timedelta(days=4)

    @pytest.mark.long
    def test_has_the_types_and_names_of_the_functions(self, sandbox: Sandbox) -> None:
        cursor: Any = sandbox.context.engine_adapter.cursor
        columns = [*TIMESTAMPS, *TIMES, "CURRENT_DATE", "age(date '2024-01-01')"]
        query = f"SELECT {', '.join(columns)}"
        cursor.execute(query)
        moved = [(column.name, column.type_code) for column in cursor.description]
        # Without the sandbox's class, the statement reaches the server as it is.
        psycopg2.extensions.cursor.execute(cursor, query)
        assert [(column.name, column.type_code) for column in cursor.description] == moved

    def test_advances_with_the_clock(self, sandbox: Sandbox) -> None:
        before = sandbox.now
        assert before < only(sandbox, "now()") < only(sandbox, "clock_timestamp()") < sandbox.now

    def test_stands_still_with_the_clock(self, standing: Sandbox) -> None:
        for _ in range(3):
            assert only(standing, "clock_timestamp()") == standing.now
        standing.travel("2024-01-06 00:00")
        assert only(standing, "CURRENT_DATE") == date(2024, 1, 6)

    def test_is_not_before_a_time_that_was_set_within_a_transaction(self, sandbox: Sandbox) -> None:
        adapter: Any = sandbox.context.engine_adapter
        with adapter.transaction():
            adapter.fetchone("SELECT 1")
            sandbox.travel("2024-01-06 00:00")
            assert adapter.fetchone("SELECT CURRENT_DATE") == (date(2024, 1, 6),)

    def test_is_in_utc(
        self, clocked: Path, sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGTZ", "Asia/Tokyo")
        with sandboxes(clocked) as sandbox:
            assert only(sandbox, "current_setting('TimeZone')") == "UTC"

    def test_is_in_a_time_zone_that_the_project_sets(self, standing: Sandbox) -> None:
        standing.execute("SET TIME ZONE 'Asia/Tokyo'")
        local = standing.now.replace(tzinfo=None) + timedelta(hours=9)
        assert only(standing, "LOCALTIMESTAMP") - local < timedelta(seconds=1)


class TestWhereverItIsRead:
    def test_in_models_and_their_statements(self, sandbox: Sandbox) -> None:
        sandbox.run(at="2024-01-09 00:05").assert_executed("clock.query", "clock.statements")
        day = date(2024, 1, 9)
        assert sandbox.fetch("SELECT day FROM clock.query") == [(day,)]
        assert sandbox.fetch("SELECT day FROM clock.statements") == [(day,)]
        logged = sandbox.fetch("SELECT place FROM log.days WHERE day = '2024-01-09' ORDER BY place")
        assert logged == [("after",), ("before",)]

    def test_in_audits(self, sandbox: Sandbox) -> None:
        later = STATEMENTS.replace("SELECT CURRENT_DATE", "SELECT DATE '2024-01-10'")
        sandbox.write("models/statements.sql", later)
        sandbox.plan(at="2024-01-09 00:05").assert_failed("clock.statements", reason="audit_failed")
        sandbox.plan(at="2024-01-10 00:05").assert_executed("clock.statements")

    def test_in_views_even_if_they_were_created_before(self, sandbox: Sandbox) -> None:
        sandbox.execute("CREATE VIEW own AS SELECT current_date")
        for day in (5, 6, 7):
            rows = sandbox.fetch(
                "SELECT day FROM clock.view UNION ALL SELECT current_date FROM own"
            )
            assert rows == [(date(2024, 1, day),)] * 2
            sandbox.travel("+1 day")

    def test_in_defaults_and_rows_that_are_copied(self, sandbox: Sandbox) -> None:
        sandbox.execute("CREATE TABLE visits (id INT, day DATE DEFAULT CURRENT_DATE)")
        sandbox.travel("2024-01-06")
        sandbox.execute("INSERT INTO visits (id) VALUES (1)")
        adapter: Any = sandbox.context.engine_adapter
        sandbox.travel("2024-01-07")
        with adapter.transaction():
            adapter.cursor.copy_expert("COPY visits (id) FROM STDIN", io.StringIO("2\n"))
        sandbox.travel("2024-01-08")
        days = sandbox.fetch("SELECT day FROM visits ORDER BY id")
        assert days == [(date(2024, 1, 6),), (date(2024, 1, 7),)]
        out = io.StringIO()
        adapter.cursor.copy_expert("COPY (SELECT CURRENT_DATE) TO STDOUT", out)
        assert out.getvalue() == "2024-01-08\n"

    @pytest.mark.parametrize("language", ["sql", "plpgsql"])
    def test_in_functions(self, sandbox: Sandbox, language: str) -> None:
        body = "SELECT CURRENT_DATE" if language == "sql" else "BEGIN RETURN CURRENT_DATE; END"
        sandbox.execute(f"CREATE FUNCTION f() RETURNS date LANGUAGE {language} AS $$ {body} $$")
        sandbox.travel("2024-01-06")
        assert only(sandbox, "f()") == date(2024, 1, 6)

    def test_in_prepared_statements(self, sandbox: Sandbox) -> None:
        sandbox.execute("PREPARE the_day AS SELECT CURRENT_DATE")
        sandbox.travel("2024-01-06")
        assert sandbox.fetch("EXECUTE the_day") == [(date(2024, 1, 6),)]

    def test_on_cursors_of_all_classes(self, sandbox: Sandbox) -> None:
        adapter: Any = sandbox.context.engine_adapter
        connection = adapter.connection
        raw = adapter.cursor
        sandbox.travel("2024-01-06")
        day = date(2024, 1, 6)
        raw.execute(b"SELECT CURRENT_DATE")
        assert raw.fetchall() == [(day,)]
        raw.execute(SQL("SELECT CURRENT_DATE AS {}").format(Identifier("day")))
        assert raw.fetchall() == [(day,)]
        assert execute_values(raw, "SELECT CURRENT_DATE FROM (VALUES %s) AS v", [(1,)], fetch=True)
        with connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute("SELECT CURRENT_DATE AS day")
            assert cursor.fetchone() == {"day": day}
        with connection.cursor("on the server") as cursor:
            cursor.execute("SELECT CURRENT_DATE AS day")
            assert cursor.fetchall() == [(day,)]

    def test_by_other_roles(self, sandbox: Sandbox) -> None:
        sandbox.execute("CREATE ROLE guest")
        assert sandbox.fetch("SET LOCAL ROLE guest; SELECT CURRENT_DATE") == [(date(2024, 1, 5),)]

    def test_in_read_only_transactions(self, sandbox: Sandbox) -> None:
        connection: Any = sandbox.context.engine_adapter.connection
        connection.set_session(isolation_level="SERIALIZABLE", readonly=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT CURRENT_DATE")
            assert cursor.fetchall() == [(date(2024, 1, 5),)]

    def test_after_a_transaction_that_failed(self, sandbox: Sandbox) -> None:
        with pytest.raises(Exception, match="division by zero"):
            sandbox.execute("SELECT 1 / 0")
        sandbox.travel("2024-01-06")
        assert only(sandbox, "CURRENT_DATE") == date(2024, 1, 6)


def test_a_text_that_reads_the_real_time_is_warned_of(sandbox: Sandbox) -> None:
    with pytest.warns(UserWarning, match="reads the real time .* 'today'"):
        ((day,),) = sandbox.fetch("SELECT 'today'::date")
    assert day > date(2024, 1, 5)


def test_connections_of_other_code_see_the_time_in_views(sandbox: Sandbox) -> None:
    adapter: Any = sandbox.context.engine_adapter
    settings = adapter.connection.get_dsn_parameters()
    other = psycopg2.connect(**{key: settings[key] for key in ("host", "port", "dbname", "user")})
    try:
        sandbox.travel("2024-01-06")
        with other.cursor() as cursor:
            cursor.execute("SELECT day FROM clock.view")
            assert cursor.fetchall() == [(date(2024, 1, 6),)]
    finally:
        other.close()


def test_statements_without_the_time_are_not_changed(sandbox: Sandbox) -> None:
    (row,) = sandbox.fetch("SELECT 'now()', 'CURRENT_DATE' AS \"now\", 1 AS current_date")
    assert row == ("now()", "CURRENT_DATE", 1)


def test_two_sandboxes_of_a_database_have_their_own_time(
    clocked: Path, sandboxes: Sandboxes
) -> None:
    with sandboxes(clocked) as first:
        first.travel("2024-01-08")
        with sandboxes(clocked) as second:
            assert only(second, "CURRENT_DATE") == date(2024, 1, 5)
        assert only(first, "CURRENT_DATE") == date(2024, 1, 8)
