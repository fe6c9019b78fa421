"""The databases of a project's gateways, and those that replace them in a sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import Sandbox
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from tests.projects import Project
from tests.sandbox.building import (
    DEFAULTS,
    Sandboxes,
    database,
    plain,
    planned,
    project,
    snapshot_of,
)

RAW = "CREATE SCHEMA raw; CREATE TABLE raw.sales AS SELECT 5 AS amount"

GATEWAYS = {
    "an in-memory database": "{local: {connection: {type: duckdb}}}",
    "without a name": "{connection: {type: duckdb}}",
    "a file": "{local: {connection: {type: duckdb, database: '{folder}/wh.db'}}}",
    "a file with an unusual name": (
        """{local: {connection: {type: duckdb, database: "{folder}/My o'Wn-1.db"}}}"""
    ),
    "an in-memory catalog": "{local: {connection: {type: duckdb, catalogs: {memory: ':memory:'}}}}",
    "a catalog with the name of another": (
        "{local: {connection: {type: duckdb, catalogs: {main_one: ':memory:'}}}}"
    ),
    "several files": (
        "{local: {connection: {type: duckdb, catalogs: "
        "{wh: '{folder}/wh.db', aside: '{folder}/aside.duckdb', brief: ':memory:'}}}}"
    ),
    "a read-only file": (
        "{local: {connection: {type: duckdb, catalogs: {wh: '{folder}/wh.db', "
        "aside: {type: duckdb, path: '{folder}/aside.duckdb', read_only: true}}}}}"
    ),
    "a separate state": (
        "{local: {connection: {type: duckdb, database: '{folder}/wh.db'}, "
        "state_connection: {type: duckdb, database: '{folder}/state.db'}}}"
    ),
    "a state in memory": (
        "{local: {connection: {type: duckdb, database: '{folder}/wh.db'}, "
        "state_connection: {type: duckdb}}}"
    ),
    "a state in the same file": (
        "{local: {connection: {type: duckdb, database: '{folder}/wh.db'}, "
        "state_connection: {type: duckdb, database: '{folder}/wh.db'}, state_schema: ops}}"
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("gateways", GATEWAYS.values(), ids=GATEWAYS.keys())
def test_a_project_behaves_the_same_inside_and_outside_of_a_sandbox(
    gateways: str, tmp_path: Path, sandboxes: Sandboxes
) -> None:
    database(tmp_path / "aside.duckdb", RAW)
    shop = project(tmp_path / "shop", gateways.replace("{folder}", str(tmp_path)))
    shop.model("shop.orders", "SELECT @execution_ds AS day", cron="'@daily'")
    shop.model("shop.report", "SELECT day FROM shop.orders", kind="VIEW")
    if "aside" in gateways:
        shop.model("shop.sales", "SELECT amount FROM aside.raw.sales")
    before = snapshot_of(tmp_path)

    with sandboxes(shop.path) as copy:
        names = dict(copy.context.snapshots)
        copy.run(at="+1 day").assert_executed("*orders")
        assert copy.fetch("SELECT * FROM shop.report") == [("2024-01-06",)]
    with sandboxes(shop.path) as another:
        assert another.fetch("SELECT * FROM shop.report") == [("2024-01-05",)]
        if "aside" in gateways:
            assert another.fetch("SELECT * FROM shop.sales") == [(5,)]

    assert snapshot_of(tmp_path) == before
    with plain(shop.path) as context:
        assert {n: s.fingerprint for n, s in context.snapshots.items()} == {
            n: s.fingerprint for n, s in names.items()
        }


class TestSeveralGateways:
    @pytest.fixture(scope="class")
    def two(self, tmp_path_factory: pytest.TempPathFactory) -> Project:
        """Models on one gateway each; the second gateway is spelled in many ways."""
        folder = tmp_path_factory.mktemp("two")
        database(folder / "b.db", RAW)
        shop = project(
            folder,
            f"""
  First: {{connection: {{type: duckdb, database: {folder}/a.db}}, variables: {{v: of a}}}}
  second: {{connection: {{type: duckdb, database: {folder}/b.db}}, variables: {{v: of b}}}}
