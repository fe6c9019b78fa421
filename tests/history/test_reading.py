"""Which reports of a history are read: the latest of each environment, or those since a time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pytest_sqlmesh_tracker.history import pending
from pytest_sqlmesh_tracker.history.appending import append
from pytest_sqlmesh_tracker.history.reading import all_entries, entries_since, latest_entries
from pytest_sqlmesh_tracker.reports.files import Entry
from tests.builders import NOW, executed, run

DAY = timedelta(days=1)


def night(number: int, environment: str = "prod", **facts: Any) -> Entry:
    """An invocation some nights after the first one."""
    at = NOW + number * DAY
    report = run(executed("a.x"), environment=environment, started_at=at, finished_at=at, **facts)
    return Entry(None, report.model_copy(update={"id": uuid4()}))


NIGHTS = [
    night(1),
    night(5),
    night(3),
    night(2, "dev"),
    night(9, "test", superseded=True),
    night(4, "test"),
]


@pytest.fixture(params=["in the database", "in pending files", "in both"])
def history(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "runs.duckdb"
    stored = {"in the database": 6, "in pending files": 0, "in both": 3}[request.param]
    append(path, NIGHTS[:stored], source="cli")
    if NIGHTS[stored:]:
        # One is in both, as when a process is killed between its commit and the removal.
        pending.write(path, NIGHTS[max(0, stored - 1) :], "cli")
    return path


def test_all_are_in_the_order_in_which_they_were_appended(history: Path) -> None:
    assert all_entries(history) == NIGHTS


def test_the_latest_of_an_environment_is_the_one_that_began_last_and_counts(history: Path) -> None:
    assert latest_entries(history) == [NIGHTS[1], NIGHTS[3], NIGHTS[5]]


def test_since_a_time_includes_what_began_at_that_time(history: Path) -> None:
    assert entries_since(history, NOW + 3 * DAY) == [NIGHTS[i] for i in (1, 2, 4, 5)]
    assert entries_since(history, NOW + 3 * DAY + timedelta(microseconds=1)) == [
        NIGHTS[i] for i in (1, 4, 5)
    ]
    assert entries_since(history, NOW + 10 * DAY) == []


def test_reports_far_apart_are_read(tmp_path: Path) -> None:
    nights = [night(number, f"env{number % 2 if number else 'first'}") for number in range(250)]
    append(tmp_path / "runs.duckdb", nights, source="import")
    assert all_entries(tmp_path / "runs.duckdb") == nights
    assert latest_entries(tmp_path / "runs.duckdb") == [nights[0], nights[248], nights[249]]
