"""`--sqlmesh-tracker-report`: the reports of all tests in files, however the session ends."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import duckdb
import pytest

from pytest_sqlmesh_tracker.history.reading import all_entries
from pytest_sqlmesh_tracker.reports import observers
from pytest_sqlmesh_tracker.reports.files import Entry, entries_from_json

from .shops import write_ini, write_reported_shop, write_shop

TESTS = """
def test_one(night):
    pass

def test_two(night):
    assert False
"""


@pytest.fixture
def reported_shop(pytester: pytest.Pytester, planned_project: Path) -> pytest.Pytester:  # noqa: ARG001
    """A repository with the fixture `night`, without a project."""
    write_reported_shop(pytester)
    return pytester


def reports_in(file: Path) -> list[Entry]:
    return entries_from_json(file.read_text(encoding="utf-8"))


def ids_in(file: Path) -> list[str | None]:
    return [test for test, _ in reports_in(file)]


def test_every_format_has_the_reports_of_all_tests(reported_shop: pytest.Pytester) -> None:
    reported_shop.makepyfile(test_shop=TESTS)
    result = reported_shop.runpytest_inprocess(
        "-p",
        "no:xdist",
        "--sqlmesh-tracker-report=build/all.json",
        "--sqlmesh-tracker-report=all.md",
        "--sqlmesh-tracker-report",
        "all.html",
        "--sqlmesh-tracker-report=./all.md",
        "--sqlmesh-tracker-report=all.xml",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        """
        sqlmesh: 2 invocations in 2 tests: 2 failed, 2 skipped
        sqlmesh: build/all.json written
        sqlmesh: all.md written
        sqlmesh: all.html written
        sqlmesh: all.xml written
        """,
        consecutive=True,
    )
    tests = ["test_shop.py::test_one", "test_shop.py::test_two"]
    assert ids_in(reported_shop.path / "build" / "all.json") == tests
    for suffix in ("md", "html", "xml"):
        text = (reported_shop.path / f"all.{suffix}").read_text(encoding="utf-8")
        assert [name for name in tests if name not in text] == []


FILES = {"all of it.json", "all.md", "mine.json", "elsewhere/mine.json", "elsewhere/all.md"}


@pytest.mark.parametrize("option", [[], ["--sqlmesh-tracker-report=mine.json"]], ids=["", "option"])
def test_paths_are_relative_to_the_root_folder_in_the_ini_file_only(
    reported_shop: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, option: list[str]
) -> None:
    write_ini(reported_shop, "sqlmesh_tracker_report =", "    all of it.json", "    all.md")
    reported_shop.makepyfile(test_shop=TESTS)
    monkeypatch.chdir(reported_shop.mkdir("elsewhere"))
    reported_shop.runpytest_inprocess("-p", "no:xdist", "..", *option)
    written = {name for name in FILES if (reported_shop.path / name).exists()}
    assert written == ({"elsewhere/mine.json"} if option else {"all of it.json", "all.md"})


@pytest.mark.parametrize("arguments", [[], ["-p", "no:terminal"], ["no_such_test.py"]])
def test_a_session_without_tests_replaces_the_report_of_an_earlier_one(
    pytester: pytest.Pytester, arguments: list[str]
) -> None:
    pytester.makefile(".json", all="of an earlier session")
    pytester.runpytest_inprocess("-p", "no:xdist", "--sqlmesh-tracker-report=all.json", *arguments)
    assert reports_in(pytester.path / "all.json") == []


def test_collecting_tests_writes_no_report(reported_shop: pytest.Pytester) -> None:
    reported_shop.makepyfile(TESTS)
    report = reported_shop.makefile(".json", all="of the last session")
    reported_shop.runpytest_inprocess("--co", "-p", "no:xdist", "--sqlmesh-tracker-report=all.json")
    assert report.read_text() == "of the last session"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        (
            "all.txt",
            "'*all.txt' has no known format: its name must end in .json, .md, .html, .xml or "
            ".duckdb",
        ),
        ("folder.md", "'*folder.md' is a folder"),
    ],
)
@pytest.mark.parametrize("ini", [False, True], ids=["option", "ini"])
def test_an_invalid_report_path_is_a_usage_error(
    pytester: pytest.Pytester, name: str, complaint: str, ini: bool
) -> None:
    pytester.mkdir("folder.md")
    write_ini(pytester, f"sqlmesh_tracker_report = {name}" if ini else "")
    option = [] if ini else [f"--sqlmesh-tracker-report={name}"]
    result = pytester.runpytest_inprocess("-p", "no:xdist", *option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(f"ERROR: sqlmesh_tracker_report: {complaint}")


def test_an_unwritable_file_is_reported_and_fails_the_session(
    reported_shop: pytest.Pytester,
) -> None:
    reported_shop.makepyfile(test_shop="def test_it(night):\n    pass")
    reported_shop.makefile("", file="in the way of a folder")
    result = reported_shop.runpytest_inprocess(
        "-p",
        "no:xdist",
        "--sqlmesh-tracker-report=file/all.json",
        "--sqlmesh-tracker-report=all.json",
    )
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.re_match_lines(
        [
            "sqlmesh: file/all.json could not be written: (Not a directory|File exists)",
            "sqlmesh: all.json written",
        ]
    )
    assert ids_in(reported_shop.path / "all.json") == ["test_shop.py::test_it"]


@pytest.mark.parametrize(
    "end", ["raise KeyboardInterrupt", "pytest.exit('enough')", "pytest.exit('all right', 0)"]
)
def test_an_interrupted_session_reports_what_happened_before(
    reported_shop: pytest.Pytester, end: str
) -> None:
    reported_shop.makepyfile(
        test_shop=f"""
        import pytest

        def test_before(night):
            night.assert_nothing_executed()

        def test_cut_off(night):
            {end}

        def test_afterwards(night):
            pass
        """
    )
    result = reported_shop.runpytest_inprocess(
        "-p",
        "no:xdist",
        "--sqlmesh-tracker-strict",
        "--sqlmesh-tracker-report=all.json",
        no_reraise_ctrlc=True,
    )
    ended_well = end.endswith("0)")
    assert result.ret == (pytest.ExitCode.OK if ended_well else pytest.ExitCode.INTERRUPTED)
    tests = ["test_shop.py::test_before", "test_shop.py::test_cut_off"]
    assert ids_in(reported_shop.path / "all.json") == tests
    result.stdout.fnmatch_lines("sqlmesh: 2 invocations in 2 tests: *")
    assert observers._OBSERVERS == []


NIGHTS = r"""
import pytest
from types import SimpleNamespace
from tests.builders import failed, run

