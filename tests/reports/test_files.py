"""Report files by their paths: loaded reports equal dumped ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_sqlmesh_tracker import GatePolicy, RunReport, dump_reports, load_reports
from pytest_sqlmesh_tracker.reports.diff import compare
from pytest_sqlmesh_tracker.reports.files import entries_from_json
from tests.builders import executed, failed, run, skipped
from tests.drawing import reports

NIGHT = run(executed("a.x"), skipped("a.y"))
OTHER = run(failed("a.x"), completion="failure")
IN_A_TEST = ("tests/test_shop.py::test_night[é]", OTHER)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "night.json"


class TestRoundTrip:
    @pytest.mark.parametrize(
        "dumped",
        [[], [NIGHT], [NIGHT, OTHER], [IN_A_TEST], [NIGHT, IN_A_TEST]],
        ids=["none", "one", "two", "of a test", "both"],
    )
    def test_loaded_reports_equal_dumped_reports(self, file: Path, dumped: list[Any]) -> None:
        dump_reports(file, dumped)
        assert load_reports(file) == dumped

    @settings(
        max_examples=20,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(st.lists(reports() | st.tuples(st.text(max_size=9), reports()), max_size=3))
    def test_any_reports_survive(self, file: Path, dumped: list[Any]) -> None:
        dump_reports(file, dumped)
        assert load_reports(file) == dumped

    def test_a_pair_without_a_test_is_the_report(self, file: Path) -> None:
        dump_reports(file, [(None, NIGHT)])
        assert load_reports(file) == [NIGHT]

    def test_paths_can_be_strings_or_path_objects(self, file: Path) -> None:
        dump_reports(str(file), [NIGHT])
        assert load_reports(str(file)) == load_reports(file) == [NIGHT]

    def test_an_iterator_can_be_dumped(self, file: Path) -> None:
        dump_reports(file, iter([NIGHT, OTHER]))
        assert load_reports(file) == [NIGHT, OTHER]

    def test_folders_are_created(self, tmp_path: Path) -> None:
        dump_reports(tmp_path / "build" / "reports" / "all.json", [NIGHT])
        assert load_reports(tmp_path / "build" / "reports" / "all.json") == [NIGHT]

    def test_loaded_reports_can_be_judged_and_compared(self, file: Path) -> None:
        dump_reports(file, [NIGHT, IN_A_TEST])
        [finding] = GatePolicy().evaluate(*load_reports(file)).findings
        assert finding.test == IN_A_TEST[0]
        assert compare(load_reports(file), load_reports(file)).empty


class TestReading:
    def test_a_bare_report(self, file: Path) -> None:
        file.write_text(NIGHT.to_json())
        assert load_reports(file) == [NIGHT]

    def test_version_1(self, file: Path) -> None:
        new = ("id", "superseded", "project_files", "project_files_note")
        old = {k: v for k, v in run().to_dict().items() if k not in new} | {"schema_version": 1}
        file.write_text(json.dumps({"schema_version": 1, "reports": [{"test": "t", **old}]}))
        [loaded] = load_reports(file)
        assert isinstance(loaded, tuple)
        assert (loaded[0], loaded[1].to_dict()["schema_version"]) == ("t", 2)

    def test_a_report_without_an_id_always_gets_the_same_id(self, file: Path) -> None:
        bare = {key: value for key, value in NIGHT.to_dict().items() if key != "id"}
        file.write_text(json.dumps(bare))
        [first], [second] = load_reports(file), load_reports(file)
        assert isinstance(first, RunReport)
        assert isinstance(second, RunReport)
        assert first.id == second.id != NIGHT.id
        entries = [{"test": "t", **bare}, {**bare, "environment": "dev"}]
        file.write_text(json.dumps({"schema_version": 2, "reports": entries}))
        [(_, in_a_test), (_, other)] = entries_from_json(file.read_bytes())
        assert in_a_test.id == first.id != other.id

    def test_a_newer_version_is_rejected_with_the_required_package_version(
        self, file: Path
    ) -> None:
        file.write_text('{"schema_version": 3, "reports": []}')
        with pytest.raises(ValueError, match="not supported") as caught:
            load_reports(file)
        assert str(caught.value).startswith(f"{file}: schema_version 3 is not supported; version ")
        assert str(caught.value).endswith("; upgrade pytest-sqlmesh-tracker to read it")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("no JSON", "not a report: not JSON"),
            ("[]", "not a report: expected an object, found a list"),
            ('{"schema_version": 2, "reports": {}}', "not a report file: 'reports' must be a list"),
            ('{"schema_version": 2, "reports": [1]}', "report 1: expected an object, found a num"),
            ('{"schema_version": 2, "reports": [{"test": 1}]}', "report 1: 'test' must be"),
            ('{"schema_version": 2, "reports": [{}]}', "report 1: not a report: schema_version"),
            ("\ud800".encode("utf-16", "surrogatepass"), "not a report: not JSON"),
        ],
    )
    def test_an_invalid_file_is_a_one_line_error_with_its_path(
        self, file: Path, content: str | bytes, message: str
    ) -> None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(ValueError, match=r".") as caught:
            load_reports(file)
        assert str(caught.value).startswith(f"{file}: {message}")
        assert len(str(caught.value).splitlines()) == 1

    def test_a_missing_file(self, file: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"night\.json"):
            load_reports(file)


class TestWriting:
    @pytest.mark.parametrize("what", [None, "text", (None, None), ("a", NIGHT, 1), [NIGHT]])
    def test_other_values_are_rejected(self, file: Path, what: Any) -> None:
        with pytest.raises(TypeError, match="dump_reports takes RunReports, not"):
            dump_reports(file, [NIGHT, what])
        assert not file.exists()

    @pytest.mark.parametrize("suffix", [".md", ".html", ".XML"])
    def test_formats_that_cannot_be_read_back_are_rejected(
        self, tmp_path: Path, suffix: str
    ) -> None:
        with pytest.raises(ValueError, match="dump_reports writes JSON") as caught:
            dump_reports(tmp_path / f"night{suffix}", [NIGHT])
        assert str(caught.value).startswith(str(tmp_path / f"night{suffix}"))
        assert not list(tmp_path.iterdir())

    def test_a_folder_is_not_replaced(self, file: Path) -> None:
        file.mkdir()
        with pytest.raises(OSError, match=r"night\.json") as caught:
            dump_reports(file, [NIGHT])
        assert caught.value.filename == str(file)
        assert "->" not in str(caught.value)
        assert [path.name for path in file.parent.iterdir()] == ["night.json"]

    def test_a_path_below_a_file_is_rejected(self, file: Path) -> None:
        file.write_text("the old one")
        with pytest.raises(OSError, match=r"new\.json"):
            dump_reports(file / "new.json", [NIGHT])
        assert file.read_text() == "the old one"
