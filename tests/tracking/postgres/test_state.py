"""A state in PostgreSQL that does not record, or can't be reached for a while."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest

from pytest_sqlmesh_tracker import sqlmesh_run_tracker
from tests.projects import Project, at, check_against_state, read_between

from .meddling import LOST, Meddler

DAILY = {"cron": "'@daily'"}
TICKS = "SELECT @start_dt::TIMESTAMP AS ts, 1 AS amount"
# Recording an interval of s.first fails as soon as raw.trap exists.
TRAP = """
CREATE FUNCTION public.trap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.name LIKE '%first%' THEN {statement}; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER trap BEFORE INSERT ON sqlmesh._intervals FOR EACH ROW EXECUTE FUNCTION public.trap()
"""
KILL = "PERFORM pg_terminate_backend(pg_backend_pid())"
WAIT = "SET LOCAL statement_timeout = '1ms'; PERFORM pg_sleep(10)"
UNRECORDED = "its rows were written, but its interval could not be recorded: "


@pytest.fixture
def chain(project: Project) -> Project:
    """first → second, and one beside them; planned on January 4th."""
    project.incremental("s.first", TICKS, **DAILY)
    project.incremental("s.second", read_between("s.first"), **DAILY)
    project.incremental("s.beside", TICKS, **DAILY)
    project.plan_once("2024-01-04 12:00")
    return project


def test_a_session_killed_while_it_records(chain: Project, meddler: Meddler) -> None:
    meddler.execute(TRAP.format(statement=KILL))
    before = chain.intervals()
    with at("2024-01-05 12:00"), sqlmesh_run_tracker(chain.context) as tracker:
        chain.context.run(skip_janitor=True)
    # SQLMesh does not connect anew by itself.
    chain.close()
    report = tracker.last
    check_against_state([report], before, chain.intervals())

    first = report["s.first"]
    report.assert_failed("s.first", reason="error", match=f"^{LOST}")
    assert re.search(UNRECORDED + LOST, first.message)
    assert [batch.unrecorded for batch in first.batches] == [True]
    assert "its evaluation raised" not in report.explain("s.first")
    report.assert_skipped("s.second", reason="upstream_failed")
    report.assert_executed("s.beside")


def test_an_error_while_recording(chain: Project, meddler: Meddler) -> None:
    meddler.execute(TRAP.format(statement="RAISE EXCEPTION 'the disk is full'"))
    with at("2024-01-05 12:00"):
        report = chain.run(skip_janitor=True)
        meddler.execute("DROP TRIGGER trap ON sqlmesh._intervals")
        again = chain.run()

    assert f"{UNRECORDED}RaiseException: the disk is full" in report["s.first"].message
    report.assert_skipped("s.second", reason="upstream_failed")
    again.assert_only_executed("s.first", "s.second")


def test_a_state_that_cannot_be_reached_and_comes_back(chain: Project, meddler: Meddler) -> None:
    with at("2024-01-05 12:00"):
        assert chain.context.models
        meddler.close_database()
        with sqlmesh_run_tracker(chain.context) as tracker:
            with pytest.raises(Exception, match="not currently accepting connections"):
                chain.context.run()
        meddler.open_database()
        report = chain.run()

    away = tracker.last
    assert away.completion == "raised"
    assert away.by_reason == {"command_failed": frozenset({"s.first", "s.second", "s.beside"})}
    assert "not currently accepting connections" in (away.error or "")
    report.assert_only_executed("s.first", "s.second", "s.beside")


def test_a_state_that_goes_away_during_a_run_and_comes_back(
    chain: Project, meddler: Meddler
) -> None:
    """The first batch is evaluated, but the state is gone when it is to be recorded."""
    meddler.execute(TRAP.format(statement="PERFORM pg_sleep(10)"))
    before = chain.intervals()
    with at("2024-01-05 12:00"):
        with (
            sqlmesh_run_tracker(chain.context) as tracker,
            meddler.meanwhile("_intervals", lambda _: meddler.close_database()),
            suppress(Exception),
        ):
            chain.context.run(skip_janitor=True)
        meddler.open_database()
        chain.close()
        meddler.execute("DROP TRIGGER trap ON sqlmesh._intervals")
        check_against_state(tracker.reports, before, chain.intervals())
        report = chain.run()

    assert tracker.last["s.first"].status in ("failed", "interrupted")
    report.assert_executed("s.first", "s.second")


def test_a_janitor_that_fails_before_the_run(chain: Project, meddler: Meddler) -> None:
    """It compacts the intervals of the state."""
    meddler.execute(TRAP.format(statement="RAISE EXCEPTION 'the disk is full'"))
    before = chain.intervals()
    with at("2024-01-05 12:00"), sqlmesh_run_tracker(chain.context) as tracker:
        with pytest.raises(Exception, match="the disk is full"):
            chain.context.run()
    report = tracker.last
    check_against_state([report], before, chain.intervals())
    assert report.completion == "raised"
    assert report.by_reason == {"command_failed": frozenset({"s.first", "s.second", "s.beside"})}
    assert (report.error or "").startswith("RaiseException: the disk is full")