""",
            DEFAULTS + "gateway_managed_virtual_layer: true",
        )
        shop.model("shop.here", "SELECT @execution_ds AS day, @gateway AS g, @v AS v")
        shop.model("shop.there", "SELECT amount, @gateway AS g FROM raw.sales", gateway="second")
        return shop

    @pytest.mark.long
    def test_each_has_its_own_files(self, two: Project, sandboxes: Sandboxes) -> None:
        with sandboxes(two.path) as copy:
            assert set(copy.context.models) == {'"a"."shop"."here"', '"b"."shop"."there"'}
            # Before SQLMesh 0.21x, gateways are spelled as in the configuration.
            ((gateway, variable),) = copy.fetch("SELECT g, v FROM shop.here")
            assert (gateway.lower(), variable) == ("first", "of a")
            second = copy.context.engine_adapters["second"]
            assert second.fetchall("SELECT amount, g FROM b.shop.there") == [(5, "second")]

    @pytest.mark.long
    def test_another_one_is_chosen_in_any_letter_case(
        self, two: Project, sandboxes: Sandboxes
    ) -> None:
        with sandboxes(two.path, gateway="SECOND") as copy:
            assert set(copy.context.models) == {'"b"."shop"."here"', '"b"."shop"."there"'}
            assert copy.fetch("SELECT g, v FROM shop.here") == [("second", "of b")]

    def test_a_missing_one_is_an_error_that_names_the_others(
        self, two: Project, sandboxes: Sandboxes
    ) -> None:
        with pytest.raises(SandboxError, match=r"no gateway 'third'.*irst, second") as raised:
            with sandboxes(two.path, gateway="third"):
                pass
        assert len(str(raised.value).splitlines()) == 1

    def test_can_share_a_file(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        (tmp_path / "elsewhere").mkdir()
        shop = project(
            tmp_path,
            f"""
  one: {{connection: {{type: duckdb, database: {tmp_path}/wh.db}}}}
  two: {{connection: {{type: duckdb, database: {tmp_path}/elsewhere/../wh.db}}}}
""",
        )
        shop.model("shop.a", "SELECT 1 AS id", gateway="one")
        shop.model("shop.b", "SELECT id FROM shop.a", gateway="two")

        with sandboxes(shop.path) as copy:
            assert copy.fetch("SELECT * FROM shop.b") == [(1,)]


class TestTheState:
    @pytest.mark.long
    @pytest.mark.parametrize("schema", ["''", "ops", "sqlmesh"])
    def test_is_removed_and_other_schemas_stay(
        self, schema: str, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        file = database(
            tmp_path / "wh.db",
            "CREATE SCHEMA ops; CREATE SCHEMA sqlmesh",
            *(f"CREATE TABLE {s}._mine AS SELECT 1 AS id" for s in ("main", "ops", "sqlmesh")),
        )
        connection = f"{{type: duckdb, database: {file}}}"
        shop = project(tmp_path, f"{{g: {{connection: {connection}, state_schema: {schema}}}}}")
        shop.model("shop.orders", "SELECT 1 AS id")
        planned(shop.path)

        with sandboxes(shop.path, plan=False) as copy:
            assert tables(copy) == ["main._mine", "ops._mine", "sqlmesh._mine"]
            copy.plan().assert_executed("shop.orders")

    @pytest.fixture
    def elsewhere(self, tmp_path: Path) -> Project:
        """A project with its state in Postgres."""
        shop = project(
            tmp_path,
            """{g: {connection: {type: duckdb}, state_connection: {type: postgres, host: nowhere,
               user: me, password: secret, port: 5432, database: state}}}""",
        )
        shop.model("shop.orders", "SELECT 1 AS id", cron="'@daily'")
        return shop

    @pytest.mark.long
    def test_is_never_in_another_database(self, elsewhere: Project, sandboxes: Sandboxes) -> None:
        with sandboxes(elsewhere.path) as copy:
            assert copy.context.state_sync.state_type() == "duckdb"
            copy.run(at="+1 day").assert_executed("shop.orders")

    def test_cannot_be_kept_from_another_database(
        self, elsewhere: Project, sandboxes: Sandboxes
    ) -> None:
        with pytest.raises(SandboxError, match=r"the state of gateway 'g' is in postgres"):
            with sandboxes(elsewhere.path, state="keep"):
                pass

    @pytest.mark.long
    def test_can_be_kept_in_a_separate_file(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        shop = project(tmp_path, GATEWAYS["a separate state"].replace("{folder}", str(tmp_path)))
        shop.model("shop.orders", "SELECT @execution_ds AS day", cron="'@daily'")
        planned(shop.path)
        before = snapshot_of(tmp_path)

        with sandboxes(shop.path, state="keep", at="2024-01-05 12:00") as copy:
            copy.run().assert_nothing_executed()
            copy.run(at="+1 day").assert_executed("shop.orders")

        assert snapshot_of(tmp_path) == before


def tables(copy: Sandbox) -> list[str]:
    rows = copy.fetch(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE NOT internal ORDER BY 1"
    )
    return [name for (name,) in rows]
