"""The tracker: what it observes, what it leaves unchanged, and what it logs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from sqlmesh import Context
from sqlmesh.core.console import NoopConsole

from pytest_sqlmesh_tracker import NoReportError, Tracker, sqlmesh_run_tracker, track_all
from pytest_sqlmesh_tracker.tracking.events.console_events import CONSOLE_EVENTS, ConsoleEvents
from pytest_sqlmesh_tracker.tracking.events.taps import MethodEvents
from tests.projects import Project, at

COMMANDS = ("run", "plan", "apply", "audit", "create_scheduler")


@pytest.fixture
def planned(project: Project) -> Project:
    """parent → child and aside, all daily, loaded up to January 9th."""
    for name, query in (
        ("t.parent", "1 AS id"),
        ("t.child", "id FROM t.parent"),
        ("t.aside", "1 AS id"),
    ):
        project.model(name, f"SELECT {query}", cron="'@daily'")
    project.plan_once("2024-01-09 12:00")
    return project


def methods() -> dict[str, Any]:
    """The methods of SQLMesh's context class that tracking replaces."""
    from sqlmesh.core.context import GenericContext

    return {name: vars(GenericContext)[name] for name in COMMANDS}


class Recorder(NoopConsole):
    """A console that records its calls."""

    mood: str
    spare: int

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattribute__(self, name: str) -> Any:
        attribute = super().__getattribute__(name)
        if name.startswith("_") or not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            return attribute(*args, **kwargs)

        return call


class TestObserving:
    def test_the_console_receives_the_same_calls_as_without_the_tracker(
        self, planned: Project
    ) -> None:
        def calls_during(day: str, track: Callable[[Any], Any]) -> list[tuple[Any, ...]]:
            recorder = Recorder()
            planned.context.console = recorder
            with at(f"{day} 12:00"), track(planned.context):
                planned.context.run()
            assert planned.context.console is recorder
            return [(name, len(args), set(kwargs)) for name, args, kwargs in recorder.calls]

        assert calls_during("2024-01-10", sqlmesh_run_tracker) == calls_during(
            "2024-01-11", nullcontext
        )

    def test_attributes_are_read_and_written_through(self, planned: Project) -> None:
        class Curious(Recorder):
            def stop_evaluation_progress(self, success: bool = True) -> None:  # noqa: ARG002
                standing: Any = context.console
                standing.mood = "good"
                assert standing.mood == "good"
                assert isinstance(context.console, Curious)
                assert context.console == console
                assert hash(context.console) == hash(console)
                assert repr(context.console) == repr(console)
                assert "mood" in dir(context.console)
                assert context.console
                del context.console.spare

        console, context = Curious(), planned.context
        console.spare = 1
        context.console = console
        with at("2024-01-10 12:00"), sqlmesh_run_tracker(context) as tracker:
            context.run()
        assert console.mood == "good"
        assert not hasattr(console, "spare")
        tracker.assert_executed("t.parent")

    def test_only_the_given_context_is_tracked(self, planned: Project) -> None:
        other = Context(paths=str(planned.path))
        with at("2024-01-10 12:00"), sqlmesh_run_tracker(other) as tracker:
            planned.context.run()
        assert tracker.reports == []

    def test_all_contexts_are_tracked_including_those_created_meanwhile(
        self, planned: Project
    ) -> None:
        with at("2024-01-10 12:00"), track_all() as tracker:
            planned.context.run()
            Context(paths=str(planned.path)).run()
        assert [report.completion for report in tracker.reports] == ["success", "nothing_to_do"]
        assert tracker.run_models == {"t.parent", "t.child", "t.aside"}
        assert tracker.skipped_models == set()
        assert tracker.get_results() == {
            "run_models": ["t.aside", "t.child", "t.parent"],
            "skipped_models": [],
        }

    def test_contexts_of_a_class_without_hashes_are_tracked(self, planned: Project) -> None:
        class Comparable(Context):
            __hash__ = None  # type: ignore[assignment]

            def __eq__(self, other: object) -> bool:
                return isinstance(other, Comparable)

        context = Comparable(paths=str(planned.path))
        with (
            at("2024-01-10 12:00"),
            track_all() as all_of_them,
            sqlmesh_run_tracker(context) as one,
        ):
            context.run()
        assert one.last.executed == all_of_them.last.executed == {"t.parent", "t.child", "t.aside"}

    def test_a_method_that_was_looked_up_before_is_not_tracked(self, planned: Project) -> None:
        run = planned.context.run
        with at("2024-01-10 12:00"), track_all() as tracker:
            run()
        with pytest.raises(NoReportError, match="no SQLMesh invocation was tracked"):
            tracker.assert_nothing_executed()

    def test_other_objects_than_contexts_are_rejected(self) -> None:
        with pytest.raises(TypeError, match="only a SQLMesh Context can be tracked, not str"):
            with sqlmesh_run_tracker("context"):
                pass

    def test_an_invalid_call_raises_the_error_of_sqlmesh(self, planned: Project) -> None:
        with track_all() as tracker, pytest.raises(TypeError, match="nonsense"):
            planned.context.run(nonsense=True)  # type: ignore[call-arg]
        assert tracker.last.completion == "raised"
        assert tracker.last.arguments == {"nonsense": True}


