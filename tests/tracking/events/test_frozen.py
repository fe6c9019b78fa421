"""Snapshots as they were at one moment of a run."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sqlmesh_tracker.tracking.events.facts import frozen_by_name
from tests.projects import Project, rows_every


@pytest.fixture
def hourly(project: Project) -> Project:
    project.incremental("s.hourly", rows_every("1 hour"), cron="'@hourly'")
    project.plan_once("2024-01-02 08:00")
    return project


def snapshot_of(project: Project) -> Any:
    (snapshot,) = project.context.snapshots.values()
    return snapshot


def test_intervals_of_the_same_version_are_those_of_each_moment(hourly: Project) -> None:
    snapshot = snapshot_of(hourly)
    earlier = frozen_by_name([snapshot])
    snapshot.intervals = []
    later = frozen_by_name([snapshot], earlier)
    (before,), (after,) = earlier.values(), later.values()
    assert len(before.intervals) == 1
    assert after.intervals == ()
    assert after.snapshot is before.snapshot, "a run does not change what else it contains"
    assert before.thawed().intervals == list(before.intervals)


def test_another_version_is_not_taken_for_an_earlier_one(hourly: Project) -> None:
    earlier = frozen_by_name([snapshot_of(hourly)])
    hourly.incremental("s.hourly", rows_every("1 hour", "2 AS amount"), cron="'@hourly'")
    hourly.reload()
    hourly.plan()
    snapshot = snapshot_of(hourly)
    (frozen,) = frozen_by_name([snapshot], earlier).values()
    assert frozen.snapshot.version == snapshot.version
    assert frozen.snapshot.version != next(iter(earlier.values())).snapshot.version
