"""`on_executed` during an invocation: called as soon as a model is executed, and only then."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import time_machine
from sqlmesh.core.console import NoopConsole
from sqlmesh.utils.errors import SQLMeshError

from pytest_sqlmesh_tracker import ModelOutcome, RunReport, sqlmesh_run_tracker
from pytest_sqlmesh_tracker.tracking.reasons import reporting
from tests.projects import WORKERS, Project, at, read_between, without

DAILY = {"cron": "'@daily'"}
TICKS = "SELECT @start_dt::TIMESTAMP AS ts, 1 AS amount"
SIGNAL = """
from pathlib import Path
from sqlmesh import signal

@signal()
def until_the_8th(batch):
    return [(start, end) for start, end in batch if start.day < 8]
"""
BROKEN = "SELECT CASE WHEN EXISTS (SELECT 1 FROM raw.broken) THEN error('broken')::INT END AS n"
RAW = "CREATE SCHEMA raw; CREATE TABLE raw.broken (id INT)"
AUDIT = "AUDIT (name {name}, dialect duckdb{more});\nSELECT * FROM l.first WHERE amount < 0"

Told = list[tuple[ModelOutcome, RunReport]]


@pytest.fixture(params=WORKERS, ids="{} workers".format)
def written(tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    """first (four batches) → second → third; others fail, wait, or have audits alone."""
    project = Project(tmp_path, concurrent_tasks=request.param)
    project.write("signals/__init__.py", SIGNAL)
    project.write("audits/known.sql", AUDIT.format(name="known", more=""))
    project.write("audits/alone.sql", AUDIT.format(name="alone", more=", standalone TRUE"))
    project.incremental("l.first", TICKS, ", batch_size 2", **DAILY)
    project.incremental("l.second", read_between("l.first"), **DAILY)
    project.model("l.third", "SELECT COUNT(*) AS n FROM l.second", **DAILY)
    project.incremental("l.held", TICKS, signals="(until_the_8th())", **DAILY)
    project.model("l.broken", BROKEN, **DAILY)
    project.model("l.below_broken", "SELECT n FROM l.broken", **DAILY)
    project.model("l.weekly", "SELECT 1 AS n", cron="'@weekly'")
    return project


@pytest.fixture
def lively(written: Project) -> Project:
    """Before its first plan."""
    written.execute(RAW)
    return written


@pytest.fixture
def planned(written: Project) -> Project:
    """Loaded up to January 9th."""
    written.plan_once("2024-01-09 12:00", sql=RAW)
    return written


def announced_by(project: Project, call: Callable[[], Any]) -> tuple[list[ModelOutcome], RunReport]:
    """The outcomes announced during an invocation, and its report."""
    announced: list[ModelOutcome] = []
    with sqlmesh_run_tracker(project.context, on_executed=announced.append) as tracker:
        with suppress(SQLMeshError):
            call()
    return announced, tracker.last


def plan(project: Project, *environment: str) -> Callable[[], Any]:
    return lambda: project.context.plan(*environment, auto_apply=True, no_prompts=True)


def check(announced: list[ModelOutcome], report: RunReport) -> None:
    """Each executed model was announced once, with the same outcome as in the report."""
    assert sorted(outcome.name for outcome in announced) == sorted(report.executed)
    assert {outcome.name: outcome for outcome in announced} == {
        name: report[name] for name in report.executed
    }


@pytest.mark.long
def test_announced_outcomes_equal_the_report(lively: Project) -> None:
    """In a first plan, a run in which something fails, and a plan to another environment."""
    with at("2024-01-09 12:00"):
        announced, report = announced_by(lively, plan(lively))
    assert len(announced) == 7
    assert len(report["l.first"].batches) == 4
    assert report["l.held"].reasons == ("signal_not_ready",)
    check(announced, report)

    lively.execute("INSERT INTO raw.broken VALUES (1)")
    with at("2024-01-11 12:00"):
        announced, report = announced_by(lively, lambda: lively.context.run())
    assert report.executed == {"l.first", "l.second", "l.third"}
    report.assert_failed("l.broken")
    check(announced, report)

    lively.incremental("l.second", f"{TICKS}, 2 AS two", **DAILY)
    lively.reload()
    with at("2024-01-11 13:00"):
        announced, report = announced_by(lively, plan(lively, "dev"))
    report.assert_only_executed("l.second", "l.third")
    check(announced, report)


@pytest.mark.long
def test_a_model_is_announced_before_the_next_one_starts(lively: Project) -> None:
    events: list[str] = []

    class Recorder(NoopConsole):
        def start_snapshot_evaluation_progress(self, snapshot: Any, *_: Any, **__: Any) -> None:
            events.append(f"start {snapshot.node.name}")

    lively.context.console = Recorder()
    with at("2024-01-09 12:00"):
        with sqlmesh_run_tracker(
            lively.context, on_executed=lambda outcome: events.append(f"told {outcome.name}")
        ):
            plan(lively)()
    chain = [event for event in events if event.endswith(("first", "second", "third"))]
    assert chain == [
        *["start l.first"] * 4, "told l.first",
        "start l.second", "told l.second",
        "start l.third", "told l.third",
    ]  # fmt: skip


def test_announced_intervals_are_already_in_the_state(project: Project) -> None:
    project.incremental("l.first", TICKS, ", batch_size 2", **DAILY)
    loaded: list[tuple[ModelOutcome, list[tuple[int, int]]]] = []

    def look(outcome: ModelOutcome) -> None:
        # The only worker is this thread: nothing else uses the connection now.
        (spans,) = project.intervals()[outcome.fqn].values()
        loaded.append((outcome, spans))

    with at("2024-01-09 12:00"):
        with sqlmesh_run_tracker(project.context, on_executed=look):
            plan(project)()
    ((outcome, spans),) = loaded
    intervals = [
        (round(b.start.timestamp() * 1000), round(b.end.timestamp() * 1000))
        for b in outcome.batches
    ]
    assert len(intervals) == 4
    assert without(intervals, spans) == []


@pytest.mark.long
def test_audits_alone_are_not_announced(planned: Project) -> None:
    planned.incremental("l.first", TICKS, ", batch_size 2", audits="(known())", **DAILY)
    planned.reload()
    with at("2024-01-09 13:00"):
        announced, report = announced_by(planned, plan(planned))
    assert report["l.first"].status == "audited"
    assert announced == []


@pytest.mark.long
def test_a_plan_of_two_rounds(planned: Project) -> None:
    """What is forward-only is evaluated in prod once the environment has been promoted."""
    planned.incremental("l.first", f"{TICKS}, 1 AS more", ", forward_only TRUE", **DAILY)
    planned.model("l.new", "SELECT 1 AS n", **DAILY)
    planned.reload()
    with at("2024-01-11 12:00"):
        announced, report = announced_by(
            planned, lambda: planned.context.plan(auto_apply=True, no_prompts=True, run=True)
        )
    assert {batch.round for outcome in announced for batch in outcome.batches} == {0, 1}
    check(announced, report)


@pytest.mark.long
def test_a_view_that_cannot_be_promoted(lively: Project) -> None:
    """A plan's last stages can fail a model that executed and was already announced."""
    broken = "ON_VIRTUAL_UPDATE_BEGIN;\nDROP TABLE no_such_table;\nON_VIRTUAL_UPDATE_END;"
    lively.model("l.third", f"SELECT COUNT(*) AS n FROM l.second;\n\n{broken}", **DAILY)
    lively.reload()
    with at("2024-01-09 12:00"):
        announced, report = announced_by(lively, plan(lively))
    assert "l.third" in [outcome.name for outcome in announced]
    report.assert_failed("l.third", reason="creation_failed")
    assert report["l.third"].partial


