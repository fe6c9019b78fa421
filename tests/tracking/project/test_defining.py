"""What is known about a project before anything runs, from its files alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlglot import exp
from sqlmesh import Context
from sqlmesh.core.lineage import column_dependencies
from sqlmesh.core.macros import macro
from sqlmesh.core.signal import signal

from pytest_sqlmesh_tracker.models.definitions import (
    ColumnSource,
    ModelDefinition,
    ProjectDefinition,
)
from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError
from pytest_sqlmesh_tracker.tracking.project.defining import define, load_definition
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.project.opening import open_context
from tests.engines.engine import only_duckdb
from tests.projects import Project, at

RICH = {
    "external_models.yaml": """
        - name: raw.customers
          description: From the CRM.
          columns: {id: int, full_name: text, changed_at: timestamp}
          audits:
            - name: not_null
              columns: "[id]"
        """,
    "seeds/countries.csv": "code,country\nde,Germany\nfr,France\n",
    "models/countries.sql": """
        MODEL (
          name sales.countries,
          kind SEED (path '../seeds/countries.csv'),
          columns (code TEXT, country TEXT)
        );
        """,
    "macros/money.py": """
        from sqlmesh import macro

        @macro()
        def net(evaluator, column):
            return f"{column} * 0.81"
        """,
    "models/orders.sql": """
        -- All orders.
        MODEL (
          name Sales.Orders,
          kind INCREMENTAL_BY_TIME_RANGE (time_column ts),
          cron '0 5 * * *',
          cron_tz 'Europe/Berlin',
          start '2024-01-02',
          end '2030-12-31',
          description 'All orders',
          owner 'Data Team',
          tags ['core', 'pii:true'],
          column_descriptions (amount = 'Without taxes.'),
          audits (
            not_null(columns := (id, ts)),
            not_null(columns := (amount), blocking := false),
            not_negative,
            at_most(n := 1000),
            at_most(n := 1000, blocking := false),
            unfinished
          )
        );

        SELECT
          events.ts, /* When it was made. */
          events.id,
          @net(events.amount) AS amount,
          countries.country,
          customers.full_name,
          'web' AS channel
        FROM raw.events AS events
        JOIN raw.customers AS customers ON customers.id = events.id
        JOIN sales.countries AS countries ON countries.code = 'de'
        WHERE events.ts BETWEEN @start_ts AND @end_ts;

        AUDIT (name at_most, defaults (column = id));
        SELECT * FROM @this_model WHERE @column > @n;
        """,
    "audits/not_negative.sql": """
        AUDIT (name not_negative, blocking false);
        SELECT * FROM @this_model WHERE amount < 0
        """,
    "audits/unfinished.sql": """
        AUDIT (name unfinished, skip true);
        SELECT * FROM @this_model WHERE amount > 10
        """,
    "audits/none_missing.sql": """
        AUDIT (name none_missing, standalone true, cron '@daily', owner 'Data Team');
        SELECT * FROM sales.orders WHERE id IS NULL
        """,
    "models/recent.sql": """
        MODEL (name sales.recent, kind EMBEDDED);
        SELECT ts, amount AS paid FROM sales.orders
        """,
    "models/daily.sql": """
        MODEL (name sales.daily, kind FULL, cron '@daily');
        WITH totals AS (
          SELECT DATE_TRUNC('day', ts) AS day, SUM(paid) AS paid FROM sales.recent GROUP BY 1
        ), unioned AS (
          SELECT day, paid FROM totals UNION ALL SELECT day, 0 FROM totals
        )
        SELECT day, SUM(paid) AS paid, (SELECT MAX(country) FROM sales.countries) AS last
        FROM unioned GROUP BY day
        """,
    "models/everything.sql": """
        MODEL (name sales.everything, kind VIEW);
        SELECT *, id + 1 AS following FROM raw.clicks
        """,
    "models/two_unknown.sql": """
        MODEL (name sales.two_unknown, kind VIEW);
        SELECT c.id, page, 1 AS one, CAST(c.seen AS TIMESTAMP) AS seen
        FROM raw.clicks AS c CROSS JOIN raw.pages
        """,
    "models/history.sql": """
        MODEL (
          name sales.history,
          kind SCD_TYPE_2_BY_TIME (unique_key id, updated_at_name changed_at)
        );
        SELECT id, full_name, changed_at FROM raw.customers
        """,
    "models/running.sql": """
        MODEL (
          name sales.running,
          kind INCREMENTAL_BY_UNIQUE_KEY (unique_key id),
          columns (id INT, times INT)
        );
        SELECT o.id, COALESCE(r.times, 0) + 1 AS times
        FROM sales.orders AS o LEFT JOIN sales.running AS r ON r.id = o.id
        """,
    "models/quoted.sql": """
        MODEL (name sales."Odd Name", kind VIEW);
        SELECT "id" AS "Order Id" FROM other.archive."Orders"
        """,
    "models/archive.sql": """
        MODEL (name other.archive."Orders", kind FULL);
        SELECT id, amount FROM sales.orders
        """,
    "models/jinja.sql": """
        MODEL (name sales.jinja, kind VIEW);
        JINJA_QUERY_BEGIN;
        SELECT {% for c in ['id', 'amount'] %} {{ c }}, {% endfor %} 1 AS one FROM sales.orders
        JINJA_END;
        """,
    "models/blueprint.sql": """
        MODEL (
          name sales.@{region},
          kind VIEW,
          blueprints ((region := north), (region := south))
        );
        SELECT id, '@{region}' AS region FROM sales.orders
        """,
    "models/forecast.py": """
        import pandas as pd
        from sqlmesh import model

        @model(
            "sales.forecast",
            columns={"id": "int", "amount": "decimal(10, 2)"},
            column_descriptions={"amount": "Expected."},
            depends_on=["sales.daily"],
        )
        def execute(context, start, end, execution_time, **kwargs):
            yield pd.DataFrame({"id": [1], "amount": [2.0]})
        """,
}
CONFIG = """
gateways:
  local:
    connection:
      type: duckdb
      catalogs: {{wh: {folder}/wh.db, other: {folder}/other.db}}
