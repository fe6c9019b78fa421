"""Reading rows, and comparing them in the database."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pandas import Timedelta, Timestamp  # type: ignore[import-untyped,unused-ignore]

from pytest_sqlmesh_tracker import Sandbox, SandboxError, UnknownModelError
from pytest_sqlmesh_tracker.sandbox.data.records import Record
from tests.sandbox.building import Sandboxes

FIRST = {"id": 1, "day": date(2024, 1, 1), "amount": Decimal("8.00"), "note": "first"}
SECOND = {"id": 2, "day": date(2024, 1, 2), "amount": Decimal("9.50"), "note": None}
THIRD = {"id": 3, "day": date(2024, 1, 2), "amount": None, "note": "it's"}
NANOSECOND = Timedelta(1, "ns")
ORDERS: list[dict[str, Any]] = [FIRST, SECOND, THIRD]


class TestRows:
    def test_are_those_of_a_model_in_the_order_of_its_grain(self, sandbox: Sandbox) -> None:
        assert sandbox.rows("shop.orders") == ORDERS
        assert sandbox.rows(sandbox.context.get_model("shop.orders")) == ORDERS
        assert sandbox.rows("shop.per*") == [
            {"day": date(2024, 1, 1), "orders": 1},
            {"day": date(2024, 1, 2), "orders": 2},
        ]

    def test_are_those_of_an_external_table(self, sandbox: Sandbox) -> None:
        sandbox.execute("INSERT INTO raw.events (id) VALUES (7)")
        assert sandbox.rows("raw.events") == [{"id": 7, "ts": None, "seen_at": None}]

    def test_are_those_of_a_query(self, sandbox: Sandbox) -> None:
        assert sandbox.rows("SELECT MAX(id) AS id FROM shop.orders; -- the last") == [{"id": 3}]

    def test_are_those_of_the_environment(self, sandbox: Sandbox) -> None:
        sandbox.write(
            "models/shop.per_day.sql",
            "MODEL (name shop.per_day, kind FULL);\n\nSELECT COUNT(*) AS n FROM shop.orders\n",
        )
        sandbox.plan("dev")
        assert len(sandbox.rows("shop.per_day")) == 2
        assert sandbox.rows("SELECT n FROM shop__dev.per_day") == [{"n": 3}]

    @pytest.mark.parametrize(
        ("model_or_sql", "error", "message"),
        [
            ("shop.order", UnknownModelError, "did you mean shop.orders"),
            ("shop.*", SandboxError, r"requires one model; 'shop.\*' matches shop"),
            ("shop.pieces", SandboxError, "shop.pieces is embedded, and has no rows of its own"),
            ("orders_exist", SandboxError, "is a standalone audit, which has no rows"),
            ("SELECT 1 AS a, 2 AS a", SandboxError, "the query has two columns named 'a'"),
        ],
    )
    def test_of_what_has_none_are_an_error(
        self, sandbox: Sandbox, model_or_sql: str, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            sandbox.rows(model_or_sql)

    def test_are_those_of_a_table_that_no_model_declares(self, sandbox: Sandbox) -> None:
        sandbox.execute("CREATE TABLE shop.notes AS SELECT 1 AS id")
        assert sandbox.rows("shop.notes") == [{"id": 1}]

    def test_of_a_new_model_need_a_plan(self, sandbox: Sandbox) -> None:
        sandbox.write("models/new.sql", "MODEL (name shop.new, kind FULL);\n\nSELECT 1 AS one\n")
        with pytest.raises(SandboxError, match=r"shop.new is not in the environment 'prod' yet"):
            sandbox.rows("shop.new")


class TestAssertRows:
    def test_passes_on_exactly_these_rows_in_any_order(self, sandbox: Sandbox) -> None:
        sandbox.assert_rows("shop.orders", ORDERS[::-1])
        sandbox.assert_rows("SELECT * FROM shop.orders WHERE id = 9", [])

    def test_takes_values_that_mean_the_same(self, sandbox: Sandbox) -> None:
        other = {"id": 2.0, "day": "2024-01-02 00:00", "amount": 9.5, "note": None}
        sandbox.assert_rows("SELECT * FROM shop.orders WHERE id = 2", [other])

    def test_takes_a_data_frame(self, sandbox: Sandbox) -> None:
        frame = pytest.importorskip("pandas").DataFrame(
            {"id": [1, 2, 3], "amount": [8.0, 9.5, None]}
        )
        sandbox.assert_rows("shop.orders", frame, columns=["id", "amount"])

    def test_compares_the_chosen_columns(self, sandbox: Sandbox) -> None:
        sandbox.assert_rows("shop.orders", ORDERS, columns=["day"])
        with pytest.raises(AssertionError, match="1 missing"):
            sandbox.assert_rows("shop.orders", [*ORDERS, FIRST], columns=["day"])

    def test_shows_the_difference_by_the_grain(self, sandbox: Sandbox) -> None:
        expected = [{**FIRST, "amount": 8.1}, SECOND, {**THIRD, "id": 4}]
        assert (
            message(sandbox, "shop.orders", expected)
            == """\
