"""What is loaded from a history equals what was appended, whichever way it is stored there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sqlmesh_tracker import RunReport, dump_reports, load_reports
from pytest_sqlmesh_tracker.history.appending import move_recent
from pytest_sqlmesh_tracker.history.opening import opened
from tests.builders import audit, batch, executed, failed, interval, run, skipped
from tests.drawing import reports, unhurried

Dumped = list[RunReport | tuple[str, RunReport]]


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "runs.duckdb"


def new(*outcomes: Any, **facts: Any) -> RunReport:
    """A report with an id of its own."""
    return run(*outcomes, **facts).model_copy(update={"id": uuid4()})


def move_into_tables(history: Path) -> None:
    """What happens on its own when there are many recent reports."""
    with opened(history.resolve(), writing=True) as connection:
        move_recent(connection)
        connection.execute("COMMIT")


def both_ways(history: Path) -> Iterator[Dumped]:
    """The reports as loaded while they are recent, and when they are in the tables."""
    yield load_reports(history)
    move_into_tables(history)
    yield load_reports(history)


in_tests = st.tuples(st.text(max_size=9), reports())
drawn = st.lists(
    reports() | in_tests,
    max_size=3,
    # The same invocation of the same test is not appended again.
    unique_by=lambda one: (one[1].id, one[0]) if isinstance(one, tuple) else (one.id, None),
)


@pytest.mark.long
@settings(unhurried, max_examples=25)
@given(drawn)
def test_any_reports_survive(dumped: Dumped) -> None:
    with TemporaryDirectory() as folder:
        history = Path(folder, "runs.duckdb")
        dump_reports(history, dumped)
        for loaded in both_ways(history):
            assert loaded == dumped


NOT_DUE = "cron_not_due"
IN_ANY_ORDER = new(*(skipped(name, NOT_DUE) for name in ("b.z", "a.z", "c")))
BATCHES = (
    batch("2024-01-02", "2024-01-03", "failed", index=1),
    batch("2024-01-01", "2024-01-02", round=1, unrecorded=True),
    batch("2024-01-01", "2024-01-02", duration=timedelta(microseconds=1)),
)
AUDITS = (audit("b", rows_failed=3), audit("a", blocking=False), audit("b"))
YESTERDAY = interval("2024-01-01", "2024-01-02")
EXTREME = {
    "without models": new(),
    "in any order": IN_ANY_ORDER,
    "all of a model": new(failed("a.x", batches=BATCHES, audits=AUDITS, held_back=(YESTERDAY,))),
    "surrogates": new(failed("a.x", error="no file \udcff.csv"), error="\udcff"),
    "surrogates in arguments": new(executed("a.x"), arguments={"select": ["\udcff"]}),
    "odd characters": new(failed("a.x", error="a\0b\N{LINE SEPARATOR}\\u0000😀'\"")),
    "numbers beyond 64 bits": new(executed("a.x", rows=2**63, bytes=-(2**70))),
    "the largest number": new(executed("a.x", rows=2**63 - 1)),
    "a long duration": new(executed("a.x", duration=timedelta(days=400_000, microseconds=1))),
    "a duration beyond 64 bits": new(executed("a.x", duration=timedelta(days=300_000_000))),
    "any JSON": new(arguments={"a": 10**30, "b": [0.1, 1e300, -0.0, 2**64], "c": {"": None}}),
    "the last time": new(execution_time=datetime.max.replace(tzinfo=timezone.utc)),
    "the first time": new(started_at=datetime(1, 1, 1, microsecond=1, tzinfo=timezone.utc)),
}


@pytest.mark.parametrize("report", EXTREME.values(), ids=EXTREME)
def test_extreme_reports_survive(history: Path, report: RunReport) -> None:
    dump_reports(history, [report, ("test_it", new())])
    for loaded in both_ways(history):
        assert loaded[0] == report
        assert isinstance(loaded[0], RunReport)
        assert [*loaded[0].outcomes] == [*report.outcomes]


def test_what_duckdb_cannot_hold_does_not_keep_others_from_being_queried(history: Path) -> None:
    odd = new(
        failed("a.x", error="no file \udcff.csv"), executed("a.y", rows=2**63), error="\udcff"
    )
    dump_reports(history, [odd, new(executed("a.x", rows=5))])
    for _ in both_ways(history):
        with closing(duckdb.connect(str(history))) as connection:
            rows = connection.execute('SELECT model, error, "rows" FROM outcomes ORDER BY ALL')
            assert rows.fetchall() == [
                ("a.x", "no file \N{REPLACEMENT CHARACTER}.csv", None),
                ("a.x", None, 5),
                ("a.y", None, None),
            ]


def test_an_invocation_of_two_tests_is_that_of_both_with_its_models_once(history: Path) -> None:
    report = new(executed("a.x"), skipped("a.y", "cron_not_due"))
    dumped: Dumped = [("test_one", report), ("test_two", report), report]
    dump_reports(history, dumped)
    for loaded in both_ways(history):
        assert loaded == dumped
        with closing(duckdb.connect(str(history))) as connection:
            assert connection.execute("SELECT count(*) FROM outcomes").fetchall() == [(2,)]


def test_reports_that_only_share_their_id_are_kept_apart(history: Path) -> None:
    report = new(executed("a.x"))
    other = report.model_copy(update={"outcomes": new(failed("a.y")).outcomes})
    dumped: Dumped = [("test_one", report), ("test_two", other)]
    dump_reports(history, dumped)
    for loaded in both_ways(history):
        assert loaded == dumped