class TestRestoring:
    def test_everything_is_restored(self, planned: Project) -> None:
        before, console = methods(), planned.context.console
        with sqlmesh_run_tracker(planned.context), at("2024-01-10 12:00"):
            assert methods() != before
            planned.context.run()
            assert planned.context.console is console
        assert methods() == before
        assert vars(planned.context)["console"] is console
        assert "audit" not in vars(planned.context.snapshot_evaluator)

    def test_everything_is_restored_after_an_exception(self, planned: Project) -> None:
        before, console = methods(), planned.context.console
        with pytest.raises(Exception, match="not found"), sqlmesh_run_tracker(planned.context):
            planned.context.run("nowhere")
        assert methods() == before
        assert planned.context.console is console

    def test_trackers_may_end_in_any_order(self, planned: Project) -> None:
        before = methods()
        outer, inner = sqlmesh_run_tracker(planned.context), track_all()
        first, second = outer.__enter__(), inner.__enter__()
        with at("2024-01-10 12:00"):
            planned.context.run()
            outer.__exit__(None, None, None)
            planned.context.run()
        inner.__exit__(None, None, None)
        assert (len(first.reports), len(second.reports)) == (1, 2)
        assert first.last is second.reports[0]
        assert methods() == before

    def test_a_console_that_was_set_meanwhile_stays(self, planned: Project) -> None:
        ours = NoopConsole()

        class Swapping(NoopConsole):
            def stop_evaluation_progress(self, success: bool = True) -> None:  # noqa: ARG002
                planned.context.console = ours

        planned.context.console = Swapping()
        with at("2024-01-10 12:00"), sqlmesh_run_tracker(planned.context):
            planned.context.run()
        assert planned.context.console is ours

    def test_another_librarys_wrapper_stays_and_passes_calls_on(self, planned: Project) -> None:
        from sqlmesh.core.context import GenericContext

        original = GenericContext.run
        try:
            with track_all() as tracker:
                ours = GenericContext.run
                GenericContext.run = lambda self, **kw: ours(self, **kw)  # type: ignore[method-assign]
                theirs = GenericContext.run
            assert GenericContext.run is theirs
            with at("2024-01-10 12:00"):
                planned.context.run()
            assert tracker.reports == []
        finally:
            GenericContext.run = original  # type: ignore[method-assign]


