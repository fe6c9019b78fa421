"""How models fared, in words: in text and Markdown."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pytest_sqlmesh_tracker import RunReport
from pytest_sqlmesh_tracker.history.appending import append
from pytest_sqlmesh_tracker.history.trends.reading import read_timelines, read_trends
from pytest_sqlmesh_tracker.history.trends.types import Trends
from pytest_sqlmesh_tracker.render.trends.markdown import overview_page
from pytest_sqlmesh_tracker.render.trends.rows import TrendRow
from pytest_sqlmesh_tracker.render.trends.text import overview, timelines
from pytest_sqlmesh_tracker.reports.files import Entry
from tests.builders import NOW, audit, executed, failed, interrupted, run, skipped, unknown

DAY = timedelta(days=1)
OF_TEST = "test_it"


def night(number: int, *outcomes: Any, **facts: Any) -> RunReport:
    at = NOW + number * DAY
    report = run(*outcomes, started_at=at, finished_at=at, execution_time=at, **facts)
    return report.model_copy(update={"id": uuid4()})


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "runs.duckdb"


def written(history: Path, *reports: RunReport, tests: int = 0) -> Trends:
    entries = [Entry(None, report) for report in reports]
    entries += [Entry(OF_TEST, night(50 + number)) for number in range(tests)]
    append(history, entries, source="cli")
    return read_trends(history)


def row(trends: Trends, model: str) -> TrendRow:
    [trend] = trends.matching(model)
    return TrendRow(trend)


def full(history: Path, trends: Trends, model: str, **options: Any) -> list[str]:
    text = timelines(read_timelines(history, trends.matching(model)), width=140, **options)
    return [" ".join(line.split()) for line in text.splitlines()]


def test_what_is_loaded_is_a_day_or_a_time(history: Path) -> None:
    midnight = NOW.replace(hour=0, minute=0)
    trends = written(
        history,
        night(
            0,
            executed("a.daily", loaded_through=midnight),
            executed("a.hourly", loaded_through=NOW),
            executed("a.unknown"),
        ),
    )
    assert row(trends, "a.daily").loaded_through == "2024-01-13"
    assert row(trends, "a.hourly").loaded_through == "2024-01-14 06:30"
    assert row(trends, "a.unknown").loaded_through == ""


def test_an_execution_that_took_longer_than_all_before_needs_attention(history: Path) -> None:
    seconds = [2, 2, 2, 2, 2, 9]
    trends = written(
        history,
        *(
            night(number, executed("a.x", duration=timedelta(seconds=each)))
            for number, each in enumerate(seconds)
        ),
    )
    assert row(trends, "a.x").remarks == "took 9.00 s, longer than in 5 executions before"


def test_models_that_ended_unexpectedly_need_attention(history: Path) -> None:
    forgotten = skipped("a.z", "not_in_environment")
    last = interrupted("a.x"), unknown("a.y"), forgotten, skipped("a.w")
    trends = written(history, night(0, *last))
    assert row(trends, "a.x").remarks == "interrupted: aborted"
    assert row(trends, "a.y").remarks == "unknown"
    assert row(trends, "a.z").remarks == "skipped: not_in_environment"
    assert row(trends, "a.w").remarks == ""


def test_how_often_audits_failed_and_since_when(history: Path) -> None:
    broken = executed("a.x", audits=(audit("a"), audit("b"), audit("c", rows_failed=1)))
    healed = executed("a.x", audits=(audit("a"), audit("b", rows_failed=3), audit("c")))
    trends = written(history, night(0, broken), night(1, healed))
    lines = full(history, trends, "a.x")
    assert "audit a passed in 2 invocations" in lines
    since = "failing since 2024-01-15 06:30, 3 rows in the latest one"
    assert f"audit b failed in 1 of 2 invocations; {since}" in lines
    assert "audit c failed in 1 of 2 invocations" in lines


def test_an_audit_that_always_failed_fails_since_the_first_invocation(history: Path) -> None:
    red = executed("a.x", audits=(audit("a", rows_failed=1),))
    trends = written(history, night(0, red), night(1, red))
    since = "failing since 2024-01-14 06:30, 1 row in the latest one"
    assert f"audit a failed in 2 of 2 invocations; {since}" in full(history, trends, "a.x")


def test_rows_have_a_column_if_they_are_known(history: Path) -> None:
    trends = written(history, night(0, executed("a.x", rows=1234), executed("a.y")))
    assert "began (UTC) command status intervals or reason rows time" in full(
        history, trends, "a.x"
    )
    assert full(history, trends, "a.x")[-1] == "2024-01-14 06:30 run executed 2024-01-13 1,234"
    assert "rows" not in " ".join(full(history, trends, "a.y"))


def test_earlier_invocations_are_counted(history: Path) -> None:
    trends = written(history, *(night(number, executed("a.x")) for number in range(3)))
    assert full(history, trends, "a.x", limit=2)[-1] == "and 1 earlier invocation"


def test_models_that_are_not_evaluatable_have_no_rows(history: Path) -> None:
    trends = written(history, night(0, skipped("a.seen", "not_evaluatable", kind="external")))
    assert overview(trends) == "prod: 1 invocation at 2024-01-14 06:30 UTC"


def test_models_that_failed_are_never_left_out(history: Path) -> None:
    trends = written(history, night(0, executed("a.x"), failed("a.y"), executed("a.z")))
    shown = overview(trends, limit=1)
    assert "a.y" in shown
    assert shown.endswith("not shown: 2 models")


def test_what_is_left_out_is_said(history: Path) -> None:
    trends = written(history, night(0, executed("a.x")), tests=2)
    assert overview(trends).endswith("without 2 invocations of tests")
    assert "without 2 invocations of tests" in overview_page(trends)
