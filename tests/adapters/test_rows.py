"""The rows and bytes that SQLMesh gets from each engine, as `docs/engines.md` describes them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from .scenario import History

pytestmark = pytest.mark.filterwarnings("default")

ONE_EACH = {"priced": 1, "invoices": 1, "totals": 1, "by_python": 1}
HISTORIES = ("history", "history_by_column")
SELECTED: Mapping[str, Mapping[str, int]] = {
    "first plan": {
        **ONE_EACH,
        **dict.fromkeys((*HISTORIES, "customers", "visits"), 5),
        "raw_events": 168,
        "daily": 3,
        "hourly": 78,
    },
    "restatement of two days": {"daily": 2, "totals": 1, "by_python": 1},
    "run with everything due": {
        **ONE_EACH,
        **dict.fromkeys(HISTORIES, 20),
        **dict.fromkeys(("customers", "visits"), 5),
        "daily": 1,
        "hourly": 23,
    },
}
"""The rows of the queries of models, all batches of a step together."""
NOT_REPORTED: Mapping[str, frozenset[str]] = {
    "duckdb": frozenset(SELECTED["first plan"]),
    "snowflake": frozenset(SELECTED["first plan"]) - {"daily", "hourly", "customers"},
    "spark": frozenset(SELECTED["first plan"]),
}
"""Models of which an engine reports no rows."""
OTHERWISE: Mapping[tuple[str, str], Mapping[str, int]] = {
    # The two rows that are deleted count, too.
    ("bigquery", "restatement of two days"): {"daily": 4},
    # An updated row counts twice.
    ("mysql", "run with everything due"): {"customers": 10},
    # fakesnow counts the statement.
    ("snowflake", "run with everything due"): {"customers": 1},
}


@pytest.mark.parametrize("step", SELECTED)
def test_rows_are_what_the_engine_reports(step: str, on_engine: History) -> None:
    engine = on_engine.engine.dialect.name
    outcomes = on_engine.played[step].report.outcomes.values()
    expected = {**SELECTED[step], **OTHERWISE.get((engine, step), {})}
    unreported = NOT_REPORTED.get(engine, frozenset()) | on_engine.engine.left_out
    if (engine, step) == ("snowflake", "first plan"):
        # The first batch creates the table.
        unreported |= {"customers"}

    assert {
        outcome.name.lower().removeprefix("shop."): outcome.rows
        for outcome in outcomes
        if outcome.rows is not None
    } == {model: rows for model, rows in expected.items() if model not in unreported}


def test_only_bigquery_reports_bytes(on_engine: History) -> None:
    reports = [played.report for played in on_engine.played.values()]
    reported = {outcome.bytes for report in reports for outcome in report.outcomes.values()}

    # bqemulator bills nothing.
    assert reported == ({None, 0} if on_engine.engine.dialect.name == "bigquery" else {None})
