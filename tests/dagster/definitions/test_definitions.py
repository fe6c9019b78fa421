"""What Dagster knows about a project's models before anything runs, from its files alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest

import pytest_sqlmesh_tracker.dagster as package
from pytest_sqlmesh_tracker.dagster import (
    ModelDefinition,
    SqlmeshProject,
    SqlmeshResource,
    SqlmeshTranslator,
    build_sqlmesh_assets,
    sqlmesh_assets,
)
from pytest_sqlmesh_tracker.dagster.definitions.metadata import MODEL
from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK, audit_call
from pytest_sqlmesh_tracker.dagster.definitions.ops import assets_of_op, takes_run_config
from pytest_sqlmesh_tracker.models.definitions import ColumnSource
from tests.dagster.models import audit, load, model, project
from tests.projects import Project, at

CONFIG = """
gateways:
  local:
    connection:
      type: duckdb
      catalogs: {{wh: {folder}/wh.db, archive: {folder}/archive.db}}
default_gateway: local
model_defaults:
  dialect: duckdb
  start: 2024-01-01
disable_anonymized_analytics: true
"""
ORDERS = """
MODEL (
  name sales.orders,
  kind INCREMENTAL_BY_TIME_RANGE (time_column ts),
  cron '0 5 * * *',
  cron_tz 'Europe/Berlin',
  description 'All orders.',
  owner 'Data Team',
  tags ['core', 'pii:true'],
  column_descriptions (amount = 'Without taxes.'),
  audits (not_null(columns := (id)), not_null(columns := (id)), is_positive)
);
SELECT e.ts::TIMESTAMP AS ts, e.id::INT AS id, e.amount::INT AS amount
FROM raw.events AS e JOIN raw.customers AS c ON c.id = e.id
WHERE e.ts BETWEEN @start_ts AND @end_ts;

AUDIT (name is_positive, blocking false);
SELECT * FROM @this_model WHERE amount <= 0;
"""
FILES = {
    "models/orders.sql": ORDERS,
    "models/recent.sql": "MODEL (name sales.recent, kind EMBEDDED);\n"
    "SELECT id, amount FROM sales.orders",
    "models/report.sql": "MODEL (name sales.report, kind FULL);\n"
    "SELECT SUM(amount) AS total FROM sales.recent JOIN archive.sales.orders USING (id)",
    "models/archive.sql": "MODEL (name archive.sales.orders, kind FULL);\n"
    "SELECT id FROM sales.orders",
    "external_models.yaml": "- name: raw.customers\n  columns: {id: int}\n",
    "audits/orders_exist.sql": "AUDIT (name orders_exist, standalone true);\n"
    "SELECT 1 AS missing FROM sales.report, sales.orders WHERE 1 = 0",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models on two catalogs, with a table outside, an external and an embedded model between."""
    folder = tmp_path_factory.mktemp("sales")
    written = Project(folder)
    for name, text in {"config.yaml": CONFIG.format(folder=folder), **FILES}.items():
        written.write(name, text)
    return folder


@pytest.fixture(scope="module")
def sales(files: Path) -> dg.AssetsDefinition:
    return build_sqlmesh_assets(project=SqlmeshProject(files))


@pytest.fixture
def orders(sales: dg.AssetsDefinition) -> dg.AssetSpec:
    return sales.specs_by_key[dg.AssetKey(["sales", "orders"])]


def upstream(spec: dg.AssetSpec) -> list[str]:
    return sorted(dep.asset_key.to_user_string() for dep in spec.deps)


# -- what an asset says of its model ------------------------------------------------------------


def test_every_model_that_sqlmesh_evaluates_is_an_asset(sales: dg.AssetsDefinition) -> None:
    load(sales)
    # The default catalog is not in the key, another one is.
    assert sorted(key.to_user_string() for key in sales.keys) == [
        "archive/sales/orders",
        "sales/orders",
        "sales/report",
    ]


def test_tables_that_models_read_are_upstream(sales: dg.AssetsDefinition) -> None:
    dependencies = {spec.key.to_user_string(): upstream(spec) for spec in sales.specs}
    assert dependencies == {
        # An external model, and a table that the project does not have.
        "sales/orders": ["raw/customers", "raw/events"],
        "archive/sales/orders": ["sales/orders"],
        # An embedded model is part of the query that reads it.
        "sales/report": ["archive/sales/orders", "sales/orders"],
    }


