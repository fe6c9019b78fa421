"""What is computed once for many models is what SQLMesh computes for each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlglot import exp
from sqlmesh.core.model import create_sql_model
from sqlmesh.core.node import IntervalUnit
from sqlmesh.core.snapshot import Snapshot, missing_intervals
from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker import sqlmesh_run_tracker
from pytest_sqlmesh_tracker.tracking.events.facts import frozen_by_name
from pytest_sqlmesh_tracker.tracking.events.recording import IntervalSearch
from pytest_sqlmesh_tracker.tracking.intervals.missing import missing, missing_or_rejected
from pytest_sqlmesh_tracker.tracking.intervals.schedules import Ticks
from pytest_sqlmesh_tracker.tracking.intervals.snapshots import Snapshots
from pytest_sqlmesh_tracker.tracking.spans import Span, merged
from tests.projects import Project, at, read_between
from tests.tracking.intervals.test_crons import EVEN, EVEN_IN_SECONDS, NEVER_EVEN_FOR_LONG

TICKS = "SELECT @start_dt AS ts, 1 AS id"
CRONS = ("@hourly", "@weekly", "30 6 * * *", "0 9 * * 1-5")
HOUR = 3_600_000
JANUARY = int(datetime(2024, 1, 1, tzinfo=timezone.utc).timestamp() * 1000)


@pytest.fixture
def varied(project: Project) -> Project:
    """Models of each cron that differ in one more thing each."""
    project.write(
        "config.yaml",
        f"gateways: {{local: {{connection: {{type: duckdb, database: {project.path}/wh.db}}}}}}\n"
        "model_defaults: {dialect: duckdb}\n"
        "disable_anonymized_analytics: true\n",
    )
    for number, cron in enumerate(CRONS):
        same: dict[str, str] = {"cron": f"'{cron}'"}
        new_year = {"start": "'2024-01-01'", **same}
        project.incremental(f"v{number}.plain", TICKS, **new_year)
        project.incremental(f"v{number}.twin", TICKS, **new_year)
        project.incremental(f"v{number}.later", TICKS, start="'2024-01-03 05:30:00'", **same)
        project.incremental(f"v{number}.ended", TICKS, end="'2024-01-05'", **new_year)
        project.incremental(f"v{number}.lookback", TICKS, ", lookback 2", **new_year)
        project.incremental(f"v{number}.partial", TICKS, allow_partials="true", **new_year)
        project.incremental(f"v{number}.tokyo", TICKS, cron_tz="'Asia/Tokyo'", **new_year)
        project.incremental(f"v{number}.past", TICKS, start="'10 days ago'", **same)
        project.model(f"v{number}.full", "SELECT 1 AS id", **same)
        project.incremental(f"v{number}.below", read_between(f"v{number}.later"), **same)
        both = f"SELECT id FROM v{number}.full UNION ALL SELECT id FROM v{number}.below"
        project.model(f"v{number}.both", both, kind="VIEW", **same)
    return project


loaded = st.lists(
    st.tuples(st.integers(-2, 2) | st.integers(0, 12 * 24), st.sampled_from([1, 24, 7 * 24])).map(
        lambda span: (JANUARY + span[0] * HOUR, JANUARY + (span[0] + span[1]) * HOUR)
    ),
    max_size=3,
).map(merged)
moments = st.one_of(
    st.integers(0, 14 * 24 * 60).map(lambda minute: JANUARY + minute * 60_000),
    st.integers(0, 14).map(lambda day: date(2024, 1, 1) + timedelta(days=day)),
    st.integers(0, 14).map(lambda day: f"2024-01-{day + 1:02}"),
)


@pytest.mark.long
def test_missing_intervals_are_those_that_sqlmesh_finds(varied: Project) -> None:
    with at("2024-01-10 12:00"):
        snapshots = list(varied.context.snapshots.values())
        _compare_with_sqlmesh(snapshots)


def _compare_with_sqlmesh(snapshots: list[Any]) -> None:
    groups = {snapshot.name.split('"')[-2] for snapshot in snapshots}

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries(dict.fromkeys(sorted(groups), loaded)), moments, st.booleans())
    def compare(spans: dict[str, list[Span]], moment: Any, ignore_cron: bool) -> None:
        for snapshot in snapshots:
            snapshot.intervals = spans[snapshot.name.split('"')[-2]]
        computed = Snapshots(frozen_by_name(snapshots))
        search = IntervalSearch(end=moment, execution_time=moment, ignore_cron=ignore_cron)
        try:
            expected = missing_intervals(
                snapshots, end=moment, execution_time=moment, ignore_cron=ignore_cron
            )
        except ValueError as error:
            with pytest.raises(ValueError, match=re.escape(str(error))):
                _ = [missing_or_rejected(search, computed, each.name) for each in snapshots]
            return
        for snapshot in snapshots:
            by_sqlmesh = merged(expected.get(snapshot, []))
            assert missing(search, computed, snapshot.name) == by_sqlmesh, snapshot.name

    compare()


@given(st.sampled_from(list(IntervalUnit)), st.integers(JANUARY, JANUARY + 400 * 24 * HOUR))
def test_ticks_of_interval_units_are_those_of_sqlmesh(unit: IntervalUnit, moment: int) -> None:
    ticks = Ticks()
    assert ticks.floor(unit, moment) == to_timestamp(unit.cron_floor(moment))
    assert ticks.next(unit, moment) == to_timestamp(unit.cron_next(moment))


@pytest.mark.long
@settings(max_examples=300)
@given(
    st.sampled_from([*EVEN, *EVEN_IN_SECONDS, *NEVER_EVEN_FOR_LONG]),
    st.integers(JANUARY, JANUARY + 400 * 24 * HOUR),
    st.sampled_from([None, -1, 0, 1]),
)
def test_ticks_of_crons_are_those_of_sqlmesh(cron: str, moment: int, beside: int | None) -> None:
    """Also those at ticks and a millisecond beside them."""
    node = create_sql_model("s.m", exp.select(exp.Literal.number(1).as_("one")), cron=cron)
    if beside is not None:
        moment = to_timestamp(node.cron_next(moment)) + beside
    ticks = Ticks()
    assert ticks.floor(node, moment) == to_timestamp(node.cron_floor(moment))
    assert ticks.next(node, moment) == to_timestamp(node.cron_next(moment))


@pytest.mark.long
def test_no_search_is_made_twice(project: Project) -> None:
    for number in range(8):
        project.incremental(f"s.m{number}", TICKS, cron="'@daily'" if number % 2 else "'@hourly'")
    with at("2024-01-08 00:30"):
        project.context.plan(auto_apply=True, no_prompts=True)
    with at("2024-01-08 00:40"), sqlmesh_run_tracker(project.context) as tracker:
        project.context.run()
    with recorded_searches() as searches:
        assert len(tracker.last.by_reason["cron_not_due"]) == 8
    assert searches
    assert len(searches) == len(set(searches))


@contextmanager
def recorded_searches() -> Iterator[list[tuple[Any, ...]]]:
    """What SQLMesh is asked to compute meanwhile, with all that the result depends on here."""
    searches: list[tuple[Any, ...]] = []
    search = Snapshot.missing_intervals

    def recorded(snapshot: Any, *args: Any, **kwargs: Any) -> Any:
        terms = snapshot.node.interval_unit, tuple(snapshot.intervals)
        searches.append((terms, args, kwargs["execution_time"]))
        return search(snapshot, *args, **kwargs)

    with patch.object(Snapshot, "missing_intervals", recorded):
        yield searches
