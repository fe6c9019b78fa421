"""Appending to a history: what is new is added, what is there is left as it is."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest

from pytest_sqlmesh_tracker import RunReport, dump_reports, load_reports
from pytest_sqlmesh_tracker.history.appending import append
from pytest_sqlmesh_tracker.history.pruning import prune
from pytest_sqlmesh_tracker.reports.files import Entry
from tests.builders import NOW, executed, run

DAY = timedelta(days=1)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "runs.duckdb"


def night(number: int = 0, **facts: Any) -> RunReport:
    """The report of one night."""
    at = NOW + number * DAY
    report = run(executed("a.x"), started_at=at, finished_at=at, **facts)
    return report.model_copy(update={"id": uuid4()})


def rows(history: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(duckdb.connect(str(history))) as connection:
        return connection.execute(query).fetchall()


def test_reports_are_appended_in_order(history: Path) -> None:
    reports = [night(3), night(1), night(2)]
    for report in reports:
        dump_reports(history, [report])
    assert load_reports(history) == reports


def test_importing_twice_changes_nothing(history: Path) -> None:
    reports: list[RunReport | tuple[str, RunReport]] = [night(), ("test_it", night())]
    dump_reports(history, reports)
    dump_reports(history, reversed(reports))
    dump_reports(history, [reports[0], *reports])
    assert load_reports(history) == reports
    assert rows(history, "SELECT count(*) FROM outcomes") == [(2,)]


def test_importing_twice_changes_nothing_when_the_reports_are_no_longer_recent(
    history: Path,
) -> None:
    reports = [night(number) for number in range(100)]
    dump_reports(history, reports)
    dump_reports(history, reports[:3])
    assert load_reports(history) == reports
    assert rows(history, "SELECT count(*), count(DISTINCT invocation_id) FROM outcomes") == [
        (100, 100)
    ]


def test_a_history_without_reports_is_created(history: Path) -> None:
    dump_reports(history, [])
    assert load_reports(history) == []
    assert rows(history, "FROM invocations") == []


def test_folders_are_created(tmp_path: Path) -> None:
    report = night()
    dump_reports(tmp_path / "build" / "over time" / "it's.DuckDB", [report])
    assert load_reports(tmp_path / "build" / "over time" / "it's.DuckDB") == [report]


def test_a_database_without_tables_becomes_a_history(history: Path) -> None:
    duckdb.connect(str(history)).close()
    assert load_reports(history) == []
    report = night()
    dump_reports(history, [report])
    assert load_reports(history) == [report]


def test_a_link_leads_to_the_history(tmp_path: Path, history: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.duckdb"
    link.symlink_to(history)
    reports = [night(), night()]
    dump_reports(link, reports[:1])
    dump_reports(history, reports[1:])
    assert link.is_symlink()
    assert load_reports(link) == load_reports(history) == reports


def test_nothing_is_left_beside_it(tmp_path: Path, history: Path) -> None:
    dump_reports(history, [night()])
    load_reports(history)
    assert [path.name for path in tmp_path.iterdir()] == ["runs.duckdb"]


def test_a_copy_of_the_file_alone_has_all_reports(tmp_path: Path, history: Path) -> None:
    reports = [night(), night()]
    for report in reports:
        dump_reports(history, [report])
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(history.read_bytes())
    assert load_reports(copy) == reports


def test_who_has_appended_a_report_is_kept(history: Path) -> None:
    dump_reports(history, [night()])
    for source in ("cli", "pytest", "dagster", "import"):
        append(history, [Entry(None, night())], source=source)
    assert rows(history, "SELECT source FROM invocations ORDER BY source") == [
        ("cli",), ("dagster",), ("import",), ("pytest",), ("python",),
    ]  # fmt: skip


def test_threads_of_a_process_append_to_the_same_history(history: Path) -> None:
    reports = [night(number) for number in range(8)]
    threads = [threading.Thread(target=dump_reports, args=(history, [each])) for each in reports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loaded = [one for one in load_reports(history) if isinstance(one, RunReport)]
    assert sorted(loaded, key=lambda each: each.started_at) == reports


class TestPruning:
    def test_invocations_that_began_before_a_time_are_removed(self, history: Path) -> None:
        reports = [night(number) for number in range(70)]
        dump_reports(history, reports)
        assert prune(history, NOW + 40 * DAY) == 40
        assert load_reports(history) == reports[40:]
        [(first,)] = rows(history, "SELECT count(DISTINCT invocation_id) FROM batches")
        assert first == 30
        assert prune(history, NOW + 68 * DAY) == 28
        assert load_reports(history) == reports[68:]
        assert prune(history, NOW) == 0

    def test_what_was_removed_can_be_imported_again(self, history: Path) -> None:
        reports = [night(0), night(1)]
        dump_reports(history, reports)
        prune(history, NOW + DAY)
        dump_reports(history, reports)
        assert load_reports(history) == [reports[1], reports[0]]

    def test_a_file_that_does_not_exist_is_not_created(self, history: Path) -> None:
        with pytest.raises(FileNotFoundError):
            prune(history, NOW)
        assert not history.exists()
