"""Detaching from an invocation before its end: the report contains what is known by then."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlmesh.core.plan import PlanBuilder
from sqlmesh.core.snapshot import SnapshotEvaluator

from pytest_sqlmesh_tracker import Tracker, sqlmesh_run_tracker, track_all
from tests.projects import Project, at


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Project]:
    """first → slow → third."""
    project = Project(tmp_path, concurrent_tasks=4)
    project.model("shop.first", "SELECT 1 AS id", cron="'@daily'")
    project.model("shop.slow", "SELECT id FROM shop.first", cron="'@daily'")
    project.model("shop.third", "SELECT id FROM shop.slow", cron="'@daily'")
    project.plan_once("2024-01-08 09:00")
    yield project
    project.context.close()


@contextmanager
def stalled(
    monkeypatch: pytest.MonkeyPatch, owner: Any, method: str, *, model: str | None = None
) -> Iterator[threading.Event]:
    """Let a method of SQLMesh's wait until the block ends; the event is set when it begins to."""
    original, begun, go = getattr(owner, method), threading.Event(), threading.Event()

    def waiting(self: Any, *args: Any, **kwargs: Any) -> Any:
        if model is None or args[0].node.name == model:
            begun.set()
            assert go.wait(60)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, method, waiting)
    try:
        yield begun
    finally:
        go.set()


def on_a_thread(project: Project, command: str, tracker_of: list[Tracker]) -> threading.Thread:
    def invoke() -> None:
        arguments = {"auto_apply": True, "no_prompts": True} if command == "plan" else {}
        with sqlmesh_run_tracker(project.context) as tracker:
            tracker_of.append(tracker)
            getattr(project.context, command)("prod", **arguments)

    thread = threading.Thread(target=invoke)
    thread.start()
    return thread


@pytest.mark.long
def test_a_batch_under_way_is_interrupted(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    trackers: list[Tracker] = []
    with at("2024-01-09 09:00"), track_all() as other:
        with stalled(monkeypatch, SnapshotEvaluator, "evaluate", model="shop.slow") as begun:
            thread = on_a_thread(shop, "run", trackers)
            assert begun.wait(60)
            (tracker,) = trackers
            slow = shop.context.get_model("shop.slow").fqn
            assert tracker.detach() == {slow}
            report = tracker.last
            before = report.model_dump()
        thread.join()

    assert report.completion == "interrupted"
    assert report.executed == {"shop.first"}
    assert report.interrupted == {"shop.slow", "shop.third"}
    assert set(report["shop.slow"].reasons) == {"aborted"}
    assert report["shop.slow"].message == (
        "interrupted: it was still being evaluated when the invocation was abandoned; whether the "
        "evaluation was recorded is unknown"
    )
    assert report["shop.third"].message == "interrupted: the invocation was aborted"
    # Later events change nothing; they reach only the other consoles.
    assert tracker.reports == [report]
    assert report.model_dump() == before
    assert other.last.id == report.id
    assert other.last.executed == {"shop.first", "shop.slow", "shop.third"}


def test_a_plan_that_is_being_built(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    trackers: list[Tracker] = []
    with at("2024-01-09 09:00"):
        with stalled(monkeypatch, PlanBuilder, "build") as begun:
            thread = on_a_thread(shop, "plan", trackers)
            assert begun.wait(60)
            (tracker,) = trackers
            assert tracker.detach() == set()
        thread.join()

    assert tracker.last.completion == "interrupted"
    assert tracker.last.interrupted == {"shop.first", "shop.slow", "shop.third"}


def test_without_an_invocation_nothing_happens(shop: Project) -> None:
    with at("2024-01-09 09:00"), sqlmesh_run_tracker(shop.context) as tracker:
        assert tracker.detach() == set()
        assert tracker.reports == []
        shop.context.run("prod")
    assert tracker.detach() == set()
    assert len(tracker.reports) == 1
