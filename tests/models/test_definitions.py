"""The definition of a project is data that can be written and read."""

from __future__ import annotations

import pytest

from pytest_sqlmesh_tracker.models.definitions import (
    AuditDefinition,
    ColumnDefinition,
    ColumnSource,
    ModelDefinition,
    ProjectDefinition,
)

ORDERS = ModelDefinition(
    name="sales.orders",
    fqn='"wh"."sales"."orders"',
    parts=("sales", "orders"),
    kind="full",
    cron="@daily",
    upstream=("raw.events",),
    columns=(ColumnDefinition(name="id", type="INT"),),
    lineage={"id": (ColumnSource("raw.events", "id"),)},
    version="1",
    audits=(AuditDefinition(name="not_null", arguments={"columns": "(id)"}),),
)
PROJECT = ProjectDefinition(
    name="warehouse", models=(ORDERS,), outside={"raw.events": ("raw", "events")}
)


def test_a_definition_survives_a_round_trip_through_json() -> None:
    read = ProjectDefinition.from_json(PROJECT.to_json())
    assert read == PROJECT
    assert read.models[0].lineage["id"] == (ColumnSource("raw.events", "id"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a project definition: definition: Invalid JSON"),
        ('{"name": "warehouse"}', "not a project definition: models: Field required"),
        ('{"name": "w", "models": [], "color": 1}', "not a project definition: color: "),
    ],
)
def test_invalid_definitions_are_rejected_with_a_one_line_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        ProjectDefinition.from_json(text)
    assert "\n" not in str(raised.value)
