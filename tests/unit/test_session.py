"""The reports of a session's tests: collected in any order, and written."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import RunReport
from pytest_sqlmesh_tracker.render import files
from pytest_sqlmesh_tracker.report import load_reports
from pytest_sqlmesh_tracker.session import SessionReports
from tests.unit.builders import executed, run

FIRST, SECOND, THIRD = (run(executed(f"sales.{name}")) for name in ("one", "two", "three"))


def collected(*arrivals: tuple[str, RunReport]) -> SessionReports:
    session = SessionReports()
    for test, report in arrivals:
        session.add(test, [report.to_json()])
    return session


def test_tests_are_in_the_order_of_their_ids_and_invocations_in_that_of_a_test() -> None:
    session = collected(("b", SECOND), ("a", FIRST), ("b", THIRD))
    session.add("c", [])
    assert session.by_test == {"a": [FIRST], "b": [SECOND, THIRD]}
    assert session.all == [("a", FIRST), ("b", SECOND), ("b", THIRD)]
    assert list(session.by_test) == ["a", "b"]


def test_a_session_without_invocations_has_files_without_reports(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text("of an earlier session")
    assert list(SessionReports().write([tmp_path / "all.json"])) == [(tmp_path / "all.json", "")]
    assert load_reports((tmp_path / "all.json").read_text()) == []


def test_a_file_that_can_not_be_written_is_told_and_the_others_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("pytest_sqlmesh_tracker.render.html.page", broken)
    (tmp_path / "file").touch()
    names = ["file/all.json", "all.html", "all.md", "all.xml"]
    paths = [tmp_path / name for name in names]
    told = dict(collected(("a", FIRST)).write(paths))
    assert told[paths[0]] in ("Not a directory", "File exists")
    assert told[paths[1]] == "RuntimeError: a fault of ours"
    assert told[paths[2]] == ""
    assert paths[2].exists()
    assert set(files.FORMATS) == {path.suffix for path in paths}