pytestmark = pytest.mark.sqlmesh_project(at="2024-01-09")

@pytest.mark.parametrize("number", range(4))
def test_number(sqlmesh_project, number):
    for day in range(1, number + 1):
        sqlmesh_project.run(at=f"2024-01-1{day}")

def test_half_a_night(night):
    night.assert_failed("shop.orders")

def test_text_that_no_encoding_can_write(sqlmesh_tracker):
    told = run(failed("shop.orders", error="no file \udcff.csv"))
    sqlmesh_tracker._tracked.append(SimpleNamespace(report=told))
    sqlmesh_tracker.assert_failed("shop.orders", match="\udcff")
"""
OPTIONS = ("--sqlmesh-tracker-strict", "--sqlmesh-tracker-report=all.json", "--junitxml=all.xml")


@pytest.mark.processes
@pytest.mark.nightly
def test_workers_write_everything_to_one_file(
    pytester: pytest.Pytester,
    planned_project: Path,  # noqa: ARG001
) -> None:
    write_shop(pytester)
    pytester.makepyprojecttoml(
        """
        [[tool.sqlmesh_tracker.gate.rules]]
        models = "shpo.*"
        allow = "ended"
        """
    )
    pytester.makepyfile(test_shop=NIGHTS)

    def session(*options: str) -> Any:
        # Without a cache, the second session does not show that it reuses the plan of the first.
        result = pytester.runpytest_inprocess("-v", "-p", "no:cacheprovider", *OPTIONS, *options)
        reports = reports_in(pytester.path / "all.json")
        tables = next(n for n, line in enumerate(result.outlines) if "= sqlmesh runs =" in line)
        lines = [line for line in result.outlines if line.startswith(("rule ", "sqlmesh"))]
        return (
            # A slow machine announces the plan.
            [line for line in lines if not line.startswith("sqlmesh: planning")],
            [line for line in result.outlines[tables:] if line.startswith("test_shop.py::")],
            [(test, report.execution_time.date(), report.by_reason) for test, report in reports],
            properties_in(pytester.path / "all.xml"),
        )

    alone, together = session("-p", "no:xdist"), session("-n", "2")
    assert alone == together
    messages, tests, invocations, properties = together
    assert messages == [
        "sqlmesh_tracker strict: 1 unexpected outcome that the test did not assert",
        "sqlmesh: 8 invocations in 5 tests: 12 executed, 2 failed, 1 skipped",
        "rule 1 (shpo.*): no model matches 'shpo.*' in the reports; it has shop.orders, "
        "shop.revenue",
        "sqlmesh: all.json written",
    ]
    assert tests == list(dict.fromkeys(test for test, _, _ in invocations))
    assert [test for test, _, _ in invocations] == [
        "test_shop.py::test_half_a_night",
        "test_shop.py::test_number[1]",
        *["test_shop.py::test_number[2]"] * 2,
        *["test_shop.py::test_number[3]"] * 3,
        "test_shop.py::test_text_that_no_encoding_can_write",
    ]
    assert properties["test_number[3]"]["sqlmesh_invocations"] == "3"


def properties_in(file: Path) -> dict[str | None, dict[str | None, str | None]]:
    """Test → its properties in a JUnit XML file."""
    return {
        case.get("name"): {each.get("name"): each.get("value") for each in case.iter("property")}
        for case in ElementTree.parse(file).iter("testcase")
    }


@pytest.mark.parametrize("option", ["report", "project"])
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_value_is_a_usage_error(
    pytester: pytest.Pytester, option: str, value: str
) -> None:
    # It would count as an option that is not set: no report, and no message.
    result = pytester.runpytest_inprocess(f"--sqlmesh-tracker-{option}={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        f"*argument --sqlmesh-tracker-{option}: the value is empty: is a variable unset?"
    )


@pytest.mark.parametrize("color", ["yes", "no"])
def test_tables_have_the_colors_of_pytest(reported_shop: pytest.Pytester, color: str) -> None:
    reported_shop.makepyfile(test_shop=TESTS)
    result = reported_shop.runpytest_inprocess("-p", "no:xdist", "-v", f"--color={color}")
    rows = [line for line in result.outlines if "upstream_failed" in line]
    assert rows
    assert any("\x1b[" in row for row in rows) is (color == "yes")


class TestHistories:
    def test_each_session_is_appended(self, reported_shop: pytest.Pytester) -> None:
        reported_shop.makepyfile(test_shop=TESTS, test_till=TESTS)
        for file in ("test_shop.py", "test_till.py"):
            result = reported_shop.runpytest_inprocess(
                "-p", "no:xdist", "--sqlmesh-tracker-report=build/runs.duckdb", file
            )
            result.stdout.fnmatch_lines("sqlmesh: build/runs.duckdb written")
        history = reported_shop.path / "build" / "runs.duckdb"
        appended = [test for test, _ in all_entries(history)]
        assert appended == [
            "test_shop.py::test_one",
            "test_shop.py::test_two",
            "test_till.py::test_one",
            "test_till.py::test_two",
        ]
        with closing(duckdb.connect(str(history))) as connection:
            sources = connection.execute("SELECT DISTINCT source FROM invocations").fetchall()
        assert sources == [("pytest",)]

    def test_a_database_with_tables_is_rejected_before_the_tests(
        self, pytester: pytest.Pytester
    ) -> None:
        with closing(duckdb.connect(str(pytester.path / "shop.duckdb"))) as connection:
            connection.execute("CREATE TABLE orders (id INT)")
        pytester.makepyfile("def test_it():\n    raise SystemExit('it ran')")
        result = pytester.runpytest_inprocess(
            "-p", "no:xdist", "--sqlmesh-tracker-report=shop.duckdb"
        )
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(
            "ERROR: sqlmesh_tracker_report: '*shop.duckdb': not a history: this DuckDB database "
            "has other tables, such as main.orders"
        )