def test_an_asset_has_the_description_owners_and_tags_of_its_model(orders: dg.AssetSpec) -> None:
    assert orders.description == "All orders."
    assert orders.group_name == "sales"
    assert orders.owners == ["team:Data Team"]
    assert orders.kinds == {"sqlmesh", "incremental_by_time_range", "duckdb"}
    tags = {key: value for key, value in orders.tags.items() if not key.startswith("dagster/")}
    assert tags == {"core": "", "pii": "true"}


def test_an_asset_has_the_name_and_the_cron_of_its_model(orders: dg.AssetSpec) -> None:
    facts = {key: value for key, value in orders.metadata.items() if key.startswith("sqlmesh/")}
    assert facts == {
        MODEL: "sales.orders",
        "sqlmesh/kind": "incremental_by_time_range",
        "sqlmesh/cron": "0 5 * * * Europe/Berlin",
    }


def test_outputs_of_models_can_be_skipped(sales: dg.AssetsDefinition) -> None:
    assert sales.can_subset
    assert all(spec.skippable for spec in sales.specs)


def test_columns_have_types_descriptions_and_lineage(
    sales: dg.AssetsDefinition, orders: dg.AssetSpec
) -> None:
    columns = orders.metadata["dagster/column_schema"].columns
    assert [(column.name, column.type) for column in columns] == [
        ("ts", "TIMESTAMP"),
        ("id", "INT"),
        ("amount", "INT"),
    ]
    assert columns[2].description == "Without taxes."
    report = sales.specs_by_key[dg.AssetKey(["sales", "report"])]
    lineage = report.metadata["dagster/column_lineage"].deps_by_column
    assert lineage == {
        "total": [dg.TableColumnDep(asset_key=orders.key, column_name="amount")],
    }


def test_unknown_lineage_through_an_embedded_model_is_left_out() -> None:
    recent = {"id": (ColumnSource("shop.orders", "id"),)}
    report = {"id": (ColumnSource("shop.recent", "id"),), "n": (ColumnSource("shop.recent", "n"),)}
    shop = project(
        model("shop.orders"),
        model("shop.recent", "shop.orders", kind="embedded", lineage=recent),
        model("shop.report", "shop.recent", lineage=report),
    )
    built = build_sqlmesh_assets(project=shop)
    spec = built.specs_by_key[dg.AssetKey(["shop", "report"])]
    of_orders = dg.TableColumnDep(asset_key=dg.AssetKey(["shop", "orders"]), column_name="id")
    assert spec.metadata["dagster/column_lineage"].deps_by_column == {"id": [of_orders]}


def test_an_asset_names_its_file(files: Path, orders: dg.AssetSpec) -> None:
    (reference,) = orders.metadata["dagster/code_references"].code_references
    assert reference.file_path == str(files / "models/orders.sql")


def test_the_code_version_depends_on_the_computation(tmp_path: Path) -> None:
    def version(query: str, description: str) -> str | None:
        written = Project(tmp_path)
        written.model("sales.orders", query, description=f"'{description}'")
        (spec,) = build_sqlmesh_assets(project=SqlmeshProject(tmp_path)).specs
        return spec.code_version

    before = version("SELECT 1 AS id", "All")
    assert version("SELECT 1 AS id", "All orders") == before
    assert version("SELECT 2 AS id", "All orders") != before


# -- checks -------------------------------------------------------------------------------------


def test_audits_are_checks_that_block_like_in_sqlmesh(sales: dg.AssetsDefinition) -> None:
    blocking = {
        f"{spec.asset_key.to_user_string()}:{spec.name}": spec.blocking
        for spec in sales.check_specs
    }
    assert blocking == {
        f"sales/orders:{STATUS_CHECK}": False,
        # Twice with the same arguments is once.
        "sales/orders:not_null": True,
        "sales/orders:is_positive": False,
        f"archive/sales/orders:{STATUS_CHECK}": False,
        f"sales/report:{STATUS_CHECK}": False,
        # A standalone audit, of the first model that it reads.
        "sales/orders:orders_exist": False,
    }


def test_a_check_has_the_name_and_arguments_of_its_audit(sales: dg.AssetsDefinition) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(["sales", "orders"]), "not_null")
    spec = sales.get_spec_for_check_key(key)
    assert spec.metadata == {"sqlmesh/audit": "not_null", "sqlmesh/arguments": "columns := (id)"}


