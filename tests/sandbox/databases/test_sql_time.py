"""The time that SQL sees on DuckDB: the sandbox's, wherever a statement reads it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pytest_sqlmesh_tracker import Sandbox
from tests.sandbox.building import Sandboxes, plain, project

GATEWAY = "{wh: {connection: {type: duckdb, database: '{folder}/wh.db', concurrent_tasks: 4}}}"
TIMESTAMPS = ["now()", "current_timestamp", "get_current_timestamp()", "transaction_timestamp()"]
DATES = ["current_date", "current_date()", "today()"]
TIMES = ["current_time", "get_current_time()"]
LOCAL_TIMESTAMPS = ["localtimestamp", "current_localtimestamp()"]
LOCAL_TIMES = ["localtime", "current_localtime()"]
ALL = [*TIMESTAMPS, *DATES, *TIMES, *LOCAL_TIMESTAMPS, *LOCAL_TIMES]

PYTHON_MODEL = """
from sqlmesh import model

@model("clock.python", columns={"day": "date"}, kind="FULL", cron="@daily")
def execute(context, **kwargs):
    return context.engine_adapter.cursor.execute("SELECT current_date AS day").df()
"""
SIGNAL = """
from sqlmesh import signal

@signal()
def is_tuesday(batch, context):
    return context.engine_adapter.fetchone("SELECT dayofweek(current_date)") == (2,)
"""
AUDIT = "AUDIT (name has_begun); SELECT * FROM @this_model WHERE day > current_date"
STATEMENTS = """
MODEL (name clock.statements, kind FULL, cron '@daily', audits (has_begun));
CREATE SCHEMA IF NOT EXISTS log;
CREATE TABLE IF NOT EXISTS log.days (day DATE DEFAULT current_date, place TEXT);
INSERT INTO log.days (place) VALUES ('before');
SELECT today() AS day;
INSERT INTO log.days (place) VALUES ('after')
"""


@pytest.fixture(scope="module")
def clocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that read the time in all their places; planned on Friday, 2024-01-05."""
    folder = tmp_path_factory.mktemp("clocked")
    made = project(folder, GATEWAY.replace("{folder}", str(folder)))
    made.model("clock.view", "SELECT current_date AS day, now() AS at", kind="VIEW")
    made.model("clock.query", "SELECT current_date AS day, now() AS at", cron="'@daily'")
    made.model("clock.tuesdays", "SELECT today() AS day", cron="'@daily'", signals="(is_tuesday())")
    made.write("models/python.py", PYTHON_MODEL)
    made.write("models/statements.sql", STATEMENTS)
    made.write("signals/days.py", SIGNAL)
    made.write("signals/__init__.py", "")
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
    @pytest.mark.parametrize("function", ALL)
    def test_is_the_sandboxs(self, standing: Sandbox, function: str) -> None:
        value = only(standing, function)
        now = standing.now
        if isinstance(value, datetime):
            assert value.replace(tzinfo=timezone.utc) == now
        elif isinstance(value, date):
            assert value == now.date()
        else:
            assert value.replace(tzinfo=None) == now.time()

    def test_has_the_types_and_names_of_the_functions(self, sandbox: Sandbox) -> None:
        query = f"SELECT {', '.join(ALL)}, age(TIMESTAMP '2024-01-01'), age(now(), now())"
        with duckdb.connect() as outside:
            expected = outside.execute(query).description
        adapter: Any = sandbox.context.engine_adapter
        assert adapter.cursor.execute(query).description == expected

    @pytest.mark.skipif(
        duckdb.__version__ < "1.1", reason="DuckDB has macros with several signatures since 1.1"
    )
    @pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMPTZ", "DATE"])
    def test_is_what_ages_are_counted_from(self, sandbox: Sandbox, kind: str) -> None:
        # Since version 1.2, DuckDB counts from midnight.
        assert only(sandbox, f"age({kind} '2024-01-01')") // timedelta(days=1) == 4

    def test_advances_with_the_clock(self, sandbox: Sandbox) -> None:
        before = sandbox.now
        first, second = only(sandbox, "now()"), only(sandbox, "now()")
        # DuckDB before version 1.5 has milliseconds.
        assert before - timedelta(milliseconds=1) <= first <= second <= sandbox.now

    def test_stands_still_with_the_clock(self, standing: Sandbox) -> None:
        for _ in range(3):
            assert only(standing, "now()") == standing.now
        standing.travel("2024-01-06 00:00")
        assert only(standing, "current_date") == date(2024, 1, 6)

    def test_is_not_before_a_time_that_was_set_within_a_transaction(self, sandbox: Sandbox) -> None:
        sandbox.execute("BEGIN")
        sandbox.travel("2024-01-06 00:00")
        assert only(sandbox, "current_date") == date(2024, 1, 6)
        sandbox.execute("ROLLBACK")
        assert only(sandbox, "current_date") == date(2024, 1, 6)

    def test_can_go_back(self, sandbox: Sandbox) -> None:
        sandbox.travel("2024-01-04 12:00", backwards=True)
        assert only(sandbox, "today()") == date(2024, 1, 4)


