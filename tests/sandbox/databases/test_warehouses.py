"""Projects made for other warehouses, on DuckDB: the documented recipe, and its variations."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from sqlmesh.core.config import Config, DuckDBConnectionConfig, GatewayConfig, ModelDefaultsConfig

from tests.adapters.engines import DIALECTS
from tests.adapters.engines.engine import Dialect
from tests.adapters.project import CONTROLS, write_project
from tests.projects import Project
from tests.sandbox.building import Sandboxes, project

POSTGRES = "{type: postgres, host: h, port: 5432, user: u, password: p, database: shop}"
SNOWFLAKE = "{type: snowflake, account: a, user: u, password: p, database: prod}"
BIGQUERY = "{type: bigquery, method: oauth, project: my-shop-42}"


def on_duckdb(dialect: str, **gateways: DuckDBConnectionConfig) -> Config:
    """The configuration of the recipe: one gateway, of any name, and the models' dialect."""
    gateways = gateways or {"test": DuckDBConnectionConfig()}
    return Config(
        gateways={name: GatewayConfig(connection=each) for name, each in gateways.items()},
        model_defaults=ModelDefaultsConfig(dialect=dialect, start="2024-01-01"),
    )


def made_for(path: Path, dialect: str, gateways: str, external: str, default: str = "") -> Project:
    """A project on another warehouse; its external models are as SQLMesh writes them."""
    default = f"default_gateway: {default}\n" if default else ""
    more = f"{default}model_defaults: {{dialect: {dialect}, start: 2024-01-01}}\n"
    made = project(path, gateways, more)
    made.write("external_models.yaml", external)
    return made


PRICES = """
- name: '"shop"."ext"."prices"'
  gateway: pg
  columns: {item: TEXT, price: INT}
"""


