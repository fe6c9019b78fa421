"""When a report is read: at once, or late, after the clock, the files and the variables changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol
from unittest import mock

from sqlmesh.utils import cron

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker import RunReport, Tracker

    from .invocations import Story

WEEKS = {
    "as it is": timedelta(),
    "weeks later": timedelta(weeks=5),
    "weeks before": timedelta(weeks=-3),
}
OTHER_VARIABLES = {
    "SQLMESH__DEFAULT_GATEWAY": "elsewhere",
    "SQLMESH__MODEL_DEFAULTS__START": "2021-01-01",
    "WAREHOUSE_PASSWORD": "boom",
    "TZ": "Pacific/Kiritimati",
}
"""Among them a secret that is a word of the errors that models raise."""


class Tracked(Protocol):
    """Whatever has a report, or makes it when it is read."""

    @property
    def report(self) -> RunReport: ...


@dataclass(frozen=True)
class Made:
    """A report that was read before."""

    report: RunReport


@dataclass(frozen=True)
class Reading:
    """The report of one invocation, and another of the same recording that was made at once."""

    tracked: Tracked
    twin: RunReport | None = None


def reading(tracker: Tracker, when: str) -> Reading:
    """What is to be read of the one invocation of a tracker, now or later."""
    (tracked,) = tracker._tracked
    if when == "at once":
        return Reading(Made(tracked.report))
    if when == "late":
        return Reading(tracked)
    from pytest_sqlmesh_tracker.tracking.reasons.reporting import report_of

    recording = tracked._recording
    assert recording is not None
    return Reading(tracked, report_of(recording.copied()))


@contextmanager
def afterwards(story: Story) -> Iterator[None]:
    """Everything as it is when reports are read late, except the clock."""
    history, world = story.history, story.world
    variables = OTHER_VARIABLES if "variables" in history.afterwards else {}
    if "edited" in history.afterwards:
        for file in (*world.path.rglob("*.sql"), *world.path.rglob("*.py")):
            file.write_text("this is no model")
    if "closed" in history.afterwards and world._context is not None:
        world._context.close()
        world._context = None
        shutil.rmtree(world.folder, ignore_errors=True)
    if "crons" in history.afterwards:
        cron.interval_seconds.cache_clear()
    with mock.patch.dict(os.environ, variables):
        yield