class TestWhereverItIsRead:
    def test_in_models_and_their_statements(self, sandbox: Sandbox) -> None:
        day = date(2024, 1, 9)
        report = sandbox.run(at="2024-01-09 00:05")
        report.assert_executed("clock.query", "clock.tuesdays", "clock.statements", "clock.python")
        for model in ("query", "tuesdays", "python", "statements"):
            assert sandbox.fetch(f"SELECT day FROM clock.{model}") == [(day,)]
        logged = sandbox.fetch("SELECT place FROM log.days WHERE day = '2024-01-09' ORDER BY ALL")
        assert logged == [("after",), ("before",)]

    def test_in_signals(self, sandbox: Sandbox) -> None:
        report = sandbox.run(at="2024-01-08 00:05")
        report.assert_skipped("clock.tuesdays", reason="signal_not_ready")

    def test_in_audits(self, sandbox: Sandbox) -> None:
        sandbox.write("models/statements.sql", STATEMENTS.replace("today()", "DATE '2024-01-10'"))
        sandbox.plan(at="2024-01-09 00:05").assert_failed("clock.statements", reason="audit_failed")
        sandbox.plan(at="2024-01-10 00:05").assert_executed("clock.statements")

    def test_in_views_even_if_they_were_created_before(self, sandbox: Sandbox) -> None:
        sandbox.execute("CREATE VIEW own AS SELECT current_date AS day, localtimestamp AS at")
        for day in (5, 6, 7):
            assert (
                sandbox.fetch("SELECT day FROM clock.view UNION ALL SELECT day FROM own")
                == [(date(2024, 1, day),)] * 2
            )
            sandbox.travel("+1 day")

    def test_in_defaults_macros_and_new_tables(self, sandbox: Sandbox) -> None:
        sandbox.execute("CREATE TABLE visits (id INT, day DATE DEFAULT current_date)")
        sandbox.execute("CREATE MACRO tomorrow() AS current_date + 1")
        sandbox.travel("2024-01-06")
        sandbox.execute("INSERT INTO visits (id) VALUES (1)")
        sandbox.execute("CREATE TABLE stored AS SELECT tomorrow() AS day")
        sandbox.travel("2024-01-07")
        assert sandbox.fetch("SELECT day FROM visits") == [(date(2024, 1, 6),)]
        assert sandbox.fetch("SELECT day FROM stored") == [(date(2024, 1, 7),)]

    def test_in_prepared_statements(self, sandbox: Sandbox) -> None:
        sandbox.execute("PREPARE the_day AS SELECT current_date")
        sandbox.travel("2024-01-06")
        assert sandbox.fetch("EXECUTE the_day") == [(date(2024, 1, 6),)]

    def test_in_other_catalogs(self, sandbox: Sandbox) -> None:
        sandbox.execute("ATTACH ':memory:' AS aside; CREATE SCHEMA aside.s; USE aside.s")
        sandbox.travel("2024-01-06")
        assert only(sandbox, "current_date") == date(2024, 1, 6)
        sandbox.execute("USE wh")

    def test_on_cursors_that_a_test_keeps(self, sandbox: Sandbox) -> None:
        adapter: Any = sandbox.context.engine_adapter
        for raw in (adapter.cursor, adapter.connection):
            sandbox.travel("+1 day")
            assert raw.execute("SELECT today()").fetchall() == [(sandbox.now.date(),)]

    def test_on_the_cursors_of_other_threads(self, sandbox: Sandbox) -> None:
        adapter: Any = sandbox.context.engine_adapter

        def day() -> date:
            read: date = adapter.cursor.execute("SELECT current_date").fetchone()[0]
            return read

        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(day).result() == date(2024, 1, 5)
            sandbox.travel("2024-01-06")
            assert pool.submit(day).result() == date(2024, 1, 6)

    def test_after_a_transaction_that_failed(self, sandbox: Sandbox) -> None:
        adapter: Any = sandbox.context.engine_adapter

        def fails() -> None:
            with adapter.transaction():
                sandbox.travel("2024-01-06")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fails()
        assert only(sandbox, "current_date") == date(2024, 1, 6)
        sandbox.execute("BEGIN")
        with pytest.raises(duckdb.Error):
            sandbox.execute("SELECT error('now')")
        sandbox.travel("2024-01-07")
        sandbox.execute("ROLLBACK")
        assert only(sandbox, "current_date") == date(2024, 1, 7)

    @pytest.mark.long
    def test_in_the_setup(self, clocked: Path, sandboxes: Sandboxes) -> None:
        def setup(connection: Any) -> None:
            connection.execute("CREATE TABLE noted AS SELECT current_date AS day")

        with sandboxes(clocked, setup=setup) as sandbox:
            assert sandbox.fetch("SELECT day FROM noted") == [(date(2024, 1, 5),)]