default_gateway: local
model_defaults:
  dialect: duckdb
  start: 2024-01-01
disable_anonymized_analytics: true
"""
RAW = """
CREATE SCHEMA raw;
CREATE TABLE raw.events AS SELECT TIMESTAMP '2024-01-03 12:00' AS ts, 1 AS id, 10.0 AS amount;
CREATE TABLE raw.customers AS
  SELECT 1 AS id, 'Ada' AS full_name, TIMESTAMP '2024-01-01' AS changed_at;
CREATE TABLE raw.clicks AS SELECT 1 AS id, '2024-01-03' AS seen;
CREATE TABLE raw.pages AS SELECT '/' AS page;
"""


def defined(project: Project, **options: Any) -> ProjectDefinition:
    """The definition of a project, read from its files."""
    return load_definition(ProjectLocation([str(project.path)], **options))


@pytest.fixture(autouse=True, scope="module")
def no_variables_of_sqlmesh() -> Iterator[None]:
    """The developer who runs these tests may have set a gateway for another project."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("SQLMESH_GATEWAY", "SQLMESH_DOTENV_PATH"):
            environment.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a model of every kind of trouble; not planned."""
    project = Project(tmp_path_factory.mktemp("sales_warehouse"))
    project.write("config.yaml", CONFIG.format(folder=project.path))
    for file, text in RICH.items():
        project.write(file, text)
    return project


@pytest.fixture(scope="module")
def definition(rich: Project) -> ProjectDefinition:
    return defined(rich)


@pytest.fixture(scope="module")
def models(definition: ProjectDefinition) -> dict[str, ModelDefinition]:
    return {model.name: model for model in definition.models}


@pytest.fixture
def small(project: Project) -> Project:
    """A project with one model, that of `wh.db`."""
    project.model("shop.daily", "SELECT 1 AS id", cron="'@daily'")
    return project


def loaded(project: Project, **options: Any) -> ModelDefinition:
    """The definition of the project's only model."""
    (model,) = load_definition(ProjectLocation([str(project.path)], **options)).models
    return model


# -- what models are ---------------------------------------------------------------------------


def test_the_facts_of_a_model(models: dict[str, ModelDefinition], rich: Project) -> None:
    orders = models["Sales.Orders"]
    assert orders.fqn == '"wh"."sales"."orders"'
    assert orders.parts == ("Sales", "Orders")
    assert orders.kind == "incremental_by_time_range"
    assert orders.dialect == "duckdb"
    assert (orders.cron, orders.cron_tz) == ("0 5 * * *", "Europe/Berlin")
    assert (orders.start, orders.end) == ("2024-01-02", "2030-12-31")
    assert (orders.description, orders.owner) == ("All orders", "Data Team")
    assert orders.tags == ("core", "pii:true")
    assert orders.upstream == ("raw.customers", "raw.events", "sales.countries")
    assert orders.file == str(rich.path / "models" / "orders.sql")