class TestThreads:
    def test_two_contexts_in_two_threads_do_not_mix(self, tmp_path: Path) -> None:
        projects = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            project = Project(tmp_path / name, concurrent_tasks=2)
            for number in range(4):
                project.model(f"{name}.m{number}", "SELECT 1 AS id", cron="'@daily'")
            # Loading is not made for threads: SQLMesh keeps the defaults of models in a global.
            assert project.context.models
            projects.append(project)
        trackers: dict[str, Tracker] = {}
        barrier = threading.Barrier(2, timeout=60)

        def work(project: Project) -> None:
            with sqlmesh_run_tracker(project.context) as tracker:
                barrier.wait()
                project.context.plan(auto_apply=True, no_prompts=True)
                project.context.run()
            trackers[project.path.name] = tracker

        with at("2024-01-09 12:00"), track_all() as both:
            threads = [threading.Thread(target=work, args=(project,)) for project in projects]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        for name, tracker in trackers.items():
            plan, run = tracker.reports
            plan.assert_only_executed(f"{name}.m*")
            run.assert_nothing_executed()
            assert len(plan.outcomes) == len(run.outcomes) == 4
        assert len(both.reports) == 4

    def test_one_context_in_two_threads_is_unknown(self, planned: Project) -> None:
        inside, done = threading.Event(), threading.Event()

        class Waiting(NoopConsole):
            def stop_evaluation_progress(self, success: bool = True) -> None:  # noqa: ARG002
                inside.set()
                done.wait(20)

        planned.context.console = Waiting()
        with at("2024-01-10 12:00"), sqlmesh_run_tracker(planned.context) as tracker:
            first = threading.Thread(target=planned.context.run)
            first.start()
            assert inside.wait(20)
            with pytest.raises(Exception, match="not found"):
                planned.context.run("nowhere")
            done.set()
            first.join()
        for report in tracker.reports:
            assert report.unknown == set(report.outcomes)
            assert "two threads used one context" in report["t.parent"].message


class TestInterrupts:
    @pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
    def test_ctrl_c_in_the_middle(self, planned: Project, interrupt: type[BaseException]) -> None:
        class Impatient(NoopConsole):
            def start_snapshot_evaluation_progress(self, snapshot: Any, *_: Any, **__: Any) -> None:
                if "child" in snapshot.name:
                    raise interrupt

        planned.model("t.late", "SELECT id FROM t.child", cron="'@daily'")
        planned.model("t.weekly", "SELECT id FROM t.child", cron="'@weekly'")
        planned.reload()
        with at("2024-01-09 13:00"):
            planned.plan()
        planned.context.console = Impatient()
        with at("2024-01-10 12:00"), sqlmesh_run_tracker(planned.context) as tracker:
            with pytest.raises(interrupt):
                planned.context.run()
        report = tracker.last
        assert report.completion == "interrupted"
        report.assert_executed("t.parent")
        report.assert_outcomes({"t.child": "aborted", "t.late": "aborted"})
        assert {"t.child", "t.late"} <= report.interrupted
        report.assert_skipped("t.weekly", reason="cron_not_due")

    def test_ctrl_c_while_a_query_runs(self, planned: Project) -> None:
        planned.write(
            "models/py.py",
            """
            import typing as t
            import pandas as pd
            from sqlmesh import ExecutionContext, model

            @model("t.py", kind="FULL", cron="@daily", columns={"id": "int"})
            def execute(context: ExecutionContext, **kwargs: t.Any) -> pd.DataFrame:
                if context.fetchdf("SELECT COUNT(*) AS n FROM raw.interrupts")["n"][0]:
                    raise KeyboardInterrupt
                return pd.DataFrame([{"id": 1}])
            """,
        )
        planned.reload()
        with at("2024-01-09 13:00"):
            planned.execute("CREATE SCHEMA raw; CREATE TABLE raw.interrupts (id INT)")
            planned.plan()
            planned.execute("INSERT INTO raw.interrupts VALUES (1)")
        with at("2024-01-10 12:00"), sqlmesh_run_tracker(planned.context) as tracker:
            with pytest.raises(KeyboardInterrupt):
                planned.context.run()
        python = tracker.last["t.py"]
        assert (python.status, python.reason) == ("interrupted", "aborted")
        assert [batch.status for batch in python.batches] == ["interrupted"]

    def test_every_model_is_interrupted_before_anything_was_scheduled(
        self, planned: Project
    ) -> None:
        class Gone(NoopConsole):
            def update_cleanup_progress(self, object_name: str) -> None:  # noqa: ARG002
                raise KeyboardInterrupt

            def start_cleanup(self, ignore_ttl: bool) -> bool:  # noqa: ARG002
                raise KeyboardInterrupt

            def log_warning(self, *_: Any, **__: Any) -> None:
                raise KeyboardInterrupt

        planned.context.console = Gone()
        planned.execute_in_state("UPDATE sqlmesh._environments SET finalized_ts = NULL")
        with sqlmesh_run_tracker(planned.context) as tracker, pytest.raises(KeyboardInterrupt):
            planned.context.run()
        assert tracker.last.by_reason == {"aborted": frozenset(tracker.last.outcomes)}

    def test_a_run_that_restarts_because_the_environment_changed(self, planned: Project) -> None:
        """Another user's plan arrives after the first model, so SQLMesh starts again."""
        theirs = Context(paths=str(planned.path))
        warnings: list[str] = []

        class Slow(NoopConsole):
            def update_snapshot_evaluation_progress(
                self, snapshot: Any, *_: Any, **__: Any
            ) -> None:
                if "parent" in snapshot.name and not warnings:
                    planned.execute_in_state("UPDATE sqlmesh._environments SET plan_id = 'theirs'")

            def log_warning(self, short_message: str, *_: Any, **__: Any) -> None:
                warnings.append(short_message)

        planned.context.console = Slow()
        with at("2024-01-10 12:00"), sqlmesh_run_tracker(planned.context) as tracker:
            planned.context.run()
        assert "modified while running" in warnings[0]
        (report,) = tracker.reports
        report.assert_executed("t.parent", "t.child", "t.aside")
        assert {batch.round for o in report.outcomes.values() for batch in o.batches} == {0, 1}
        assert report.completion == "success"
        assert theirs.console is not planned.context.console

    def test_a_run_that_ends_because_the_environment_changed(self, planned: Project) -> None:
        class Slow(NoopConsole):
            def update_snapshot_evaluation_progress(
                self, snapshot: Any, *_: Any, **__: Any
            ) -> None:
                if "parent" in snapshot.name:
                    planned.execute_in_state("UPDATE sqlmesh._environments SET plan_id = 'theirs'")

        planned.context.console = Slow()
        with at("2024-01-10 12:00"), sqlmesh_run_tracker(planned.context) as tracker:
            with pytest.raises((SystemExit, UnboundLocalError)):
                planned.context.run(exit_on_env_update=5)
        report = tracker.last
        assert report.completion == "interrupted"
        assert report["t.child"].reason == "environment_changed"
        assert "t.child" in report.interrupted
        report.assert_executed("t.parent")


