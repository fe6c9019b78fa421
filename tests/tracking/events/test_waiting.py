"""Runs whose environment is missing or has an unfinished plan: they report so, and end."""

from __future__ import annotations

import _thread
import logging
import signal
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from sqlmesh.core import context as sqlmesh_context
from sqlmesh.core.console import NoopConsole
from sqlmesh.core.snapshot import SnapshotEvaluator
from sqlmesh.utils.errors import PlanError, SQLMeshError

from pytest_sqlmesh_tracker import RunReport, Tracker, sqlmesh_run_tracker, track_all
from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from tests.projects import Project, at

TRIES: Any = getattr(getattr(SnapshotEvaluator, "_migrate_target_table", None), "retry", None)
UNFINISHED = "UPDATE sqlmesh._environments SET finalized_ts = NULL"
FINISHED = "UPDATE sqlmesh._environments SET finalized_ts = 1"


@pytest.fixture
def shop(project: Project) -> Project:
    """Two models of prod, and one that was never planned."""
    project.model("shop.a", "SELECT 1 AS id", cron="'@daily'")
    project.model("shop.b", "SELECT id FROM shop.a", cron="'@daily'")
    project.plan_once("2024-01-08 09:00")
    project.model("shop.later", "SELECT 1 AS id")
    return project


def retrying(project: Project, *, every: int = 30, at_most: int = 6 * 60 * 60) -> None:
    """Configure how long SQLMesh itself waits, in seconds."""
    settings = project.context.config.run
    settings.environment_check_interval, settings.environment_check_max_wait = every, at_most


def run_that_ends(
    project: Project, *, within: float, environment: str = "prod", **wants: Any
) -> tuple[Tracker, BaseException | None]:
    """A run that must end within so many seconds, and what it raised."""
    began = time.monotonic()
    raised: BaseException | None = None
    with at("2024-01-09 09:00"), sqlmesh_run_tracker(project.context, **wants) as tracker:
        try:
            project.context.run(environment)
        except (Exception, KeyboardInterrupt) as error:
            raised = error
    assert time.monotonic() - began < within
    return tracker, raised


def demand_interrupted(report: RunReport, *reasons: str) -> None:
    """Every model is interrupted, for these reasons, as SQLMesh itself said."""
    assert report.interrupted == {"shop.a", "shop.b", "shop.later"}
    for outcome in report.outcomes.values():
        assert tuple(outcome.reasons) == reasons
        assert set(outcome.evidence.values()) == {"observed"}


class TestEnvironmentMissing:
    def test_is_the_reason_of_every_model(self, shop: Project) -> None:
        tracker, raised = run_that_ends(shop, within=20, environment="pord")

        assert isinstance(raised, SQLMeshError)
        report = tracker.last
        assert report.completion == "raised"
        demand_interrupted(report, "environment_missing", "command_failed")
        assert report.environment_state == EnvironmentState(
            unfinished_plan=None, environments=("prod",)
        )

    def test_is_explained_with_the_environments_that_exist(self, shop: Project) -> None:
        shop.plan("dev", include_unmodified=True)
        tracker, _ = run_that_ends(shop, within=20, environment="pord")

        assert tracker.last["shop.a"].message == (
            "interrupted: environment pord does not exist; create it by applying a plan to pord "
            "(environments: dev, prod)"
        )
        assert tracker.last.explain("shop.a").splitlines() == [
            "shop.a was interrupted: environment pord does not exist",
            "  run           pord, execution_time 2024-01-09 09:00:00 UTC",
            "  raised        SQLMeshError: Environment 'pord' was not found.",
            "  environments  dev, prod",
            "  also          command_failed",
            "  this run      3 interrupted",
            "",
            "Create it by applying a plan to pord.",
        ]

    def test_is_explained_if_nothing_was_ever_planned(self, project: Project) -> None:
        project.model("shop.a", "SELECT 1 AS id")
        tracker, _ = run_that_ends(project, within=20)

        assert tracker.last["shop.a"].reason == "environment_missing"
        assert tracker.last.explain("shop.a").splitlines()[3] == "  environments  none"

    def test_is_not_the_reason_for_other_errors_before_the_run(self, shop: Project) -> None:
        shop.execute_in_state("ALTER TABLE sqlmesh._environments RENAME TO hidden")
        tracker, raised = run_that_ends(shop, within=20)

        assert raised is not None
        assert tracker.last.environment_state is None
        demand_interrupted(tracker.last, "command_failed")


