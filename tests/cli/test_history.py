"""The command `history`: what it prints and writes, imports and removes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pytest_sqlmesh_tracker import RunReport, dump_reports, load_reports
from pytest_sqlmesh_tracker.cli import main
from pytest_sqlmesh_tracker.history import pending
from pytest_sqlmesh_tracker.reports.files import Entry
from tests.builders import NOW, audit, executed, failed, run, skipped
from tests.cli.conftest import Ended, runner

DAY = timedelta(days=1)


def history(*arguments: object) -> Ended:
    ended = runner().invoke(main, ["history", *map(str, arguments)])
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


def words(text: str) -> list[str]:
    """The words of each line, however they are aligned."""
    return [" ".join(line.split()) for line in text.splitlines()]


def night(number: int, *outcomes: Any, **facts: Any) -> RunReport:
    at = NOW + number * DAY
    report = run(*outcomes, started_at=at, finished_at=at, execution_time=at, **facts)
    return report.model_copy(update={"id": uuid4()})


def orders(number: int) -> Any:
    """Loads the day before, and takes longer from the seventh night on."""
    day = NOW + number * DAY
    return executed(
        "sales.orders",
        (f"{day - DAY:%Y-%m-%d}", f"{day:%Y-%m-%d}"),
        causes=("new_interval",),
        duration=timedelta(seconds=3 if number < 6 else 9),
        loaded_through=day.replace(hour=0, minute=0),
        audits=(audit("not_null", rows_failed=2 if number > 7 else 0, blocking=False),),
    )


def refunds(number: int) -> Any:
    return failed("sales.refunds") if number > 7 else executed("sales.refunds")


def spend(number: int) -> Any:
    late = {"waiting_since": NOW + 5 * DAY}
    made = skipped("marketing.spend", "signal_not_ready", **late)
    return made if number > 5 else executed("marketing.spend")


NIGHTS = [night(n, orders(n), refunds(n), spend(n)) for n in range(10)]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    dump_reports("runs.duckdb", NIGHTS)
    return tmp_path / "runs.duckdb"


class TestAllModels:
    def test_a_row_says_how_a_model_fared(self, file: Path) -> None:
        ended = history(file)
        assert (ended.code, ended.err) == (0, "")
        assert words(ended.out) == [
            "prod: 10 invocations from 2024-01-14 06:30 to 2024-01-23 06:30 UTC",
            "status model last executed loaded through executed failed time",
            "executed sales.orders 2024-01-23 06:30 2024-01-22 10 of 10 9.00 s "
            "a non-blocking audit failed:",
            "not_null (2 rows); slower since",
            "2024-01-20 06:30, 3.00 s before",
            "failed sales.refunds 2024-01-21 06:30 8 of 10 2 failing since 2024-01-22 06:30, 2",
            "times",
            "skipped marketing.spend 2024-01-19 06:30 6 of 10 waiting since 2024-01-19 06:30, 4",
            "invocations, signal_not_ready",
        ]

    def test_json_has_the_same(self, file: Path) -> None:
        [environment] = json.loads(history(file, "--json").out)["environments"]
        assert (environment["environment"], environment["invocations"]) == ("prod", 10)
        by_name = {model["name"]: model for model in environment["models"]}
        assert by_name["sales.refunds"]["failing_since"] == "2024-01-22T06:30:00Z"
        assert by_name["sales.refunds"]["failures"] == 2
        assert by_name["marketing.spend"]["waits"] == 4
        assert by_name["sales.orders"]["durations"]["change"] == {
            "since": "2024-01-20T06:30:00Z",
            "before": 3.0,
            "after": 9.0,
        }

    def test_since_a_time(self, file: Path) -> None:
        ended = history(file, "--since", "2024-01-23")
        assert ended.out.startswith("prod: 1 invocation at 2024-01-23 06:30 UTC\n")
        assert history(file, "--since", "2025-01-01").out == "no invocations\n"

    def test_of_one_environment(self, file: Path) -> None:
        dump_reports(file, [night(20, executed("sales.orders"), environment="dev")])
        both = history(file).out
        assert both.index("dev: 1 invocation") < both.index("prod: 10 invocations")
        assert "dev" not in history(file, "-E", "prod").out
        wrong = history(file, "-E", "prdo")
        assert (wrong.code, wrong.out) == (2, "")
        assert wrong.err == ("Error: the history has no environment 'prdo'; did you mean prod?\n")

    def test_invocations_of_tests_are_counted(self, file: Path) -> None:
        dump_reports(file, [("test_it", night(20, failed("sales.orders")))])
        assert history(file).out.endswith("without 1 invocation of tests\n")

    def test_of_many_models_those_that_need_attention(self, tmp_path: Path) -> None:
        many = [executed(f"a.m{number}") for number in range(250)]
        dump_reports(tmp_path / "many.duckdb", [night(0, *many, failed("a.bad"))])
        ended = history(tmp_path / "many.duckdb")
        assert "a.bad" in ended.out
        assert ended.out.splitlines()[-1] == "not shown: 51 models"


class TestOneModel:
    def test_is_shown_in_full(self, file: Path) -> None:
        lines = history(file, "sales.orders").out.splitlines()
        assert lines[:6] == [
            "sales.orders in prod: executed in 10 of 10 invocations",
            "  last executed   2024-01-23 06:30 (new_interval)",
            "  loaded through  2024-01-22",
            "  usual time      9.00 s",
            "  attention       a non-blocking audit failed: not_null (2 rows); slower since "
            "2024-01-20 06:30, 3.00 s before",
            "  audit not_null  failed in 2 of 10 invocations; failing since 2024-01-22 06:30, 2 "
            "rows in the latest one",
        ]
        rows = words("\n".join(lines[6:]))
        assert rows[0] == "began (UTC) command status intervals or reason time"
        assert len(rows) == 1 + 10
        assert rows[-1] == "2024-01-14 06:30 run executed 2024-01-13: new_interval 3.00 s"

    def test_in_json_has_each_invocation(self, file: Path) -> None:
        [model] = json.loads(history(file, "SALES.refunds", "--json").out)["models"]
        assert model["name"] == "sales.refunds"
        assert [each["outcome"]["status"] for each in model["timeline"]] == (
            ["failed"] * 2 + ["executed"] * 8
        )

    @pytest.mark.parametrize("name", ["a.x", "wh.a.x", "WH.A.X", '"wh"."a"."x"', "wh.a.*"])
    def test_that_has_a_catalog_later(self, tmp_path: Path, name: str) -> None:
        fqns = ['"a"."x"', '"wh"."a"."x"']
        nights = [night(number, executed("a.x", fqn=fqn)) for number, fqn in enumerate(fqns)]
        dump_reports(tmp_path / "r.duckdb", nights)
        title = history(tmp_path / "r.duckdb", name).out.splitlines()[0]
        assert title == "a.x in prod: executed in 2 of 2 invocations"

    def test_of_many_invocations_shows_the_last_ones(self, tmp_path: Path) -> None:
        dump_reports(tmp_path / "r.duckdb", [night(n, executed("a.x")) for n in range(60)])
        assert history(tmp_path / "r.duckdb", "a.x").out.splitlines()[-1] == (
            "and 10 earlier invocations"
        )

    def test_that_the_environment_no_longer_has(self, file: Path) -> None:
        dump_reports(file, [night(20, executed("sales.orders"))])
        assert "sales.refunds" not in history(file).out
        assert (
            "  last invocation  the model is not part of it any more"
            in history(file, "sales.refunds").out
        )

    def test_that_does_not_exist(self, file: Path) -> None:
        wrong = history(file, "sales.order")
        assert (wrong.code, wrong.out) == (2, "")
        assert "did you mean sales.orders or" in wrong.err


class TestFiles:
    def test_are_written_as_printed(self, file: Path) -> None:
        assert history(file, "--report", "all.json", "--report", "all.md").code == 0
        assert json.loads(Path("all.json").read_text()) == json.loads(history(file, "--json").out)
        page = Path("all.md").read_text()
        assert "### prod: 10 invocations from 2024-01-14 06:30 to 2024-01-23 06:30 UTC" in page
        assert "| failed | `sales.refunds` | 2024-01-21 06:30 |  | 8 of 10 | 2 |  | failing" in page

    def test_of_one_model(self, file: Path) -> None:
        assert history(file, "sales.orders", "--report", "orders.md").code == 0
        page = Path("orders.md").read_text()
        assert "### sales.orders in prod: executed in 10 of 10 invocations" in page
        assert "- audit `not_null`: failed in 2 of 10 invocations" in page
        assert page.count("| run | executed |") == 10

    def test_of_some_models_as_a_page(self, file: Path) -> None:
        assert history(file, "sales.*", "--report", "sales.html").code == 0
        page = Path("sales.html").read_text()
        assert "<title>SQLMesh history · prod</title>" in page
        assert ">sales.refunds</a></th>" in page
        assert "marketing" not in page

    def test_with_another_suffix_are_wrong_usage(self, file: Path) -> None:
        wrong = history(file, "--report", "all.xml")
        assert (wrong.code, wrong.out) == (2, "")
        assert "its name must end in .json" in wrong.err

    def test_that_cannot_be_written(self, file: Path) -> None:
        Path("folder").write_text("")
        wrong = history(file, "--report", "folder/all.json")
        assert wrong.code == 2
        assert wrong.err.startswith("Error: --report")


class TestImporting:
    def test_files_folders_and_histories_are_appended_once(self, tmp_path: Path) -> None:
        (tmp_path / "nights").mkdir()
        dump_reports(tmp_path / "nights/1.json", NIGHTS[:2])
        dump_reports(tmp_path / "old.duckdb", NIGHTS[2:5])
        new = tmp_path / "new.duckdb"
        for _ in range(2):
            ended = history(
                new, "--import", tmp_path / "nights", "--import", tmp_path / "old.duckdb"
            )
            assert ended.out.startswith("prod: 5 invocations")
        assert load_reports(new) == NIGHTS[:5]

    def test_what_cannot_be_read_changes_nothing(self, file: Path) -> None:
        Path("not.json").write_text("{")
        wrong = history(file, "--import", "not.json")
        assert (wrong.code, wrong.out) == (2, "")
        assert wrong.err.startswith("Error: not.json: ")
        assert load_reports(file) == NIGHTS


class TestPruning:
    def test_removes_what_began_longer_ago(self, tmp_path: Path) -> None:
        now = datetime.now(timezone.utc)
        for days in (1, 40):
            at = now - days * DAY
            report = run(executed("a.x"), started_at=at, finished_at=at)
            dump_reports(tmp_path / "r.duckdb", [report.model_copy(update={"id": uuid4()})])
        ended = history(tmp_path / "r.duckdb", "--prune", "30 days")
        assert ended.err.startswith("removed 1 report of invocations before ")
        assert ended.out.startswith("prod: 1 invocation at ")

    def test_removes_old_reports_that_wait_beside_the_file(self, file: Path) -> None:
        pending.write(file, [Entry(None, night(20, executed("a.x")))], "cli")
        ended = history(file, "--prune", "30 days")
        assert ended.err.startswith("removed 11 reports of invocations before ")
        assert ended.out == "no invocations\n"
        assert list(file.parent.iterdir()) == [file]

    def test_of_a_file_that_does_not_exist_creates_none(self, tmp_path: Path) -> None:
        wrong = history(tmp_path / "none.duckdb", "--prune", "30 days")
        assert (wrong.code, wrong.out) == (2, "")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("length", ["soon", "-1 days", "0 days", "9e9 weeks", "2 fortnights"])
    def test_needs_a_duration(self, file: Path, length: str) -> None:
        wrong = history(file, "--prune", length)
        assert (wrong.code, wrong.out) == (2, "")
        assert "--prune" in wrong.err
        assert load_reports(file) == NIGHTS


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("runs.json", "'runs.json' is not a history: its name must end in .duckdb"),
        ("sqlmesh_tracker.duckdb", "Error: sqlmesh_tracker.duckdb: a history can't be called"),
        ("none.duckdb", "Error: none.duckdb: No such file or directory\n"),
        ("text.duckdb", "Error: text.duckdb: not a history: not a DuckDB database\n"),
    ],
)
def test_what_is_not_a_history_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.duckdb").write_text("no database at all" * 1000)
    ended = history(name)
    assert (ended.code, ended.out) == (2, "")
    assert complaint in ended.err