class TestConsolesThatFail:
    @pytest.mark.long
    @pytest.mark.parametrize(
        "method",
        [
            "start_evaluation_progress",
            "start_snapshot_evaluation_progress",
            "update_snapshot_evaluation_progress",
            "stop_evaluation_progress",
            "log_skipped_models",
            "log_failed_models",
        ],
    )
    @pytest.mark.parametrize("lacking", [False, True], ids=["raises", "lacks the method"])
    def test_the_caller_gets_the_same_result_as_without_the_tracker(
        self, tmp_path: Path, method: str, lacking: bool
    ) -> None:
        def raising(*_: Any, **__: Any) -> None:
            raise RuntimeError("no paper left")

        def ended(folder: str, track: Callable[[], Any]) -> tuple[Any, Project, Any]:
            (tmp_path / folder).mkdir()
            project = Project(tmp_path / folder)
            project.model("t.one", "SELECT 1 AS id", cron="'@daily'")
            console: Any = _Lacking(NoopConsole(), method) if lacking else NoopConsole()
            if not lacking:
                setattr(console, method, raising)
            project.context.console = console
            with at("2024-01-09 12:00"), track() as tracker:
                try:
                    project.context.plan(auto_apply=True, no_prompts=True)
                except Exception as error:
                    return (type(error), str(error)), project, tracker
                return None, project, tracker

        without, _, _ = ended("without", nullcontext)
        with_tracker, project, tracker = ended("with", track_all)
        assert with_tracker == without
        one = tracker.last["t.one"]
        assert one.status != "unknown"
        recorded = bool(project.intervals().get(one.fqn))
        if one.status == "executed":
            assert recorded
        else:
            assert one.status in ("failed", "interrupted")
            assert not (recorded and method == "start_snapshot_evaluation_progress")


