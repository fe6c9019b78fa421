"""Rows of models: values of each type, in columns of both databases, with unique keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_sqlmesh_tracker import Sandbox, SandboxError, Sandboxes
from pytest_sqlmesh_tracker.strategies import model_rows
from tests.projects import Project

TYPES = {
    "id": "INT",
    "tiny": "TINYINT",
    "large": "BIGINT",
    "amount": "DECIMAL(10, 2)",
    "share": "DOUBLE",
    "rate": "FLOAT",
    "name": "TEXT",
    "code": "VARCHAR(3)",
    "open": "BOOLEAN",
    "day": "DATE",
    "at": "TIMESTAMP",
    "seen": "TIMESTAMPTZ",
    "opens": "TIME",
    "lasts": "INTERVAL",
    "key": "UUID",
    "photo": "BLOB",
    "tags": "TEXT[]",
    "place": "STRUCT(x INT, y DOUBLE)",
}


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory, sqlmesh_project_factory: Sandboxes
) -> Iterator[Sandbox]:
    project = Project(tmp_path_factory.mktemp("shop"))
    columns = "".join(f"    {name}: {kind}\n" for name, kind in TYPES.items())
    undeclared = "- name: raw.undeclared\n"
    strange = "- name: raw.strange\n  columns: {shape: GEOMETRY}\n"
    project.write(
        "external_models.yaml",
        f"- name: raw.orders\n  grain: id\n  columns:\n{columns}{strange}{undeclared}",
    )
    with sqlmesh_project_factory(str(project.path), at="2024-01-02") as sandbox:
        yield sandbox


@pytest.mark.long
def test_the_database_has_the_rows_that_were_drawn(shop: Sandbox) -> None:
    orders: Any = shop.context.get_model("raw.orders")

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(model_rows(orders))
    def inserted(rows: list[dict[str, Any]]) -> None:
        shop.execute("DELETE FROM raw.orders")
        shop.insert("raw.orders", rows)
        shop.assert_rows("raw.orders", rows)
        assert len({row["id"] for row in rows}) == len(rows)

    inserted()


def test_columns_can_have_strategies_of_their_own(shop: Sandbox) -> None:
    orders: Any = shop.context.get_model("raw.orders")
    days = st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 7))

    @settings(max_examples=20, deadline=None)
    @given(model_rows(orders, columns={"at": days}, min_size=2, max_size=3))
    def drawn(rows: list[dict[str, Any]]) -> None:
        assert 2 <= len(rows) <= 3
        assert all(datetime(2024, 1, 1) <= row["at"] <= datetime(2024, 1, 7) for row in rows)

    drawn()


@pytest.mark.parametrize(
    ("model", "columns", "complaint"),
    [
        ("raw.undeclared", {}, "raw.undeclared must declare the types of its columns"),
        ("raw.strange", {}, "no strategy is known for raw.strange.shape, which is GEOMETRY"),
        ("raw.orders", {"amont": st.none()}, "no column 'amont'; did you mean amount?"),
    ],
)
def test_rejects_what_it_cannot_draw(
    shop: Sandbox, model: str, columns: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(SandboxError, match=complaint):
        model_rows(shop.context.get_model(model), columns=columns)
