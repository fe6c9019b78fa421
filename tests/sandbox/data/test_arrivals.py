"""Tables whose rows arrive over time: the sandbox's clock decides which of them are there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlmesh.core.config import Config, DuckDBConnectionConfig, GatewayConfig, ModelDefaultsConfig

from pytest_sqlmesh_tracker import Sandbox, SandboxError
from pytest_sqlmesh_tracker.sandbox.data.models import index_of
from pytest_sqlmesh_tracker.sandbox.databases.arrivals import let_rows_arrive
from tests.projects import Project
from tests.sandbox.building import (
    IN_POSTGRES,
    ON_TWO_ENGINES,
    Sandboxes,
    database,
    planned,
    project,
)

RAW = """
CREATE SCHEMA raw;
CREATE TABLE raw.files (
  id INT, loaded_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP, note TEXT
);
INSERT INTO raw.files VALUES
  (1, '2024-01-05 01:00:00+02:00', ''), (2, '2024-01-06 02:00:00+02:00', ''), (3, NULL, '');
CREATE VIEW raw.file_ids AS SELECT id FROM raw.files;
CREATE TABLE raw.days (id INT, day DATE);
INSERT INTO raw.days VALUES (1, '2024-01-05'), (2, '2024-01-06');
"""
IN_PYTHON = """
from sqlmesh import model

@model("shop.in_python", columns={"id": "int"}, kind="FULL", cron="@daily",
       depends_on={"raw.files"})
def execute(context, **kwargs):
    yield context.fetchdf("SELECT id FROM raw.files")
"""
ARRIVALS = {"raw.events": "seen_at", "raw.files": "loaded_at", "raw.days": "day"}


@pytest.fixture(scope="session")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that reads raw tables: one that is declared, and two of a set-up file."""
    made: Project = project(tmp_path_factory.mktemp("late"), ON_TWO_ENGINES, IN_POSTGRES)
    made.write("raw.sql", RAW)
    made.write(
        "external_models.yaml",
        """
        - {name: raw.events, columns: {id: int, ts: timestamp, seen_at: timestamp}}
        - {name: raw.unknown}
        """,
    )
    made.model(
        "shop.events",
        "SELECT id, ts FROM raw.events WHERE ts BETWEEN @start_ts AND @end_ts",
        kind="INCREMENTAL_BY_TIME_RANGE (time_column ts, lookback 1)",
        cron="'@daily'",
    )
    made.model("shop.counted", "SELECT COUNT(*)::INT AS n FROM shop.events", cron="'@daily'")
    made.model("shop.shown", "SELECT id FROM raw.files", kind="VIEW")
    made.write("models/in_python.py", IN_PYTHON)
    made.write("seeds/a.csv", "id\n1\n")
    made.model("shop.seed", "", kind="SEED (path '../seeds/a.csv')")
    return made.path


@pytest.fixture
def options(late: Path, engine: str) -> dict[str, Any]:
    """The arguments of sandboxes with all raw tables."""
    return {"gateway": engine, "setup": str(late / "raw.sql")}


@pytest.fixture
def sandbox(late: Path, sandboxes: Sandboxes, options: dict[str, Any]) -> Iterator[Sandbox]:
    with sandboxes(late, arrivals=ARRIVALS, **options) as made:
        yield made


def ids(sandbox: Sandbox, table: str) -> list[int]:
    return [number for (number,) in sandbox.fetch(f"SELECT id FROM {table} ORDER BY id")]


@pytest.mark.long
def test_an_event_is_loaded_if_it_is_not_later_than_the_lookback(sandbox: Sandbox) -> None:
    sandbox.insert(
        "raw.events",
        [
            {"id": 1, "ts": "2024-01-05 12:00", "seen_at": "2024-01-05 12:00"},
            {"id": 2, "ts": "2024-01-05 12:00", "seen_at": "2024-01-06 12:00"},
            {"id": 3, "ts": "2024-01-05 12:00", "seen_at": "2024-01-07 12:00"},
        ],
    )

    loaded = []
    for day in (6, 7, 8, 9):
        sandbox.run(at=f"2024-01-0{day} 00:05")
        loaded.append(ids(sandbox, "shop.events"))

    assert loaded == [[1], [1, 2], [1, 2], [1, 2]]
    assert ids(sandbox, "raw.events") == [1, 2, 3]
    sandbox.assert_rows("shop.counted", [{"n": 2}])


