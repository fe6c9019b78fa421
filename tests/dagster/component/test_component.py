"""The component: assets described in YAML, built from state, without SQLMesh."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker import ProjectError
from pytest_sqlmesh_tracker.dagster import (
    AuditDefinition,
    ModelDefinition,
    SqlmeshProject,
    SqlmeshResource,
    SqlmeshTranslator,
    build_sqlmesh_assets,
)
from pytest_sqlmesh_tracker.dagster.definitions.metadata import MODEL
from pytest_sqlmesh_tracker.dagster.testing import assert_materialized_exactly
from pytest_sqlmesh_tracker.models.definitions import ColumnSource
from tests.dagster.conftest import NEXT_DAY, Materialize, materialized
from tests.dagster.models import audit, model, project
from tests.projects import Project, at

if not hasattr(dg, "StateBackedComponent"):
    pytest.skip("this Dagster has no components that keep state", allow_module_level=True)

from dagster.components.testing.utils import DefsFolderSandbox, create_defs_folder_sandbox

from pytest_sqlmesh_tracker.dagster import SqlmeshProjectComponent

TYPE = "pytest_sqlmesh_tracker.dagster.SqlmeshProjectComponent"
FILE = "shop/defs/warehouse/defs.yaml"
# Dagster adds the YAML's location to the assets of all components, and warns about its own class.
by_dagster = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")

ORDERS = model("shop.orders", "raw.till", "raw.rates", audits=(audit("not_null"),))
REPORT = model(
    "shop.report", "shop.orders", lineage={"total": (ColumnSource("shop.orders", "amount"),)}
)
TILL = model("raw.till", kind="external")
SHOP = project(TILL, ORDERS, REPORT, outside={"raw.rates": ("raw", "rates")})
"""An external model → orders → report; orders read a table as well that is no model."""


@pytest.fixture
def sandbox() -> Iterator[DefsFolderSandbox]:
    """A Dagster project `shop`, without definitions."""
    with create_defs_folder_sandbox(project_name="shop") as folder:
        yield folder


def written(sandbox: DefsFolderSandbox, text: str, folder: str = "warehouse") -> Path:
    """A component's folder with this YAML."""
    path = sandbox.defs_folder_path / folder
    path.mkdir(parents=True, exist_ok=True)
    (path / "defs.yaml").write_text(textwrap.dedent(text))
    return path


def yaml(**attributes: Any) -> str:
    """The YAML of a component with these attributes: JSON is YAML as well."""
    return json.dumps({"type": TYPE, "attributes": {"project": "nowhere", **attributes}})


@contextmanager
def component_of(
    sandbox: DefsFolderSandbox, **attributes: Any
) -> Iterator[tuple[SqlmeshProjectComponent, dg.ComponentLoadContext]]:
    """The component that YAML with these attributes describes."""
    written(sandbox, yaml(**attributes))
    with sandbox.build_component_tree() as tree:
        (component,) = tree.get_all_components(of_type=SqlmeshProjectComponent)
        yield component, tree.load_context


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """What is known of the models above."""
    file = tmp_path / "state"
    file.write_text(SHOP.definition.to_json())
    return file


def definitions_of(sandbox: DefsFolderSandbox, state: Path, **attributes: Any) -> dg.Definitions:
    """What is made of the state."""
    with component_of(sandbox, **attributes) as (component, context):
        definitions = component.build_defs_from_state(context, state)
    dg.Definitions.validate_loadable(definitions)
    return definitions


def assets_of(definitions: dg.Definitions) -> dg.AssetsDefinition:
    (assets,) = definitions.assets or ()
    assert isinstance(assets, dg.AssetsDefinition)
    return assets


def upstream(assets: dg.AssetsDefinition, key: str) -> set[str]:
    spec = assets.specs_by_key[dg.AssetKey.from_user_string(key)]
    return {dep.asset_key.to_user_string() for dep in spec.deps}


def keys(assets: dg.AssetsDefinition) -> set[str]:
    return {key.to_user_string() for key in assets.keys}


# -- state --------------------------------------------------------------------------------------