def test_facts_that_a_model_does_not_define(models: dict[str, ModelDefinition]) -> None:
    daily = models["sales.daily"]
    assert (daily.cron, daily.cron_tz, daily.start, daily.end) == (
        "@daily",
        None,
        "2024-01-01",
        None,
    )
    assert (daily.description, daily.owner, daily.tags) == (None, None, ())


def test_everything_in_a_project_is_in_topological_order(definition: ProjectDefinition) -> None:
    assert {model.name: model.kind for model in definition.models} == {
        "raw.customers": "external",
        "sales.countries": "seed",
        "Sales.Orders": "incremental_by_time_range",
        "sales.recent": "embedded",
        "sales.daily": "full",
        "sales.everything": "view",
        "sales.two_unknown": "view",
        "sales.history": "scd_type_2_by_time",
        "sales.running": "incremental_by_unique_key",
        'sales."Odd Name"': "view",
        'other.archive."Orders"': "full",
        "sales.jinja": "view",
        "sales.north": "view",
        "sales.south": "view",
        "sales.forecast": "full",
        "none_missing": "audit",
    }
    places = {model.name: place for place, model in enumerate(definition.models)}
    later = [
        (parent, model.name)
        for model in definition.models
        for parent in model.upstream
        if places.get(parent, -1) > places[model.name]
    ]
    assert later == []


def test_parents_are_models_of_any_kind_and_tables(models: dict[str, ModelDefinition]) -> None:
    assert models["sales.daily"].upstream == ("sales.countries", "sales.recent")
    assert models["sales.recent"].upstream == ("Sales.Orders",)
    assert models["sales.running"].upstream == ("Sales.Orders",)
    assert models["sales.forecast"].upstream == ("sales.daily",)
    assert models["none_missing"].upstream == ("Sales.Orders",)
    assert models['sales."Odd Name"'].upstream == ('other.archive."Orders"',)
    assert models["sales.two_unknown"].upstream == ("raw.clicks", "raw.pages")


def test_tables_outside_of_the_project(definition: ProjectDefinition) -> None:
    assert definition.outside == {
        "raw.clicks": ("raw", "clicks"),
        "raw.events": ("raw", "events"),
        "raw.pages": ("raw", "pages"),
    }


def test_identifiers_have_no_quotes(models: dict[str, ModelDefinition]) -> None:
    assert models['sales."Odd Name"'].parts == ("sales", "Odd Name")
    assert models['other.archive."Orders"'].parts == ("other", "archive", "Orders")
    assert models["none_missing"].parts == ("none_missing",)


def test_identifiers_are_unique_without_quotes(project: Project) -> None:
    project.model("shop.Daily", "SELECT 1 AS id", dialect="snowflake")
    project.write(
        "models/quoted.sql",
        'MODEL (name shop."Daily", kind FULL, dialect snowflake);\n\nSELECT 1 AS id',
    )
    models = defined(project).models
    assert {model.name: model.parts for model in models} == {
        "shop.Daily": ("WH", "SHOP", "DAILY"),
        'shop."Daily"': ("WH", "SHOP", "Daily"),
    }


def test_an_outside_table_does_not_take_the_name_of_a_standalone_audit(small: Project) -> None:
    small.write(
        "audits/a.sql",
        "AUDIT (name raw_ids, standalone true);\n\nSELECT * FROM raw_ids WHERE id IS NULL",
    )
    definition = defined(small)
    (audit,) = (model for model in definition.models if model.kind == "audit")
    assert audit.upstream == ('"raw_ids"',)
    assert definition.outside == {'"raw_ids"': ("raw_ids",)}


def test_the_name_of_a_project(small: Project) -> None:
    assert defined(small).name == small.path.name
    small.write("config.yaml", f"project: shops\n{(small.path / 'config.yaml').read_text()}")
    assert defined(small).name == "shops"


def test_several_projects_are_one_definition(tmp_path: Path) -> None:
    for name in ("first", "second"):
        project = Project(tmp_path / name)
        project.model(f"shop.{name}", "SELECT 1 AS id")
    paths = [str(tmp_path / "first"), str(tmp_path / "second")]
    for location in (paths, [str(tmp_path / "*")]):
        names = [model.name for model in load_definition(ProjectLocation(location)).models]
        assert sorted(names) == ["shop.first", "shop.second"]