@pytest.mark.long
def test_a_row_is_there_from_its_time_on(sandbox: Sandbox) -> None:
    sandbox.insert("raw.events", [{"id": 1, "seen_at": "2024-01-05 12:00"}])
    assert sandbox.rows("raw.events") == []

    sandbox.travel("2024-01-05 11:59:30")
    assert sandbox.rows("raw.events") == []
    sandbox.travel("2024-01-05 12:00")

    sandbox.assert_rows("raw.events", [{"id": 1, "ts": None, "seen_at": datetime(2024, 1, 5, 12)}])


def test_rows_of_a_set_up_file_arrive_too(sandbox: Sandbox) -> None:
    """Times with a zone, dates, which arrive at midnight in UTC, and NULL, which never comes."""
    assert (ids(sandbox, "raw.files"), ids(sandbox, "raw.days")) == ([1], [1])

    sandbox.travel("2024-01-06 00:00")

    assert (ids(sandbox, "raw.files"), ids(sandbox, "raw.days")) == ([1, 2], [1, 2])


def test_whatever_reads_the_table_sees_only_what_has_arrived(sandbox: Sandbox) -> None:
    """A view of the set-up, a view of SQLMesh, a Python model, and a transaction."""
    readers = ["raw.file_ids", "shop.shown", "shop.in_python"]
    assert [ids(sandbox, each) for each in readers] == [[1], [1], [1]]

    sandbox.run(at="2024-01-06 00:05")

    assert [ids(sandbox, each) for each in readers] == [[1, 2], [1, 2], [1, 2]]
    sandbox.insert("raw.files", [{"id": 9, "loaded_at": "2024-01-08"}])
    with sandbox.context.engine_adapter.transaction():
        assert ids(sandbox, "raw.files") == [1, 2]
        sandbox.travel("2024-01-08")
        assert ids(sandbox, "raw.files") == [1, 2, 9]


def test_times_without_a_zone_are_in_utc_in_every_session(sandbox: Sandbox) -> None:
    name = "TimeZone" if sandbox.context.engine_adapter.dialect == "duckdb" else "TIME ZONE"
    sandbox.execute(f"SET {name} 'America/New_York'".replace("TimeZone ", "TimeZone = "))
    sandbox.insert("raw.events", [{"id": 1, "seen_at": "2024-01-05 03:00"}])
    sandbox.insert("raw.days", [{"id": 3, "day": "2024-01-07"}])

    sandbox.travel("2024-01-05 03:00")
    assert ids(sandbox, "raw.events") == [1]
    sandbox.travel("2024-01-07 00:00")

    assert ids(sandbox, "raw.days") == [1, 2, 3]


def test_a_copy_is_independent(sandbox: Sandbox) -> None:
    sandbox.insert("raw.events", [{"id": 1, "seen_at": "2024-01-06"}])

    with sandbox.copy() as copy:
        copy.insert("raw.events", [{"id": 2, "seen_at": "2024-01-06"}])
        copy.travel("2024-01-06")
        assert ids(copy, "raw.events") == [1, 2]

    assert ids(sandbox, "raw.events") == []
    sandbox.travel("2024-01-06")
    assert ids(sandbox, "raw.events") == [1]


def test_inserted_rows_must_have_a_time(sandbox: Sandbox) -> None:
    for row in ({"id": 1}, {"id": 1, "seen_at": None}):
        with pytest.raises(SandboxError, match=r"rows\[1\] lacks seen_at, the time at which it"):
            sandbox.insert("raw.events", [{"id": 2, "seen_at": "2024-01-05"}, row])
    # The default of this column is the present.
    sandbox.insert("raw.files", [{"id": 7}])
    assert ids(sandbox, "raw.files") == [1, 7]