shop.orders does not have the expected rows: 1 different, 1 unexpected, 1 missing
  compared    id, day, amount, note; by id
  differ in   amount
  rows        3, and 3 expected

  different (1)
    id  amount
    1   8.00, expected 8.10

  unexpected (1)
    id  day         amount  note
    3   2024-01-02  NULL    'it''s'

  missing (1)
    id  day         amount  note
    4   2024-01-02  NULL    'it''s'"""
        )

    def test_counts_rows_that_are_there_several_times(self, sandbox: Sandbox) -> None:
        query = "SELECT day FROM shop.orders"
        assert (
            message(sandbox, query, [{"day": "2024-01-01"}, {"day": "2024-01-02"}])
            == """\
the query does not have the expected rows: 1 unexpected
  compared   day
  rows       3, and 2 expected
  query      SELECT day FROM shop.orders

  unexpected (1)
    day         times
    2024-01-02  2, expected 1"""
        )

    def test_shows_at_most_20_rows_of_all_sorts(self, sandbox: Sandbox) -> None:
        expected = [{**FIRST, "id": 100 + n} for n in range(50)]
        lines = message(sandbox, "shop.orders", expected).splitlines()
        assert lines[0].endswith(": 3 unexpected, 50 missing")
        assert "  shown      the first 20" in lines
        # Three that are unexpected, and the first seventeen that are missing.
        assert [line.split()[0] for line in lines if line.startswith("    1")][-17:] == [
            str(100 + n) for n in range(17)
        ]

    def test_shows_where_long_texts_differ(self, sandbox: Sandbox) -> None:
        query = f"SELECT 1 AS id, '{'x' * 60}yz' AS note"
        text = message(sandbox, query, [{"id": 1, "note": f"{'x' * 60}z"}])
        assert "…xxxxxxxxxxyz', expected …xxxxxxxxxxz'" in text

    def test_of_an_order_shows_where_it_begins_to_differ(self, sandbox: Sandbox) -> None:
        query = "SELECT id, note FROM shop.orders ORDER BY id"
        expected = [{"id": n, "note": ORDERS[n - 1]["note"]} for n in (1, 3, 2)]
        sandbox.assert_rows(query, expected[::-1])
        with pytest.raises(AssertionError) as error:
            sandbox.assert_rows(query, expected, order=True)
        assert (
            str(error.value)
            == f"""\