@by_dagster
def test_a_placeholder_asset_shows_that_state_is_missing(
    sandbox: DefsFolderSandbox,
    files: Path,
    warehouse: dg.AssetsDefinition,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = written(sandbox, yaml(project=str(files)))
    message = f"{FILE} has no state yet, so it has no assets: run dg utils refresh-defs-state"
    with sandbox.load_component_and_build_defs(path) as (component, definitions):
        dg.Definitions.validate_loadable(definitions)
        (spec,) = definitions.resolve_all_asset_specs()
        assert spec.key.path == ["sqlmesh_without_state", "shop_defs_warehouse_defs_yaml"]
        assert spec.description == message
        assert definitions.resolve_asset_graph().executable_asset_keys == set()
        assert message in caplog.messages
        assert isinstance(component, SqlmeshProjectComponent)
        asyncio.run(component.refresh_state(sandbox.project_root))

    with sandbox.load_component_and_build_defs(path) as (_, definitions):
        assert assets_of(definitions).keys == warehouse.keys
        assert assets_of(definitions).check_keys == warehouse.check_keys


def test_new_models_appear_after_the_next_refresh(tmp_path: Path) -> None:
    shop = Project(tmp_path / "shop")
    shop.model("shop.orders", "SELECT 1 AS id")
    component = SqlmeshProjectComponent(project=SqlmeshProject(shop.path))
    component.write_state_to_path(tmp_path / "before")
    shop.model("shop.report", "SELECT id FROM shop.orders")
    component.write_state_to_path(tmp_path / "after")
    assert "shop.report" not in (tmp_path / "before").read_text()
    assert "shop.report" in (tmp_path / "after").read_text()


def test_the_state_does_not_depend_on_the_projects_location(tmp_path: Path) -> None:
    """It is written where an image is built, or by CI, and read elsewhere."""
    for folder in ("ci", "production"):
        Project(tmp_path / folder / "shop").model("shop.orders", "SELECT 1 AS id")
        component = SqlmeshProjectComponent(project=SqlmeshProject(tmp_path / folder / "shop"))
        component.write_state_to_path(tmp_path / folder / "state")
    text = (tmp_path / "ci" / "state").read_text()
    assert text == (tmp_path / "production" / "state").read_text()
    assert str(tmp_path) not in text

    context = dg.ComponentTree.for_test().load_context
    assets = assets_of(component.build_defs_from_state(context, tmp_path / "ci" / "state"))
    (spec,) = assets.specs
    (reference,) = spec.metadata["dagster/code_references"].code_references
    assert Path(reference.file_path).is_file()
    assert "production" in reference.file_path


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"models": []}', SHOP.definition.to_json().replace('"kind"', '"kinds"')],
    ids=["empty", "broken", "older", "newer"],
)
def test_an_invalid_state_is_a_one_line_error(
    text: str, sandbox: DefsFolderSandbox, state: Path
) -> None:
    state.write_text(text)
    with pytest.raises(dg.DagsterInvalidDefinitionError) as raised:
        definitions_of(sandbox, state)
    line = str(raised.value)
    assert line.startswith(f"{FILE}: the state can't be read: not a project definition: ")
    assert line.endswith("; refresh it: dg utils refresh-defs-state")
    assert "\n" not in line


LOADED = """
import sys
from pathlib import Path
import dagster as dg
import pytest_sqlmesh_tracker.dagster as package

from dagster.components.core.package_entry import get_package_objects_in_module

assert "SqlmeshProjectComponent" not in dir(package)
listed = dict(get_package_objects_in_module(package))  # As `dg` looks for components.
project = package.SqlmeshProject("nowhere")
component = listed["SqlmeshProjectComponent"](project=project)
context = dg.ComponentTree.for_test().load_context
definitions = component.build_defs_from_state(context, Path(sys.argv[1]))
print(len(definitions.get_repository_def().asset_graph.get_all_asset_keys()))
print(*{"sqlmesh", "pandas", "duckdb"} & sys.modules.keys())
"""