def test_every_audit_has_its_own_check(tmp_path: Path) -> None:
    written = Project(tmp_path)
    written.write(
        "audits/at_most.sql",
        "AUDIT (name at_most, defaults (n = 9)); SELECT * FROM @this_model WHERE id > @n",
    )
    audits = "(at_most, at_most(n := 5), at_most(n := 5), not_null(columns := (id, id)), at_most)"
    written.model("sales.orders", "SELECT 1 AS id", audits=audits)
    assets = assets_of_op(build_sqlmesh_assets(project=SqlmeshProject(tmp_path)).op)
    assert assets
    with at("2024-01-05"):
        ran = written.plan()["sales.orders"].audits
    names = {assets.checks["sales.orders"][audit_call(each)] for each in ran}
    assert names == {"at_most", "at_most_5", "not_null"}


def test_a_standalone_audit_of_no_asset_has_no_check() -> None:
    shop = project(
        model("shop.orders"),
        model("orders_exist", "shop.orders", kind="audit"),
        model("tills_exist", "raw.till", kind="audit"),
        outside={"raw.till": ("raw", "till")},
    )
    built = build_sqlmesh_assets(project=shop)
    assert {key.name for key in built.check_keys} == {STATUS_CHECK, "orders_exist"}
    assets = assets_of_op(built.op)
    assert assets
    of_orders = dg.AssetCheckKey(dg.AssetKey(["shop", "orders"]), "orders_exist")
    assert assets.standalone == {"orders_exist": of_orders}


# -- the warehouse is left alone ----------------------------------------------------------------