def test_statements_can_not_change_what_has_not_arrived(sandbox: Sandbox) -> None:
    """On DuckDB, they can change nothing of the table."""
    statements = ["UPDATE raw.files SET loaded_at = '2030-01-01' WHERE id = 1"]
    if sandbox.context.engine_adapter.dialect == "duckdb":
        statements += [
            "INSERT INTO raw.files (id) VALUES (4)",
            "DELETE FROM raw.files",
            "DROP TABLE raw.files",
            "ALTER TABLE raw.files ADD COLUMN more INT",
        ]
    for statement in statements:
        with pytest.raises(
            Exception, match=r"Rows arrive over time in raw.days, raw.events, raw.f"
        ):
            sandbox.execute(statement)
    sandbox.travel("2024-01-06")
    assert ids(sandbox, "raw.files") == [1, 2]


@pytest.mark.long
def test_files_that_declare_the_tables_later_change_nothing(sandbox: Sandbox) -> None:
    sandbox.write(
        "external_models/files.yaml",
        "- {name: raw.files, columns: {id: int, loaded_at: timestamptz, note: text}}\n",
    )
    sandbox.plan()

    assert ids(sandbox, "raw.files") == [1]
    sandbox.insert("raw.files", [{"id": 5, "loaded_at": datetime(2024, 1, 6, tzinfo=timezone.utc)}])
    sandbox.travel("2024-01-06")
    assert ids(sandbox, "raw.files") == [1, 2, 5]


@pytest.mark.parametrize(
    ("arrivals", "complaint"),
    [
        (
            {"raw.event": "seen_at"},
            r"no table 'raw.event' exists before the plan; did you mean raw.*\? Otherwise, de",
        ),
        (
            {"x.y": "z"},
            "no table 'x.y' exists before the plan; declare its columns in external_mod",
        ),
        ({"raw.": "z"}, "no table 'raw.' exists before the plan"),
        ({"raw.*": "z"}, "no table 'raw.\\*' exists before the plan"),
        ({"raw.unknown": "z"}, "raw.unknown has no table: declare its columns in external_models"),
        ({"raw.file_ids": "id"}, "raw.file_ids is a view: name the table that it reads"),
        (
            {"raw.days": "day", "raw.events": "sen_at"},
            "raw.events has no column 'sen_at'; did you mean seen_at",
        ),
        (
            {"raw.files": "note"},
            "the column note of raw.files must be a DATE or a TIMESTAMP, with or without time zone",
        ),
        (
            {"shop.events": "ts"},
            "shop.events is a model that SQLMesh evaluates: name a table that models read, or give "
            "the model other data with stub=",
        ),
        ({"shop.seed": "id"}, "shop.seed is a model that .*: name a table that models read$"),
        ({"shop.event": "ts"}, "did you mean shop.events"),
        (
            {"raw.events": "seen_at", "RAW.Events": "ts"},
            "'raw.events' and 'RAW.Events' are the same table",
        ),
    ],
)
def test_what_can_only_be_a_mistake_is_rejected(
    late: Path,
    sandboxes: Sandboxes,
    options: dict[str, Any],
    arrivals: dict[str, str],
    complaint: str,
) -> None:
    with sandboxes(late, plan=False, **options) as sandbox:
        context = sandbox.context
        with pytest.raises(SandboxError, match=f"^arrivals: .*{complaint}"):
            let_rows_arrive(context, arrivals, index_of(context))
        # Nothing has changed.
        assert ids(sandbox, "raw.days") == [1, 2]


@pytest.mark.parametrize("name", ["RAW.Files", '"raw"."files"', "{catalog}.raw.files"])
def test_a_name_may_have_quotes_and_a_catalog(
    late: Path, sandboxes: Sandboxes, options: dict[str, Any], engine: str, name: str
) -> None:
    name = name.format(catalog="memory" if engine == "duckdb" else "shop")
    with sandboxes(late, arrivals={name: "loaded_at"}, **options, plan=False) as sandbox:
        assert ids(sandbox, "raw.files") == [1]
        # The other tables are as they were.
        assert ids(sandbox, "raw.days") == [1, 2]
        sandbox.insert("raw.files", [{"id": 4, "loaded_at": "2024-01-06"}])
        sandbox.travel("2024-01-06")
        assert ids(sandbox, "raw.files") == [1, 2, 4]


