"""Runs that SQLMesh restarts because the environment changed in the meantime."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import time_machine
from sqlmesh.core.console import NoopConsole

from pytest_sqlmesh_tracker import RunReport, sqlmesh_run_tracker
from tests.projects import Project, at, read_between, rows_every, state_adapter

GATE = """
from pathlib import Path
from sqlmesh import signal

@signal()
def unheld(batch):
    return not Path({held!r}).exists()
"""


@pytest.fixture
def pair(project: Project) -> Project:
    """A half-hourly parent, and an hourly child in batches of one hour, behind a signal."""
    project.write("signals/__init__.py", GATE.format(held=str(project.path / "held")))
    amount = (
        "CASE WHEN (SELECT COUNT(*) FROM raw.broken) > 0 "
        "THEN error('broken')::INT ELSE 1 END AS amount"
    )
    project.incremental("s.parent", rows_every("30 minutes", amount), cron="'*/30 * * * *'")
    project.incremental(
        "s.child", read_between("s.parent"), ", batch_size 1, batch_concurrency 1",
        cron="'@hourly'", signals="(unheld())",
    )  # fmt: skip
    project.plan_once("2024-01-02 08:00", sql="CREATE SCHEMA raw; CREATE TABLE raw.broken (id INT)")
    return project


def restarted(project: Project, meanwhile: Callable[[], None]) -> RunReport:
    """A run at 10:00 that starts again at 11:05, after the first batch of the child."""
    later = time_machine.travel("2024-01-02 11:05Z", tick=True)
    restarts: list[str] = []

    class Overtaken(NoopConsole):
        def update_snapshot_evaluation_progress(self, snapshot: Any, *_: Any, **__: Any) -> None:
            if "child" in snapshot.name and not restarts:
                project.execute_in_state("UPDATE sqlmesh._environments SET plan_id = 'theirs'")

        def log_warning(self, short_message: str, *_: Any, **__: Any) -> None:
            if "Restarting" in short_message and not restarts:
                restarts.append(short_message)
                later.start()
                meanwhile()

    project.context.console = Overtaken()
    with at("2024-01-02 10:00"), sqlmesh_run_tracker(project.context) as tracker:
        try:
            project.context.run()
        finally:
            later.stop()
    assert restarts
    return tracker.last


def hours(report: RunReport) -> list[tuple[int, int, str]]:
    return [(b.round, b.start.hour, str(b.status)) for b in report["s.child"].batches]


@pytest.mark.long
def test_remaining_models_are_scheduled_again(pair: Project) -> None:
    report = restarted(pair, lambda: None)
    report.assert_executed("s.parent", "s.child")
    assert hours(report) == [(0, 8, "executed"), (1, 9, "executed"), (1, 10, "executed")]
    assert report["s.child"].reasons == ()


@pytest.mark.long
def test_causes_are_those_of_the_first_evaluation(pair: Project) -> None:
    """What the run had loaded before the restart was loaded by this run."""
    report = restarted(pair, lambda: None)
    assert {o.name: o.causes for o in report.outcomes.values()} == {
        "s.parent": ("new_interval",),
        "s.child": ("new_interval",),
    }
    assert all(not o.upstream_behind for o in report.outcomes.values())


@pytest.mark.long
def test_a_lookback_replaces_no_batch_that_it_does_not_cover(pair: Project) -> None:
    """After the restart, only the last two half hours of the parent are loaded once more."""
    ticks = rows_every("30 minutes")
    pair.incremental("s.parent", ticks, ", lookback 2", cron="'*/30 * * * *'")
    pair.reload()
    with at("2024-01-02 08:00"):
        pair.plan()
    report = restarted(pair, lambda: None)
    batches = [(b.round, f"{b.start:%H:%M}", f"{b.end:%H:%M}") for b in report["s.parent"].batches]
    assert batches == [(0, "07:00", "10:00"), (1, "09:00", "11:00")]


@pytest.mark.long
def test_a_signal_holds_back_intervals_after_the_restart(pair: Project) -> None:
    """What was scheduled before is neither interrupted nor skipped: it was held back."""
    report = restarted(pair, Path(pair.path / "held").touch)
    report.assert_executed("s.parent", "s.child")
    assert hours(report) == [(0, 8, "executed")]
    assert report["s.child"].reasons == ("signal_not_ready",)


@pytest.mark.long
def test_an_upstream_failure_after_the_restart(pair: Project) -> None:
    """An hour of the child is recorded, two are not: it is neither executed nor skipped."""
    report = restarted(pair, lambda: pair.execute("INSERT INTO raw.broken VALUES (1)"))
    report.assert_failed("s.parent")
    assert report["s.parent"].partial
    assert hours(report) == [(0, 8, "executed"), (1, 9, "skipped"), (1, 10, "skipped")]
    child = report["s.child"]
    assert (child.status, child.reason, child.partial) == ("interrupted", "upstream_failed", True)
    assert child.blocked_by == ("s.parent",)


@pytest.mark.long
def test_a_model_that_is_removed_from_the_environment_meanwhile(pair: Project) -> None:
    """It ran before the restart, and neither the environment nor the project has it any more."""
    pair.model("s.ahead", "SELECT 1 AS n", cron="'@hourly'")
    pair.reload()
    with at("2024-01-02 08:01"):
        pair.plan()
    (pair.path / "models" / "s.ahead.sql").unlink()
    pair.reload()

    def theirs() -> None:
        rows = state_adapter(pair.context).fetchall("SELECT snapshots FROM sqlmesh._environments")
        kept = [row for row in json.loads(rows[0][0]) if "ahead" not in row["name"]]
        pair.execute_in_state(f"UPDATE sqlmesh._environments SET snapshots = '{json.dumps(kept)}'")

    report = restarted(pair, theirs)
    report.assert_executed("s.parent", "s.child", "s.ahead")


@pytest.mark.long
def test_nothing_is_left_after_the_restart(pair: Project) -> None:
    """The environment that arrived has it all: what was scheduled is not due any more."""

    def theirs() -> None:
        pair.execute_in_state("UPDATE sqlmesh._intervals SET end_ts = end_ts + 6 * 3600 * 1000")

    report = restarted(pair, theirs)
    report.assert_executed("s.child")
    assert hours(report) == [(0, 8, "executed")]
    assert report.completion == "success"