the query has the expected rows, but in another order: 2 different
  compared    id, note
  differ in   id, note
  rows        3, and 3 expected
  query       {query}

  different (2)
    row  id             note
    2    2, expected 3  NULL, expected 'it''s'
    3    3, expected 2  'it''s', expected NULL"""
        )

    @pytest.mark.parametrize(
        "unordered",
        [
            "shop.orders",
            "SELECT * FROM (SELECT * FROM shop.orders ORDER BY id) AS o",
            "SELECT *, row_number() OVER (ORDER BY id) AS n FROM shop.orders",
        ],
    )
    def test_of_an_order_needs_one(self, sandbox: Sandbox, unordered: str) -> None:
        with pytest.raises(SandboxError, match="requires a query with ORDER BY"):
            sandbox.assert_rows(unordered, ORDERS, order=True)

    def test_of_an_order_accepts_any_white_space(self, sandbox: Sandbox) -> None:
        sandbox.assert_rows("SELECT 1 AS id order\n  by id", [{"id": 1}], order=True)

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"amount": 8.001}, r"rows\[1\]\['amount'\] = 8.001 has more than 2 decimal places"),
            ({"amount": "8"}, "= '8' is not a number; the column amount is"),
            ({"id": 1.5}, "= 1.5 is not an integer; the column id is"),
            ({"id": 2**70}, "the database rejects them"),
            ({"day": "2024-01-01 12:00"}, "has a time; the column day is"),
            ({"note": 1}, "= 1 is not text"),
        ],
    )
    def test_fails_on_values_that_no_row_can_have(
        self, sandbox: Sandbox, change: dict[str, object], complaint: str
    ) -> None:
        with pytest.raises(AssertionError, match=complaint):
            sandbox.assert_rows("shop.orders", [SECOND, {**FIRST, **change}])

    @pytest.mark.parametrize(
        ("value", "expected", "complaint"),
        [
            ("CAST('2024-01-01' AS TIMESTAMP)", Timestamp("2024-01-01") + NANOSECOND, "nanosecond"),
            ("CAST('1 hour' AS INTERVAL)", Timedelta("1h") + NANOSECOND, "has nanoseconds"),
            ("CAST('10:00' AS TIME)", time(10, tzinfo=timezone(timedelta(hours=5))), "time zone"),
            ("CAST('10:00' AS TIME)", "10:00+05:00", "has a time zone"),
        ],
    )
    def test_fails_on_values_that_a_type_would_cut_off(
        self, sandbox: Sandbox, value: str, expected: object, complaint: str
    ) -> None:
        with pytest.raises(AssertionError, match=complaint):
            sandbox.assert_rows(f"SELECT {value} AS x", [{"x": expected}])

    def test_fails_on_spaces_beyond_the_length_of_a_column(
        self, sandbox: Sandbox, engine: str
    ) -> None:
        # DuckDB has no lengths.
        complaint = "unexpected" if engine == "duckdb" else "has more than 3 characters"
        with pytest.raises(AssertionError, match=complaint):
            sandbox.assert_rows("SELECT CAST('abc' AS VARCHAR(3)) AS x", [{"x": "abc  "}])

    def test_rejects_two_names_of_one_column(self, sandbox: Sandbox, engine: str) -> None:
        # They are two columns in PostgreSQL.
        complaint = "'id' and 'ID' are the same" if engine == "duckdb" else "no column 'ID'"
        two: list[list[Record]] = [[{"id": 1, "ID": 2}], [{"id": 1}, {"ID": None}]]
        for rows in two:
            with pytest.raises(SandboxError, match=complaint):
                sandbox.assert_rows("SELECT 1 AS id", rows)

    def test_distinguishes_null_in_json_from_none(self, sandbox: Sandbox) -> None:
        assert "null" in message(sandbox, "SELECT CAST('null' AS JSON) AS x", [{"x": None}])

    def test_distinguishes_what_a_collation_does_not(self, sandbox: Sandbox, engine: str) -> None:
        collation = "NOCASE"
        if engine == "postgres":
            sandbox.execute(
                "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', "
                "deterministic = false)"
            )
            collation = "any_case"
        query = f"SELECT CAST('a' AS TEXT) COLLATE {collation} AS x"
        sandbox.assert_rows(query, [{"x": "a"}])
        assert "'A'" in message(sandbox, query, [{"x": "A"}])
        with pytest.raises(AssertionError, match="1 only in the first query"):
            sandbox.assert_same_rows(query, "SELECT CAST('A' AS TEXT) AS x")

    @pytest.mark.parametrize(
        ("rows", "columns", "complaint"),
        [
            ([{**FIRST, "amont": 1}], None, "shop.orders has no column 'amont'; did you mean amo"),
            (ORDERS, ["days"], "no column 'days'; did you mean day?"),
            ([{"id": 1, "day": None}], None, r"rows\[0\] lacks amount, note .*=\['id', 'day'\]"),
            (ORDERS, "id", "columns must be a list of names"),
            ([(1, 2)], None, r"rows\[0\] is \(1, 2\)"),
            ("shop.orders", None, "rows must be a list of mappings"),
            (7, None, "rows must be a list of mappings"),
        ],
    )
    def test_rejects_what_can_only_be_a_mistake(
        self, sandbox: Sandbox, rows: Any, columns: Any, complaint: str
    ) -> None:
        with pytest.raises(SandboxError, match=complaint):
            sandbox.assert_rows("shop.orders", rows, columns=columns)


class TestAssertSameRows:
    def test_passes_on_the_same_rows(self, sandbox: Sandbox) -> None:
        sandbox.assert_same_rows("shop.orders", "SELECT * FROM shop.orders ORDER BY id;")
        # Of types that differ, but hold the same values.
        sandbox.assert_same_rows(
            "SELECT CAST(8 AS BIGINT) AS a, CAST('2024-01-01' AS DATE) AS b",
            "SELECT CAST('2024-01-01' AS TIMESTAMP) AS b, CAST(8 AS DECIMAL(9, 2)) AS a",
        )

    def test_shows_the_difference(self, sandbox: Sandbox) -> None:
        query = "SELECT id, day, amount + 1 AS amount, note FROM shop.orders WHERE id <> 1"
        with pytest.raises(AssertionError) as error:
            sandbox.assert_same_rows("shop.orders", query)
        assert (
            str(error.value)
            == f"""\