@pytest.mark.long
@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE IF NOT EXISTS raw.events AS SELECT 1 AS id"],
        ["DROP VIEW IF EXISTS raw.events", "CREATE VIEW raw.events AS SELECT 1 AS id"],
        ["CREATE SCHEMA raw"],
    ],
    ids=["table", "view", "schema"],
)
def test_statements_that_would_create_an_empty_table_are_rejected(
    tmp_path: Path, sandboxes: Sandboxes, engine: str, statements: list[str]
) -> None:
    before = "".join(f"\n  - {each}" for each in statements)
    made = project(tmp_path, ON_TWO_ENGINES, f"before_all:{before}\n{IN_POSTGRES}")
    made.write(
        "external_models.yaml", "- {name: raw.events, columns: {id: int, seen_at: timestamp}}\n"
    )
    made.model("shop.a", "SELECT id FROM raw.events")
    with pytest.raises(SandboxError, match=r"in which rows arrive over time.*with setup= instead"):
        with sandboxes(made.path, gateway=engine, arrivals={"raw.events": "seen_at"}):
            pass


def test_a_column_that_no_model_declares_must_be_declared(
    tmp_path: Path, sandboxes: Sandboxes, engine: str
) -> None:
    made = project(tmp_path, ON_TWO_ENGINES, IN_POSTGRES)
    made.model("shop.a", "SELECT id, seen_at FROM raw.events")
    for column, complaint in (("at", "has no column 'at'"), ("seen_at", "must be a DATE or a")):
        with pytest.raises(SandboxError, match=f"{complaint}.*: declare its columns in external"):
            with sandboxes(tmp_path, gateway=engine, arrivals={"raw.events": column}):
                pass


def test_a_table_that_select_leaves_out_is_ignored(
    late: Path, sandboxes: Sandboxes, engine: str
) -> None:
    only = {"select": ["shop.seed"], "plan": False, "gateway": engine}
    with sandboxes(late, arrivals={"raw.events": "seen_at"}, **only) as sandbox:
        assert sandbox.context.models.keys() == {sandbox.context.get_model("shop.seed").fqn}


def test_a_clock_that_stands_still_moves_only_when_it_is_set(
    late: Path, sandboxes: Sandboxes, options: dict[str, Any]
) -> None:
    with sandboxes(late, arrivals=ARRIVALS, tick=False, plan=False, **options) as sandbox:
        sandbox.insert("raw.events", [{"id": 1, "seen_at": "2024-01-05 00:06"}])
        assert ids(sandbox, "raw.events") == []
        sandbox.travel("2024-01-05 00:06")
        assert ids(sandbox, "raw.events") == [1]


LOCAL = "{local: {connection: {type: duckdb, database: w.duckdb}}}"
EVENTS = (
    "CREATE SCHEMA raw",
    "CREATE TABLE raw.events (id INT, seen_at TIMESTAMP)",
    "INSERT INTO raw.events VALUES (1, '2024-01-03'), (2, '2024-01-06')",
)


