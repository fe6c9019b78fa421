"""The queries of the chapter, run as they stand, and its tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest

from pytest_sqlmesh_tracker import RunReport, dump_reports
from pytest_sqlmesh_tracker.history.schema import TABLES
from tests.builders import NOW, audit, executed, failed, run, skipped
from tests.chapters import DOCS

pytestmark = pytest.mark.documents

CHAPTER = (DOCS / "history.md").read_text()
QUERIES = dict(re.findall(r"^### ([^\n]+)\n(?:(?!^#).)*?^```sql\n(.*?)^```$", CHAPTER, re.M | re.S))
ROWS = re.findall(r"^\| `(\w+)` \| [^`|]+ \| ([^|]+) \| ([^|]+) \|$", CHAPTER, re.MULTILINE)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A history of 25 nights: `a.slow` took 1 s, and 3 s since the 16th night; `a.red` fails since
    the 21st; `a.late` waits."""
    history: Path = tmp_path_factory.mktemp("history") / "runs.duckdb"
    dump_reports(history, [night(number) for number in range(25)])
    with closing(duckdb.connect(str(history), read_only=True)) as connection:
        yield connection


def night(number: int) -> RunReport:
    at = NOW + number * DAY
    times = {"started_at": at, "finished_at": at}
    slow = executed("a.slow", duration=timedelta(seconds=3 if number >= 15 else 1), **times)
    red = failed("a.red", audits=(audit("not_null", rows_failed=2),), **times)
    late = skipped("a.late", "signal_not_ready", "cron_not_due")
    outcomes = (slow, red if number >= 20 else executed("a.red", **times), late)
    return run(*outcomes, **times).model_copy(update={"id": uuid4()})


def utc(number: int) -> Any:
    return NOW + number * DAY


ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "When was each model last executed?": [("a.red", utc(19), None), ("a.slow", utc(24), None)],
    "Since when does a model fail?": [("a.red", utc(20), 5)],
    "Which models are getting slower?": [("a.slow", 3.0, 1.0)],
    "Why were models skipped?": [("cron_not_due", 25), ("signal_not_ready", 25)],
    "Which audits fail most often?": [("a.red", "not_null", 5, 10)],
}


def test_every_query_has_an_answer() -> None:
    assert QUERIES.keys() == ANSWERS.keys()


@pytest.mark.parametrize("question", ANSWERS)
def test_a_query_answers_its_question(connection: duckdb.DuckDBPyConnection, question: str) -> None:
    assert connection.execute(QUERIES[question]).fetchall() == ANSWERS[question]


def test_the_tables_have_the_columns_that_are_listed() -> None:
    listed = {name: re.findall(r"`(\w+)`", keys + others) for name, keys, others in ROWS}
    actual = {table.name: [*table.keys, *table.columns] for table in TABLES}
    assert {name: sorted(columns) for name, columns in listed.items()} == {
        name: sorted(columns) for name, columns in actual.items()
    }
