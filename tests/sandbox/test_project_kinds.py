"""Projects of every kind: a sandbox treats each of them as SQLMesh does."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_sqlmesh_tracker import RunReport, sqlmesh_run_tracker, track_all
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from tests.projects import Project, at

from .building import Sandboxes, maker, plain, project, snapshot_of

FILES = {
    "config.py": """
        from pathlib import Path

        from own_settings.names import TENANT
        from sqlmesh.core.config import (
            Config, DuckDBConnectionConfig, GatewayConfig, ModelDefaultsConfig
        )
        from sqlmesh.core.loader import SqlMeshLoader


        class OwnLoader(SqlMeshLoader):
            def _load_audits(self, *args, **kwargs):
                found = super()._load_audits(*args, **kwargs)
                assert "is_sold" in found
                return found


        def gateway(name):
            return GatewayConfig(
                connection=DuckDBConnectionConfig(), variables={"place": f"of {name}"}
            )


        config = Config(
            gateways={"local": gateway("local"), "spare": gateway("spare")},
            default_gateway="local",
            model_defaults=ModelDefaultsConfig(dialect="duckdb", start="2024-01-01"),
            variables={"Tenant": TENANT, "rate": 2},
            loader=OwnLoader,
            project="shop",
            before_all=["CREATE TABLE IF NOT EXISTS log (line TEXT)"],
            after_all=["INSERT INTO log VALUES ('done')"],
        )
        other = Config(
            gateways={"local": gateway("other")},
            model_defaults=ModelDefaultsConfig(dialect="duckdb", start="2024-01-01"),
            variables={"tenant": "other", "rate": 3},
        )
    """,
    "own_settings/__init__.py": "",
    "own_settings/names.py": """
        TENANT = 'acme'

        def most(n):
            return max(n, 1)
    """,
    "macros/__init__.py": "",
    "macros/sql.py": """
        from own_settings.names import TENANT
        from sqlmesh import macro
        from sqlglot import exp

        @macro()
        def doubled(evaluator, column):
            return exp.Mul(this=column, expression=exp.Literal.number(evaluator.var("rate")))

        @macro()
        def tenant(evaluator) -> str:
            return exp.Literal.string(TENANT)
    """,
    "macros/jinja.sql": "{% macro shout(text) %}'{{ text | upper }}'{% endmacro %}",
    "signals/open.py": """
        from sqlmesh import signal

        @signal()
        def is_open(batch):
            return True
    """,
    "audits/sold.sql": """
        AUDIT (name is_sold);
        SELECT * FROM @this_model WHERE amount < @at_least;

        AUDIT (name something_is_sold, standalone true);
        SELECT 1 AS x WHERE NOT EXISTS (SELECT * FROM shop.sales);
    """,
    "seeds/products.csv": "id,name\n1,tea\n2,milk\n",
    "external_models.yaml": "- {name: raw.rates, columns: {id: int, rate: double}}",
    "tests/test_totals.yaml": """
        test_totals:
          model: shop.totals
          inputs: {shop.sales: {rows: [{product: 1, amount: 3}, {product: 1, amount: 4}]}}
          outputs: {query: {rows: [{product: 1, amount: 14}]}}
    """,
    "models/products.sql": """
        MODEL (name shop.products, kind SEED (path '$root/seeds/products.csv'));
    """,
    "models/logs/sales.sql": """
        MODEL (
          name shop.sales, cron '@daily',
          kind INCREMENTAL_BY_TIME_RANGE (time_column ts, batch_size 2),
          audits (is_sold (at_least := 1)), signals (is_open ())
        );
        SELECT p.id AS product, 3 AS amount, r.range AS ts, @tenant() AS tenant
        FROM shop.products AS p, range(@start_dt, @end_dt, INTERVAL 1 DAY) AS r
    """,
    "models/totals.sql": """
        MODEL (name shop.totals, cron '@daily');
        SELECT product, SUM(@doubled(amount)) AS amount FROM shop.sales GROUP BY product
    """,
    "models/jinja.sql": """
        MODEL (name shop.shouted, cron '@daily');
        JINJA_QUERY_BEGIN;
        SELECT {{ shout(var('tenant')) }} AS tenant, '{{ gateway() }}' AS gateway
        JINJA_END;
    """,
    "models/blueprints.sql": """
        MODEL (
          name shop.of_@customer, kind VIEW,
          blueprints ((customer := ann, least := 1), (customer := bob, least := 5))
        );
        SELECT product, @least AS least, @place AS place, @gateway AS gateway FROM shop.totals
    """,
    "models/python.py": """
        import pandas as pd
        from own_settings.names import most
        from sqlmesh import model

        @model("shop.counted", kind="FULL", cron="@daily", columns={"n": "int", "tenant": "text"})
        def execute(context, start, end, execution_time, **kwargs):
            table = context.resolve_table("shop.sales")
            n = context.fetchdf(f"SELECT COUNT(*) AS n FROM {table}")["n"][0]
            # While it runs, not when it is loaded.
            from own_settings.names import TENANT

            return pd.DataFrame([{"n": most(n) + context.var("rate"), "tenant": TENANT}])
    """,
    "models/rates.sql": "MODEL (name shop.rates, kind VIEW); SELECT rate FROM raw.rates",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one of everything."""
    made = Project(tmp_path_factory.mktemp("kinds") / "shop")
    (made.path / "config.yaml").unlink()
    for file, text in FILES.items():
        made.write(file, text)
    return made.path


