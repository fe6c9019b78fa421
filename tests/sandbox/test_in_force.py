"""Several sandboxes in one process: each is in force during its calls."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import time_machine
from freezegun import freeze_time

from pytest_sqlmesh_tracker import Sandbox, SandboxError, track_all
from pytest_sqlmesh_tracker.sandbox.making import SandboxMaker
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from tests.projects import Project
from tests.sandbox.building import maker, project

REAL_YEAR = datetime.now(timezone.utc).year


@pytest.fixture
def make(templates: Templates, payroll: Path) -> Iterator[SandboxMaker]:
    made = maker(templates, path=payroll, at="2024-01-05 00:05")
    yield made
    made.close(warn=False)


@pytest.fixture
def of_test(make: SandboxMaker) -> Iterator[Sandbox]:
    """The test's own sandbox, as the fixture `sqlmesh_project` makes it."""
    with track_all() as tracker:
        yield make.of_test(tracker)


def visible() -> str:
    """The day that the process sees."""
    return f"{datetime.now():%Y-%m-%d}"


class TestTheClock:
    def test_of_the_tests_own_sandbox_is_in_force_between_calls(self, of_test: Sandbox) -> None:
        assert visible() == "2024-01-05"
        of_test.run(at="2024-01-06 00:05")
        assert visible() == "2024-01-06"

    def test_of_another_sandbox_is_in_force_during_its_calls(self, make: SandboxMaker) -> None:
        with make() as sandbox:
            report = sandbox.run(at="2024-01-06 00:05")
            assert datetime.now(timezone.utc).year == REAL_YEAR
            assert f"{report.execution_time:%Y-%m-%d}" == f"{sandbox.now:%Y-%m-%d}" == "2024-01-06"

    @pytest.mark.long
    def test_of_another_sandbox_does_not_change_the_tests_own(
        self, of_test: Sandbox, make: SandboxMaker
    ) -> None:
        with make(at="2024-01-03 12:00") as other, of_test.copy() as copy:
            other.run(at="2024-01-04 12:00").assert_executed("pay.hours")
            copy.run(at="2024-01-20 12:00").assert_executed("pay.hours")
            assert visible() == "2024-01-05"
        assert visible() == "2024-01-05"
        of_test.run(at="2024-01-06 00:05").assert_executed("pay.hours")

    def test_of_another_sandbox_stands_still_between_calls(self, make: SandboxMaker) -> None:
        with make() as sandbox:
            before = sandbox.now
            time.sleep(0.01)
            assert sandbox.now == before
            sandbox.run()
            assert sandbox.now > before

    def test_is_in_force_in_calls_of_the_context(self, make: SandboxMaker) -> None:
        with make() as sandbox:
            sandbox.travel("2024-01-06 00:05")
            rows = sandbox.context.evaluate("pay.hours", "1 day ago", "now", "now")
            assert {f"{ts:%Y-%m}" for ts in rows["ts"]} == {"2024-01"}

    @pytest.mark.long
    def test_is_what_sql_sees(self, of_test: Sandbox, make: SandboxMaker) -> None:
        today = "SELECT CAST(CURRENT_DATE AS TEXT)"
        with make(at="2024-01-03") as other, of_test.copy() as copy:
            other.travel("2024-01-10")
            copy.run(at="2024-01-20")
            for _ in range(2):
                assert other.fetch(today) == [("2024-01-10",)]
                assert copy.fetch(today) == [("2024-01-20",)]
                assert of_test.fetch(today) == [("2024-01-05",)]

    def test_of_a_sandbox_without_a_time_is_the_present(
        self, of_test: Sandbox, templates: Templates, tmp_path: Path
    ) -> None:
        assert visible() == "2024-01-05"
        Project(tmp_path).model("m.a", "SELECT 1 AS id", cron="'@daily'")
        with maker(templates, path=tmp_path)() as sandbox:
            assert sandbox.now.year == REAL_YEAR
        assert of_test.now.year == 2024

    def test_is_restored_after_a_call_that_raised(
        self, of_test: Sandbox, make: SandboxMaker
    ) -> None:
        with make(at="2024-01-03") as other, pytest.raises(Exception, match="nowhere"):
            other.fetch("SELECT * FROM nowhere")
        assert visible() == f"{of_test.now:%Y-%m-%d}" == "2024-01-05"

    def test_can_end_in_any_order(self, make: SandboxMaker) -> None:
        before = datetime.now(timezone.utc)
        with track_all() as tracker:
            first, second = make.of_test(tracker), make.of_test(tracker)
            first.close()
            assert visible() == "2024-01-05"
            second.close()
        assert timedelta(0) <= datetime.now(timezone.utc) - before < timedelta(minutes=5)