def test_a_definition_survives_a_round_trip_through_json(definition: ProjectDefinition) -> None:
    assert ProjectDefinition.from_json(definition.to_json()) == definition


# -- columns and where they come from ----------------------------------------------------------


def columns(model: ModelDefinition) -> dict[str, str | None]:
    return {column.name: column.type for column in model.columns}


def test_columns_and_their_types(models: dict[str, ModelDefinition]) -> None:
    assert columns(models["sales.countries"]) == {"code": "TEXT", "country": "TEXT"}
    assert columns(models["raw.customers"]) == {
        "id": "INT",
        "full_name": "TEXT",
        "changed_at": "TIMESTAMP",
    }
    assert columns(models["sales.forecast"]) == {"id": "INT", "amount": "DECIMAL(10, 2)"}
    assert columns(models["sales.history"]) == {
        "id": "INT",
        "full_name": "TEXT",
        "changed_at": "TIMESTAMP",
        "valid_from": "TIMESTAMP",
        "valid_to": "TIMESTAMP",
    }
    assert columns(models['sales."Odd Name"']) == {"order id": None}
    assert columns(models["sales.two_unknown"])["seen"] == "TIMESTAMP"
    assert columns(models["sales.two_unknown"])["page"] is None


def test_unknown_columns(models: dict[str, ModelDefinition]) -> None:
    assert models["sales.everything"].columns == ()
    assert models["none_missing"].columns == ()


def test_partially_unknown_types(small: Project) -> None:
    small.model("shop.daily", "SELECT ARRAY_AGG(id) AS ids FROM raw.events")
    assert columns(loaded(small)) == {"ids": None}


def test_descriptions_of_columns(models: dict[str, ModelDefinition]) -> None:
    described = {
        (model.name, column.name): column.description
        for model in models.values()
        for column in model.columns
        if column.description
    }
    assert described == {
        ("Sales.Orders", "amount"): "Without taxes.",
        ("sales.forecast", "amount"): "Expected.",
    }


def test_descriptions_in_comments_of_the_query(small: Project) -> None:
    small.model("shop.daily", "SELECT 1 AS id /* The number. */, 2 AS other")
    assert [column.description for column in loaded(small).columns] == ["The number.", None]


def test_lineage_of_columns(models: dict[str, ModelDefinition]) -> None:
    assert models["sales.daily"].lineage == {
        "day": (ColumnSource("sales.recent", "ts"),),
        "paid": (ColumnSource("sales.recent", "paid"),),
        "last": (ColumnSource("sales.countries", "country"),),
    }
    assert models["sales.recent"].lineage["paid"] == (ColumnSource("Sales.Orders", "amount"),)
    assert models["Sales.Orders"].lineage == {
        "ts": (ColumnSource("raw.events", "ts"),),
        "id": (ColumnSource("raw.events", "id"),),
        "amount": (ColumnSource("raw.events", "amount"),),
        "country": (ColumnSource("sales.countries", "country"),),
        "full_name": (ColumnSource("raw.customers", "full_name"),),
        "channel": (),
    }
    assert models['sales."Odd Name"'].lineage == {
        "order id": (ColumnSource('other.archive."Orders"', "id"),)
    }
    assert models["sales.jinja"].lineage["amount"] == (ColumnSource("Sales.Orders", "amount"),)
    assert models["sales.north"].lineage["id"] == (ColumnSource("Sales.Orders", "id"),)


def test_unknown_lineage_is_left_out(models: dict[str, ModelDefinition]) -> None:
    # Whose column `page` is, of two tables that nothing is known of, and what `*` has.
    assert models["sales.two_unknown"].lineage.keys() == {"id", "one", "seen"}
    assert models["sales.everything"].lineage == {"following": (ColumnSource("raw.clicks", "id"),)}
    # SQLMesh fills `valid_from` and `valid_to`.
    assert models["sales.history"].lineage.keys() == {"id", "full_name", "changed_at"}
    for name in ("sales.forecast", "sales.countries", "raw.customers", "none_missing"):
        assert models[name].lineage == {}


def test_a_model_is_not_upstream_of_itself(models: dict[str, ModelDefinition]) -> None:
    assert models["sales.running"].lineage == {
        "id": (ColumnSource("Sales.Orders", "id"),),
        "times": (),
    }