class TestEnvironmentBusy:
    @pytest.fixture(autouse=True)
    def unfinished(self, shop: Project) -> None:
        shop.execute_in_state(UNFINISHED)

    def test_is_reported_at_once_and_once(self, shop: Project) -> None:
        retrying(shop, every=1)
        waits: list[tuple[float, str, EnvironmentState]] = []
        began = time.monotonic()

        def waiting(environment: str, state: EnvironmentState) -> None:
            waits.append((time.monotonic() - began, environment, state))

        run_that_ends(shop, within=20, on_waiting=waiting, longest_wait=1.2)

        [(seconds, environment, state)] = waits
        assert (environment, state.environments) == ("prod", ("prod",))
        assert state.unfinished_plan == plan_of(shop)
        assert seconds < 5

    def test_ends_when_it_has_waited_long_enough(self, shop: Project) -> None:
        tracker, raised = run_that_ends(shop, within=15, longest_wait=0.3)

        assert isinstance(raised, SQLMeshError)
        plan = plan_of(shop)[:8]
        assert str(raised) == (
            f"plan {plan} of prod is not finished; if it failed or was stopped, apply a plan to "
            "prod: until then, runs wait (environments: prod)"
        )
        assert tracker.last.completion == "raised"
        assert tracker.last["shop.a"].message == f"interrupted: {raised}"
        demand_interrupted(tracker.last, "environment_busy", "command_failed")
        first, *_, last = tracker.last.explain("shop.a").splitlines()
        assert first == f"shop.a was interrupted: plan {plan} of prod is not finished"
        assert last == "If it failed or was stopped, apply a plan to prod: until then, runs wait."

    def test_ends_at_once_with_a_limit_of_zero(self, shop: Project) -> None:
        tracker, _ = run_that_ends(shop, within=15, longest_wait=0)
        demand_interrupted(tracker.last, "environment_busy", "command_failed")

    def test_limits_the_sum_of_several_waits(self, shop: Project) -> None:
        retrying(shop, every=1)
        tracker, raised = run_that_ends(shop, within=15, longest_wait=1.2)

        assert raised is not None
        assert "is not finished" in str(raised)
        assert tracker.last["shop.a"].reason == "environment_busy"

    def test_uses_the_shortest_limit_of_several_trackers(self, shop: Project) -> None:
        with sqlmesh_run_tracker(shop.context, longest_wait=0.3), track_all() as all_tracker:
            run_that_ends(shop, within=15, longest_wait=600)
        demand_interrupted(all_tracker.last, "environment_busy", "command_failed")

    def test_a_cancelled_run_stops_waiting(self, shop: Project) -> None:
        with sqlmesh_run_tracker(shop.context) as other:
            threading.Timer(0.3, other.cancel).start()
            tracker, _ = run_that_ends(shop, within=15)

        assert tracker.last.completion == "interrupted"
        demand_interrupted(tracker.last, "environment_busy", "aborted")

    def test_is_not_the_reason_for_a_failure_without_a_wait(
        self, shop: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any, **__: Any) -> None:
            raise SQLMeshError("the janitor failed")

        monkeypatch.setattr(shop.context, "_run_janitor", broken)
        tracker, _ = run_that_ends(shop, within=15)

        assert tracker.last.environment_state is None
        demand_interrupted(tracker.last, "command_failed")

    def test_ctrl_c_stops_waiting(self, shop: Project) -> None:
        # What was started in the background ignores SIGINT.
        usual = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            threading.Timer(1.5, _thread.interrupt_main).start()
            tracker, raised = run_that_ends(shop, within=15)
        finally:
            signal.signal(signal.SIGINT, usual)

        assert isinstance(raised, KeyboardInterrupt)
        assert tracker.last.completion == "interrupted"
        demand_interrupted(tracker.last, "environment_busy", "aborted")

    def test_ends_when_sqlmesh_itself_gives_up(self, shop: Project) -> None:
        retrying(shop, every=1, at_most=1)
        tracker, raised = run_that_ends(shop, within=15)

        assert str(raised).startswith("Exceeded the maximum wait time")
        demand_interrupted(tracker.last, "environment_busy", "command_failed")

    @pytest.mark.parametrize("limit", [None, 0.6], ids=["SQLMesh's limit", "shorter limit"])
    def test_continues_once_the_plan_is_finished(self, shop: Project, limit: float | None) -> None:
        # With a limit below SQLMesh's own interval, the environment is looked at once more.
        retrying(shop, every=1 if limit is None else 30)
        finish = finishing(shop)
        tracker, raised = run_that_ends(shop, within=20, longest_wait=limit, on_waiting=finish)

        assert raised is None
        assert tracker.last.executed == {"shop.a", "shop.b"}
        assert tracker.last.by_reason["not_in_environment"] == {"shop.later"}
        assert tracker.last.environment_state is None

    def test_a_callback_that_fails_is_logged(
        self, shop: Project, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: Any) -> None:
            raise ValueError("the callback's own")

        with caplog.at_level(logging.ERROR):
            tracker, _ = run_that_ends(shop, within=15, on_waiting=broken, longest_wait=0.1)

        assert "the callback's own" in caplog.text
        demand_interrupted(tracker.last, "environment_busy", "command_failed")

    def test_waits_for_an_unreadable_state_as_well(self, shop: Project) -> None:
        retrying(shop, every=1)

        class Hiding(NoopConsole):
            """Hides the state as soon as SQLMesh says that it waits."""

            def log_warning(self, *_: Any, **__: Any) -> None:
                shop.execute_in_state("ALTER TABLE sqlmesh._environments RENAME TO hidden")

        shop.context.console = Hiding()
        tracker, raised = run_that_ends(shop, within=15, longest_wait=600)

        assert "_environments" in str(raised)
        demand_interrupted(tracker.last, "command_failed")