class TestAnotherClock:
    def test_that_was_started_later_is_rejected(self, of_test: Sandbox) -> None:
        with time_machine.travel("2024-02-01", tick=False):
            with pytest.raises(SandboxError, match="time_machine was started after"):
                of_test.run()
            with pytest.raises(SandboxError, match="time_machine was started after"):
                of_test.plan(at="2024-01-06")
            with pytest.raises(SandboxError, match="time_machine was started after"):
                of_test.context.run()
            assert of_test.fetch("SELECT 1") == [(1,)]
            assert f"{of_test.now:%Y-%m-%d}" == "2024-01-05"
        of_test.run(at="2024-01-06 00:05").assert_executed("pay.hours")

    def test_that_was_started_later_is_rejected_by_others(self, make: SandboxMaker) -> None:
        with make() as sandbox:
            with time_machine.travel("2024-02-01"):
                with pytest.raises(SandboxError, match="time_machine was started after"):
                    sandbox.run(at="2024-01-06 00:05")
            sandbox.run(at="2024-01-06 00:05").assert_executed("pay.hours")

    def test_that_was_started_before_returns(self, make: SandboxMaker) -> None:
        with time_machine.travel("2024-02-01"):
            with make() as sandbox:
                sandbox.run(at="2024-01-06 00:05").assert_executed("pay.hours")
                assert visible() == "2024-02-01"
            assert visible() == "2024-02-01"

    @pytest.mark.long
    def test_that_is_frozen_is_rejected(self, make: SandboxMaker) -> None:
        with make() as sandbox, freeze_time("2024-02-01"):
            with pytest.raises(SandboxError, match="freezegun has frozen the clock"):
                sandbox.run(at="2024-01-06 00:05")
            with pytest.raises(SandboxError, match="freezegun has frozen the clock"):
                sandbox.copy()
            assert sandbox.fetch("SELECT 1") == [(1,)]


class TestThreads:
    def test_can_not_use_two_sandboxes_at_once(self, make: SandboxMaker) -> None:
        entered, done = threading.Event(), threading.Event()

        def wait(_: int) -> int:
            entered.set()
            return int(done.wait(20))

        with make() as first, make() as second:
            first.context.engine_adapter.cursor.create_function("wait", wait, ["INT"], "INT")
            thread = threading.Thread(target=first.fetch, args=("SELECT wait(1)",))
            thread.start()
            try:
                assert entered.wait(20)
                with pytest.raises(
                    SandboxError, match=r"another thread is using the sandbox of payroll0: .* once"
                ):
                    second.run()
            finally:
                done.set()
                thread.join()
            second.run(at="2024-01-06 00:05").assert_executed("pay.hours")

    @pytest.mark.long
    def test_can_take_turns(self, of_test: Sandbox, make: SandboxMaker) -> None:
        async def runs() -> list[int]:
            with make() as other:
                reports = [
                    await asyncio.to_thread(sandbox.run, at="2024-01-06 00:05")
                    for sandbox in (of_test, other, of_test.copy())
                ]
            await asyncio.sleep(0.001)
            return [len(report.executed) for report in reports]

        first, *others = asyncio.run(runs())
        assert others == [first, first]
        assert visible() == "2024-01-06"


class TestTheProject:
    """Modules, environment variables and `sys.path` of two projects at once."""

    MODEL = """
        import helpers
        from sqlmesh import model

        @model("m.a", columns={"word": "text", "place": "text"}, kind="FULL", cron="@daily")
        def execute(context, **kwargs):
            import os
            import pandas
            from helpers import WORD
            return pandas.DataFrame({"word": [WORD], "place": [os.environ["PLACE"]]})
        """

    @pytest.fixture
    def places(self, tmp_path: Path) -> list[Path]:
        made = []
        for name in ("north", "south"):
            one = project(tmp_path / name, "{local: {connection: {type: duckdb}}}")
            one.write(".env", f"PLACE={name}")
            one.write("helpers.py", f"WORD = {name.upper()!r}")
            one.write("models/a.py", self.MODEL)
            made.append(one.path)
        return made

    @pytest.mark.long
    def test_is_that_of_the_sandbox_in_use(self, templates: Templates, places: list[Path]) -> None:
        before = dict(os.environ), list(sys.path), set(sys.modules)
        making = maker(templates, at="2024-01-05 00:05")
        with making(places[0]) as north, making(places[1]) as south:
            for day in ("2024-01-06", "2024-01-07"):
                for sandbox, place in ((north, "north"), (south, "south"), (north.copy(), "north")):
                    sandbox.run(at=day).assert_executed("m.a")
                    assert sandbox.fetch("SELECT * FROM m.a") == [(place.upper(), place)]
                    assert "PLACE" not in os.environ
        making.close(warn=True)
        assert (dict(os.environ), list(sys.path)) == before[:2]
        assert "helpers" not in set(sys.modules) - before[2]
