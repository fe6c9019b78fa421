"""Report files: their formats, and how they are written."""

from __future__ import annotations

import os
from errno import ENOSPC
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import GatePolicy, dump_reports, load_reports
from pytest_sqlmesh_tracker.render import files, junit_file, markdown
from pytest_sqlmesh_tracker.render.page import html
from pytest_sqlmesh_tracker.reports.files import Entry, entries_from_json, entries_to_json
from tests.builders import executed, failed, run

NIGHT = run(executed("web.views"), failed("sales.orders"), completion="failure")
REPORTS = [Entry("test_shop.py::test_night", NIGHT), Entry(None, run())]
RESULT = GatePolicy().evaluate(NIGHT)


def test_the_suffix_determines_the_format(tmp_path: Path) -> None:
    for name in ("all.json", "all.md", "all.HTML", "all.xml"):
        files.write(tmp_path / name, REPORTS, RESULT, source="import")
    assert (tmp_path / "all.json").read_text() == entries_to_json(REPORTS)
    assert (tmp_path / "all.md").read_text() == markdown.summary(REPORTS, RESULT)
    assert (tmp_path / "all.HTML").read_text() == html.page(REPORTS, RESULT)
    assert (tmp_path / "all.xml").read_text() == junit_file.suites(REPORTS, RESULT)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["all.HTML", "all.json", "all.md", "all.xml"]


def test_a_file_without_reports_is_written(tmp_path: Path) -> None:
    for suffix in files.SUFFIXES:
        files.write(tmp_path / f"none{suffix}", [], source="import")
    assert entries_from_json((tmp_path / "none.json").read_text()) == []
    assert (tmp_path / "none.md").read_text().strip()
    assert (tmp_path / "none.html").read_text().strip()
    assert (tmp_path / "none.xml").read_text().strip()
    assert load_reports(tmp_path / "none.duckdb") == []


@pytest.mark.parametrize("name", ["report.txt", "report", "json", ".json", "report.json.gz", ""])
def test_another_suffix_is_rejected(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"its name must end in \.json, \.md, \.html, \.xml or \.duckdb$"
    ) as caught:
        files.checked_path(name)
    assert "\n" not in str(caught.value)


def test_a_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()
    with pytest.raises(ValueError, match=r"report\.json' is a folder$"):
        files.checked_path(tmp_path / "report.json")
    assert files.checked_path(str(tmp_path / "other.json")) == tmp_path / "other.json"


def test_folders_are_created(tmp_path: Path) -> None:
    files.write(tmp_path / "build" / "reports" / "all.json", REPORTS, source="import")
    assert entries_from_json((tmp_path / "build" / "reports" / "all.json").read_text()) == REPORTS


def test_the_old_file_stays_until_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "all.json"
    target.write_text("the old one")
    monkeypatch.setattr(Path, "replace", _disk_full)
    with pytest.raises(OSError, match="disk full"):
        files.write(target, REPORTS, source="import")
    assert target.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [target]


def _disk_full(*_: object) -> None:
    raise OSError(ENOSPC, "disk full")


def test_the_target_of_a_link_is_written_and_the_link_stays(tmp_path: Path) -> None:
    target, link = tmp_path / "of_today.json", tmp_path / "latest.json"
    target.write_text("the old one")
    link.symlink_to(target.name)
    files.write(link, REPORTS, source="import")
    assert link.is_symlink()
    assert entries_from_json(target.read_text()) == REPORTS


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_file_has_the_default_permissions_of_new_files(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    files.write(tmp_path / "all.json", REPORTS, source="import")
    assert (tmp_path / "all.json").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("suffix", files.SUFFIXES)
def test_dump_reports_accepts_only_names_of_files_that_can_be_read_back(
    tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"all{suffix.upper()}"
    if suffix in (".json", ".duckdb"):
        dump_reports(file, REPORTS)
        assert load_reports(file) == [REPORTS[0], REPORTS[1].report]
    else:
        with pytest.raises(ValueError, match="dump_reports writes JSON"):
            dump_reports(file, REPORTS)


@pytest.mark.parametrize("suffix", files.SUFFIXES)
def test_text_that_cannot_be_encoded_is_written_anyway(tmp_path: Path, suffix: str) -> None:
    odd = run(failed("sales.orders", error="no file \udcff.csv"), error="\udcff")
    files.write(tmp_path / f"all{suffix}", [Entry("test_shop.py::test_it", odd)], source="import")
    if suffix == ".duckdb":
        assert load_reports(tmp_path / "all.duckdb") == [("test_shop.py::test_it", odd)]
    else:
        assert "sales.orders" in (tmp_path / f"all{suffix}").read_text(encoding="utf-8")
