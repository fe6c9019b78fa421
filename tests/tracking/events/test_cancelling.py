"""Cancelled invocations: running batches end, and the rest is left for the next invocation."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlmesh.core.console import NoopConsole
from sqlmesh.utils.errors import PlanError

from pytest_sqlmesh_tracker import ModelOutcome, RunReport, Tracker, sqlmesh_run_tracker, track_all
from tests.engines.engine import only_duckdb
from tests.projects import WORKERS, Project, at, check_against_state, read_between

DAILY = {"cron": "'@daily'"}
ONE = "SELECT 1 AS n"
TICKS = "SELECT @start_dt::TIMESTAMP AS ts, 1 AS amount"
BROKEN = "SELECT CASE WHEN EXISTS (SELECT 1 FROM raw.broken) THEN error('broken')::INT END AS n"
SLOW = """
import time
from pathlib import Path
import pandas as pd
from sqlmesh import model

@model("c.slow", kind="FULL", cron="@daily", columns={{"n": "int"}})
def execute(context, **kwargs):
    Path({begun!r}).touch()
    while not Path({go!r}).exists():
        time.sleep(0.01)
    return pd.DataFrame({{"n": [1]}})
"""
LOCKED = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('CREATE TABLE mine (id INT)')"


@pytest.fixture(params=WORKERS, ids="{} workers".format)
def chain(tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    """first → second → third, daily, plus a weekly one."""
    project = Project(tmp_path, concurrent_tasks=request.param)
    project.incremental("c.first", TICKS, **DAILY)
    project.incremental("c.second", read_between("c.first"), **DAILY)
    project.model("c.third", "SELECT COUNT(*) AS n FROM c.second", **DAILY)
    project.model("c.weekly", ONE, cron="'@weekly'")
    return project


@pytest.fixture
def planned(chain: Project) -> Project:
    """The chain, loaded up to January 9th."""
    chain.plan_once("2024-01-09 12:00")
    return chain


def in_time(call: Callable[[], Any]) -> None:
    """Make the call, which must not hang; a plan that failed is left to the report."""
    raised: list[BaseException] = []

    def target() -> None:
        try:
            with suppress(PlanError):
                call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(timeout=60)
    assert not thread.is_alive(), "it hangs"
    if raised:
        raise raised[0]


class Ends(NoopConsole):
    """Calls back with model and batch when a batch has ended, before SQLMesh continues."""

    def __init__(self, ended: Callable[[str, int], None]) -> None:
        self._ended = ended

    def update_snapshot_evaluation_progress(self, snapshot: Any, *arguments: Any, **_: Any) -> None:
        self._ended(snapshot.node.name, arguments[1])


def cancelled(
    project: Project,
    call: Callable[[], Any],
    once: str | None = None,
    after: Callable[[str, int], bool] | None = None,
) -> RunReport:
    """The report on an invocation that is cancelled once a model has executed, or after a batch."""

    def executed(outcome: ModelOutcome) -> None:
        if outcome.name == once:
            tracker.cancel()

    def ended(model: str, batch: int) -> None:
        if after and after(model, batch):
            tracker.cancel()

    if after:
        project.context.console = Ends(ended)
    before = project.intervals()
    with sqlmesh_run_tracker(project.context, on_executed=executed) as tracker:
        in_time(call)
    check_against_state([tracker.last], before, project.intervals())
    return tracker.last


def plan(project: Project, *environment: str) -> Callable[[], Any]:
    return lambda: project.context.plan(*environment, auto_apply=True, no_prompts=True)


def run(project: Project) -> Callable[[], Any]:
    return lambda: project.context.run()


def batches(report: RunReport, model: str) -> list[str]:
    return [str(batch.status) for batch in report[model].batches]


class TestCancelling:
    @pytest.mark.long
    def test_a_run(self, planned: Project) -> None:
        with at("2024-01-10 12:00"):
            report = cancelled(planned, run(planned), once="c.first")
            rest = planned.run()
        assert report.completion == "interrupted"
        assert report.executed == {"c.first"}
        assert report.by_reason["aborted"] == report.interrupted == {"c.second", "c.third"}
        report.assert_skipped("c.weekly", reason="cron_not_due")
        rest.assert_only_executed("c.second", "c.third")
        assert rest.completion == "success"

    @pytest.mark.long
    def test_a_first_plan(self, chain: Project) -> None:
        with at("2024-01-09 12:00"):
            report = cancelled(chain, plan(chain), once="c.first")
            rest = chain.plan()
        assert report.completion == "interrupted"
        assert report.error == "PlanError: Plan application failed."
        assert {"c.second", "c.third"} <= report.interrupted
        assert report.executed | report.interrupted == set(report.outcomes)
        rest.assert_only_executed(*report.interrupted)

    @pytest.mark.long
    def test_a_plan_to_another_environment(self, planned: Project) -> None:
        planned.incremental("c.first", TICKS.replace("1", "2"), **DAILY)
        planned.reload()
        with at("2024-01-09 13:00"):
            report = cancelled(planned, plan(planned, "dev"), once="c.first")
            rest = planned.plan("dev")
        assert report.executed == {"c.first"}
        assert report.by_reason["aborted"] == {"c.second", "c.third"}
        report.assert_skipped("c.weekly", reason="no_changes")
        rest.assert_only_executed("c.second", "c.third")

    @pytest.mark.long
    def test_the_second_round_of_a_plan(self, planned: Project) -> None:
        """The environment has been changed by then, as when something fails in that round."""
        planned.incremental("c.first", f"{TICKS}, 2 AS two", ", forward_only TRUE", **DAILY)
        planned.model("c.new", ONE, **DAILY)
        planned.reload()
        rounds: list[int] = []

        class Cancelling(NoopConsole):
            def start_evaluation_progress(self, *_: Any, **__: Any) -> None:
                rounds.append(len(rounds))
                if len(rounds) == 2:
                    tracker.cancel()

        planned.context.console = Cancelling()
        with at("2024-01-10 12:00"):
            with sqlmesh_run_tracker(planned.context) as tracker:
                in_time(lambda: planned.context.plan(auto_apply=True, no_prompts=True, run=True))
            rest = planned.unwitnessed_plan(auto_apply=True, run=True)
        report = tracker.last
        assert report.completion == "interrupted"
        assert "c.first" in report.by_reason["aborted"]
        assert "c.new" in report.executed
        rest.assert_only_executed(*report.interrupted)

    @pytest.mark.long
    def test_the_first_round_of_a_plan_of_two(self, planned: Project) -> None:
        """What the second round would have evaluated is interrupted as well."""
        planned.incremental("c.first", f"{TICKS}, 2 AS two", ", forward_only TRUE", **DAILY)
        planned.model("c.new", ONE, **DAILY)
        planned.reload()
        with at("2024-01-10 12:00"):
            with sqlmesh_run_tracker(planned.context) as tracker:
                tracker.cancel()
                in_time(lambda: planned.context.plan(auto_apply=True, no_prompts=True, run=True))
            rest = planned.unwitnessed_plan(auto_apply=True, run=True)
        report = tracker.last
        assert report["c.first"].batches == ()
        assert report.by_reason["aborted"] == report.interrupted >= {"c.first", "c.new"}
        rest.assert_only_executed(*report.interrupted)

    @pytest.mark.long
    def test_a_model_under_way_ends(self, planned: Project) -> None:
        """Cancelled from another thread: what runs is recorded, what is below it does not begin."""
        begun, go = planned.path / "begun", planned.path / "go"
        planned.write("models/slow.py", SLOW.format(begun=str(begun), go=str(go)))
        planned.model("c.below_slow", "SELECT n FROM c.slow", **DAILY)
        go.touch()
        planned.reload()
        with at("2024-01-09 13:00"):
            planned.plan()
        begun.unlink()
        go.unlink()

        def cancel() -> None:
            while not begun.exists():
                time.sleep(0.01)
            tracker.cancel()
            go.touch()

        with at("2024-01-10 12:00"):
            with sqlmesh_run_tracker(planned.context) as tracker:
                other = threading.Thread(target=cancel, daemon=True)
                other.start()
                in_time(run(planned))
                other.join(timeout=30)
            rest = planned.run()
        report = tracker.last
        report.assert_executed("c.slow")
        assert report["c.below_slow"].reason == "aborted"
        rest.assert_only_executed(*report.interrupted)
        assert rest["c.below_slow"].status == "executed"

    def test_before_it_starts(self, planned: Project) -> None:
        """It starts, and no batch of it does; so does all that follows under this tracker."""
        with at("2024-01-10 12:00"):
            with sqlmesh_run_tracker(planned.context) as tracker:
                tracker.cancel()
                tracker.cancel()
                in_time(run(planned))
                in_time(plan(planned, "dev"))
                in_time(run(planned))
            rest = planned.run()
        first, dev, second = tracker.reports
        first.assert_nothing_executed()
        assert first.interrupted == second.interrupted == {"c.first", "c.second", "c.third"}
        assert first["c.first"].batches[0].duration is None
        assert dev.completion != "interrupted", "there was nothing to evaluate"
        rest.assert_only_executed("c.first", "c.second", "c.third")

    def test_after_all_batches_have_started(self, planned: Project) -> None:
        with at("2024-01-10 12:00"):
            report = cancelled(planned, run(planned), once="c.third")
        report.assert_only_executed("c.first", "c.second", "c.third")
        assert report.completion == "success"

    def test_an_invocation_with_nothing_to_do(self, planned: Project) -> None:
        with at("2024-01-09 13:00"), sqlmesh_run_tracker(planned.context) as tracker:
            tracker.cancel()
            planned.context.run()
        assert tracker.last.completion == "nothing_to_do"
        tracker.assert_skipped("c.*", reason="cron_not_due")

    def test_a_run_that_is_restarted(self, planned: Project) -> None:
        """The environment changed, too: the run starts again, and no batch of it does."""
        restarts: list[str] = []

        class Overtaken(NoopConsole):
            def update_snapshot_evaluation_progress(self, *_: Any, **__: Any) -> None:
                planned.execute_in_state("UPDATE sqlmesh._environments SET plan_id = 'theirs'")
                tracker.cancel()

            def log_warning(self, short_message: str, *_: Any, **__: Any) -> None:
                restarts.append(short_message)

        planned.context.console = Overtaken()
        with at("2024-01-10 12:00"), sqlmesh_run_tracker(planned.context) as tracker:
            in_time(run(planned))
        assert len(restarts) == 1
        assert tracker.last.completion == "interrupted"
        assert tracker.last.executed == {"c.first"}
        assert tracker.last.by_reason["aborted"] == {"c.second", "c.third"}

    def test_context_audit(self, planned: Project) -> None:
        planned.incremental("c.first", TICKS, audits="(not_null(columns := (ts)))", **DAILY)
        planned.reload()
        with at("2024-01-09 13:00"):
            planned.plan()
        with at("2024-01-09 14:00"), sqlmesh_run_tracker(planned.context) as tracker:
            tracker.cancel()
            with pytest.raises(Exception, match="cancelled"):
                planned.context.audit(start="2024-01-01", end="2024-01-08")
        assert tracker.last.completion == "interrupted"
        assert tracker.last["c.first"].reason == "aborted"
        assert "audit" not in vars(planned.context.snapshot_evaluator)

    @only_duckdb("PostgreSQL has no lock of the whole database")
    def test_no_lock_is_left(self, planned: Project) -> None:
        with at("2024-01-10 12:00"):
            cancelled(planned, run(planned), once="c.first")
        planned.context.close()
        database = str(planned.path / "wh.db")
        subprocess.run([sys.executable, "-c", LOCKED, database], check=True, timeout=60)


class TestBatches:
    @pytest.mark.long
    def test_completed_batches_are_recorded(self, chain: Project) -> None:
        chain.incremental("c.first", TICKS, ", batch_size 2, batch_concurrency 1", **DAILY)

        with at("2024-01-09 12:00"):
            report = cancelled(chain, plan(chain), after=lambda *ended: ended == ("c.first", 1))
            rest = chain.plan()
        assert batches(report, "c.first") == ["executed", "executed", "interrupted", "interrupted"]
        first = report["c.first"]
        assert (first.status, first.reason, first.partial) == ("interrupted", "aborted", True)
        assert report["c.second"].reason == "aborted"
        assert [b.start.day for b in rest["c.first"].batches] == [5, 7]

    @pytest.mark.long
    def test_batches_in_any_order_are_recorded_once(self, chain: Project) -> None:
        chain.incremental("c.first", TICKS, ", batch_size 1", **DAILY)

        with at("2024-01-09 12:00"):
            report = cancelled(chain, plan(chain), after=lambda model, _: model == "c.first")
            rest = chain.plan()
        assert report["c.first"].status == "interrupted"
        assert set(batches(report, "c.first")) == {"executed", "interrupted"}
        days = [b.start.day for r in (report, rest) for b in r["c.first"].recorded_batches]
        assert sorted(days) == [1, 2, 3, 4, 5, 6, 7, 8]

    def test_audits_without_evaluation(self, planned: Project) -> None:
        planned.incremental("c.first", TICKS, audits="(not_null(columns := (ts)))", **DAILY)
        planned.reload()
        with at("2024-01-09 13:00"), sqlmesh_run_tracker(planned.context) as tracker:
            tracker.cancel()
            in_time(plan(planned))
        assert tracker.last.completion == "interrupted"
        assert tracker.last["c.first"].reason == "aborted"


class TestFailures:
    """Something failed before: it stays failed, and what waits for it skipped."""

    @pytest.fixture
    def broken(self, chain: Project) -> Project:
        """a_bad and first, each with models below; `both` is below the two."""
        chain.model("c.a_bad", BROKEN, **DAILY)
        chain.model("c.below_bad", "SELECT n FROM c.a_bad", **DAILY)
        chain.model("c.both", "SELECT b.n FROM c.below_bad b CROSS JOIN c.second", **DAILY)
        chain.model("c.below_both", "SELECT n FROM c.both", **DAILY)
        raw = "CREATE SCHEMA raw; CREATE TABLE raw.broken (id INT)"
        chain.plan_once("2024-01-09 12:00", sql=raw)
        chain.execute("INSERT INTO raw.broken VALUES (1)")
        return chain

    @pytest.mark.long
    def test_a_failed_model_and_its_downstream_models(self, broken: Project) -> None:
        bad = threading.Event()

        def first_has_ended_and_bad_failed(model: str, _: int) -> bool:
            if model == "c.a_bad":
                bad.set()
            return model == "c.first" and bad.wait(timeout=30)

        with at("2024-01-10 12:00"):
            report = cancelled(broken, run(broken), after=first_has_ended_and_bad_failed)
            broken.execute("DELETE FROM raw.broken")
            rest = broken.run()
        assert report.completion == "interrupted"
        assert report.executed == {"c.first"}
        report.assert_failed("c.a_bad", reason="error", match="broken")
        report.assert_skipped("c.below_bad", "c.both", "c.below_both", reason="upstream_failed")
        assert report["c.below_both"].blocked_by == ("c.a_bad",)
        assert report.by_reason["aborted"] == {"c.second", "c.third"}
        rest.assert_only_executed(
            "c.a_bad", "c.below_bad", "c.both", "c.below_both", "c.second", "c.third"
        )

    def test_a_model_with_one_failed_batch(self, chain: Project) -> None:
        """It failed, though other batches of it were cancelled; those in its chain are skipped."""
        error = "CASE WHEN @start_ds = '2024-01-01' THEN error('broken')::INT ELSE 1 END AS amount"
        options = ", batch_size 1, batch_concurrency 2"
        chain.incremental(
            "c.first", f"SELECT @start_dt::TIMESTAMP AS ts, {error}", options, **DAILY
        )

        failed = threading.Event()

        def next_has_ended(model: str, batch: int) -> bool:
            if (model, batch) == ("c.first", 0):
                failed.set()
            return (model, batch) == ("c.first", 1) and failed.wait(timeout=30)

        with at("2024-01-05 12:00"):
            report = cancelled(chain, plan(chain), after=next_has_ended)
        first = report["c.first"]
        assert first.status == "failed"
        assert first.partial
        # Of two that follow, the third waits for the one that failed, the fourth was to begin.
        assert batches(report, "c.first") == ["failed", "executed", "skipped", "interrupted"]
        report.assert_skipped("c.second", "c.third", reason="upstream_failed")


class TestSideEffects:
    def test_the_console_is_not_called_for_batches_that_did_not_start(
        self, planned: Project
    ) -> None:
        begun: list[str] = []
        listed: list[Any] = []

        class Recorder(NoopConsole):
            def start_snapshot_evaluation_progress(self, snapshot: Any, *_: Any, **__: Any) -> None:
                begun.append(snapshot.node.name)

            def log_failed_models(self, errors: Any) -> None:
                listed.extend(errors)

        planned.context.console = Recorder()
        with at("2024-01-10 12:00"):
            cancelled(planned, run(planned), once="c.first")
        assert begun == ["c.first"]
        assert [str(error.__cause__) for error in listed] == ["cancelled before it started"]

    def test_any_of_several_trackers_cancels(self, planned: Project) -> None:
        def reports(choose: Callable[[Tracker, Tracker], Tracker]) -> list[RunReport]:
            with track_all() as outer, sqlmesh_run_tracker(planned.context) as inner:
                choose(outer, inner).cancel()
                in_time(run(planned))
            return [outer.last, inner.last]

        with at("2024-01-10 12:00"):
            by_outer = reports(lambda outer, _: outer)
            by_inner = reports(lambda _, inner: inner)
            rest = planned.run()
        completions = [report.completion for report in (*by_outer, *by_inner)]
        assert completions == ["interrupted"] * 4
        rest.assert_only_executed("c.first", "c.second", "c.third")

    def test_a_tracker_that_has_ended_cancels_nothing(self, planned: Project) -> None:
        with sqlmesh_run_tracker(planned.context) as over:
            pass
        over.cancel()
        with at("2024-01-10 12:00"):
            report = planned.run()
        assert report.completion == "success"