def versions(context: Any) -> dict[str, Any]:
    # In old versions of SQLMesh, hashes of metadata depend on where a project is.
    return {name: (s.version, s.fingerprint.data_hash) for name, s in context.snapshots.items()}


def facts_of(report: RunReport) -> dict[str, Any]:
    """What a report says about each model, except how long it took."""
    return {
        name: (
            outcome.status,
            outcome.reason,
            outcome.next_due,
            outcome.loaded_through,
            [(batch.start, batch.end, batch.audits_passed) for batch in outcome.batches],
            [(audit.name, audit.passed) for audit in outcome.audits],
        )
        for name, outcome in report.outcomes.items()
    }


@pytest.mark.long
def test_a_project_in_a_sandbox_equals_the_project_in_sqlmesh(
    shop: Path, sandboxes: Sandboxes
) -> None:
    before = snapshot_of(shop)
    with plain(shop) as context:
        context.engine_adapter.execute("CREATE SCHEMA raw")
        context.engine_adapter.execute("CREATE TABLE raw.rates (id INT, rate DOUBLE)")
        context.plan(auto_apply=True, no_prompts=True)
        with sqlmesh_run_tracker(context) as tracker, at("2024-01-07 00:05"):
            context.run()
        snapshots = versions(context)
        rows = context.engine_adapter.fetchall("SELECT * FROM shop.counted")
    for file in snapshot_of(shop).keys() - before.keys():
        (shop / file).unlink()

    with sandboxes(shop) as copy:
        assert facts_of(copy.run(at="2024-01-07 00:05")) == facts_of(tracker.last)
        assert versions(copy.context) == snapshots
        assert copy.fetch("SELECT * FROM shop.counted") == rows == [(14, "acme")]
        assert copy.fetch("SELECT * FROM shop.shouted") == [("ACME", "local")]
        assert copy.fetch("SELECT DISTINCT least, place, gateway FROM shop.of_bob") == [
            (5, "of local", "local")
        ]
        assert copy.fetch("SELECT COUNT(*) FROM log") == [(2,)]

    assert snapshot_of(shop) == before


