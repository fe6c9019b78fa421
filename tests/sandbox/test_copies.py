"""Copies of sandboxes as they stand: databases, files, clock, faults."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import Sandbox, SandboxError, SandboxWarning
from pytest_sqlmesh_tracker.sandbox.making import Sandboxes
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from tests.sandbox.building import maker

TOTAL = "SELECT amount FROM pay.total"


@pytest.fixture
def make(templates: Templates, payroll: Path) -> Iterator[Sandboxes]:
    made = maker(templates, path=payroll, at="2024-01-05 00:05")
    yield made
    made.close(warn=True)


@pytest.fixture
def original(make: Sandboxes) -> Sandbox:
    return make()


class TestACopy:
    @pytest.mark.long
    def test_has_what_was_loaded_and_executed_before(self, original: Sandbox) -> None:
        original.run(at="2024-01-06 00:05")
        original.execute("CREATE TABLE notes AS SELECT 7 AS id")
        copy = original.copy()
        assert copy.fetch(TOTAL) == original.fetch(TOTAL) == [(40,)]
        assert copy.fetch("SELECT id FROM notes") == [(7,)]
        copy.run().assert_nothing_executed()

    def test_is_independent(self, original: Sandbox) -> None:
        copy = original.copy()
        copy.run(at="2024-01-06 00:05").assert_executed("pay.total")
        assert copy.fetch(TOTAL) == [(40,)]
        assert original.fetch(TOTAL) == [(32,)]
        original.run(at="2024-01-07 00:05").assert_executed("pay.total")
        assert copy.fetch(TOTAL) == [(40,)]

    def test_outlives_the_original(self, original: Sandbox) -> None:
        copy = original.copy()
        original.close()
        copy.run(at="2024-01-06 00:05").assert_executed("pay.total")
        assert not original.path.exists()

    @pytest.mark.long
    def test_can_be_copied(self, original: Sandbox) -> None:
        copies = [original]
        for day in range(6, 9):
            copies.append(copies[-1].copy())
            copies[-1].run(at=f"2024-01-0{day} 00:05")
        assert [copy.fetch(TOTAL) for copy in copies] == [[(32,)], [(40,)], [(48,)], [(56,)]]

    def test_has_a_clock_of_its_own_that_shows_the_same_time(self, original: Sandbox) -> None:
        original.travel("2024-01-06 12:00")
        copy = original.copy()
        assert f"{copy.now:%Y-%m-%d %H:%M}" == "2024-01-06 12:00"
        with pytest.raises(SandboxError, match="is before the sandbox's time"):
            copy.travel("2024-01-06 11:00")
        copy.travel("2024-01-09")
        assert f"{original.now:%Y-%m-%d %H:%M}" == "2024-01-06 12:00"

    def test_has_a_tracker_of_its_own(self, original: Sandbox) -> None:
        original.run(at="2024-01-06 00:05")
        copy = original.copy()
        report = copy.run()
        assert copy.tracker.reports == [report]
        assert report not in original.tracker.reports

    def test_does_not_have_what_is_not_committed(self, original: Sandbox) -> None:
        original.execute("CREATE TABLE notes (id INT)")
        cursor = original.context.engine_adapter.cursor
        cursor.execute("BEGIN; INSERT INTO notes VALUES (1)")
        copy = original.copy()
        assert copy.fetch("SELECT * FROM notes") == []
        cursor.execute("COMMIT")
        assert original.fetch("SELECT * FROM notes") == [(1,)]

    def test_leaves_the_rows_of_a_query_that_is_being_read(self, original: Sandbox) -> None:
        original.execute("CREATE TABLE numbers AS SELECT range AS n FROM range(100000)")
        cursor = original.context.engine_adapter.cursor
        cursor.execute("SELECT n FROM numbers ORDER BY n")
        assert cursor.fetchone() == (0,)
        assert original.copy().fetch("SELECT COUNT(*) FROM numbers") == [(100000,)]
        assert len(cursor.fetchall()) == 99999


class TestFiles:
    NEW = "MODEL (name pay.new, kind FULL);\n\nSELECT 1 AS one\n"

    def test_that_were_written_are_copied_with_the_loaded_project(self, original: Sandbox) -> None:
        original.write("models/new.sql", self.NEW)
        copy = original.copy()
        copy.plan().assert_executed("pay.new")
        original.plan().assert_executed("pay.new")
        model = next(m for m in copy.context.models.values() if m.name == "pay.new")
        assert model._path == copy.path / "models/new.sql"

    def test_that_are_written_later_are_not(self, original: Sandbox) -> None:
        copy = original.copy()
        copy.write("models/new.sql", self.NEW)
        assert not (original.path / "models/new.sql").exists()
        assert (copy.copy().path / "models/new.sql").read_text() == self.NEW

    def test_that_no_longer_load_are_copied(self, original: Sandbox) -> None:
        with pytest.raises(Exception, match="broken"):
            original.write("models/broken.sql", "MODEL (name pay.broken")
        assert (original.copy().path / "models/broken.sql").exists()


def test_data_that_models_have_instead_of_queries_is_copied(original: Sandbox) -> None:
    original.stub("pay.total", [{"amount": 7}])
    copy = original.copy()
    copy.plan()
    copy.assert_rows("pay.now", [{"amount": 7}])
    copy.stub("pay.total", [{"amount": 8}])
    original.plan()
    original.assert_rows("pay.now", [{"amount": 7}])


class TestFaults:
    def test_strike_as_often_as_they_still_would(self, original: Sandbox) -> None:
        original.fail("pay.hours", times=2)
        original.run(at="2024-01-06 00:05").assert_failed("pay.hours")
        copy = original.copy()
        copy.run().assert_failed("pay.hours")
        copy.run().assert_executed("pay.hours")
        original.run().assert_failed("pay.hours")

    def test_and_holds_are_independent(self, original: Sandbox) -> None:
        original.hold("pay.slips")
        copy = original.copy()
        copy.release("pay.slips")
        copy.fail("pay.hours")
        copy.run(at="2024-01-06 00:05").assert_failed("pay.hours")
        report = original.run(at="2024-01-06 00:05")
        report.assert_executed("pay.hours")
        report.assert_skipped("pay.slips", reason="signal_not_ready")

    def test_that_strike_only_in_a_copy_are_no_warning(self, original: Sandbox) -> None:
        original.fail("pay.slips")
        copies = [original.copy(), original.copy().copy()]
        copies[1].run(at="2024-01-06 00:05").assert_failed("pay.slips")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for sandbox in (*copies, original):
                sandbox.close()

    def test_that_strike_nowhere_are_one_warning(self, original: Sandbox) -> None:
        original.fail("pay.slips")
        original.copy().close()
        with pytest.warns(SandboxWarning, match=r"the fault on pay\.slips was never triggered"):
            original.close()


class TestAnEndedSandbox:
    @pytest.fixture
    def ended(self, make: Sandboxes) -> Sandbox:
        with make() as sandbox:
            assert sandbox.fetch(TOTAL) == [(32,)]
        return sandbox

    @pytest.mark.parametrize("call", ["run", "plan", "copy", "context.run", "context.diff"])
    def test_can_not_be_used(self, ended: Sandbox, call: str) -> None:
        method = attrgetter(call)(ended)
        with pytest.raises(SandboxError, match=r"the sandbox of payroll0 is closed: it can't be"):
            method()

    def test_can_not_execute_or_write(self, ended: Sandbox) -> None:
        with pytest.raises(SandboxError, match="is closed"):
            ended.fetch(TOTAL)
        with pytest.raises(SandboxError, match="is closed"):
            ended.write("models/a.sql", "")
        with pytest.raises(SandboxError, match="is closed"):
            ended.rows("pay.total")
        with pytest.raises(SandboxError, match="is closed"):
            ended.context.state_reader.get_environments()

    def test_can_be_closed_again(self, ended: Sandbox) -> None:
        ended.close()
        assert not ended.path.exists()

    def test_keeps_its_reports(self, make: Sandboxes) -> None:
        with make() as sandbox:
            report = sandbox.run(at="2024-01-06 00:05")
        assert sandbox.tracker.reports == [report]
        sandbox.tracker.assert_executed("pay.total")