@pytest.mark.parametrize(
    ("query", "lineage"),
    [
        ("SELECT i AS id FROM RANGE(9) AS t(i)", {"id": ()}),
        ("SELECT x AS id FROM (VALUES (1), (2)) AS t(x)", {"id": ()}),
        ("SELECT UNNEST([1, 2]) AS id", {"id": ()}),
        ("SELECT COUNT(*) AS n FROM raw.a", {"n": ()}),
        ("SELECT EXISTS(SELECT * FROM raw.a) AS any_row, 1 AS one", {"one": ()}),
        ("SELECT id FROM raw.a UNION SELECT key FROM raw.b", {"id": ("raw.a.id", "raw.b.key")}),
        ("SELECT (SELECT MAX(b.x) FROM raw.b AS b) AS m", {"m": ("raw.b.x",)}),
        (
            "SELECT SUM(a.x) OVER (PARTITION BY a.y) AS s FROM raw.a AS a",
            {"s": ("raw.a.x", "raw.a.y")},
        ),
        ("SELECT a.s.x AS x FROM raw.a AS a", {"x": ("raw.a.s",)}),
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 AS n FROM r WHERE n < 3) "
            "SELECT n, 1 AS one FROM r",
            {"n": (), "one": ()},
        ),
    ],
)
def test_lineage_of_all_sorts_of_queries(
    small: Project, query: str, lineage: dict[str, tuple[str, ...]]
) -> None:
    small.model("shop.daily", query)
    loaded_lineage = loaded(small).lineage
    assert {
        column: tuple(f"{source.model}.{source.column}" for source in sources)
        for column, sources in loaded_lineage.items()
    } == lineage


def test_an_invalid_query_has_no_lineage(small: Project) -> None:
    small.model("shop.daily", "SELECT t.x FROM raw.a AS t, raw.b AS t")
    daily = loaded(small)
    assert daily.upstream == ("raw.a", "raw.b")
    assert daily.lineage == {}


def test_lineage_ends_at_declared_dependencies(small: Project) -> None:
    """As in a project of dbt: SQLMesh then does not look for tables in the query."""
    small.model("shop.daily", "SELECT a.x, b.y, 1 AS one FROM raw.a AS a, raw.b AS b")
    context = small.context
    (daily,) = context.models.values()
    properties = {"depends_on_": {'"wh"."raw"."a"'}, "extract_dependencies_from_query": False}
    context.upsert_model(daily, **properties)
    (model,) = define(context).models
    assert model.upstream == ("raw.a",)
    assert model.lineage == {"x": (ColumnSource("raw.a", "x"),), "one": ()}


def test_lineage_through_exponentially_many_paths(small: Project) -> None:
    steps = ["s0 AS (SELECT a.x FROM raw.a AS a)"]
    steps += [
        f"s{n} AS (SELECT l.x + r.x AS x FROM s{n - 1} AS l, s{n - 1} AS r)" for n in range(1, 11)
    ]
    small.model("shop.daily", f"WITH {', '.join(steps)} SELECT x FROM s10")
    assert loaded(small).lineage == {"x": (ColumnSource("raw.a", "x"),)}


def test_lineage_equals_that_of_sqlmesh(rich: Project, models: dict[str, ModelDefinition]) -> None:
    context = rich.context
    compared = 0
    for model in models.values():
        for column, sources in model.lineage.items():
            theirs = column_dependencies(context, model.fqn, exp.column(column, quoted=True))
            columns = {
                (models[s.model].fqn if s.model in models else s.model, s.column) for s in sources
            }
            expected = {
                (fqn if fqn in {m.fqn for m in models.values()} else outside(fqn), name)
                for fqn, names in theirs.items()
                for name in names
                if fqn != model.fqn
            }
            assert columns == expected, f"{model.name}.{column}"
            compared += 1
    assert compared > 25


def outside(fqn: str) -> str:
    return fqn.replace('"wh".', "").replace('"', "")


def test_lineage_does_not_change_the_context(rich: Project) -> None:
    rendered = {fqn: str(model.render_query()) for fqn, model in sql_models(rich.context)}
    define(rich.context)
    assert {fqn: str(model.render_query()) for fqn, model in sql_models(rich.context)} == rendered


def sql_models(context: Context) -> Iterator[tuple[str, Any]]:
    return ((fqn, model) for fqn, model in context.models.items() if model.is_sql)


# -- versions ----------------------------------------------------------------------------------


