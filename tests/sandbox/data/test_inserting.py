"""Rows that a test inserts into tables."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_sqlmesh_tracker import Sandbox, SandboxError, UnknownModelError
from tests.sandbox.building import Sandboxes, project


@pytest.mark.long
def test_rows_of_an_external_model_are_read_by_the_next_run(sandbox: Sandbox) -> None:
    sandbox.insert("raw.events", [{"id": 1, "ts": "2024-01-05 12:00"}, {"id": 2}])

    sandbox.run(at="2024-01-06 00:05").assert_executed("shop.latest")

    sandbox.assert_rows(
        "shop.latest", [{"id": 1, "ts": datetime(2024, 1, 5, 12)}, {"id": 2, "ts": None}]
    )
    assert [row["seen_at"] for row in sandbox.rows("raw.events")] == [None, None]


def test_rows_of_another_model_are_in_its_table(sandbox: Sandbox) -> None:
    sandbox.insert("shop.orders", [{"id": 9, "amount": 1}])
    assert {"id": 9, "day": None, "amount": 1, "note": None} in sandbox.rows("shop.orders")


def test_a_table_that_no_model_declares_can_have_rows(sandbox: Sandbox) -> None:
    sandbox.execute("CREATE TABLE shop.notes (id INTEGER, note TEXT)")
    sandbox.insert("shop.notes", [{"note": "it's"}])
    sandbox.insert("shop.notes", [])
    assert sandbox.rows("shop.notes") == [{"id": None, "note": "it's"}]


@pytest.mark.parametrize(
    ("model", "row", "error", "complaint"),
    [
        ("raw.event", {"id": 1}, UnknownModelError, "did you mean raw.events"),
        ("shop.pieces", {"id": 1}, SandboxError, "shop.pieces is embedded"),
        ("raw.events", {"idd": 1}, SandboxError, "raw.events has no column 'idd'; did you mean id"),
        (
            "raw.events",
            {"id": "x"},
            SandboxError,
            r"rows\[0\]\['id'\] = 'x' is not a number; the column id of raw.events is",
        ),
        ("raw.events", {"id": 2**70}, SandboxError, "raw.events rejects the rows"),
    ],
)
def test_what_can_only_be_a_mistake_is_rejected(
    sandbox: Sandbox, model: str, row: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        sandbox.insert(model, [row])


def test_a_view_and_a_model_without_a_table_are_rejected(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    made = project(tmp_path, "{local: {connection: {type: duckdb}}}")
    made.write("external_models.yaml", "- {name: raw.unknown}\n")
    made.model("shop.one", "SELECT 1 AS id", kind="VIEW")
    with sandboxes(tmp_path) as sandbox:
        with pytest.raises(SandboxError, match=r"shop.one is a view: insert into"):
            sandbox.insert("shop.one", [{"id": 1}])
        with pytest.raises(SandboxError, match=r"raw.unknown has no table: declare its columns"):
            sandbox.insert("raw.unknown", [{"id": 1}])