def clock_of_sqlmesh() -> Any:
    """What `sqlmesh.core.context` takes for the module `time`."""
    return vars(sqlmesh_context)["time"]


def plan_of(project: Project) -> str:
    environment = project.context.state_sync.get_environment("prod")
    assert environment is not None
    return environment.plan_id


def finishing(project: Project) -> Callable[..., None]:
    """What finishes the plan of prod when it is called: through a connection of its own, since two
    threads on one cursor get each other's rows."""

    def finish() -> None:
        project.databases.state.execute(FINISHED)

    return lambda *_: threading.Timer(0.2, finish).start()


class TestFailedPlan:
    """A plan that fails leaves the environment unfinished if it got as far as writing it."""

    @pytest.fixture
    def failing(self, project: Project) -> Project:
        kind = "SCD_TYPE_2_BY_COLUMN (unique_key id, columns [name])"
        query = "SELECT id::INT AS id, name::TEXT AS name FROM raw.not_there"
        project.model("shop.hist", query, kind=kind)
        return project

    def test_a_failed_plan_states_that_runs_will_wait(self, failing: Project) -> None:
        with at("2024-01-08 09:00"):
            report = failing.plan()

        assert report.completion == "failure"
        assert report.environment_state == EnvironmentState(
            unfinished_plan=plan_of(failing), environments=("prod",)
        )
        plan = plan_of(failing)[:8]
        explained = report.explain("shop.hist")
        assert f"  environment  plan {plan} of prod is not finished: runs wait for it" in explained

    def test_a_failed_plan_makes_runs_wait_until_a_plan_is_applied(self, failing: Project) -> None:
        with at("2024-01-08 09:00"):
            failing.plan()
        tracker, _ = run_that_ends(failing, within=15, longest_wait=0)
        assert tracker.last["shop.hist"].reason == "environment_busy"

        failing.execute("CREATE SCHEMA raw; CREATE TABLE raw.not_there (id INT, name TEXT)")
        with at("2024-01-08 09:01"):
            report = failing.plan()
            assert report.environment_state is None
        tracker, raised = run_that_ends(failing, within=15, longest_wait=0)
        assert raised is None
        assert tracker.last.executed == {"shop.hist"}

    def test_a_plan_that_fails_early_does_not_mention_waiting_runs(self, shop: Project) -> None:
        shop.model("shop.a", "SELECT error('broken')::INT AS id", cron="'@daily'")
        shop.reload()
        with at("2024-01-08 10:00"):
            report = shop.plan()

        assert report.failed == {"shop.a"}
        _, raised = run_that_ends(shop, within=15, longest_wait=0)
        waits = raised is not None and "is not finished" in str(raised)
        assert (report.environment_state is not None) == waits

    def test_a_plan_without_a_new_environment_does_not_mention_waiting_runs(
        self, project: Project
    ) -> None:
        project.model("shop.a", "SELECT error('broken')::INT AS id", cron="'@daily'")
        with at("2024-01-08 10:00"):
            report = project.plan()

        assert report.failed == {"shop.a"}
        assert not project.context.state_sync.get_environment("prod")
        assert report.environment_state is None
        assert "runs wait" not in report.explain("shop.a")

    def test_a_rejected_plan_does_not_mention_waiting_runs(self, shop: Project) -> None:
        with sqlmesh_run_tracker(shop.context) as tracker, pytest.raises(PlanError):
            shop.context.plan(start="2030-01-01", end="2020-01-01", no_prompts=True)
        assert tracker.last.environment_state is None