def test_the_version_is_the_data_hash_of_the_fingerprint(
    models: dict[str, ModelDefinition], rich: Project
) -> None:
    snapshots = rich.context.snapshots
    assert {model.fqn: model.version for model in models.values()} == {
        fqn: snapshot.fingerprint.data_hash for fqn, snapshot in snapshots.items()
    }


@pytest.mark.parametrize(
    ("changed", "query", "properties"),
    [
        (True, "SELECT 2 AS id", {}),
        (True, "SELECT 1 AS id", {"kind": "VIEW"}),
        (False, "SELECT 1 AS id -- The same.", {}),
        (False, "SELECT 1 AS id", {"owner": "somebody", "cron": "'0 5 * * *'"}),
        (False, "SELECT 1 AS id", {"audits": "(not_null(columns := (id)))"}),
    ],
)
def test_the_version_changes_with_the_computation(
    small: Project, changed: bool, query: str, properties: dict[str, str]
) -> None:
    before = loaded(small).version
    small.model("shop.daily", query, **properties)
    assert (loaded(small).version != before) is changed


def test_the_version_depends_only_on_the_model(small: Project) -> None:
    small.model("shop.weekly", "SELECT id FROM shop.daily")
    before = {model.name: model.version for model in defined(small).models}
    small.model("shop.daily", "SELECT 2 AS id")
    after = {model.name: model.version for model in defined(small).models}
    assert after["shop.daily"] != before["shop.daily"]
    assert after["shop.weekly"] == before["shop.weekly"]


# -- as reports have it ------------------------------------------------------------------------


def test_reports_agree_with_definitions(definition: ProjectDefinition, rich: Project) -> None:
    """Names, kinds, parents, and of each model's audits name, arguments and whether it blocks."""
    rich.execute(RAW)
    with at("2024-01-10 12:00"):
        report = rich.plan(skip_tests=True)
    assert report.completion == "success"
    defined = {model.name: model for model in definition.models}
    assert defined.keys() == report.outcomes.keys()
    for name, outcome in report.outcomes.items():
        model = defined[name]
        assert (model.fqn, model.kind, model.cron) == (outcome.fqn, outcome.kind, outcome.cron)
        # A report also has what is upstream of an embedded model, as SQLMesh does.
        assert set(model.upstream) & defined.keys() <= set(outcome.upstream)
        assert called(model.audits) == called(outcome.audits), name
    assert len(defined["Sales.Orders"].audits) == 4


def called(audits: Any) -> list[Any]:
    return [(audit.name, dict(audit.arguments), audit.blocking) for audit in audits]


def test_the_audits_of_a_model(models: dict[str, ModelDefinition]) -> None:
    assert called(models["Sales.Orders"].audits) == [
        ("not_null", {"columns": "(id, ts)"}, True),
        ("not_null", {"columns": "(amount)"}, False),
        ("not_negative", {}, False),
        ("at_most", {"n": "1000"}, False),
    ]
    assert called(models["none_missing"].audits) == [("none_missing", {}, False)]
    assert called(models["raw.customers"].audits) == [("not_null", {"columns": "ARRAY(id)"}, True)]
    assert models["sales.daily"].audits == ()


def test_audits_of_all_models(small: Project) -> None:
    config = (small.path / "config.yaml").read_text()
    audits = "  audits:\n    - number_of_rows(threshold := 1)\n"
    small.write("config.yaml", config.replace("disable_", f"{audits}disable_"))
    with at("2024-01-10"):
        report = small.plan()
    audited = loaded(small).audits
    assert called(audited) == called(report["shop.daily"].audits)
    assert called(audited) == [("number_of_rows", {"threshold": "1"}, True)]


def test_facts_of_a_standalone_audit(small: Project) -> None:
    small.write(
        "audits/a.sql",
        "AUDIT (name no_ids, standalone true, description 'None at all');\n\n"
        "SELECT * FROM shop.daily WHERE id = 2",
    )
    (audit,) = (m for m in defined(small).models if m.kind == "audit")
    assert audit.description == "None at all"
    assert [call.description for call in audit.audits] == ["None at all"]


# -- without warehouse and state ---------------------------------------------------------------