class TestTheUsersDuckDBFile:
    """Tables of a local database, which the sandbox copies."""

    @pytest.fixture
    def local(self, tmp_path: Path) -> Path:
        """A project whose local database has events."""
        made = project(tmp_path, LOCAL)
        made.model("shop.shown", "SELECT id FROM raw.events", kind="VIEW")
        made.model("shop.loaded", "SELECT id FROM raw.events", cron="'@daily'")
        database(tmp_path / "w.duckdb", *EVENTS)
        config = (tmp_path / "config.yaml").read_text()
        made.write("config.yaml", config.replace("w.duckdb", str(tmp_path / "w.duckdb")))
        return made.path

    @pytest.mark.long
    def test_its_rows_arrive(self, local: Path, sandboxes: Sandboxes) -> None:
        with sandboxes(local, arrivals={"raw.events": "seen_at"}) as sandbox:
            assert (ids(sandbox, "shop.shown"), ids(sandbox, "shop.loaded")) == ([1], [1])
            sandbox.run(at="2024-01-06 00:05")
            assert (ids(sandbox, "shop.shown"), ids(sandbox, "shop.loaded")) == ([1, 2], [1, 2])

    @pytest.mark.long
    def test_what_models_have_loaded_before_stays(self, local: Path, sandboxes: Sandboxes) -> None:
        """With `state="keep"`, views see only what has arrived."""
        planned(local)
        arrivals = {"raw.events": "seen_at"}
        with sandboxes(
            local, arrivals=arrivals, state="keep", at="2024-01-05 12:00", plan=False
        ) as sandbox:
            assert (ids(sandbox, "shop.shown"), ids(sandbox, "shop.loaded")) == ([1], [1, 2])
            sandbox.run(at="2024-01-06 00:05")
            assert (ids(sandbox, "shop.shown"), ids(sandbox, "shop.loaded")) == ([1, 2], [1, 2])

    def test_an_empty_state_has_no_such_table(self, local: Path, sandboxes: Sandboxes) -> None:
        with pytest.raises(SandboxError, match="column 'seen_at'; it has id; its columns are infe"):
            with sandboxes(local, arrivals={"raw.events": "seen_at"}, state="empty"):
                pass

    def test_a_table_that_duckdb_can_not_rename_is_rejected(
        self, local: Path, sandboxes: Sandboxes
    ) -> None:
        database(local / "w.duckdb", "CREATE INDEX ids ON raw.events(id)")
        with pytest.raises(SandboxError, match=r"can't rename raw.events, because it has an index"):
            with sandboxes(local, arrivals={"raw.events": "seen_at"}):
                pass
        setup = local / "setup.sql"
        setup.write_text("DROP INDEX raw.ids")
        with sandboxes(
            local, arrivals={"raw.events": "seen_at"}, setup=str(setup), plan=False
        ) as sandbox:
            assert ids(sandbox, "raw.events") == [1]