class TestRestoring:
    def test_replaced_modules_are_restored(self, shop: Project) -> None:
        before = clock_of_sqlmesh(), TRIES and TRIES.sleep
        with track_all():
            with sqlmesh_run_tracker(shop.context):
                assert clock_of_sqlmesh() is not time
            assert clock_of_sqlmesh() is not time
            assert clock_of_sqlmesh().perf_counter is time.perf_counter
        assert (clock_of_sqlmesh(), TRIES and TRIES.sleep) == before
        assert clock_of_sqlmesh() is time

    def test_a_later_replacement_by_others_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        theirs = ModuleType("time")
        # The first replacement is undone last, after this test, when no tracker is left.
        monkeypatch.setattr(sqlmesh_context, "time", time)
        with track_all():
            monkeypatch.setattr(sqlmesh_context, "time", theirs)
        assert clock_of_sqlmesh() is theirs

    def test_an_earlier_replacement_by_others_stays_in_use(
        self, shop: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slept: list[float] = []
        theirs = ModuleType("time")
        vars(theirs).update(sleep=slept.append, perf_counter=time.perf_counter)
        monkeypatch.setattr(sqlmesh_context, "time", theirs)
        shop.execute_in_state(UNFINISHED)
        retrying(shop, every=30, at_most=60)
        run_that_ends(shop, within=15)

        assert slept == [30, 30]
        assert clock_of_sqlmesh() is theirs

    def test_contexts_that_are_not_tracked_sleep_normally(
        self, shop: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop.execute_in_state(UNFINISHED)
        retrying(shop, every=1, at_most=1)
        slept: list[float] = []
        monkeypatch.setattr(time, "sleep", slept.append)
        other = sqlmesh_context.Context(paths=str(shop.path), load=False)
        with sqlmesh_run_tracker(other, longest_wait=0):
            with pytest.raises(SQLMeshError, match="Exceeded the maximum wait time"):
                shop.context.run("prod")
        other.close()
        assert sum(slept) == pytest.approx(1)


@pytest.mark.skipif(TRIES is None, reason="this SQLMesh tries only once to migrate a table")
class TestRetriesOfMigrations:
    """SQLMesh tries five times to migrate a table, and sleeps in between, on any thread."""

    def pause(self, seconds: float = 30) -> None:
        TRIES.sleep(seconds)

    def test_sleep_normally_while_nothing_is_cancelled(self) -> None:
        with track_all():
            began = time.monotonic()
            self.pause(0.3)
            assert time.monotonic() - began >= 0.3

    def test_end_with_the_invocation(self, shop: Project) -> None:
        errors: list[Exception] = []

        def worker() -> None:
            try:
                self.pause()
            except Exception as error:
                errors.append(error)

        shop.execute_in_state(UNFINISHED)
        thread = threading.Thread(target=worker)

        def cancel_while_it_sleeps(*_: object) -> None:
            thread.start()
            threading.Timer(0.3, tracker.cancel).start()

        with sqlmesh_run_tracker(shop.context, on_waiting=cancel_while_it_sleeps) as tracker:
            with pytest.raises(Exception, match="cancelled"):
                shop.context.run("prod")
            thread.join(timeout=0.1)
        thread.join(timeout=5)
        assert not thread.is_alive()