@pytest.fixture
def locked(files: Path) -> Iterator[None]:
    """Another process has the DuckDB files open for writing."""
    paths = [str(files / name) for name in ("wh.db", "archive.db")]
    code = (
        "import duckdb, sys\n"
        f"held = [duckdb.connect(path) for path in {paths!r}]\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.stdout.readline() == b"locked\n"
        yield
        holder.stdin.close()


@pytest.mark.usefixtures("locked")
def test_definitions_open_neither_warehouse_nor_state(files: Path) -> None:
    load(build_sqlmesh_assets(project=SqlmeshProject(files)))


# -- the function -------------------------------------------------------------------------------

SHOP = project(model("shop.orders"), model("shop.report", "shop.orders"))


class Settings(dg.Config):
    """The config of a function that has its own."""

    greeting: str = "hello"


class Greeter(dg.ConfigurableResource[Any]):
    """Another resource."""

    name: str = "world"


def test_a_function_can_have_other_resources_and_its_own_config() -> None:
    greetings = []

    @sqlmesh_assets(project=SHOP)
    def warehouse(
        context: dg.AssetExecutionContext,
        config: Settings,
        runner: SqlmeshResource,
        greeter: Greeter,
    ) -> Iterator[Any]:
        greetings.append(f"{config.greeting} {greeter.name}")
        assert runner.project == SHOP
        for key in sorted(context.selected_asset_keys):
            yield dg.MaterializeResult(asset_key=key)

    resources = {"runner": SqlmeshResource(project=SHOP), "greeter": Greeter()}
    config = {"ops": {"warehouse": {"config": {"greeting": "good morning"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [warehouse], instance=instance, run_config=config, resources=resources
        )
    assert greetings == ["good morning world"]
    assert len(result.get_asset_materialization_events()) == 2
    assert not takes_run_config(warehouse.op)


def nothing(context: dg.AssetExecutionContext) -> None:
    """Runs no SQLMesh."""


def a_list(context: dg.AssetExecutionContext) -> list[Any]:
    return [dg.MaterializeResult(asset_key=key) for key in sorted(context.selected_asset_keys)]


def an_iterator(context: dg.AssetExecutionContext) -> Iterator[Any]:
    return iter(a_list(context))


@pytest.mark.parametrize(("function", "count"), [(nothing, 0), (a_list, 2), (an_iterator, 2)])
def test_a_function_can_return_an_iterator_of_events(function: Any, count: int) -> None:
    built = sqlmesh_assets(project=SHOP)(function)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([built], instance=instance)
    assert result.success
    assert len(result.get_asset_materialization_events()) == count


def test_an_op_knows_its_assets() -> None:
    built = sqlmesh_assets(project=SHOP, environment="dev")(nothing)
    assets = assets_of_op(built.op)
    assert assets
    assert assets.environment == "dev"
    assert assets.complete
    assert takes_run_config(built.op)

    @dg.asset
    def other() -> None:
        """Is not one of SQLMesh's."""

    assert assets_of_op(other.op) is None


# -- the op -------------------------------------------------------------------------------------


def test_an_op_is_named_after_its_function_and_accepts_arguments_of_ops() -> None:
    policy = dg.RetryPolicy(max_retries=2)
    built = sqlmesh_assets(project=SHOP, retry_policy=policy, pool="one", op_tags={"team": "data"})(
        nothing
    )
    assert built.op.name == "nothing"
    assert built.op.retry_policy == policy
    assert built.op.pool == "one"
    assert built.op.tags["team"] == "data"


@pytest.mark.parametrize(
    ("name", "arguments", "op"),
    [
        ("shop", {}, "shop_prod"),
        ("my-shop 2", {"environment": "dev"}, "my_shop_2_dev"),
        ("shop", {"select": "shop.*"}, "shop_prod_shop"),
        ("shop", {"exclude": ["shop.report"]}, "shop_prod_without_shop_report"),
        ("магазин", {}, "prod"),
        ("shop", {"name": "warehouse"}, "warehouse"),
        ("arg", {"environment": "dict"}, "arg_dict_"),
    ],
)
def test_an_op_without_a_function_is_named_after_the_project(
    name: str, arguments: dict[str, Any], op: str
) -> None:
    models = (model("shop.orders"), model("shop.report", "shop.orders"))
    built = build_sqlmesh_assets(project=project(*models, name=name), **arguments)
    load(built)
    assert built.op.name == op


def test_each_environment_of_a_project_has_a_pool() -> None:
    pools = [
        build_sqlmesh_assets(project=SHOP, environment=environment).op.pool
        for environment in ("prod", "dev")
    ]
    # Dagster's first versions have no slashes in the names of pools.
    assert pools in (
        ["sqlmesh/shop/prod", "sqlmesh/shop/dev"],
        ["sqlmesh_shop_prod", "sqlmesh_shop_dev"],
    )


# -- several in one code location ---------------------------------------------------------------


def test_two_projects_load_together() -> None:
    orders = model("shop.orders", audits=(audit("not_null"),))
    till = model("till.orders", audits=(audit("not_null"),))
    load(
        build_sqlmesh_assets(project=project(orders)),
        build_sqlmesh_assets(project=project(till, name="till")),
    )


def test_two_parts_of_a_project_load_together() -> None:
    load(
        build_sqlmesh_assets(project=SHOP, select="shop.orders"),
        build_sqlmesh_assets(project=SHOP, exclude="shop.orders"),
    )


class InDev(SqlmeshTranslator):
    """Has the environment in its keys."""

    def get_asset_key(self, model: ModelDefinition) -> dg.AssetKey:
        return super().get_asset_key(model).with_prefix("dev")


def test_two_environments_load_together_if_a_translator_distinguishes_them() -> None:
    load(
        build_sqlmesh_assets(project=SHOP),
        build_sqlmesh_assets(project=SHOP, environment="dev", translator=InDev()),
    )


def test_two_environments_with_the_same_keys_do_not_load() -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="shop"):
        load(
            build_sqlmesh_assets(project=SHOP),
            build_sqlmesh_assets(project=SHOP, environment="dev"),
        )


# -- changed afterwards -------------------------------------------------------------------------


def test_assets_with_a_prefix_keep_their_models() -> None:
    module = ModuleType("warehouse")
    built = module.__dict__["shop"] = build_sqlmesh_assets(project=SHOP)
    (renamed,) = dg.load_assets_from_modules([module], key_prefix="eu")
    assert isinstance(renamed, dg.AssetsDefinition)
    load(renamed)
    names = {spec.key.to_user_string(): spec.metadata[MODEL] for spec in renamed.specs}
    assert names == {"eu/shop/orders": "shop.orders", "eu/shop/report": "shop.report"}
    assert {key.asset_key for key in renamed.check_keys} == renamed.keys
    assert assets_of_op(renamed.op) is assets_of_op(built.op)


def test_mapped_specs_keep_their_models() -> None:
    built = build_sqlmesh_assets(project=SHOP)
    (mapped,) = dg.map_asset_specs(lambda spec: spec.replace_attributes(group_name="eu"), [built])
    load(mapped)
    assert {spec.group_name for spec in mapped.specs} == {"eu"}
    assert {spec.metadata[MODEL] for spec in mapped.specs} == {"shop.orders", "shop.report"}
    assert all(spec.skippable for spec in mapped.specs)
    assert assets_of_op(mapped.op) is assets_of_op(built.op)


# -- public names -------------------------------------------------------------------------------


def test_all_public_names_can_be_imported() -> None:
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    # Once they are resolved, and not before: see `tests/reports/test_public_names.py`.
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="has no attribute 'SqlmeshWarehouse'"):
        package.SqlmeshWarehouse  # noqa: B018