def test_a_table_that_is_attached_read_only_is_rejected(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    lake = database(tmp_path / "lake.db", *EVENTS)
    made = project(tmp_path / "shop", "{local: {connection: {type: duckdb}}}")
    made.model("shop.a", "SELECT 1 AS id")
    attach = made.path / "attach.sql"
    attach.write_text(f"ATTACH '{lake}' AS lake (READ_ONLY)")
    with pytest.raises(
        SandboxError, match=r"rows of lake.raw.events can't arrive over time: .*rea"
    ):
        with sandboxes(made.path, arrivals={"lake.raw.events": "seen_at"}, setup=str(attach)):
            pass


def test_tables_of_several_gateways_and_catalogs(tmp_path: Path, sandboxes: Sandboxes) -> None:
    for name, seen_at in (("one", "2024-01-03"), ("two", "2024-01-06"), ("lake", "2024-01-06")):
        rows = f"SELECT 1 AS id, TIMESTAMP '{seen_at}' AS seen_at"
        database(
            tmp_path / f"{name}.db",
            "CREATE SCHEMA raw",
            f"CREATE TABLE raw.{name} AS {rows}",
            f"CREATE TABLE raw.same AS {rows}",
        )
    catalogs = f"{{one: {tmp_path}/one.db, lake: {tmp_path}/lake.db}}"
    made = project(
        tmp_path / "shop",
        f"""
  first: {{connection: {{type: duckdb, catalogs: {catalogs}}}}}
  second: {{connection: {{type: duckdb, database: {tmp_path}/two.db}}}}
""",
    )
    made.model("shop.a", "SELECT id FROM two.raw.two", gateway="second")
    arrivals = dict.fromkeys(("raw.one", "LAKE.raw.lake", "raw.two", "raw.same"), "seen_at")

    with sandboxes(made.path, arrivals=arrivals, plan=False) as sandbox:
        second = sandbox.context.engine_adapters["second"]
        assert [len(sandbox.rows(each)) for each in ("raw.one", "lake.raw.lake")] == [1, 0]
        assert second.fetchall("SELECT id FROM raw.two") == []
        # Without its catalog, a name means the table of the default catalog.
        assert [len(sandbox.rows(each)) for each in ("raw.same", "lake.raw.same")] == [1, 1]

        sandbox.insert("lake.raw.lake", [{"id": 2, "seen_at": "2024-01-06"}])
        sandbox.travel("2024-01-06")

        assert ids(sandbox, "lake.raw.lake") == [1, 2]
        assert second.fetchall("SELECT id FROM raw.two") == [(1,)]


def test_a_table_of_another_warehouse(tmp_path: Path, sandboxes: Sandboxes) -> None:
    made = project(
        tmp_path,
        "{snow: {connection: {type: snowflake, account: a, user: u, password: p, database: PROD}}}",
        "model_defaults: {dialect: snowflake, start: 2024-01-01}\n",
    )
    made.write(
        "external_models.yaml",
        """
        - name: '"PROD"."RAW"."EVENTS"'
          gateway: snow
          columns: {ID: NUMBER, SEEN_AT: TIMESTAMP_LTZ}
        """,
    )
    made.model("shop.a", "SELECT id FROM raw.events", kind="VIEW")
    config = Config(
        gateways={"test": GatewayConfig(connection=DuckDBConnectionConfig())},
        model_defaults=ModelDefaultsConfig(dialect="snowflake", start="2024-01-01"),
    )
    with sandboxes(tmp_path, config=config, arrivals={"raw.events": "seen_at"}) as sandbox:
        sandbox.insert("raw.events", [{"id": 1, "seen_at": "2024-01-06"}])
        assert sandbox.rows("shop.a") == []
        sandbox.travel("2024-01-06")
        assert len(sandbox.rows("shop.a")) == 1


def test_case_tells_tables_in_postgresql_apart(tmp_path: Path, sandboxes: Sandboxes) -> None:
    made = project(tmp_path, ON_TWO_ENGINES, IN_POSTGRES)
    columns = "(id INT, seen_at TIMESTAMP)"
    made.write(
        "raw.sql",
        f'CREATE SCHEMA raw; CREATE TABLE raw.days {columns}; CREATE TABLE raw."Days" {columns};',
    )
    made.model("shop.a", "SELECT 1 AS id")
    options = {"gateway": "postgres", "setup": str(tmp_path / "raw.sql"), "plan": False}
    with pytest.raises(SandboxError, match=r"'RAW.DAYS' matches several tables: .*days.*Days"):
        with sandboxes(tmp_path, arrivals={"RAW.DAYS": "seen_at"}, **options):
            pass
    with sandboxes(tmp_path, arrivals={'raw."Days"': "seen_at"}, **options) as sandbox:
        row = [{"id": 1, "seen_at": "2024-01-06"}]
        sandbox.insert("raw.days", row)
        sandbox.insert('raw."Days"', row)
        assert (ids(sandbox, "raw.days"), ids(sandbox, 'raw."Days"')) == ([1], [])


def test_policies_of_the_project_stay_in_force(tmp_path: Path, sandboxes: Sandboxes) -> None:
    made = project(tmp_path, ON_TWO_ENGINES, IN_POSTGRES)
    made.write(
        "raw.sql",
        """
        CREATE SCHEMA raw;
        CREATE TABLE raw.events AS
        SELECT 1 AS id, CAST('2024-01-03' AS TIMESTAMP) AS seen_at UNION ALL
        SELECT 2, '2024-01-03' UNION ALL
        SELECT 3, '2024-01-06';
        ALTER TABLE raw.events ENABLE ROW LEVEL SECURITY;
        CREATE POLICY odd ON raw.events USING (id % 2 = 1);
        """,
    )
    made.model("shop.a", "SELECT 1 AS id")
    with sandboxes(
        tmp_path,
        gateway="postgres",
        setup=str(tmp_path / "raw.sql"),
        arrivals={"raw.events": "seen_at"},
        plan=False,
    ) as sandbox:
        assert ids(sandbox, "raw.events") == [1]
        sandbox.travel("2024-01-06")
        assert ids(sandbox, "raw.events") == [1, 3]
