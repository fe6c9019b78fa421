"""Models that have a test's data instead of their queries."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pytest_sqlmesh_tracker import SandboxError, UnknownModelError
from tests.projects import Project
from tests.sandbox.building import IN_POSTGRES, ON_TWO_ENGINES, Sandboxes, project

FROM_THE_NETWORK = """
from sqlmesh import model
from sqlmesh.core.model import ModelKindName

@model("raw.http", columns={"id": "int", "ts": "timestamp", "price": "decimal(10, 2)"},
       kind={"name": ModelKindName.INCREMENTAL_BY_TIME_RANGE, "time_column": "ts"}, cron="@daily",
       audits=[("has_an_id", {})])
def execute(context, **kwargs):
    raise ConnectionError("no network in tests")
"""
ROWS: list[dict[str, Any]] = [
    {"id": 1, "ts": datetime(2024, 1, 3, 12), "price": 8},
    {"id": 2, "ts": "2024-01-05 12:00"},
]


@pytest.fixture(scope="session")
def feeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What comes from the network, and what is read from it."""
    made: Project = project(tmp_path_factory.mktemp("feeds"), ON_TWO_ENGINES, IN_POSTGRES)
    made.write(
        "audits/has_an_id.sql",
        "AUDIT (name has_an_id);\n\nSELECT * FROM @this_model WHERE id IS NULL\n",
    )
    made.write("models/http.py", FROM_THE_NETWORK)
    made.write(
        "external_models.yaml", "- {name: raw.events, columns: {id: int}}\n- {name: raw.x}\n"
    )
    made.write("seeds/a.csv", "id\n1\n")
    made.model("raw.seed", "", kind="SEED (path '../seeds/a.csv')")
    made.model("shop.prices", "SELECT id, price FROM raw.http", cron="'@daily'")
    made.model("shop.copies", "SELECT id, price + 0 AS price FROM shop.prices", cron="'@daily'")
    made.model("shop.report", "SELECT id, price FROM shop.copies", kind="VIEW")
    made.model("shop.unknown", "SELECT id, z FROM raw.x", cron="'@daily'")
    made.write(
        "tests/test_copies.yaml",
        """
        test_copies:
          model: shop.copies
          inputs: {shop.prices: {rows: [{id: 1, price: 1}]}}
          outputs: {query: {rows: [{id: 2, price: 1}]}}
        """,
    )
    return made.path


@pytest.fixture
def selected() -> dict[str, Any]:
    """The arguments of sandboxes with all that can be loaded once raw.http is stubbed."""
    return {"select": ["shop.report", "raw.seed"]}


@pytest.mark.long
def test_a_model_that_needs_the_network_has_rows(
    feeds: Path, sandboxes: Sandboxes, selected: dict[str, Any], engine: str
) -> None:
    with sandboxes(feeds, gateway=engine, stub={"raw.http": ROWS}, **selected) as sandbox:
        # An incremental model loads only its intervals.
        sandbox.assert_rows("shop.copies", [{"id": 1, "price": 8}])

        report = sandbox.run(at="2024-01-06 00:05")

        report.assert_executed("raw.http", intervals=("2024-01-05", "2024-01-06"))
        assert report["raw.http"].stubbed
        assert not report["shop.prices"].stubbed
        assert "the test's data replaces its query" in report.explain("raw.http")
        sandbox.assert_rows("shop.copies", [{"id": 1, "price": 8}, {"id": 2, "price": None}])


@pytest.mark.long
def test_other_data_is_loaded_with_the_next_evaluation(
    feeds: Path, sandboxes: Sandboxes, selected: dict[str, Any], engine: str
) -> None:
    with sandboxes(feeds, gateway=engine, stub={"raw.http": ROWS}, **selected) as sandbox:
        sandbox.stub("raw.http", [{"id": None, "ts": "2024-01-05"}])

        sandbox.plan().assert_nothing_executed()
        report = sandbox.run(at="2024-01-06 00:05")

        # Its audits stay.
        report.assert_audit_failed("raw.http", "has_an_id")


@pytest.mark.long
def test_a_test_can_stub_another_model(
    feeds: Path, sandboxes: Sandboxes, selected: dict[str, Any], engine: str
) -> None:
    with sandboxes(feeds, gateway=engine, stub={"raw.http": ROWS}, **selected) as sandbox:
        sandbox.stub("shop.prices", "SELECT 7 AS id")

        report = sandbox.plan()

        report.assert_executed("shop.prices", "shop.copies")
        sandbox.assert_rows("shop.copies", [{"id": 7, "price": None}])
        # After a file was written, all files are read again.
        sandbox.write("models/new.sql", "MODEL (name shop.new, kind FULL);\n\nSELECT 1 AS one\n")
        assert sandbox.plan(select_models=["shop.new"])["shop.prices"].stubbed


def test_unit_tests_of_a_stubbed_model_are_left_out(
    feeds: Path, sandboxes: Sandboxes, engine: str
) -> None:
    stubs = {"raw.http": ROWS, "shop.unknown": "SELECT 1 AS id"}
    with pytest.raises(SandboxError, match="SQLMesh can't infer the types of"):
        with sandboxes(feeds, gateway=engine, stub=stubs):
            pass
    more: dict[str, Any] = {"raw.http": ROWS, "shop.copies": [{"id": 1}]}
    with sandboxes(feeds, gateway=engine, stub=more, plan=False) as sandbox:
        assert sandbox.context.test().wasSuccessful()


