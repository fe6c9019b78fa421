"""A sandbox never reaches a database or a file that is not its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlmesh.core.macros import macro

from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from tests.installed_packages import KEEP_PACKAGES
from tests.projects import Project

from .building import DEFAULTS, Sandboxes, database, planned, project, snapshot_of

SECRET = "dont-tell-anybody"
ELSEWHERE = {
    "snowflake": f"{{type: snowflake, account: acme, user: me, password: {SECRET}}}",
    "bigquery": "{type: bigquery, project: acme}",
    "redshift": f"{{type: redshift, user: me, password: {SECRET}, host: db}}",
    "databricks": (
        f"{{type: databricks, server_hostname: db, http_path: /sql, access_token: {SECRET}}}"
    ),
    "clickhouse": f"{{type: clickhouse, host: db, username: me, password: {SECRET}}}",
    "trino": "{type: trino, host: db, user: me, catalog: hive}",
    "mysql": f"{{type: mysql, host: db, user: me, password: {SECRET}}}",
    "mssql": f"{{type: mssql, host: db, user: me, password: {SECRET}}}",
    "spark": "{type: spark}",
    "motherduck": f"{{type: motherduck, database: wh, token: {SECRET}}}",
    "MotherDuck catalog": (
        f"{{type: duckdb, catalogs: {{wh: 'md:wh?motherduck_token={SECRET}'}}}}"
    ),
    "DuckLake": "{type: duckdb, catalogs: {wh: {type: ducklake, path: 'wh.ducklake'}}}",
    "DuckLake by path": "{type: duckdb, catalogs: {wh: 'ducklake:wh.ducklake'}}",
    "attached sqlite": "{type: duckdb, catalogs: {wh: {type: sqlite, path: wh.sqlite}}}",
    "attached postgres": (
        f"{{type: duckdb, catalogs: {{wh: {{type: postgres, path: 'password={SECRET}'}}}}}}"
    ),
    "S3": "{type: duckdb, database: 's3://bucket/wh.duckdb'}",
    "attached from the web": "{type: duckdb, catalogs: {wh: 'https://example.com/wh.duckdb'}}",
}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection to anywhere fails the test."""

    def refuse(*_: Any) -> None:
        pytest.fail("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.usefixtures("offline")
class TestGatewaysOfOtherDatabases:
    @pytest.mark.parametrize("connection", ELSEWHERE.values(), ids=ELSEWHERE.keys())
    def test_are_rejected(self, connection: str, tmp_path: Path, sandboxes: Sandboxes) -> None:
        shop = project(tmp_path, f"{{elsewhere: {{connection: {connection}}}}}")
        loaded = set(sys.modules)

        with pytest.raises(SandboxError) as raised:
            with sandboxes(shop.path):
                pass

        message = str(raised.value)
        assert message.startswith("the gateway elsewhere ")
        assert "gateway=" in message
        assert "sqlmesh_project_config" in message
        assert SECRET not in message
        drivers = ("snowflake", "google.cloud", "psycopg2", "pymysql", "trino", "pyspark")
        assert not [name for name in set(sys.modules) - loaded if name.startswith(drivers)]

    @pytest.fixture
    def both(self, tmp_path: Path) -> Project:
        """A project for Snowflake, which has a gateway of DuckDB for tests."""
        shop = project(
            tmp_path,
            f"""
  warehouse: {{connection: {ELSEWHERE["snowflake"]}}}
  tests: {{connection: {{type: duckdb}}}}
default_gateway: warehouse""",
        )
        shop.model("shop.orders", "SELECT 1 AS id, @gateway AS gateway")
        return shop

    def test_are_left_out_if_a_duckdb_gateway_is_chosen(
        self, both: Project, sandboxes: Sandboxes
    ) -> None:
        with sandboxes(both.path, gateway="tests") as copy:
            assert copy.fetch("SELECT * FROM shop.orders") == [(1, "tests")]
            assert set(copy.context.engine_adapters) == {"tests"}

    def test_are_rejected_if_they_are_the_default(
        self, both: Project, sandboxes: Sandboxes
    ) -> None:
        with pytest.raises(SandboxError, match="the gateway warehouse is snowflake"):
            with sandboxes(both.path):
                pass

    def test_are_rejected_if_a_model_uses_them(self, both: Project, sandboxes: Sandboxes) -> None:
        both.model("shop.orders", "SELECT 1 AS id", gateway="warehouse")

        with pytest.raises(SandboxError, match="the gateway warehouse is snowflake") as raised:
            with sandboxes(both.path, gateway="tests"):
                pass

        assert "sqlmesh_project_config" in str(raised.value)

    def test_can_be_replaced_by_a_configuration(self, both: Project, sandboxes: Sandboxes) -> None:
        from sqlmesh.core.config import (
            Config,
            DuckDBConnectionConfig,
            GatewayConfig,
            ModelDefaultsConfig,
        )

        config = Config(
            gateways={"mine": GatewayConfig(connection=DuckDBConnectionConfig())},
            model_defaults=ModelDefaultsConfig(dialect="duckdb"),
        )

        with sandboxes(both.path, config=config) as copy:
            assert copy.fetch("SELECT * FROM shop.orders") == [(1, "mine")]

    @pytest.mark.long
    def test_are_not_used_by_the_unit_tests_of_a_plan(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        elsewhere = ELSEWHERE["snowflake"]
        shop = project(
            tmp_path, f"{{g: {{connection: {{type: duckdb}}, test_connection: {elsewhere}}}}}"
        )
        shop.model("shop.orders", "SELECT 1 AS id")
        shop.write("tests/test_orders.yaml", UNIT_TEST)

        with sandboxes(shop.path) as copy:
            shop_changed = "MODEL (name shop.orders); SELECT 1 AS id, 2 AS amount"
            copy.write("models/shop.orders.sql", shop_changed)
            copy.write("tests/test_orders.yaml", UNIT_TEST.replace("id: 1", "{id: 1, amount: 2}"))
            copy.plan(skip_tests=False).assert_executed("shop.orders")


UNIT_TEST = """
test_orders:
  model: shop.orders
  outputs: {query: {rows: [id: 1]}}
"""


class TestEnvironmentVariables:
    @pytest.fixture
    def shop(self, tmp_path: Path) -> Project:
        shop = project(
            tmp_path, f"{{local: {{connection: {{type: duckdb, database: {tmp_path}/wh.db}}}}}}"
        )
        shop.model("shop.orders", "SELECT amount FROM raw.sales")
        database(tmp_path / "wh.db", "CREATE SCHEMA raw; CREATE TABLE raw.sales AS SELECT 1 amount")
        return shop

    @pytest.mark.usefixtures("offline")
    def test_cannot_lead_to_another_database(
        self, shop: Project, sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SQLMESH__GATEWAYS__PROD__CONNECTION__TYPE", "motherduck")
        monkeypatch.setenv("SQLMESH__GATEWAYS__PROD__CONNECTION__TOKEN", SECRET)
        monkeypatch.setenv("SQLMESH__DEFAULT_GATEWAY", "prod")

        with pytest.raises(SandboxError, match="the gateway prod is motherduck") as raised:
            with sandboxes(shop.path, environment="dev"):
                pass
        assert SECRET not in str(raised.value)
        with sandboxes(shop.path, gateway="local") as copy:
            assert copy.fetch("SELECT * FROM shop.orders") == [(1,)]

    def test_do_not_affect_existing_templates(
        self, shop: Project, sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with sandboxes(shop.path):
            pass
        monkeypatch.setenv("SQLMESH__GATEWAYS__LOCAL__CONNECTION__TYPE", "motherduck")
        monkeypatch.setenv("MOTHERDUCK_TOKEN", SECRET)

        with sandboxes(shop.path) as copy:
            copy.context.load()
            copy.run(at="+1 day").assert_executed("shop.orders")

    @pytest.mark.long
    def test_can_name_a_database_which_is_copied_like_any_other(
        self, shop: Project, sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = database(
            shop.path / "real/wh.db", "CREATE SCHEMA raw; CREATE TABLE raw.sales AS SELECT 9 amount"
        )
        monkeypatch.setenv("SQLMESH__GATEWAYS__LOCAL__CONNECTION__DATABASE", str(file))
        before = snapshot_of(shop.path)

        with sandboxes(shop.path) as copy:
            assert copy.fetch("SELECT * FROM shop.orders") == [(9,)]
            copy.run(at="+1 day")

        assert snapshot_of(shop.path) == before


LEADING_OUT = {
    "another database": "ATTACH '{folder}/out.db' AS out",
    "a name that looks harmless": """ATTACH '{folder}/out.db' AS "READ_ONLY" """,
    "an option that overrides READ_ONLY": "ATTACH '{folder}/out.db' AS out (READ_ONLY FALSE)",
    "a leading comment": "/* now */ ATTACH OR REPLACE '{folder}/out.db' AS out",
    "postgres": "ATTACH 'host=db password=dont-tell-anybody' AS out (TYPE postgres, READ_ONLY)",
    "MotherDuck": "ATTACH 'md:wh?motherduck_token=dont-tell-anybody'",
    "writing a file": "COPY (SELECT 'TO' AS x) TO '{folder}/out.parquet'",
    "an export": "EXPORT DATABASE '{folder}/out'",
}
HARMLESS = {
    "reading": "ATTACH '{folder}/out.db' AS prototype (READ_ONLY)",
    "reading, with more options": "ATTACH IF NOT EXISTS '{folder}/out.db' (TYPE duckdb, READ_ONLY)",
    "an in-memory database": "ATTACH ':memory:' AS aside",
    "a keyword in a string": "SELECT 'ATTACH x; COPY y TO z'",
    "reading a file": "CREATE OR REPLACE TABLE c (a INT); COPY c FROM '{folder}/in.csv'",
    "copying a database": "ATTACH ':memory:' AS m; COPY FROM DATABASE m TO wh",
}


@pytest.fixture(scope="class")
def one(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("one")
    shop = project(folder, f"{{g: {{connection: {{type: duckdb, database: {folder}/wh.db}}}}}}")
    shop.model("shop.orders", "SELECT 1 AS id", cron="'@daily'")
    database(folder / "out.db", "CREATE TABLE t AS SELECT 1 AS id")
    shop.write("in.csv", "a\n1\n")
    return shop


class TestStatements:
    @pytest.mark.parametrize("statement", LEADING_OUT.values(), ids=LEADING_OUT.keys())
    def test_cannot_reach_beyond_a_sandbox(
        self, statement: str, one: Project, sandboxes: Sandboxes
    ) -> None:
        before = snapshot_of(one.path)

        with sandboxes(one.path) as copy:
            run = statement.replace("{folder}", str(one.path))
            with pytest.raises(Exception, match=r"a sandbox (attaches|rejects)") as raised:
                copy.context.engine_adapter.execute(run, quote_identifiers=False)
            assert SECRET not in str(raised.value)

        assert snapshot_of(one.path) == before

    @pytest.mark.parametrize("statement", HARMLESS.values(), ids=HARMLESS.keys())
    def test_can_be_harmless(self, statement: str, one: Project, sandboxes: Sandboxes) -> None:
        with sandboxes(one.path) as copy:
            copy.context.engine_adapter.execute(statement.replace("{folder}", str(one.path)))

    @pytest.mark.long
    def test_before_all_statements_cannot_reach_beyond_a_sandbox(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        out = database(tmp_path / "out.db", "CREATE TABLE t AS SELECT 1 AS id")
        before_all = f"before_all: [\"ATTACH IF NOT EXISTS '{out}' AS aside OPTIONS\"]"
        for options, harmless in (("", False), ("(READ_ONLY)", True)):
            shop = project(
                tmp_path / f"shop{harmless}",
                "{g: {connection: {type: duckdb}}}",
                DEFAULTS + before_all.replace("OPTIONS", options),
            )
            shop.model("shop.orders", "SELECT id FROM aside.main.t", cron="'@daily'")
            before = snapshot_of(tmp_path)
            if harmless:
                with sandboxes(shop.path) as copy:
                    copy.run(at="+1 day").assert_executed("shop.orders")
            else:
                with pytest.raises(SandboxError, match="a sandbox attaches only local DuckDB"):
                    with sandboxes(shop.path):
                        pass
            assert snapshot_of(tmp_path) == before


@pytest.mark.long
def test_catalogs_of_environments_are_created_only_in_the_sandbox(
    tmp_path: Path, sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = project(
        tmp_path,
        f"{{g: {{connection: {{type: duckdb, database: {tmp_path}/wh.db}}}}}}",
        DEFAULTS + "environment_suffix_target: catalog",
    )
    shop.model("shop.orders", "SELECT 1 AS id")
    monkeypatch.chdir(tmp_path)
    planned(shop.path)
    planned(shop.path, "dev", include_unmodified=True)
    before = snapshot_of(tmp_path)
    assert "wh__dev.db" in before

    with sandboxes(shop.path, environment="dev") as copy:
        assert copy.fetch("SELECT * FROM wh__dev.shop.orders") == [(1,)]
    with sandboxes(shop.path, environment="dev") as another:
        assert another.fetch("SELECT * FROM wh__dev.shop.orders") == [(1,)]
        another.context.invalidate_environment("dev", sync=True)
        names = [name for (name,) in another.fetch("SELECT database_name FROM duckdb_databases()")]
        assert "wh__dev" not in names

    assert snapshot_of(tmp_path) == before


def test_no_notifications_are_sent_from_a_test(tmp_path: Path, sandboxes: Sandboxes) -> None:
    shop = Project(tmp_path)
    (tmp_path / "config.yaml").unlink()
    shop.write("config.py", NOTIFYING)
    shop.model("shop.orders", "SELECT 1 AS id", cron="'@daily'")

    with sandboxes(shop.path) as copy:
        copy.run(at="+1 day").assert_executed("shop.orders")

    assert not (tmp_path / "told").exists()


NOTIFYING = """
from pathlib import Path

from sqlmesh.core.config import Config, DuckDBConnectionConfig, GatewayConfig, ModelDefaultsConfig
from sqlmesh.core.notification_target import ConsoleNotificationTarget, NotificationEvent
from sqlmesh.core.user import User


class Told(ConsoleNotificationTarget):
    def send(self, *args, **kwargs):
        (Path(__file__).parent / "told").touch()


config = Config(
    gateways={"g": GatewayConfig(connection=DuckDBConnectionConfig())},
    model_defaults=ModelDefaultsConfig(dialect="duckdb"),
    notification_targets=[Told(notify_on=set(NotificationEvent))],
    users=[User(username="ann", notification_targets=[Told(notify_on=set(NotificationEvent))])],
    username="ann",
)
"""


def test_variables_of_the_projects_env_file_are_set_only_during_a_test(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    shop = project(tmp_path, "{g: {connection: {type: duckdb}}}")
    shop.write(".env", "SHOP_TENANT=acme\nPATH_BEFORE=mine\n")
    shop.write(
        "macros/tenant.py",
        """
        import os
        from sqlmesh import macro

        @macro()
        def tenant(evaluator):
            return f"'{os.environ['SHOP_TENANT']}'"
        """,
    )
    shop.model("shop.orders", "SELECT @tenant() AS tenant", cron="'@daily'")
    before = dict(os.environ), list(sys.path), sys.dont_write_bytecode, Path.cwd()

    with sandboxes(shop.path) as copy:
        assert os.environ["SHOP_TENANT"] == "acme"
        assert copy.fetch("SELECT * FROM shop.orders") == [("acme",)]
        copy.run(at="+1 day").assert_executed("shop.orders")

    assert (dict(os.environ), list(sys.path), sys.dont_write_bytecode, Path.cwd()) == before


SUITE = """
import os
import signal

import pytest

# Whoever runs in the background of a shell ignores Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytestmark = pytest.mark.sqlmesh_project("shop", at="2024-01-05 00:05")


@pytest.fixture
def sqlmesh_project_setup():
    return break_down if "SHOP_BREAKS" in os.environ else None


def break_down(connection):
    connection.execute("CREATE TABLE half AS SELECT 1 AS done")
    os._exit(3)


def test_a_day(sqlmesh_project):
    sqlmesh_project.write("models/new.sql", "MODEL (name shop.new, kind FULL); SELECT 1 AS id")
    sqlmesh_project.plan("dev").assert_executed("shop.new")
    sqlmesh_project.run(at="2024-01-06 00:05").assert_executed("shop.orders")


def test_that_fails(sqlmesh_project):
    sqlmesh_project.execute("DROP TABLE raw.sales")
    sqlmesh_project.run(at="2024-01-06 00:05").assert_executed("shop.orders")
"""
WAITING = """
import os
import time
from pathlib import Path

import pandas as pd
from sqlmesh import model

@model("shop.orders", kind="FULL", cron="@daily", columns={"id": "int"})
def execute(context, start, end, execution_time, **kwargs):
    if os.environ.get("SHOP_WAITS") == f"{execution_time:%Y-%m-%d}":
        Path(os.environ["SHOP_MARK"]).touch()
        time.sleep(60)
    return context.fetchdf("SELECT 1::INT AS id FROM raw.sales")
"""


def test_a_path_that_the_configuration_adds_is_set_only_during_a_test(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    shop = Project(tmp_path / "shop")
    (shop.path / "config.yaml").unlink()
    shop.write(
        "config.py",
        f"""
        import sys
        from sqlmesh.core.config import (
            Config, DuckDBConnectionConfig, GatewayConfig, ModelDefaultsConfig
        )

        sys.path.append({str(tmp_path / "library")!r})
        config = Config(
            gateways={{"g": GatewayConfig(connection=DuckDBConnectionConfig())}},
            model_defaults=ModelDefaultsConfig(dialect="duckdb", start="2024-01-01"),
        )
        """,
    )
    shop.write(
        "models/orders.py",
        """
        import pandas as pd
        from sqlmesh import model

        @model("shop.orders", kind="FULL", cron="@daily", columns={"rate": "int"})
        def execute(context, **kwargs):
            from shop_rates import RATE

            return pd.DataFrame({"rate": [RATE]})
        """,
    )
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "shop_rates.py").write_text("RATE = 7")
    before = list(sys.path)

    with sandboxes(shop.path) as copy:
        assert copy.fetch("SELECT * FROM shop.orders") == [(7,)]
        copy.run(at="+1 day").assert_executed("shop.orders")

    assert list(sys.path) == before


def test_a_template_that_fails_leaves_nothing_in_the_process(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    shop = project(tmp_path, "{g: {connection: {type: duckdb}}}")
    shop.write(".env", "SHOP_TENANT=acme\n")
    shop.write(
        "macros/tenant.py",
        """
        import sys
        from sqlmesh import macro

        sys.path.append("/of/the/shop")

        @macro()
        def tenant(evaluator):
            return "'acme'"
        """,
    )
    shop.model("shop.orders", "SELECT @tenant() AS tenant, error('no') AS id", cron="'@daily'")
    before = dict(os.environ), list(sys.path), set(macro.get_registry())
    modules = set(sys.modules)

    with pytest.raises(SandboxError, match=r"shop\.orders"), sandboxes(shop.path):
        pass

    assert (dict(os.environ), list(sys.path), set(macro.get_registry())) == before
    new = set(sys.modules) - modules
    assert not [name for name in new if name.partition(".")[0] == "macros"]


class Sessions:
    """A user's repository, and sessions of pytest in it, each in its own process."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "repository"
        shop = Project(self.root / "shop")
        (shop.path / "config.yaml").unlink()
        shop.write(
            "config.py",
            f"""
            from helpers import gateway
            from sqlmesh.core.config import Config, ModelDefaultsConfig

            config = Config(
                gateways={{"local": gateway({str(shop.path / "wh.db")!r})}},
                model_defaults=ModelDefaultsConfig(dialect="duckdb", start="2024-01-01"),
                environment_suffix_target="catalog",
            )
            """,
        )
        shop.write(
            "helpers.py",
            """
            from sqlmesh.core.config import DuckDBConnectionConfig, GatewayConfig

            def gateway(file):
                return GatewayConfig(connection=DuckDBConnectionConfig(database=file))
            """,
        )
        shop.write("models/orders.py", WAITING)
        database(shop.path / "wh.db", "CREATE SCHEMA raw; CREATE TABLE raw.sales AS SELECT 1 AS id")
        planned(shop.path)
        for cache in [*shop.path.rglob("__pycache__"), shop.path / ".cache"]:
            shutil.rmtree(cache)
        self.mark = folder / "mark"
        self._suite = folder / "suite"
        self._suite.mkdir()
        (self._suite / "test_shop.py").write_text(SUITE)
        (self._suite / "conftest.py").write_text(KEEP_PACKAGES)
        self._temporary = folder / "temporary"
        self.before = snapshot_of(self.root)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        self._temporary.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "pytest", str(self._suite), "--rootdir=.",
             "-p", "no:cacheprovider", *arguments],
            cwd=self.root, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "SHOP_MARK": str(self.mark), "TMPDIR": str(self._temporary),
                 **environment},
        )  # fmt: skip

    def interrupt(self, session: subprocess.Popen[str]) -> None:
        """Press Ctrl-C as soon as the model of the session waits."""
        deadline = time.monotonic() + 60
        while not self.mark.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        session.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Sessions:
    return Sessions(tmp_path_factory.mktemp("sessions"))


@pytest.mark.processes
class TestWholeSessions:
    @pytest.mark.nightly
    def test_simultaneous_sessions_do_not_change_the_repository(self, sessions: Sessions) -> None:
        first, second = sessions.start(), sessions.start("-n", "2")
        outputs = [first.communicate()[0], second.communicate()[0]]

        for output in outputs:
            assert "1 failed, 1 passed" in output, output
        assert snapshot_of(sessions.root) == sessions.before

    @pytest.mark.nightly
    @pytest.mark.parametrize("moment", ["2024-01-05", "2024-01-06"], ids=["template", "test"])
    def test_interrupted_sessions_do_not_change_the_repository(
        self, moment: str, sessions: Sessions
    ) -> None:
        sessions.mark.unlink(missing_ok=True)
        session = sessions.start(SHOP_WAITS=moment)
        sessions.interrupt(session)

        output, _ = session.communicate(timeout=60)

        assert session.returncode == 2, output
        assert "KeyboardInterrupt" in output
        assert snapshot_of(sessions.root) == sessions.before

    @pytest.mark.nightly
    def test_crashed_sessions_do_not_change_the_repository(self, sessions: Sessions) -> None:
        session = sessions.start(SHOP_BREAKS="yes")

        output, _ = session.communicate(timeout=60)

        assert session.returncode == 3, output
        assert snapshot_of(sessions.root) == sessions.before
