"""Sessions that end in the middle of a batch: its model has failed, for the server's reason."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.engines.engine import ENGINE, POSTGRES
from tests.projects import Project, at, read_between

from .meddling import LOST, Meddler

pytestmark = pytest.mark.skipif(ENGINE is not POSTGRES, reason="the tables are not on the server")

DAILY = {"cron": "'@daily'"}
TIMED_OUT = "QueryCanceled: canceling statement due to statement timeout"
# The server waits on the days that are listed in raw.slow.
SLOW = (
    "SELECT @start_dt::TIMESTAMP AS ts, 1 AS amount, "
    "CASE WHEN @start_ds IN (SELECT day FROM raw.slow) THEN pg_sleep(10)::TEXT END AS slept"
)
RAW = "CREATE SCHEMA raw; CREATE TABLE raw.slow (day TEXT)"


@pytest.fixture(params=[1, 4], ids=["one task", "four tasks"])
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    """slow (a batch for each day) → below, and two models beside them; planned on January 4th."""
    project = Project(tmp_path, concurrent_tasks=request.param)
    project.incremental("s.slow", SLOW, ", batch_size 1, batch_concurrency 1", **DAILY)
    project.incremental("s.below", read_between("s.slow"), **DAILY)
    project.incremental("s.beside", "SELECT @start_dt::TIMESTAMP AS ts", **DAILY)
    project.model("s.other", "SELECT 1 AS id", **DAILY)
    project.plan_once("2024-01-04 12:00", sql=RAW)
    return project


def test_a_killed_session(project: Project, meddler: Meddler) -> None:
    project.execute("INSERT INTO raw.slow VALUES ('2024-01-05')")
    with at("2024-01-07 12:00"), meddler.meanwhile("pg_sleep", meddler.kill):
        report = project.run()

    slow = report["s.slow"]
    report.assert_failed("s.slow", reason="error", match=f"^{LOST}")
    assert re.search(f"its evaluation raised {LOST}", slow.message)
    (failed,) = [batch for batch in slow.batches if batch.status == "failed"]
    assert failed.start == datetime(2024, 1, 5, tzinfo=timezone.utc)
    report.assert_skipped("s.below", reason="upstream_failed")
    assert report["s.below"].blocked_by == ("s.slow",)
    report.assert_executed("s.beside", "s.other")


def test_the_next_run_loads_the_rest(project: Project, meddler: Meddler) -> None:
    project.execute("INSERT INTO raw.slow VALUES ('2024-01-05')")
    with at("2024-01-07 12:00"):
        with meddler.meanwhile("pg_sleep", meddler.kill):
            project.run().assert_failed("s.slow")
        meddler.execute("DELETE FROM raw.slow")
        # SQLMesh does not connect anew by itself.
        project.close()
        report = project.run()

    report.assert_only_executed("s.slow", "s.below")
    report.assert_executed("s.below", intervals=("2024-01-04", "2024-01-07"))


def test_all_sessions_killed_at_once(project: Project, meddler: Meddler) -> None:
    """Models that are evaluated at the same time have lost theirs as well."""
    project.execute("INSERT INTO raw.slow VALUES ('2024-01-04')")
    with at("2024-01-05 12:00"):
        with meddler.meanwhile("pg_sleep", lambda _: meddler.kill_all()):
            report = project.run()
        meddler.execute("DELETE FROM raw.slow")
        project.close()
        again = project.run()

    report.assert_failed("s.slow", reason="error", match=f"^{LOST}")
    assert report.completion == "failure"
    again.assert_executed("s.slow", "s.below")


def test_a_statement_timeout(project: Project) -> None:
    project.execute("INSERT INTO raw.slow VALUES ('2024-01-05')")
    project.execute("ALTER DATABASE wh SET statement_timeout = '700ms'")
    project.close()
    with at("2024-01-07 12:00"):
        report = project.run()

    report.assert_failed("s.slow", reason="error", match="statement timeout")
    assert report["s.slow"].message.endswith(f"its evaluation raised {TIMED_OUT}")
    report.assert_skipped("s.below", reason="upstream_failed")
    report.assert_executed("s.beside", "s.other")
