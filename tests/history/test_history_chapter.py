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
from pytest_sqlmesh_tracker.cli import main
from pytest_sqlmesh_tracker.history.schema import TABLES
from tests.builders import NOW, audit, executed, failed, run, skipped
from tests.chapters import DOCS
from tests.cli.conftest import runner

pytestmark = pytest.mark.documents

CHAPTER = (DOCS / "history.md").read_text()
QUERIES = dict(re.findall(r"^### ([^\n]+)\n(?:(?!^#).)*?^```sql\n(.*?)^```$", CHAPTER, re.M | re.S))
ROWS = re.findall(r"^\| `(\w+)` \| [^`|]+ \| ([^|]+) \| ([^|]+) \|$", CHAPTER, re.MULTILINE)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of 25 nights: `sales.orders` took 1 s, and 3 s since the 16th night;
    `sales.refunds` fails since the 21st; `marketing.spend` waits."""
    history: Path = tmp_path_factory.mktemp("history") / "runs.duckdb"
    dump_reports(history, [night(number) for number in range(25)])
    return history


@pytest.fixture
def connection(history: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect(str(history), read_only=True)) as connection:
        yield connection


def night(number: int) -> RunReport:
    at = NOW + number * DAY
    times = {"started_at": at, "finished_at": at}
    took = timedelta(seconds=3 if number >= 15 else 1)
    slow = executed(
        "sales.orders", duration=took, loaded_through=at.replace(minute=0, hour=0), **times
    )
    red = failed("sales.refunds", audits=(audit("not_null", rows_failed=2),), **times)
    late = skipped("marketing.spend", "signal_not_ready", "cron_not_due", waiting_since=NOW)
    outcomes = (slow, red if number >= 20 else executed("sales.refunds", **times), late)
    return run(*outcomes, **times).model_copy(update={"id": uuid4()})


def utc(number: int) -> Any:
    return NOW + number * DAY


ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "When was each model last executed?": [
        ("sales.orders", utc(24), None),
        ("sales.refunds", utc(19), None),
    ],
    "Since when does a model fail?": [("sales.refunds", utc(20), 5)],
    "Which models are getting slower?": [("sales.orders", 3.0, 1.0)],
    "Why were models skipped?": [("cron_not_due", 25), ("signal_not_ready", 25)],
    "Which audits fail most often?": [("sales.refunds", "not_null", 5, 10)],
}


def test_every_query_has_an_answer() -> None:
    assert QUERIES.keys() == ANSWERS.keys()


@pytest.mark.parametrize("question", ANSWERS)
def test_a_query_answers_its_question(connection: duckdb.DuckDBPyConnection, question: str) -> None:
    assert connection.execute(QUERIES[question]).fetchall() == ANSWERS[question]


COMMANDS = re.findall(r"^```console\n\$ sqlmesh-tracker ([^\n]+)\n(.*?)^```$", CHAPTER, re.M | re.S)


@pytest.mark.parametrize(("arguments", "output"), COMMANDS)
def test_a_command_prints_what_the_chapter_shows(
    history: Path, arguments: str, output: str
) -> None:
    printed = runner().invoke(main, arguments.replace("runs.duckdb", str(history)).split())
    assert [line.rstrip() for line in printed.stdout.splitlines()] == output.splitlines()


def test_the_tables_have_the_columns_that_are_listed() -> None:
    listed = {name: re.findall(r"`(\w+)`", keys + others) for name, keys, others in ROWS}
    actual = {table.name: [*table.keys, *table.columns] for table in TABLES}
    assert {name: sorted(columns) for name, columns in listed.items()} == {
        name: sorted(columns) for name, columns in actual.items()
    }