@pytest.mark.long
def test_a_view_has_other_data_at_once_unless_it_is_wrong(
    feeds: Path, sandboxes: Sandboxes, selected: dict[str, Any], engine: str
) -> None:
    stubs = {"raw.http": ROWS, "shop.report": "SELECT 1 AS id;"}
    with sandboxes(feeds, gateway=engine, stub=stubs, **selected) as sandbox:
        sandbox.stub("shop.report", [{"id": 2}])
        sandbox.assert_rows("shop.report", [{"id": 2, "price": None}])
        with pytest.raises(SandboxError, match="is not a number"):
            sandbox.stub("shop.report", [{"id": 3}, {"id": "x"}])
        sandbox.assert_rows("shop.report", [{"id": 2, "price": None}])


@pytest.mark.long
def test_a_file_that_was_written_anew_is_read_anew(
    feeds: Path, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    file = tmp_path / "prices.csv"
    for price in (8, 9):
        file.write_text(f"id,ts,price\n1,2024-01-03 12:00,{price}\n")
        with sandboxes(feeds, stub={"raw.http": file}, select=["shop.prices"]) as sandbox:
            sandbox.assert_rows("shop.prices", [{"id": 1, "price": price}])


@pytest.mark.parametrize("form", ["csv", "json", "parquet", "frame", "query"])
def test_data_has_many_forms(
    feeds: Path,
    sandboxes: Sandboxes,
    selected: dict[str, Any],
    engine: str,
    form: str,
    tmp_path: Path,
) -> None:
    file = tmp_path / f"prices.{form}"
    data: Any = file
    query = "SELECT 7 AS id, CAST(1.5 AS DECIMAL(4, 2)) AS price UNION ALL SELECT 8, NULL"
    if form == "csv":
        file.write_text("price,id\n1.50,7\n,8\n")
        data = str(file)
    elif form == "json":
        file.write_text(json.dumps([{"id": 7, "price": 1.5}, {"id": 8}]))
    elif form == "parquet":
        duckdb.sql(query).write_parquet(str(file))
    elif form == "frame":
        data = pytest.importorskip("pandas").DataFrame({"id": [7, 8], "price": [1.5, None]})
    else:
        data = query
    with sandboxes(feeds, gateway=engine, stub={"raw.http": ROWS}, **selected) as sandbox:
        sandbox.stub("shop.prices", data)
        sandbox.plan()
        sandbox.assert_rows("shop.copies", [{"id": 7, "price": 1.5}, {"id": 8, "price": None}])


MISTAKES: list[tuple[str, Any, type[Exception], str]] = [
    ("shop.price", [], UnknownModelError, "did you mean shop.prices"),
    ("shop.*", [], SandboxError, "requires one model"),
    ("shop.prices", [{"idd": 1}], SandboxError, "shop.prices has no column 'idd'; did you mean id"),
    ("shop.prices", "SELECT 1 AS idd", SandboxError, "no column 'idd'; did you mean id"),
    ("shop.prices", [{"id": "x"}], SandboxError, "= 'x' is not a number; the column id of shop.pr"),
    ("shop.prices", "nothing.csv", SandboxError, "nothing.csv does not exist"),
    ("shop.prices", Path("data.xlsx"), SandboxError, "must end in .csv, .parquet, .json, not '.xl"),
    ("shop.prices", 7, SandboxError, "must be a list of mappings, a DataFrame, a file or a query"),
    ("shop.prices", "SELECT nonsense", SandboxError, "rejects the data: .*nonsense"),
    ("raw.seed", [], SandboxError, "raw.seed is a seed"),
]


@pytest.mark.long
def test_what_can_only_be_a_mistake_is_rejected(
    feeds: Path, sandboxes: Sandboxes, selected: dict[str, Any], engine: str
) -> None:
    with sandboxes(feeds, gateway=engine, stub={"raw.http": ROWS}, **selected) as sandbox:
        for model, data, error, complaint in MISTAKES:
            with pytest.raises(error, match=complaint):
                sandbox.stub(model, data)


@pytest.mark.parametrize("row", ["7", "7,1.5,2"])
def test_a_line_of_another_length_is_rejected(
    feeds: Path,
    sandboxes: Sandboxes,
    selected: dict[str, Any],
    engine: str,
    row: str,
    tmp_path: Path,
) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(f"id,price\n\n{row}\n")
    with sandboxes(feeds, gateway=engine, stub={"raw.http": ROWS}, **selected) as sandbox:
        complaint = r"shop\.prices: line 3 of .*prices\.csv must have as many values .* 2, not "
        with pytest.raises(SandboxError, match=f"{complaint}{row.count(',') + 1}"):
            sandbox.stub("shop.prices", file)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"stub": {"raw.htp": []}}, "stub: no model 'raw.htp' in the project; did you mean raw.ht"),
        ({"stub": {"raw.events": []}}, r"raw.events is external: insert\(\) and setup= fill its"),
        ({"stub": {"raw.http": []}, "state": "keep"}, "with state='keep', the models are loaded"),
        ({"stub": ["raw.http"]}, "stub must map names of models to data"),
    ],
)
def test_a_marker_with_a_mistake_is_an_error(
    feeds: Path, sandboxes: Sandboxes, arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(SandboxError, match=complaint):
        with sandboxes(feeds, gateway="duckdb", **arguments):
            pass