class TestWritingIntoACopy:
    @pytest.mark.long
    def test_changes_only_that_copy(self, shop: Path, sandboxes: Sandboxes) -> None:
        with sandboxes(shop) as copy:
            copy.write("models/new.sql", "MODEL (name shop.new, kind FULL); SELECT 1 AS id")
            copy.plan().assert_executed("shop.new")
        with sandboxes(shop) as another:
            assert not [name for name in another.context.models if "new" in name]
            assert not (another.path / "models/new.sql").exists()
        assert not (shop / "models/new.sql").exists()

    @pytest.mark.long
    def test_is_visible_everywhere_but_not_in_the_next_test(
        self, shop: Path, sandboxes: Sandboxes
    ) -> None:
        edits = {
            "macros/sql.py": ('evaluator.var("rate")', "5"),
            "macros/jinja.sql": ("upper", "lower"),
            "own_settings/names.py": ("acme", "umbrella"),
            "seeds/products.csv": ("milk", "cream"),
            "models/python.py": ("most(n) + ", "most(n) - "),
            "models/blueprints.sql": ("least := 5", "least := 6"),
        }
        with sandboxes(shop) as copy:
            for file, (old, new) in edits.items():
                text = (copy.path / file).read_text()
                assert old in text
                (copy.path / file).write_text(text.replace(old, new))
            copy.context.load()
            copy.plan(skip_tests=True).assert_executed(
                "shop.totals", "shop.shouted", "shop.sales", "shop.products", "shop.of_bob"
            )
            assert copy.fetch("SELECT DISTINCT tenant FROM shop.sales") == [("umbrella",)]
            assert copy.fetch("SELECT tenant FROM shop.shouted") == [("acme",)]
            assert copy.fetch("SELECT * FROM shop.counted") == [(6, "umbrella")]
        with sandboxes(shop) as another:
            assert another.plan().completion == "nothing_to_do"
            another.context.load()
            assert another.plan().completion == "nothing_to_do"
            assert another.fetch("SELECT * FROM shop.counted") == [(10, "acme")]
            another.run(at="+1 day").assert_executed("shop.counted")
            assert another.fetch("SELECT * FROM shop.counted") == [(12, "acme")]

    def test_each_write_of_the_same_length_in_the_same_second_is_visible(
        self, shop: Path, sandboxes: Sandboxes
    ) -> None:
        with sandboxes(shop) as copy:
            text = (copy.path / "macros/sql.py").read_text()
            for rate in ("1111", "2222", "3333"):
                copy.write("macros/sql.py", text.replace('evaluator.var("rate")', rate))
                query = copy.context.get_model("shop.totals").render_query_or_raise()
                assert rate in query.sql()

    def test_a_broken_unit_test_fails_the_next_plan(self, shop: Path, sandboxes: Sandboxes) -> None:
        with sandboxes(shop) as copy:
            file = copy.path / "tests/test_totals.yaml"
            file.write_text(file.read_text().replace("amount: 14", "amount: 15"))
            copy.context.load()
            with pytest.raises(Exception, match=r"tests? fail|Cannot generate plan"):
                copy.plan()
        with sandboxes(shop) as another:
            assert another.plan().completion == "nothing_to_do"


class TestVariables:
    @pytest.mark.long
    def test_override_those_of_the_configuration_and_of_gateways(
        self, shop: Path, sandboxes: Sandboxes
    ) -> None:
        with sandboxes(shop, variables={"TENANT": "mine", "place": "here", "Rate": 10}) as copy:
            assert copy.fetch("SELECT tenant FROM shop.shouted") == [("MINE",)]
            assert copy.fetch("SELECT DISTINCT place FROM shop.of_ann") == [("here",)]
            assert copy.fetch("SELECT n FROM shop.counted") == [(18,)]

    @pytest.mark.long
    def test_are_those_of_the_chosen_gateway(self, shop: Path, sandboxes: Sandboxes) -> None:
        with sandboxes(shop, gateway="spare") as copy:
            assert copy.fetch("SELECT DISTINCT place, gateway FROM shop.of_ann") == [
                ("of spare", "spare")
            ]


@pytest.mark.long
def test_another_configuration_of_config_py_can_be_named(shop: Path, sandboxes: Sandboxes) -> None:
    with sandboxes(shop, config="other") as copy:
        assert copy.fetch("SELECT DISTINCT place FROM shop.of_ann") == [("of other",)]