def files(project: Project) -> list[str]:
    """All files of a project but those in SQLMesh's cache."""
    below = (path.relative_to(project.path) for path in project.path.rglob("*") if path.is_file())
    return sorted(str(path) for path in below if path.parts[0] != ".cache")


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process that writes to the database, and lets no one else in."""
    code = f"import duckdb; c = duckdb.connect({str(database)!r}); print(1, flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline()
        try:
            yield
        finally:
            holder.communicate("\n")


@only_duckdb("PostgreSQL has no lock of the whole database")
def test_another_process_may_lock_the_database(small: Project) -> None:
    with locked(small.path / "wh.db"):
        with pytest.raises(Exception, match="lock"):
            small.execute("SELECT 1")
        assert loaded(small).name == "shop.daily"


@only_duckdb("the warehouse is a file in a folder that does not exist")
def test_an_unreachable_warehouse(small: Project) -> None:
    config = (small.path / "config.yaml").read_text()
    small.write("config.yaml", config.replace("wh.db", "no/such/folder/wh.db"))
    assert loaded(small).name == "shop.daily"
    with pytest.raises(Exception, match="no/such/folder"):
        small.execute("SELECT 1")


@only_duckdb("PostgreSQL has no lock of the whole database")
def test_the_state_is_not_read_for_other_projects(small: Project) -> None:
    small.write("config.yaml", f"project: shops\n{(small.path / 'config.yaml').read_text()}")
    with locked(small.path / "wh.db"):
        assert loaded(small).name == "shop.daily"


def test_files_are_created_only_in_the_cache(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for file, text in RICH.items():
        project.write(file, text)
    project.write("config.yaml", CONFIG.format(folder=tmp_path))
    before = files(project)
    defined(project)
    assert files(project) == before


# -- what is left in the process ---------------------------------------------------------------


@pytest.fixture
def intrusive(small: Project) -> Project:
    """A project that leaves what it can: variables, modules, macros, signals and a path."""
    small.write(".env", "SHOP_GATEWAY=local\nHOME_OF_SHOP=here\n")
    small.write(
        "config.py",
        f"""
        import os, sys
        from shared_by_shop import SCHEMA
        from sqlmesh.core.config import Config, GatewayConfig, ModelDefaultsConfig

        sys.path.append("/somewhere")
        gateway = GatewayConfig(connection={{"type": "duckdb", "database": "{small.path}/wh.db"}})
        config = Config(
            gateways={{os.environ["SHOP_GATEWAY"]: gateway}},
            default_gateway="local",
            model_defaults=ModelDefaultsConfig(dialect="duckdb", start="2024-01-01"),
            disable_anonymized_analytics=True,
        )
        nightly = config.copy(update={{"project": "nightly"}})
        """,
    )
    (small.path / "config.yaml").unlink()
    small.write("shared_by_shop.py", "SCHEMA = 'shop'")
    small.write("macros/__init__.py", "from .more import *")
    small.write("macros/more.py", "from sqlmesh import macro\n\n@macro()\ndef shop_macro(_): ...")
    small.write(
        "signals/__init__.py",
        "from sqlmesh import signal\n\n@signal()\ndef shop_signal(batch): return True",
    )
    small.write(
        "models/forecast.py",
        """
        from sqlmesh import model

        @model("shop.forecast", columns={"id": "int"})
        def execute(context, start, end, execution_time, **kwargs): ...
        """,
    )
    return small


def traces() -> Any:
    registries = [sorted(kind.registry()) for kind in (macro, signal)]
    modules = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in ("macros", "config")}
    shared = {n for n in sys.modules if n in ("signals", "models", "shared_by_shop")}
    return dict(os.environ), list(sys.path), registries, modules, shared, sys.dont_write_bytecode


def test_a_project_leaves_nothing_in_the_process(
    intrusive: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME_OF_SHOP", "there")
    # Somebody else's module of the name that SQLMesh imports macros by.
    monkeypatch.setitem(sys.modules, "macros", pytest)
    written, before = files(intrusive), traces()
    # Twice: the first versions of SQLMesh refuse signals that they have seen.
    for _ in range(2):
        names = {model.name for model in defined(intrusive).models}
        assert names == {"shop.daily", "shop.forecast"}
    assert traces() == before
    assert files(intrusive) == written


def test_a_broken_project_leaves_nothing_in_the_process(intrusive: Project) -> None:
    intrusive.write("macros/more.py", "raise RuntimeError('broken')")
    before = traces()
    with pytest.raises(ProjectError, match="broken"):
        defined(intrusive)
    assert traces() == before


# -- opening -----------------------------------------------------------------------------------


TWO_GATEWAYS = """
gateways:
  local: {{connection: {{type: duckdb, database: "{folder}/wh.db"}}}}
  remote: {{connection: {{type: duckdb, database: "{folder}/{warehouse}.db"}}}}