@pytest.mark.long
def test_a_run_that_is_restarted(planned: Project) -> None:
    """What had executed before is announced once, though the run then evaluates more of it."""

    class Overtaken(NoopConsole):
        def update_snapshot_evaluation_progress(self, snapshot: Any, *_: Any, **__: Any) -> None:
            if "first" in snapshot.name:
                planned.execute_in_state("UPDATE sqlmesh._environments SET plan_id = 'theirs'")

        def log_warning(self, short_message: str, *_: Any, **__: Any) -> None:
            if "Restarting" in short_message:
                later.start()

    planned.context.console = Overtaken()
    later = time_machine.travel("2024-01-11 12:00Z", tick=True)
    try:
        with at("2024-01-10 12:00"):
            announced, report = announced_by(planned, lambda: planned.context.run())
    finally:
        later.stop()
    assert [batch.round for batch in report["l.first"].batches] == [0, 1]
    assert sorted(outcome.name for outcome in announced) == sorted(report.executed)
    assert {"l.first", "l.second", "l.third"} <= report.executed


def test_a_console_that_raises_fails_the_model(lively: Project) -> None:
    """To SQLMesh a batch has failed where the console raised, though its interval is recorded."""

    class Raising(NoopConsole):
        def update_snapshot_evaluation_progress(
            self, snapshot: Any, *arguments: Any, **_: Any
        ) -> None:
            if "first" in snapshot.name and arguments[1] == 0:
                raise RuntimeError("no terminal")

    lively.context.console = Raising()
    with at("2024-01-09 12:00"):
        announced, report = announced_by(lively, plan(lively))
    report.assert_failed("l.first", match="no terminal")
    check(announced, report)


def test_a_callback_may_wait_for_another_model(tmp_path: Path) -> None:
    """The other worker is not held up: its own model is announced in the meantime."""
    project = Project(tmp_path, concurrent_tasks=4)
    for name in ("l.one", "l.other"):
        project.model(name, "SELECT 1 AS n", **DAILY)
    both = threading.Barrier(2, timeout=30)
    met: list[str] = []

    def wait(outcome: ModelOutcome) -> None:
        both.wait()
        met.append(outcome.name)

    with at("2024-01-09 12:00"):
        with sqlmesh_run_tracker(project.context, on_executed=wait):
            plan(project)()
    assert sorted(met) == ["l.one", "l.other"]


@pytest.mark.long
def test_an_exception_of_the_callback_is_logged(
    lively: Project, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(outcome: ModelOutcome) -> None:
        raise RuntimeError(f"no queue for {outcome.name}")

    with at("2024-01-09 12:00"):
        with sqlmesh_run_tracker(lively.context, on_executed=fail) as tracker:
            plan(lively)()
    tracker.assert_executed("l.first", "l.second", "l.third")
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [e.getMessage() for e in errors if "l.third" in e.getMessage()] == [
        "on_executed failed on l.third"
    ]


@pytest.mark.long
def test_each_tracker_calls_its_own_callback(lively: Project) -> None:
    inner: list[str] = []
    outer: list[str] = []
    with at("2024-01-09 12:00"):
        with sqlmesh_run_tracker(lively.context, on_executed=lambda o: outer.append(o.name)):
            with sqlmesh_run_tracker(lively.context, on_executed=lambda o: inner.append(o.name)):
                plan(lively)()
    assert inner == outer
    assert len(inner) == 7


def test_an_error_in_the_tracker_announces_nothing(
    lively: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any) -> Any:
        raise RuntimeError("our own mistake")

    monkeypatch.setattr(reporting, "outcomes_so_far", fail)
    with at("2024-01-09 12:00"):
        announced, report = announced_by(lively, plan(lively))
    assert announced == []
    assert "our own mistake" in caplog.text
    assert report["l.first"].status == "unknown"