class _Lacking:
    """A console of an older SQLMesh, which lacks one method."""

    def __init__(self, console: Any, method: str) -> None:
        self._console, self._method = console, method

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            raise AttributeError(f"console has no {name}")
        return getattr(self._console, name)


EVENTS = sorted(name for name in CONSOLE_EVENTS if "plan" not in name and "signal" not in name)


class TestTrackersThatFail:
    @pytest.mark.parametrize("event", EVENTS)
    def test_an_error_in_any_callback_does_not_affect_the_run(
        self,
        planned: Project,
        event: str,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def broken(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError("ours")

        monkeypatch.setattr(ConsoleEvents, event, broken)
        with (
            at("2024-01-10 12:00"),
            caplog.at_level(logging.ERROR, "pytest_sqlmesh_tracker"),
            sqlmesh_run_tracker(planned.context) as tracker,
        ):
            assert planned.context.run().is_success
        assert "ZeroDivisionError" in caplog.text
        report = tracker.last
        assert report.unknown == set(report.outcomes)
        assert "ZeroDivisionError: ours" in report["t.parent"].message

    def test_an_error_about_one_model_affects_only_that_model(
        self, planned: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        handler = ConsoleEvents.update_snapshot_evaluation_progress

        def broken(events: ConsoleEvents, *, snapshot: Any, **arguments: Any) -> Any:
            if "aside" in snapshot.name:
                raise ZeroDivisionError("ours")
            return handler(events, snapshot=snapshot, **arguments)

        monkeypatch.setattr(ConsoleEvents, "update_snapshot_evaluation_progress", broken)
        with at("2024-01-10 12:00"), sqlmesh_run_tracker(planned.context) as tracker:
            planned.context.run()
        tracker.assert_executed("t.parent", "t.child")
        assert tracker.last.unknown == {"t.aside"}
        with pytest.raises(AssertionError, match="its status is unknown"):
            tracker.assert_not_executed("t.aside")

    @pytest.mark.parametrize("part", ["deciding", "scheduling", "auditing"])
    def test_an_error_outside_of_the_console_is_logged_too(
        self, planned: Project, part: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @wraps(getattr(MethodEvents, part))
        def broken(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError("ours")

        monkeypatch.setattr(MethodEvents, part, broken)
        with at("2024-01-10 12:00"), sqlmesh_run_tracker(planned.context) as tracker:
            assert planned.context.run().is_success
        assert tracker.last.unknown == set(tracker.last.outcomes)

    def test_a_console_that_cannot_be_replaced(self, planned: Project) -> None:
        class Stubborn(Context):
            @property
            def console(self) -> Any:
                return vars(self)["_console"]

            @console.setter
            def console(self, value: Any) -> None:
                if "_console" in vars(self):
                    raise AttributeError("no")
                vars(self)["_console"] = value

        context = Stubborn(paths=str(planned.path))
        with at("2024-01-10 12:00"), sqlmesh_run_tracker(context) as tracker:
            assert context.run().is_success
        assert tracker.last.unknown == set(tracker.last.outcomes)
        assert "t.parent" in tracker.last.outcomes

    def test_an_error_in_explaining_affects_only_that_model(
        self, planned: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from pytest_sqlmesh_tracker.tracking.reasons.runs import RunExplainer

        not_scheduled = RunExplainer.not_scheduled

        def broken(self: RunExplainer, name: str) -> Any:
            if "aside" in name:
                raise ZeroDivisionError("ours")
            return not_scheduled(self, name)

        monkeypatch.setattr(RunExplainer, "not_scheduled", broken)
        with at("2024-01-09 13:00"), sqlmesh_run_tracker(planned.context) as tracker:
            planned.context.run()
        assert tracker.last.unknown == {"t.aside"}
        tracker.assert_skipped("t.parent", "t.child", reason="cron_not_due")
