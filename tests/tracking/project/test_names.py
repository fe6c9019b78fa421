"""Models have the names that users write, and names are unique."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_sqlmesh_tracker.tracking.project.names import display_names, shown
from tests.projects import Project, at


def model(name: str, dialect: str = "duckdb") -> Any:
    """As much of a SQLMesh model as a name depends on."""
    return SimpleNamespace(name=name, dialect=dialect, is_model=True)


@pytest.mark.parametrize(
    ("fqn", "name", "expected"),
    [
        ('"wh"."sales"."orders"', "sales.orders", "sales.orders"),
        ('"wh"."sales"."orders"', "Sales.Orders", "Sales.Orders"),
        ('"wh"."sales"."orders"', "wh.sales.orders", "sales.orders"),
        ('"wh"."sales"."orders"', '"wh"."sales"."orders"', "sales.orders"),
        ('"other"."sales"."orders"', "other.sales.orders", "other.sales.orders"),
        ('"other"."sales"."orders"', "sales.orders", "other.sales.orders"),
        ('"wh"."sales"."odd name"', 'sales."odd name"', 'sales."odd name"'),
        ('"wh"."sales"."between"', 'sales."between"', 'sales."between"'),
        ('"wh"."sales"."Upper"', 'sales."Upper"', 'sales."Upper"'),
        ('"wh"."sales"."a.b"', 'sales."a.b"', 'sales."a.b"'),
        ('"orders"', "orders", "orders"),
    ],
)
def test_a_name_is_shown_as_it_is_written(fqn: str, name: str, expected: str) -> None:
    assert display_names({fqn: model(name)}, "wh") == {fqn: expected}


def test_a_standalone_audit_has_a_bare_name() -> None:
    assert display_names({"no_gaps": SimpleNamespace(is_model=False)}, "wh") == {
        "no_gaps": "no_gaps"
    }


def test_models_of_two_gateways_with_the_same_name_are_distinguished() -> None:
    nodes = {'"a"."s"."x"': model("s.x"), '"c"."s"."x"': model("s.x")}
    assert set(display_names(nodes, "a").values()) == {"s.x", "c.s.x"}


def test_ambiguous_names_stay_fully_qualified() -> None:
    nodes = {'"wh"."s"."x"': model("s.x"), "s.x": SimpleNamespace(is_model=False)}
    assert display_names(nodes, "wh") == {fqn: fqn for fqn in nodes}


def test_a_removed_model_has_only_its_qualified_name() -> None:
    assert shown('"wh"."sales"."orders"', "wh") == "sales.orders"
    assert shown('"wh"."sales"."odd name"', "wh") == 'sales."odd name"'


def test_backticks_of_the_dialect_are_dropped() -> None:
    assert shown('"wh"."s"."odd name"', "wh", model("s.`odd name`", "bigquery")) == "s.`odd name`"


def test_the_default_catalog_is_dropped_in_the_spelling_of_the_dialect(project: Project) -> None:
    """Models of Snowflake's dialect have capitals, also in the catalog that DuckDB has."""
    project.model("shop.daily", "SELECT 1 AS id", dialect="snowflake")
    with at("2024-01-05"):
        report = project.plan()
    assert set(report.outcomes) == {"shop.daily"}
    assert report["shop.daily"].fqn == '"WH"."SHOP"."DAILY"'
