"""A report describes the moment of its invocation, whenever it is first read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_sqlmesh_tracker import RunReport, sqlmesh_run_tracker
from pytest_sqlmesh_tracker.tracking.reasons.reporting import report_of
from tests.projects import Project, at

DAILY = {"cron": "'@daily'"}
TICKS = "SELECT @start_dt AS ts, 1 AS id"


@pytest.fixture
def moving(project: Project) -> Project:
    """Models whose starts and ends depend on the clock, and one below them without a start."""
    config = (project.path / "config.yaml").read_text()
    project.write("config.yaml", config.replace("  start: 2024-01-01\n", ""))
    project.incremental("s.week", TICKS, start="'1 week ago'", **DAILY)
    project.incremental("s.hours", TICKS, start="'36 hours ago'", cron="'@hourly'")
    project.incremental("s.past", TICKS, start="'1 week ago'", end="'2 days ago'", **DAILY)
    project.incremental("s.below", "SELECT ts, id FROM s.week", **DAILY)
    project.model("s.alone", "SELECT 1 AS id", **DAILY)
    return project


def proposed(context: Any) -> None:
    context.plan(no_prompts=True)


def applied(context: Any) -> None:
    context.plan(no_prompts=True, auto_apply=True)


def run(context: Any) -> None:
    context.run()


def run_of_two_days(context: Any) -> None:
    context.run(start="2 days ago")


@pytest.mark.parametrize("call", [proposed, applied, run, run_of_two_days])
@pytest.mark.parametrize("read_at", ["2023-06-01", "2030-01-01"])
def test_relative_starts_and_ends(
    moving: Project, call: Callable[[Any], None], read_at: str
) -> None:
    if call in (run, run_of_two_days):
        with at("2024-01-08 13:00"):
            applied(moving.context)
    at_once, late = twins(moving, call, "2024-01-09 13:00", lambda: None, read_at)
    assert late == at_once


def test_a_closed_context_with_deleted_files(
    moving: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.model("s.named", "SELECT @env() AS name")
    moving.write(
        "macros/env.py",
        "import os\nfrom sqlmesh import macro\n\n"
        '@macro()\ndef env(evaluator):\n    return "\'" + os.environ["NAME"] + "\'"\n',
    )
    monkeypatch.setenv("NAME", "then")

    def meanwhile() -> None:
        monkeypatch.setenv("NAME", "now")
        moving.context.close()
        shutil.rmtree(moving.path / "models")

    at_once, late = twins(moving, applied, "2024-01-09 13:00", meanwhile, "2024-02-01")
    assert late == at_once


@pytest.mark.long
def test_later_invocations_in_the_same_context(moving: Project) -> None:
    """Another plan categorizes the same versions anew, and loads them."""
    with at("2024-01-09 13:00"):
        applied(moving.context)
    moving.incremental("s.week", "SELECT @start_dt AS ts, 2 AS id", start="'1 week ago'", **DAILY)
    moving.reload()

    def meanwhile() -> None:
        with at("2024-01-10 14:00"):
            moving.context.plan("dev", no_prompts=True, auto_apply=True, forward_only=True)
            moving.context.plan(no_prompts=True, auto_apply=True)
            moving.context.run(ignore_cron=True)

    at_once, late = twins(moving, proposed, "2024-01-10 13:00", meanwhile, "2024-01-11")
    assert late == at_once
    assert late.outcomes["s.week"].reason == "not_applied"


def test_a_report_that_was_read_does_not_change(moving: Project) -> None:
    with at("2024-01-09 13:00"), sqlmesh_run_tracker(moving.context) as tracker:
        applied(moving.context)
    with at("2026-01-01"):
        before = tracker.last.to_json()
    with at("2024-01-20"):
        moving.context.run()
        assert tracker.last.to_json() == before


def twins(
    project: Project,
    call: Callable[[Any], None],
    moment: str,
    meanwhile: Callable[[], None],
    read_at: str | Path,
) -> tuple[RunReport, RunReport]:
    """Two reports on one invocation: one is read while its clock stands, the other one late.

    The one that is read late is made of the recording first heard, so that nothing that the other
    one found out is known to it but what SQLMesh itself keeps of its models.
    """
    context = project.context
    with at(moment), sqlmesh_run_tracker(context) as tracker:
        call(context)
        recording = tracker._tracked[-1]._recording
        assert recording is not None
        at_once = report_of(recording.copied())
    meanwhile()
    with at(str(read_at)):
        late = tracker.last
    return at_once, late
