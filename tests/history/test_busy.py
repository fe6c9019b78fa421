"""Histories that another process has open: waiting, and the files beside them."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest

from pytest_sqlmesh_tracker import RunReport, dump_reports, load_reports
from pytest_sqlmesh_tracker.history import pending
from pytest_sqlmesh_tracker.history.appending import append
from pytest_sqlmesh_tracker.history.opening import HistoryBusyError, check
from pytest_sqlmesh_tracker.history.reading import all_entries
from pytest_sqlmesh_tracker.reports.files import Entry, entries_from_json
from tests.builders import executed, run

from .holding import held_open


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "runs.duckdb"
    dump_reports(path, [])
    return path


def night(**facts: Any) -> RunReport:
    return run(executed("a.x"), **facts).model_copy(update={"id": uuid4()})


def beside(history: Path) -> list[Path]:
    return sorted(path for path in history.parent.iterdir() if path != history)


def test_a_process_that_appends_waits_for_another_one(history: Path) -> None:
    report = night()
    with held_open(history) as process:
        assert process.stdin is not None
        threading.Timer(0.3, process.stdin.close).start()
        append(history, [Entry(None, report)], source="cli")
        assert beside(history) == []
    assert load_reports(history) == [report]


def test_a_process_that_reads_waits_for_another_one(history: Path) -> None:
    report = night()
    dump_reports(history, [report])
    with held_open(history) as process:
        assert process.stdin is not None
        threading.Timer(0.3, process.stdin.close).start()
        assert load_reports(history) == [report]


def test_when_the_wait_is_over_the_reports_are_written_beside_it(history: Path) -> None:
    reports = [Entry("test_it", night()), Entry(None, night(error="no file \udcff.csv"))]
    with held_open(history):
        began = time.monotonic()
        append(history, reports, source="pytest", longest_wait=0.2)
        assert 0.2 <= time.monotonic() - began < 5
    [file] = beside(history)
    assert file.name.startswith("runs.duckdb.pending-pytest-")
    assert entries_from_json(file.read_bytes()) == reports
    assert all_entries(history) == reports
    # It was only read.
    assert beside(history) == [file]


def test_the_next_process_that_appends_takes_them_in(history: Path) -> None:
    reports = [Entry(None, night()) for _ in range(3)]
    with held_open(history):
        for source, report in (("cli", reports[0]), ("dagster", reports[1])):
            append(history, [report], source=source, longest_wait=0)  # type: ignore[arg-type]
    append(history, reports[2:], source="import")
    assert beside(history) == []
    assert all_entries(history) == reports
    with closing(duckdb.connect(str(history))) as connection:
        sources = connection.execute("SELECT source FROM invocations").fetchall()
    assert sources == [("cli",), ("dagster",), ("import",)]


def test_a_file_that_was_taken_in_but_not_removed_counts_once(history: Path) -> None:
    """As when a process is killed between its commit and the removal."""
    reports = [Entry(None, night()), Entry("test_it", night())]
    append(history, reports, source="cli")
    pending.write(history, reports, "cli")
    assert all_entries(history) == reports
    append(history, [], source="cli")
    assert beside(history) == []
    assert all_entries(history) == reports


def test_other_files_beside_it_are_left_alone(history: Path) -> None:
    names = [
        "runs.duckdb.json",
        "runs.duckdb.pending-mail-" + "0" * 32 + ".json",
        "other.duckdb.pending-cli-" + "0" * 32 + ".json",
        ".runs.duckdb.pending-cli-" + "0" * 32 + ".json",
    ]
    for name in names:
        history.with_name(name).write_text("not a report")
    report = night()
    dump_reports(history, [report])
    assert load_reports(history) == [report]
    assert [path.name for path in beside(history)] == sorted(names)


def test_a_file_of_a_newer_version_is_left_for_it(
    history: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newer = history.with_name("runs.duckdb.pending-cli-" + "0" * 32 + ".json")
    newer.write_text('{"schema_version": 3, "reports": []}')
    report = night()
    dump_reports(history, [report])
    assert f"{newer.name}: schema_version 3 is not supported" in caplog.text
    assert beside(history) == [newer]
    with pytest.raises(ValueError, match=f"{newer.name}: schema_version 3 is not supported"):
        load_reports(history)
    newer.unlink()
    assert load_reports(history) == [report]


def test_reading_fails_when_the_wait_is_over(history: Path) -> None:
    with held_open(history):
        with pytest.raises(HistoryBusyError) as caught:
            all_entries(history, longest_wait=0.1)
    assert caught.value.strerror == "another process has the history open"
    assert caught.value.filename == str(history)


def test_a_connection_of_the_same_process_does_not_keep_it_from_being_read_and_written(
    history: Path,
) -> None:
    reports = [night(), night()]
    with closing(duckdb.connect(str(history))) as connection:
        for report in reports:
            dump_reports(history, [report])
        assert load_reports(history) == reports
        assert connection.execute("SELECT count(*) FROM outcomes").fetchall() == [(2,)]
    with closing(duckdb.connect(str(history), read_only=True)):
        assert load_reports(history) == reports
        append(history, [Entry(None, night())], source="cli", longest_wait=0.1)
        assert len(load_reports(history)) == 3
    assert len(beside(history)) == 1


def test_what_another_process_has_open_is_accepted_unseen(history: Path) -> None:
    with held_open(history):
        check(history, longest_wait=0.1)