class TestSeveralPaths:
    @pytest.fixture(scope="class")
    def two(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
        """Two projects; the second reads the first."""
        folder = tmp_path_factory.mktemp("paths")
        gateways = f"{{local: {{connection: {{type: duckdb, database: {folder}/wh.db}}}}}}"
        defaults = "model_defaults: {dialect: duckdb, start: 2024-01-01}\nproject: "
        first = project(folder / "first", gateways, f"{defaults} first\nvariables: {{v: 1}}")
        second = project(
            folder / "apart/second", gateways, f"{defaults} second\nvariables: {{v: 2}}"
        )
        first.model("shop.orders", "SELECT @v AS v", cron="'@daily'")
        second.model("shop.report", "SELECT v, @v AS own FROM shop.orders", cron="'@daily'")
        return first.path, second.path

    def test_are_one_project(self, two: tuple[Path, Path], sandboxes: Sandboxes) -> None:
        before = [snapshot_of(path) for path in two]
        with sandboxes(two) as copy:
            assert copy.fetch("SELECT * FROM shop.report") == [(1, 2)]
            copy.run(at="+1 day").assert_executed("shop.orders", "shop.report")
            copy.write("models/shop.orders.sql", "MODEL (name shop.orders); SELECT 7 AS v")
            copy.plan().assert_executed("shop.orders", "shop.report")
            assert copy.fetch("SELECT * FROM shop.report") == [(7, 2)]
        assert [snapshot_of(path) for path in two] == before

    def test_one_of_them_alone_reads_the_other_from_the_state(
        self, two: tuple[Path, Path], sandboxes: Sandboxes
    ) -> None:
        with sandboxes(two[0]) as copy:
            assert copy.plan().completion == "nothing_to_do"


@pytest.mark.long
def test_code_of_one_copy_is_not_that_of_another_project(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    for name in ("a", "b"):
        one = project(tmp_path / name, "{local: {connection: {type: duckdb}}}")
        one.write("macros/__init__.py", "")
        one.write(
            "macros/own.py",
            f"""
            from sqlmesh import macro

            @macro()
            def own(evaluator):
                return "'{name}'"
        """,
        )
        one.model("shop.orders", "SELECT @own() AS x")
        path = list(sys.path)
        with sandboxes(one.path) as copy:
            assert copy.fetch("SELECT * FROM shop.orders") == [(name,)]
        assert sys.path == path


def test_sandboxes_can_be_created_inside_the_project(tmp_path: Path) -> None:
    one = project(tmp_path, "{local: {connection: {type: duckdb}}}")
    one.model("shop.orders", "SELECT 1 AS id")
    folders = (tmp_path / f"temporary/{n}" for n in range(9))

    def new_folder() -> Path:
        folder = next(folders)
        folder.mkdir(parents=True)
        return folder

    templates = Templates(tmp_path, new_folder)
    for environment in ("prod", "dev"):
        with track_all() as tracker:
            with maker(templates, path=".", environment=environment).of_test(tracker) as copy:
                assert not (copy.path / "temporary").exists()


def test_a_namespace_package_that_is_partly_in_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandboxes: Sandboxes
) -> None:
    # Such a package finds its path anew, through its parent, whenever it is read: a KeyError once
    # the parent, which has a folder in the project, is taken out for the project's load.
    shop = Project(tmp_path / "shop")
    shop.model("shop.daily", "SELECT 1 AS id", cron="'@daily'")
    (shop.path / "checks").mkdir()
    (tmp_path / "elsewhere" / "checks" / "deep").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    monkeypatch.syspath_prepend(shop.path)
    deep = importlib.import_module("checks.deep")
    with sandboxes(shop.path) as in_a_sandbox:
        in_a_sandbox.run(at="+1 day").assert_executed("shop.daily")
    assert sys.modules["checks.deep"] is deep
    assert "checks" in sys.modules


def test_signals_that_a_context_of_another_project_left_do_not_matter(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    """The oldest SQLMesh keeps them for the whole process, and refuses a second one of a name."""
    for name, ready in (("a", "True"), ("b", "len(batch) < 0")):
        one = project(tmp_path / name, "{local: {connection: {type: duckdb}}}")
        one.write("signals/__init__.py", GATE.format(ready=ready))
        one.model("m.a", "SELECT 1 AS id", cron="'@daily'", signals="(gate())")
    with plain(tmp_path / "a") as context:
        assert "m.a" in {model.name for model in context.models.values()}
    with sandboxes(tmp_path / "b") as copy:
        copy.run(at="+1 day").assert_skipped("m.a", reason="signal_not_ready")


GATE = """
from sqlmesh import signal

@signal()
def gate(batch):
    return {ready}
"""