default_gateway: local
model_defaults: {{dialect: duckdb, start: 2024-01-01}}
disable_anonymized_analytics: true
"""


def test_a_gateway_is_chosen(small: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TWO_GATEWAYS.format(folder=small.path, warehouse="far")
    small.write("config.yaml", text)
    assert loaded(small).fqn == '"wh"."shop"."daily"'
    assert loaded(small, gateway="remote").fqn == '"far"."shop"."daily"'
    monkeypatch.setenv("SQLMESH_GATEWAY", "remote")
    assert loaded(small).fqn == '"far"."shop"."daily"'
    monkeypatch.setenv("SQLMESH_GATEWAY", "")
    assert loaded(small).fqn == '"wh"."shop"."daily"'


def test_variables_come_from_a_file(small: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TWO_GATEWAYS.format(folder=small.path, warehouse="{{ env_var('WAREHOUSE') }}")
    small.write("config.yaml", text)
    small.write("night.env", "WAREHOUSE=night")
    dotenv = str(small.path / "night.env")
    assert loaded(small, gateway="remote", dotenv=dotenv).fqn == '"night"."shop"."daily"'
    monkeypatch.setenv("SQLMESH_DOTENV_PATH", dotenv)
    assert loaded(small, gateway="remote").fqn == '"night"."shop"."daily"'


def test_a_configuration_is_chosen_by_name(intrusive: Project) -> None:
    assert defined(intrusive, config="nightly").name == "nightly"


def test_an_open_context_runs(small: Project) -> None:
    context = open_context(ProjectLocation([str(small.path)]))
    try:
        with at("2024-01-10"):
            context.plan(auto_apply=True, no_prompts=True)
        assert define(context) == defined(small)
    finally:
        context.close()


def test_a_context_can_be_opened_without_loading(small: Project) -> None:
    context = open_context(ProjectLocation([str(small.path)]), load=False)
    assert dict(context.models) == {}
    assert [model.name for model in define(context.load()).models] == ["shop.daily"]
    context.close()


# -- what can't be loaded ----------------------------------------------------------------------


def refused(*paths: str, **options: Any) -> str:
    """The error for these paths, the same for both ways to load them."""
    messages = []
    for load in (load_definition, open_context):
        with pytest.raises(ProjectError) as raised:
            load(ProjectLocation(paths, **options))
        messages.append(str(raised.value))
    assert messages[0] == messages[1]
    assert "\n" not in messages[0]
    assert "\x1b" not in messages[0]
    return messages[0]


def test_folders_without_a_project(tmp_path: Path) -> None:
    assert refused(f"{tmp_path}/nowhere") == (
        f"no SQLMesh project in {tmp_path}/nowhere: the folder does not exist"
    )
    assert refused(str(tmp_path)) == (
        f"no SQLMesh project in {tmp_path}: it contains no config.yaml, config.yml, config.py, "
        "sqlmesh.yaml or sqlmesh.yml"
    )
    assert refused() == "a SQLMesh project must have at least one folder"


def test_a_project_without_models(project: Project) -> None:
    assert refused(str(project.path)) == f"the SQLMesh project {project.path} has no models"


def test_a_missing_env_file(small: Project) -> None:
    dotenv = f"{small.path}/no.env"
    assert refused(str(small.path), dotenv=dotenv) == f"the dotenv file {dotenv} does not exist"


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("models/broken.sql", "MODEL (name shop.broken, kind FULL);\n\nSELECT 1 AS FROM (", ""),
        ("models/broken.sql", "MODEL (name shop.broken, kind SIDEWAYS);\n\nSELECT 1 AS a", ""),
        ("models/broken.sql", "MODEL (name shop.broken);\n\nSELECT @gone(1) AS a", "gone"),
        ("models/broken.py", "import there_is_no_such_module", "there_is_no_such_module"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_named(
    small: Project, file: str, text: str, words: str
) -> None:
    small.write(file, text)
    message = refused(str(small.path))
    assert message.startswith(f"the SQLMesh project {small.path} can't be loaded: ")
    assert file in message
    assert words in message


def test_an_unreadable_configuration(small: Project) -> None:
    small.write("config.yaml", "gateways: [")
    message = refused(str(small.path))
    assert message.startswith(f"the SQLMesh project {small.path} can't be loaded: ParserError: ")


def test_an_unknown_gateway(small: Project) -> None:
    assert "nowhere" in refused(str(small.path), gateway="nowhere")
