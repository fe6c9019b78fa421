"""`--report runs.duckdb`, and commands that read such a history."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest

from pytest_sqlmesh_tracker import RunReport, dump_reports, load_reports
from pytest_sqlmesh_tracker.cli import main
from tests.builders import NOW, executed, failed, run
from tests.cli.conftest import Ended, Typed, runner
from tests.engines.engine import only_duckdb

DAY = timedelta(days=1)
REJECTED = "not a history: this DuckDB database has other tables"
SOURCES = "SELECT source FROM invocations"


def command(*arguments: str) -> Ended:
    """A command that needs no project."""
    ended = runner().invoke(main, list(arguments))
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


def night(number: int, *outcomes: Any, **facts: Any) -> RunReport:
    at = NOW + number * DAY
    report = run(*outcomes, started_at=at, finished_at=at, execution_time=at, **facts)
    return report.model_copy(update={"id": uuid4()})


RED = night(0, failed("a.x"), completion="failure")
GREEN = night(1, executed("a.x"))
IN_DEV = night(0, executed("a.y"), environment="dev")


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "runs.duckdb"
    dump_reports(path, [RED, IN_DEV, GREEN])
    return path


def shown(*arguments: str) -> list[str]:
    """The ids of the reports that `show --json` prints."""
    printed = command("show", "--json", *arguments)
    assert printed.code == 0, printed.err
    return [report["id"] for report in json.loads(printed.out)["reports"]]


def ids(*reports: RunReport) -> list[str]:
    return [str(report.id) for report in reports]


class TestReading:
    def test_show_takes_the_latest_invocation_of_each_environment(self, history: Path) -> None:
        assert shown(str(history)) == ids(IN_DEV, GREEN)

    def test_since_takes_all_from_then_on(self, history: Path) -> None:
        assert shown(str(history), "--since", "2024-01-14") == ids(RED, IN_DEV, GREEN)
        assert shown(str(history), "--since", "2024-01-15T06:30Z") == ids(GREEN)

    def test_gate_judges_the_latest_ones(self, history: Path) -> None:
        assert command("gate", str(history)).code == 0
        since = command("gate", str(history), "--since", "2024-01-01")
        assert (since.code, "a.x" in since.out) == (1, True)

    def test_diff_compares_the_latest_ones(self, history: Path, tmp_path: Path) -> None:
        dump_reports(tmp_path / "old.duckdb", [RED, IN_DEV])
        compared = command("diff", str(tmp_path / "old.duckdb"), str(history), "--exit-code")
        assert compared.code == 1
        assert "failed" in compared.out
        assert command("diff", str(history), str(history), "--exit-code").code == 0

    def test_json_files_can_be_given_beside_it(self, history: Path, tmp_path: Path) -> None:
        dump_reports(tmp_path / "red.json", [RED])
        both = (str(tmp_path / "red.json"), str(history))
        assert shown(*both) == ids(RED, IN_DEV, GREEN)
        assert shown(*both, "--since", "2024-01-15") == ids(RED, GREEN)

    @pytest.mark.parametrize(
        ("inputs", "since", "complaint"),
        [
            ("runs.duckdb", "yesterday", "--since: 'yesterday' is not an ISO date or time"),
            ("red.json", "2024-01-01", "--since applies to histories only"),
        ],
    )
    def test_an_invalid_time_or_one_without_a_history_is_wrong_usage(
        self, history: Path, inputs: str, since: str, complaint: str
    ) -> None:
        ended = command("show", str(history.with_name(inputs)), "--since", since)
        assert (ended.code, ended.out) == (2, "")
        assert complaint in ended.err

    def test_what_cannot_be_read_is_one_line(self, tmp_path: Path) -> None:
        with closing(duckdb.connect(str(tmp_path / "shop.duckdb"))) as connection:
            connection.execute("CREATE TABLE orders (id INT)")
        other_tables = f"{REJECTED}, such as main.orders"
        missing = "No such file or directory"
        for name, complaint in {"shop.duckdb": other_tables, "none.duckdb": missing}.items():
            ended = command("show", str(tmp_path / name))
            assert (ended.code, ended.out) == (2, "")
            assert ended.err == f"Error: {tmp_path / name}: {complaint}\n"


class TestWriting:
    def test_json_reports_are_imported_once(self, history: Path, tmp_path: Path) -> None:
        other = night(3, executed("a.x"))
        dump_reports(tmp_path / "nights.json", [GREEN, ("test_it", other)])
        for _ in range(2):
            imported = command(
                "show", "-q", str(tmp_path / "nights.json"), "--report", str(history)
            )
            assert imported.code == 0, imported.err
        assert load_reports(history) == [RED, IN_DEV, GREEN, ("test_it", other)]
        assert sources(history) == ["python", "python", "python", "import"]

    def test_runs_and_plans_are_appended(self, shop: Path, typed: Typed) -> None:
        history = shop.parent / "runs.duckdb"
        (shop / "feed_is_late").touch()
        assert typed("run", "--report", str(history)).code == 1
        (shop / "feed_is_late").unlink()
        printed = typed("run", "--json", "--report", str(history), when="2024-01-10 00:10")
        planned = typed("plan", "--auto-apply", "--no-prompts", "--report", str(history))
        assert (printed.code, planned.code) == (0, 0)
        first, second, third = load_reports(history)
        assert isinstance(first, RunReport)
        assert first.by_reason["signal_not_ready"] == {"marketing.spend"}
        assert second == printed.report
        assert isinstance(third, RunReport)
        assert third.command == "plan"
        assert sources(history) == ["cli"] * 3

    @only_duckdb("the project's database is a DuckDB file")
    def test_a_database_of_the_project_is_rejected_before_the_run(
        self, shop: Path, typed: Typed
    ) -> None:
        (shop / "warehouse.duckdb").symlink_to(shop / "wh.db")
        rejected = typed("run", "--report", "warehouse.duckdb")
        assert rejected.code == 2
        assert REJECTED in rejected.err
        assert typed("run", "--json").report.executed >= {"shop.orders"}


def sources(history: Path) -> list[str]:
    with closing(duckdb.connect(str(history))) as connection:
        return [source for (source,) in connection.execute(SOURCES).fetchall()]