shop.orders and the query do not have the same rows: 1 different, 1 only in shop.orders
  compared    id, day, amount, note; by id
  differ in   amount
  rows        3 in shop.orders, 2 in the query
  query       {query}

  different (1)
    id  amount
    2   9.50 -> 10.50

  only in shop.orders (1)
    id  day         amount  note
    1   2024-01-01  8.00    'first'"""
        )

    @pytest.mark.parametrize(
        ("a", "b", "complaint"),
        [
            ("shop.orders", "SELECT 1 AS id", "only shop.orders has day, amount, note"),
            ("SELECT 1 AS a", "SELECT 'x' AS a", "cast the column in a query"),
            # The common type would round 1.5 in DuckDB.
            (
                "SELECT CAST(2 AS DECIMAL(38, 0)) AS a",
                "SELECT CAST(1.5 AS DECIMAL(10, 2)) AS a",
                "cast the column in a query",
            ),
        ],
    )
    def test_fails_on_other_columns(self, sandbox: Sandbox, a: str, b: str, complaint: str) -> None:
        with pytest.raises(AssertionError, match=complaint):
            sandbox.assert_same_rows(a, b)


def test_an_assertion_changes_nothing(sandbox: Sandbox) -> None:
    adapter: Any = sandbox.context.engine_adapter
    before = adapter.system.objects(adapter)
    with pytest.raises(AssertionError):
        sandbox.assert_rows("shop.orders", [FIRST])
    with pytest.raises(Exception, match="nonsense"):
        sandbox.assert_rows("SELECT nonsense FROM shop.orders", [FIRST])
    sandbox.assert_rows("shop.orders", ORDERS)
    assert adapter.system.objects(adapter) == before


@pytest.mark.long
def test_an_assertion_sees_the_time_of_the_sandbox(
    shop: Path, sandboxes: Sandboxes, engine: str
) -> None:
    with sandboxes(shop, gateway=engine, tick=False) as sandbox:
        for day in ("2024-01-05", "2024-01-06"):
            sandbox.travel(f"{day} 00:05")
            query = "SELECT CURRENT_DATE AS day, CAST(now() AS DATE) AS other"
            sandbox.assert_rows(query, [{"day": day, "other": day}])
            assert [str(row["day"]) for row in sandbox.rows(query)] == [day]


ON_BOTH: dict[str, tuple[str, object, object]] = {
    "a double": ("CAST(0.1 AS DOUBLE PRECISION)", 0.1, 0.2),
    "a double from a decimal": (
        "CAST(0.1 AS DOUBLE PRECISION)",
        Decimal("0.1"),
        Decimal("0.10001"),
    ),
    "a real": ("CAST(0.1 AS REAL)", 0.1, 0.2),
    "NaN": ("CAST('NaN' AS DOUBLE PRECISION)", math.nan, None),
    "infinity": ("CAST('Infinity' AS DOUBLE PRECISION)", math.inf, -math.inf),
    "zero": ("CAST(-0.0 AS DOUBLE PRECISION)", 0, 1),
    "NULL": ("CAST(NULL AS INTEGER)", None, 0),
    "a large decimal": (
        "CAST('12345678901234567890.12' AS DECIMAL(30, 2))",
        Decimal("12345678901234567890.12"),
        Decimal("12345678901234567890.13"),
    ),
    "a boolean": ("TRUE", True, False),
    "text": ("'a '", "a ", "a"),
    "NULL as text": ("'NULL'", "NULL", None),
    "a timestamp": (
        "CAST('2024-01-01 00:00:00.000001' AS TIMESTAMP)",
        datetime(2024, 1, 1, microsecond=1),
        datetime(2024, 1, 1),
    ),
    "a timestamp from a time with a zone": (
        "CAST('2024-01-01 12:00' AS TIMESTAMP)",
        datetime(2024, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))),
        datetime(2024, 1, 1, 13),
    ),
    "a timestamp with a zone": (
        "CAST('2024-01-01 02:00:00+02' AS TIMESTAMPTZ)",
        "2024-01-01",
        datetime(2024, 1, 1, 2),
    ),
    "a time": ("CAST('10:00' AS TIME)", time(10), time(11)),
    "a negative interval": (
        "CAST('-1 hour' AS INTERVAL)",
        timedelta(hours=-1),
        timedelta(hours=1),
    ),
    "an interval": ("INTERVAL '1 day'", timedelta(days=1), timedelta(days=2)),
    "a UUID": (
        "CAST('12345678-1234-5678-1234-567812345678' AS UUID)",
        UUID("12345678-1234-5678-1234-567812345678"),
        UUID("12345678-1234-5678-1234-567812345679"),
    ),
    "JSON": ("CAST('{\"a\": [1, null]}' AS JSON)", {"a": [1, None]}, {"a": [1]}),
    "NULL as JSON": ("CAST(NULL AS JSON)", None, [None]),
    "an array": ("ARRAY[1, NULL]", [1, None], [1, 0]),
    "an array of arrays": ("ARRAY[ARRAY[1, 2], ARRAY[3, 4]]", [[1, 2], [3, 4]], [[1, 2], [3, 5]]),
    "an array with NaN": ("ARRAY[CAST('NaN' AS DOUBLE PRECISION)]", [math.nan], [0.0]),
}
ON_DUCKDB: dict[str, tuple[str, object, object]] = {
    "bytes": ("'\\xAA\\x00'::BLOB", b"\xaa\0", b"\xaa"),
    "a struct": ("{'a': 1, 'b': [1.5, NULL]}", {"a": 1, "b": [1.5, None]}, {"a": 1, "b": [1.5]}),
    "a map": ("MAP {1: 'x', 2: NULL}", {1: "x", 2: None}, {1: "x"}),
    "an enumeration": ("'a'::ENUM('a', 'b')", "a", "b"),
    "a huge integer": (f"{2**90}::HUGEINT", 2**90, 2**90 + 1),
}
ON_POSTGRES: dict[str, tuple[str, object, object]] = {
    "bytes": ("'\\xaa00'::bytea", b"\xaa\0", b"\xaa"),
    "binary JSON": ('\'{"b": 1, "a": 2}\'::jsonb', {"a": 2, "b": 1}, {"a": 2}),
    "an address": ("'10.0.0.1'::inet", "10.0.0.1", "10.0.0.2"),
    "a point": ("point(1, 2)", "(1,2)", "(2,1)"),
}


def test_values_of_all_types_are_compared_exactly(sandbox: Sandbox, engine: str) -> None:
    values = {**ON_BOTH, **(ON_DUCKDB if engine == "duckdb" else ON_POSTGRES)}
    columns = [f'{sql} AS "{name}"' for name, (sql, _, _) in values.items()]
    query = f"SELECT {', '.join(columns)}"
    row = {name: value for name, (_, value, _) in values.items()}
    sandbox.assert_rows(query, [row])
    # What is read is what is expected.
    sandbox.assert_rows(query, sandbox.rows(query))
    sandbox.assert_same_rows(query, query)
    others = {name: other for name, (_, _, other) in values.items()}
    with pytest.raises(AssertionError) as error:
        sandbox.assert_rows(query, [others])
    differing = f"  differ in   {', '.join([*values][:10])} and {len(values) - 10} other columns"
    assert differing in str(error.value).splitlines()


@pytest.mark.long
@pytest.mark.nightly
def test_a_million_rows_are_compared(sandbox: Sandbox, engine: str) -> None:
    numbers = "range(1000000)" if engine == "duckdb" else "generate_series(0, 999999)"
    query = f"SELECT n AS id, n % 7 AS rest, 'text ' || n AS note FROM {numbers} AS _(n)"
    changed = query.replace("n % 7", "CASE WHEN n = 500000 THEN 9 ELSE n % 7 END")
    sandbox.assert_same_rows(query, query)
    with pytest.raises(AssertionError, match=": 1 different"):
        sandbox.assert_same_rows(query, changed)


def message(sandbox: Sandbox, model_or_sql: str, expected: list[dict[str, Any]]) -> str:
    """The message of an assertion that fails."""
    with pytest.raises(AssertionError) as error:
        sandbox.assert_rows(model_or_sql, expected)
    return str(error.value)