class TestExternalModels:
    """External models have tables under the names that SQLMesh writes."""

    @pytest.mark.parametrize(
        "gateways",
        [
            {"test": DuckDBConnectionConfig()},
            {"test": DuckDBConnectionConfig(database=":memory:")},
            {"": DuckDBConnectionConfig()},
            {"pg": DuckDBConnectionConfig()},
            {"pg": DuckDBConnectionConfig(catalogs={"shop": ":memory:"})},
            {"pg": DuckDBConnectionConfig(), "other": DuckDBConnectionConfig()},
        ],
    )
    def test_external_models_of_a_postgres_project(
        self, tmp_path: Path, sandboxes: Sandboxes, gateways: dict[str, DuckDBConnectionConfig]
    ) -> None:
        made = made_for(tmp_path, "postgres", f"{{pg: {{connection: {POSTGRES}}}}}", PRICES)
        made.model("web.prices", "SELECT item, price FROM ext.prices", cron="'@daily'")

        with sandboxes(made.path, config=on_duckdb("postgres", **gateways)) as copy:
            copy.execute("INSERT INTO ext.prices VALUES ('x', 2)")
            copy.run(at="+1 day").assert_executed("web.prices")
            assert copy.fetch("SELECT price FROM web.prices") == [(2,)]
            assert copy.fetch("SELECT price FROM shop.web.prices") == [(2,)]

    def test_external_models_of_a_snowflake_project(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        made = made_for(
            tmp_path,
            "snowflake",
            f"{{wh: {{connection: {SNOWFLAKE}}}}}",
            """
            - name: '"PROD"."RAW"."ORDERS"'
              gateway: wh
              columns: {ID: 'DECIMAL(38, 0)', AT: TIMESTAMPNTZ, PAYLOAD: VARIANT, TAGS: ARRAY,
                        MAP: OBJECT, PLACE: GEOGRAPHY, AREA: GEOMETRY, SEEN: TIMESTAMPLTZ}
            - name: '"LAKE"."RAW"."CLICKS"'
              gateway: wh
              columns: {ID: 'DECIMAL(38, 0)'}
            """,
        )
        made.model("shop.orders", "SELECT id, place, payload, map FROM raw.orders")
        made.model("analytics.shop.clicks", "SELECT id FROM lake.raw.clicks", cron="'@daily'")

        with sandboxes(made.path, config=on_duckdb("snowflake")) as copy:
            copy.execute("INSERT INTO lake.raw.clicks VALUES (5)")
            copy.run(at="+1 day").assert_executed("analytics.shop.clicks")
            assert copy.fetch("SELECT id FROM analytics.shop.clicks") == [(5,)]
            assert copy.fetch("SELECT id, place FROM shop.orders") == []
            dev = copy.plan("dev", include_unmodified=True)
            assert dev.completion == "success"

    def test_external_models_of_a_bigquery_project(
        self, tmp_path: Path, sandboxes: Sandboxes
    ) -> None:
        made = made_for(
            tmp_path,
            "bigquery",
            f"{{bq: {{connection: {BIGQUERY}}}}}",
            """
            - name: '`my-shop-42`.`raw`.`orders`'
              gateway: bq
              columns: {id: INT64, items: 'ARRAY<STRUCT<sku STRING, price NUMERIC>>',
                        place: GEOGRAPHY, blob: BYTES, at: TIMESTAMP, payload: JSON}
            - name: '`public-data`.`geo`.`countries`'
              columns: {code: STRING}
            """,
        )
        made.model("shop.orders", "SELECT id, items, place FROM raw.orders")
        made.model("shop.countries", "SELECT code FROM `public-data`.geo.countries")

        with sandboxes(made.path, config=on_duckdb("bigquery")) as copy:
            copy.execute("INSERT INTO raw.orders (id) VALUES (1)")
            assert copy.fetch("SELECT id, items, place FROM shop.orders") == []
            assert copy.fetch("SELECT code FROM shop.countries") == []

    def test_need_no_readable_configuration(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        made = made_for(tmp_path, "postgres", "{}", PRICES)
        made.write("config.py", "import a_driver_that_tests_do_not_have")
        (made.path / "config.yaml").unlink()
        made.model("web.prices", "SELECT item, price FROM ext.prices", cron="'@daily'")

        with sandboxes(made.path, config=on_duckdb("postgres")) as copy:
            copy.execute("INSERT INTO ext.prices VALUES ('x', 2)")
            copy.run(at="+1 day").assert_executed("web.prices")
            assert copy.fetch("SELECT price FROM web.prices") == [(2,)]

    @pytest.mark.long
    def test_are_those_of_the_default_gateway(self, tmp_path: Path, sandboxes: Sandboxes) -> None:
        made = made_for(
            tmp_path,
            "postgres",
            f"{{staging: {{connection: {POSTGRES}}}, pg: {{connection: {POSTGRES}}}}}",
            PRICES + PRICES.replace("gateway: pg", "gateway: staging").replace("INT", "TEXT"),
            default="pg",
        )
        made.model("web.prices", "SELECT item, price FROM ext.prices", cron="'@daily'")
        kind = (
            "SELECT data_type FROM duckdb_columns() "
            "WHERE schema_name = 'ext' AND column_name = 'price'"
        )

        with sandboxes(made.path, config=on_duckdb("postgres")) as copy:
            assert copy.fetch(kind) == [("INTEGER",)]
        with sandboxes(made.path, config=on_duckdb("postgres"), gateway="staging") as copy:
            assert copy.fetch(kind) == [("VARCHAR",)]


def test_models_of_each_gateway_are_in_the_one_database(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    crm = POSTGRES.replace("database: shop", "database: crm")
    gateways = f"{{pg: {{connection: {POSTGRES}}}, crm: {{connection: {crm}}}}}"
    made = made_for(tmp_path, "postgres", gateways, PRICES, default="pg")
    made.model("web.prices", "SELECT item, price FROM ext.prices", cron="'@daily'")
    made.model("crm.clients", "SELECT 1 AS id", gateway="crm")
    made.model("web.both", "SELECT c.id, p.item FROM crm.crm.clients c CROSS JOIN web.prices p",
               cron="'@daily'")  # fmt: skip

    with sandboxes(made.path, config=on_duckdb("postgres")) as copy:
        copy.execute("INSERT INTO ext.prices VALUES ('x', 2)")
        copy.run(at="+1 day").assert_executed("web.prices", "web.both")
        assert copy.fetch("SELECT id FROM crm.crm.clients") == [(1,)]
        assert copy.fetch("SELECT id, item FROM web.both") == [(1, "x")]


@pytest.mark.long
# Of SQLMesh, when it reads dates of seeds.
@pytest.mark.filterwarnings("ignore:The argument 'infer_datetime_format'", "ignore:errors='ignore'")
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.nightly
def test_models_in_each_dialect_run(tmp_path: Path, sandboxes: Sandboxes, dialect: Dialect) -> None:
    """The project that is played on every engine, in a sandbox."""

    def create_controls(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("CREATE SCHEMA ctl")
        for table, values in CONTROLS.items():
            connection.execute(f"CREATE TABLE ctl.{table} (v BIGINT)")
            connection.execute(f"INSERT INTO ctl.{table} SELECT unnest({values}::BIGINT[])")

    write_project(tmp_path, dialect)
    with sandboxes(tmp_path, config=on_duckdb(dialect.name), setup=create_controls) as copy:
        report = copy.run(at="+1 day")

        assert report.completion == "success"
        assert len(report.executed) == 11
        report.assert_executed("shop.customers", "shop.history", "shop.by_python")
        assert copy.fetch("SELECT COUNT(*) FROM shop.hourly") == [(5 * 24,)]