@pytest.mark.processes
def test_definitions_never_load_sqlmesh(state: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", LOADED, str(state)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "4\n\n"


# -- which state is whose -----------------------------------------------------------------------


def test_each_component_has_its_own_state(sandbox: DefsFolderSandbox) -> None:
    written(sandbox, f"{yaml()}\n---\n{yaml(environment='dev')}")
    written(sandbox, yaml(), "europe/warehouse")
    written(sandbox, yaml(defs_state={"key": "ours", "management_type": "LOCAL_FILESYSTEM"}), "a")
    with sandbox.build_component_tree() as tree:
        components = tree.get_all_components(of_type=SqlmeshProjectComponent)
    assert {component.defs_state_config.key for component in components} == {
        f"SqlmeshProjectComponent[{FILE}]",
        f"SqlmeshProjectComponent[{FILE}[1]]",
        "SqlmeshProjectComponent[shop/defs/europe/warehouse/defs.yaml]",
        "ours",
    }


def test_a_component_without_a_file_is_named_after_its_project() -> None:
    component = SqlmeshProjectComponent(project=SqlmeshProject("somewhere/warehouse"))
    assert component.defs_state_config.key == "SqlmeshProjectComponent[warehouse]"
    read = SqlmeshProjectComponent.resolve_from_yaml("project: somewhere/warehouse")
    assert read.defs_state_config == component.defs_state_config


def test_several_components_are_refreshed_at_once(
    sandbox: DefsFolderSandbox, tmp_path: Path
) -> None:
    """As Dagster does it; SQLMesh has registries that are shared within a process."""
    for name in ("first", "second", "third"):
        Project(tmp_path / name).model(f"{name}.orders", "SELECT 1 AS id")
        written(sandbox, yaml(project=str(tmp_path / name)), name)

    async def refresh(components: list[SqlmeshProjectComponent]) -> None:
        await asyncio.gather(*(each.refresh_state(sandbox.project_root) for each in components))

    with sandbox.build_component_tree() as tree:
        asyncio.run(refresh(tree.get_all_components(of_type=SqlmeshProjectComponent)))
    states = sandbox.defs_folder_path.glob(".local_defs_state/*/state")
    names = {json.loads(file.read_text())["models"][0]["name"] for file in states}
    assert names == {"first.orders", "second.orders", "third.orders"}


# -- attributes ---------------------------------------------------------------------------------


def test_a_folder_is_relative_to_the_yaml_file(sandbox: DefsFolderSandbox) -> None:
    with component_of(sandbox, project="../../../../warehouse") as (component, _):
        assert component.project.paths == [str((sandbox.project_root / "warehouse").resolve())]


def test_a_project_of_several_folders(sandbox: DefsFolderSandbox) -> None:
    location = {"paths": ["a", "/b"], "gateway": "prod", "config": "ours", "dotenv": "prod.env"}
    here = (sandbox.defs_folder_path / "warehouse").resolve()
    with component_of(sandbox, project=location) as (component, _):
        assert component.project == SqlmeshProject(
            here / "a", "/b", gateway="prod", config="ours", dotenv=here / "prod.env"
        )
    with component_of(sandbox, project={"paths": "/b"}) as (component, _):
        assert component.project == SqlmeshProject("/b")


def test_templates_are_filled_in(
    sandbox: DefsFolderSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_ENVIRONMENT", "dev")
    with component_of(
        sandbox,
        project="{{ project_root }}/warehouse",
        environment="{{ env.SHOP_ENVIRONMENT }}",
    ) as (component, _):
        assert Path(component.project.paths[0]).is_relative_to(sandbox.project_root.resolve())
        assert component.environment == "dev"


def test_only_selected_models_become_assets(sandbox: DefsFolderSandbox, state: Path) -> None:
    one = assets_of(definitions_of(sandbox, state, select="shop.orders"))
    assert keys(one) == {"shop/orders"}
    others = assets_of(definitions_of(sandbox, state, select=["shop.*"], exclude=["shop.orders"]))
    assert keys(others) == {"shop/report"}


def test_the_default_op_equals_that_of_the_function(
    sandbox: DefsFolderSandbox, state: Path
) -> None:
    op = assets_of(definitions_of(sandbox, state, environment="dev")).op
    plain = build_sqlmesh_assets(project=SHOP, environment="dev").op
    assert (op.name, op.pool, op.tags) == (plain.name, plain.pool, plain.tags)
    assert (op.description, op.retry_policy) == (None, None)


def test_the_op_is_as_configured(sandbox: DefsFolderSandbox, state: Path) -> None:
    op = assets_of(
        definitions_of(
            sandbox,
            state,
            op={
                "name": "night",
                "description": "What runs at night.",
                "tags": {"team": "data"},
                "pool": "duckdb",
                "retry_policy": {"max_retries": 2, "delay": 60, "backoff": "EXPONENTIAL"},
            },
        )
    ).op
    assert (op.name, op.description, op.pool) == ("night", "What runs at night.", "duckdb")
    assert op.tags["team"] == "data"
    assert op.retry_policy == dg.RetryPolicy(
        max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL
    )


def test_a_schedule_requests_due_models(sandbox: DefsFolderSandbox, state: Path) -> None:
    attributes = {
        "cron_schedule": "0 * * * *",
        "name": "hourly",
        "execution_timezone": "Europe/Berlin",
    }
    (schedule,) = definitions_of(sandbox, state, schedule=attributes).schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.name, schedule.cron_schedule) == ("hourly", "0 * * * *")
    assert schedule.execution_timezone == "Europe/Berlin"


def test_time_limits_are_passed_to_the_resource(sandbox: DefsFolderSandbox, state: Path) -> None:
    op = {"longest_wait": 60, "drain_timeout": 5}
    (resource,) = (definitions_of(sandbox, state, op=op).resources or {}).values()
    assert (resource.longest_wait, resource.drain_timeout) == (60, 5)


def test_two_components_of_one_project(sandbox: DefsFolderSandbox, state: Path) -> None:
    """Each op has its own resource, and they do not meet."""
    orders = definitions_of(sandbox, state, select="shop.orders")
    report = definitions_of(sandbox, state, select="shop.report")
    both = dg.Definitions.merge(orders, report)
    dg.Definitions.validate_loadable(both)
    assert len(both.resources or {}) == 2


# -- translation --------------------------------------------------------------------------------


def test_a_key_is_changed_everywhere(sandbox: DefsFolderSandbox, state: Path) -> None:
    translation = {"key_prefix": "wh", "group_name": "{{ model.kind }}", "tags": {"tier": "gold"}}
    assets = assets_of(definitions_of(sandbox, state, translation=translation))
    assert keys(assets) == {"wh/shop/orders", "wh/shop/report"}
    assert upstream(assets, "wh/shop/report") == {"wh/shop/orders"}
    # A table that is not a model is not renamed.
    assert upstream(assets, "wh/shop/orders") == {"wh/raw/till", "raw/rates"}
    report = assets.specs_by_key[dg.AssetKey(["wh", "shop", "report"])]
    lineage = report.metadata["dagster/column_lineage"].deps_by_column
    assert [dep.asset_key.path for dep in lineage["total"]] == [["wh", "shop", "orders"]]
    assert (report.group_name, report.tags["tier"]) == ("full", "gold")
    assert {key.asset_key for key in assets.check_keys} == assets.keys
    assert {spec.metadata[MODEL] for spec in assets.specs} == {"shop.orders", "shop.report"}
    assert all(spec.skippable for spec in assets.specs)


def test_a_translation_can_set_dependencies(sandbox: DefsFolderSandbox, state: Path) -> None:
    translation = {"key": "{{ model.parts[-1] }}", "deps": ["calendar"]}
    assets = assets_of(definitions_of(sandbox, state, translation=translation))
    assert upstream(assets, "orders") == {"calendar"}


class OurNames(SqlmeshTranslator):
    def get_table_key(self, parts: Sequence[str]) -> dg.AssetKey:
        return dg.AssetKey(["ours", *parts])

    def get_group_name(self, model: ModelDefinition) -> str:
        return f"our_{model.parts[-2]}"

    def get_check_name(self, model: ModelDefinition, audit: AuditDefinition) -> str:
        return f"our_{super().get_check_name(model, audit)}"

    def get_pool(self, project: str, environment: str) -> str:
        return f"our_{project}_{environment}"


class OurComponent(SqlmeshProjectComponent):
    translator = OurNames()


@pytest.mark.parametrize(
    "translation", [None, lambda spec, _: spec], ids=["no translation", "unchanging translation"]
)
def test_a_subclass_can_change_names(translation: Any, state: Path) -> None:
    component = OurComponent(project=SHOP, translation=translation)
    assets = assets_of(component.build_defs_from_state(_nowhere(), state))
    assert keys(assets) == {"ours/shop/orders", "ours/shop/report"}
    assert upstream(assets, "ours/shop/orders") == {"ours/raw/till", "ours/raw/rates"}
    assert "our_not_null" in {key.name for key in assets.check_keys}
    assert assets.op.pool == "our_shop_prod"


def test_a_translation_is_applied_after_the_translator(state: Path) -> None:
    component = OurComponent(
        project=SHOP,
        translation=lambda spec, model: spec.replace_attributes(
            key=spec.key.with_prefix("wh"), group_name=f"{spec.group_name}_{model.kind}"
        ),
    )
    assets = assets_of(component.build_defs_from_state(_nowhere(), state))
    assert keys(assets) == {"wh/ours/shop/orders", "wh/ours/shop/report"}
    assert {spec.group_name for spec in assets.specs} == {"our_shop_full"}


def _nowhere() -> dg.ComponentLoadContext:
    return dg.ComponentTree.for_test().load_context


# -- runs ---------------------------------------------------------------------------------------

DAILY = ["wh/shop/orders", "wh/shop/report", "wh/shop/revenue", "wh/shop/till"]


@pytest.fixture(scope="session")
def state_of_files(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is known of the models of the shop that is real."""
    file = tmp_path_factory.mktemp("state") / "state"
    SqlmeshProjectComponent(project=SqlmeshProject(files)).write_state_to_path(file)
    return file


@pytest.mark.long
def test_assets_run_with_translated_names(
    sandbox: DefsFolderSandbox,
    state_of_files: Path,
    sqlmesh_project: Any,
    materialize_sqlmesh: Materialize,
) -> None:
    """The resource is the sandbox's, whatever its key."""
    assets = assets_of(definitions_of(sandbox, state_of_files, translation={"key_prefix": "wh"}))
    sqlmesh_project.travel(NEXT_DAY)
    result = materialize_sqlmesh(assets)
    assert result.success
    assert_materialized_exactly(result, DAILY)
    assert {each.asset_key for each in result.get_asset_check_evaluations()} == assets.keys


@pytest.mark.long
def test_a_subclass_can_replace_execute(
    state_of_files: Path, sqlmesh_project: Any, materialize_sqlmesh: Materialize
) -> None:
    class Deploying(SqlmeshProjectComponent):
        def execute(
            self, context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource
        ) -> Iterator[Any]:
            yield from sqlmesh.plan(context=context).stream()

    component = Deploying(project=SqlmeshProject("nowhere"))
    assets = assets_of(component.build_defs_from_state(_nowhere(), state_of_files))
    report = "MODEL (name shop.report, kind FULL, cron '@daily'); SELECT 1 AS amount"
    sqlmesh_project.write("models/shop.report.sql", report)
    assert materialized(materialize_sqlmesh(assets)) == ["shop/report"]


def test_an_interrupted_subclass_is_drained(tmp_path: Path) -> None:
    """The resource is that of the definitions, of the component's own project."""
    shop = Project(tmp_path)
    shop.model("shop.orders", "SELECT 1 AS id", cron="'@daily'")
    with at("2024-01-05 00:05"):
        shop.plan()
    shop.context.close()

    class Interrupted(SqlmeshProjectComponent):
        def execute(
            self, context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource
        ) -> Iterator[Any]:
            stream = super().execute(context, sqlmesh)
            next(stream)
            raise RuntimeError("after SQLMesh had executed a model, before Dagster learned of it")

    component = Interrupted(project=SqlmeshProject(tmp_path))
    component.write_state_to_path(tmp_path / "state")
    definitions = component.build_defs_from_state(_nowhere(), tmp_path / "state")
    with at(NEXT_DAY), dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        materialization = instance.get_latest_materialization_event(dg.AssetKey(["shop", "orders"]))
    assert not result.success
    assert materialization is not None


# -- wrong input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "wrong", "words"),
    [
        ("environment: 5", 4, "Input should be a valid string"),
        ("enviroment: dev", 4, "Extra inputs are not permitted"),
        ("op: {retries: 2}", 4, "Extra inputs are not permitted"),
        ("schedule: {name: hourly}", 4, "Field required"),
        ("op: {retry_policy: {delay: 1, jitter: ALL}}", 4, "'ALL' is not a valid Jitter"),
        ("environment: '{{ nowhere }}'", 4, "'nowhere' is undefined"),
    ],
)
def test_wrong_yaml_points_to_its_line(
    line: str, wrong: int, words: str, sandbox: DefsFolderSandbox
) -> None:
    path = written(sandbox, f"type: {TYPE}\nattributes:\n  project: warehouse\n  {line}\n")
    with sandbox.build_component_tree() as tree, pytest.raises(Exception) as raised:  # noqa: PT011
        tree.get_all_components(of_type=SqlmeshProjectComponent)
    text = "\n".join(str(each) for each in (raised.value, raised.value.__cause__))
    assert f"{path / 'defs.yaml'}:{wrong}" in text
    assert words in text


@pytest.mark.parametrize(
    ("attributes", "kind", "line"),
    [
        (
            {"select": "shop.ordres"},
            LookupError,
            "no model 'shop.ordres' in the project; did you mean shop.orders or shop.report?",
        ),
        (
            {"translation": {"key": "all"}},
            dg.DagsterInvalidDefinitionError,
            "shop.orders and shop.report and raw.till would all become all in Dagster: override "
            "get_table_key or get_asset_key of SqlmeshTranslator, or use exclude=",
        ),
    ],
)
def test_invalid_attributes_are_a_one_line_error_with_the_file(
    attributes: Any, kind: type[Exception], line: str, sandbox: DefsFolderSandbox, state: Path
) -> None:
    with pytest.raises(kind) as raised:
        definitions_of(sandbox, state, **attributes)
    assert str(raised.value) == f"{FILE}: {line}"


def test_a_missing_project_is_a_one_line_error(sandbox: DefsFolderSandbox, state: Path) -> None:
    with component_of(sandbox) as (component, context):
        # Definitions are built from its state without it.
        assert component.build_defs_from_state(context, state).assets
        with pytest.raises(ProjectError) as raised:
            component.write_state_to_path(state)
    assert str(raised.value).startswith(f"{FILE}: no SQLMesh project in ")
    assert str(raised.value).endswith("warehouse/nowhere: the folder does not exist")


def test_the_example_of_the_chapter(sandbox: DefsFolderSandbox, state: Path) -> None:
    chapter = (Path(__file__).parents[3] / "docs/dagster.md").read_text()
    orders, manual = model("sales.orders"), model("sales.corrections", tags=("manual",))
    revenue = model("finance.revenue", "sales.orders")
    state.write_text(project(orders, manual, revenue).definition.to_json())
    (example,) = re.findall(r"^```yaml\n(type: .*?)^```$", chapter, re.MULTILINE | re.DOTALL)
    written(sandbox, example)
    with sandbox.build_component_tree() as tree:
        (component,) = tree.get_all_components(of_type=SqlmeshProjectComponent)
        definitions = component.build_defs_from_state(tree.load_context, state)
    assets = assets_of(definitions)
    assert upstream(assets, "shop/finance/revenue") == {"shop/sales/orders"}
    assert {spec.group_name for spec in assets.specs} == {"sales_full", "finance_full"}
    assert (assets.op.name, assets.op.pool) == ("shop_models", "shop")
    (schedule,) = definitions.schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.execution_timezone == "Europe/Berlin"