class TestNothingRemains:
    """What moves the time is on the sandbox's cursors alone."""

    def test_in_the_databases(self, sandbox: Sandbox) -> None:
        sandbox.execute("CREATE VIEW own AS SELECT now() AS at")
        assert sandbox.fetch("SELECT sql FROM duckdb_views() WHERE view_name = 'own'") == [
            ('CREATE VIEW own AS SELECT now() AS "at";',)
        ]
        catalogs = "SELECT DISTINCT database_name FROM duckdb_functions() WHERE NOT internal"
        assert sandbox.fetch(catalogs) == [("temp",)]

    def test_in_the_snapshots(self, clocked: Path, sandbox: Sandbox) -> None:
        def snapshots(context: Any) -> dict[str, tuple[Any, str]]:
            return {
                name: (each.fingerprint, each.model.render_query_or_raise().sql("duckdb"))
                for name, each in context.snapshots.items()
            }

        with plain(clocked) as context:
            assert snapshots(sandbox.context) == snapshots(context)


class TestTheTimeZone:
    def test_is_utc(self, sandbox: Sandbox) -> None:
        assert only(sandbox, "current_setting('TimeZone')") == "UTC"

    def test_is_the_projects_if_it_has_one(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        gateway = "{wh: {connection: {type: duckdb, connector_config: {TimeZone: Asia/Tokyo}}}}"
        made = project(tmp_path, gateway)
        made.model("clock.view", "SELECT localtimestamp AS moment", kind="VIEW")
        with sandboxes(made.path, tick=False) as sandbox:
            ((moment,),) = sandbox.fetch("SELECT moment FROM clock.view")
            assert moment == sandbox.now.replace(tzinfo=None) + timedelta(hours=9)
