"""The reports of a session's tests: how they are collected and written."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import RunReport
from pytest_sqlmesh_tracker.pytest_plugin.session import SessionReports
from pytest_sqlmesh_tracker.render import files
from pytest_sqlmesh_tracker.render.page import html
from pytest_sqlmesh_tracker.reports.files import entries_from_json
from tests.builders import executed, run

FIRST, SECOND, THIRD = (run(executed(f"sales.{name}")) for name in ("one", "two", "three"))


def collected(*arrivals: tuple[str, RunReport]) -> SessionReports:
    session = SessionReports()
    tries: dict[str, list[str]] = {}
    for test, report in arrivals:
        tries.setdefault(test, []).append(report.to_json())
        session.add(test, [(1, tries[test])])
    return session


def test_tests_are_sorted_by_id_and_invocations_by_time() -> None:
    session = collected(("b", SECOND), ("a", FIRST), ("b", THIRD))
    session.add("c", [(1, [])])
    assert session.by_test == {"a": [FIRST], "b": [SECOND, THIRD]}
    assert session.all == [("a", FIRST), ("b", SECOND), ("b", THIRD)]
    assert list(session.by_test) == ["a", "b"]


def flags(session: SessionReports) -> list[tuple[str, str, bool]]:
    return [(test, *r.executed, r.superseded) for test, r in session.all]  # type: ignore[misc]


def test_all_tries_but_the_last_are_superseded() -> None:
    session = SessionReports()
    first, second, third = ([report.to_json()] for report in (FIRST, SECOND, THIRD))
    session.add("a", [(1, first)])
    session.add("a", [(1, []), (2, second), (3, third)])
    assert flags(session) == [
        ("a", "sales.one", True),
        ("a", "sales.two", True),
        ("a", "sales.three", False),
    ]
    assert session.by_test == {"a": [THIRD]}


def test_a_last_try_without_invocations_supersedes_others() -> None:
    session = collected(("a", FIRST))
    session.add("a", [(2, [])])
    assert flags(session) == [("a", "sales.one", True)]
    assert session.by_test == {}


@pytest.mark.parametrize(
    ("of_second", "superseded"),
    [({"process": "gw1"}, True), ({"item": "1"}, False)],
    ids=["another worker repeats it", "it is collected twice"],
)
def test_another_first_try(of_second: dict[str, str], superseded: bool) -> None:
    session = collected(("a", FIRST))
    session.add("a", [(1, [SECOND.to_json()])], **of_second)
    assert flags(session) == [("a", "sales.one", superseded), ("a", "sales.two", False)]


def test_a_session_without_invocations_has_files_without_reports(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text("of an earlier session")
    file = tmp_path / "all.json"
    assert list(SessionReports().write([file], tmp_path)) == [(file, "")]
    assert entries_from_json((tmp_path / "all.json").read_text()) == []


def test_an_unwritable_file_is_reported_and_the_others_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(html, "page", broken)
    (tmp_path / "file").touch()
    names = ["file/all.json", "all.html", "all.md", "all.xml", "all.duckdb"]
    paths = [tmp_path / name for name in names]
    complaints = dict(collected(("a", FIRST)).write(paths, tmp_path))
    assert complaints[paths[0]] in ("Not a directory", "File exists")
    assert complaints[paths[1]] == "RuntimeError: a fault of ours"
    assert complaints[paths[2]] == ""
    assert all(path.exists() for path in paths[2:])
    assert set(files.SUFFIXES) == {path.suffix for path in paths}
