"""Interrupted runs: what SQLMesh committed is recorded, and the next run completes the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log.in_memory import InMemoryEventLogStorage

from pytest_sqlmesh_tracker.dagster import (
    SqlmeshInvocation,
    SqlmeshProject,
    SqlmeshResource,
    build_sqlmesh_assets,
    sqlmesh_assets,
)
from tests.dagster.interrupting import EVALUATIONS, Here, interrupt, interrupt_in
from tests.dagster.sites import MODELS, Site
from tests.projects import WORKERS


class InterruptedHere(Here):
    """Compares the events with SQLMesh's state after an interruption."""

    def check(self, result: dg.ExecuteInProcessResult) -> set[str]:
        """Hold a run that was interrupted against SQLMesh's state, and let another do the rest.

        Returns what it has materialized.
        """
        loaded, first = self.site.loaded(), self.materialized(result)
        assert first == loaded
        executed = {key for key, status in self.statuses(result).items() if status == "executed"}
        assert executed == loaded
        run = self.instance.get_run_by_id(result.run_id)
        assert run
        assert run.status is dg.DagsterRunStatus.FAILURE
        second = self.materialize()
        assert second.success
        assert self.materialized(second) == MODELS - first
        assert self.site.loaded() == MODELS
        return first


@pytest.fixture(params=WORKERS, ids="{} workers".format)
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    site = Site(tmp_path, request.param)
    yield site
    site.close()


@pytest.fixture
def here(
    site: Site, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> InterruptedHere:
    monkeypatch.setenv("SITE", str(site.path))
    site.let_slow_go_on()
    return InterruptedHere(site, instance)


@pytest.fixture
def as_it_stores(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dg.DagsterEventType], None]:
    """Interrupt, once, as Dagster stores the first event of this type on this asset."""

    def interrupt_at(asset: str, kind: dg.DagsterEventType) -> None:
        store: Any = InMemoryEventLogStorage.store_event
        left = [interrupt]

        def stored(self: InMemoryEventLogStorage, event: Any) -> None:
            store(self, event)
            dagster_event = event.dagster_event
            if (
                left
                and dagster_event
                and dagster_event.event_type is kind
                and asset_of(dagster_event) == asset
            ):
                left.pop()()

        monkeypatch.setattr(InMemoryEventLogStorage, "store_event", stored)

    return interrupt_at


def asset_of(event: dg.DagsterEvent) -> str:
    is_check = event.event_type in EVALUATIONS
    about: Any = event.asset_check_evaluation_data if is_check else event
    return str(about.asset_key.to_user_string())


class TestWhileDagsterStores:
    """The op's generator never sees it: Dagster raises it on the way into the next event."""

    @pytest.mark.parametrize(
        "kind", [dg.DagsterEventType.ASSET_MATERIALIZATION, *EVALUATIONS], ids=lambda k: k.value
    )
    @pytest.mark.long
    def test_remaining_events_are_recorded(
        self, here: InterruptedHere, as_it_stores: Callable[..., None], kind: dg.DagsterEventType
    ) -> None:
        as_it_stores("c/first", kind)
        assert "c/first" in here.check(here.materialize())

    @pytest.mark.long
    def test_an_interrupt_at_the_last_event(
        self, here: InterruptedHere, as_it_stores: Callable[..., None]
    ) -> None:
        as_it_stores("c/third", dg.DagsterEventType.ASSET_MATERIALIZATION)
        assert here.check(here.materialize()) == MODELS


class TestWhileSqlmeshRuns:
    @pytest.mark.long
    def test_running_batches_end_and_no_others_start(
        self, here: InterruptedHere, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However often it is interrupted in the meantime."""
        interrupt_in(monkeypatch, "evaluate", "c.slow", times=3)
        assert here.check(here.materialize()) == MODELS - {"c/third"}

    @pytest.mark.long
    def test_an_interrupt_before_the_project_is_loaded(
        self, here: InterruptedHere, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load = SqlmeshProject.open_context

        def interrupted(project: SqlmeshProject) -> Any:
            monkeypatch.undo()
            monkeypatch.setenv("SITE", str(here.site.path))
            interrupt()
            return load(project)

        monkeypatch.setattr(SqlmeshProject, "open_context", interrupted)
        result = here.materialize()
        assert set(here.statuses(result).values()) == {"interrupted"}
        assert here.check(result) == set()

    @pytest.mark.long
    def test_a_plan_that_creates_tables(
        self, here: InterruptedHere, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They are all created, and none is reported as materialized."""
        here.site.project.model("c.new", "SELECT n FROM c.slow", cron="'@yearly'")
        project = SqlmeshProject(here.site.path)

        @sqlmesh_assets(project=project)
        def planned(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Iterator[Any]:
            invocation = sqlmesh.plan(context=context, skip_backfill=True, no_gaps=True)
            yield from invocation.stream()

        interrupt_in(monkeypatch, "create")
        result = here.materialize(planned)
        assert not result.success
        assert here.materialized(result) == here.site.loaded() == set()
        assert here.materialize(planned).success

    @pytest.mark.long
    def test_an_op_that_stops_reading_events(self, here: InterruptedHere) -> None:
        """Its generator is closed, and the step continues."""

        @sqlmesh_assets(project=here.project)
        def impatient(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> Iterator[Any]:
            yield next(sqlmesh.run(context=context).stream())

        result = here.materialize(impatient)
        assert here.materialized(result) == here.site.loaded() != set()

    @pytest.mark.long
    def test_a_retry_completes_the_rest(
        self, here: InterruptedHere, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Dagster retries what was interrupted, too."""
        retried = build_sqlmesh_assets(
            project=here.project, name="warehouse", retry_policy=dg.RetryPolicy(max_retries=1)
        )
        interrupt_in(monkeypatch, "evaluate", "c.slow")
        result = here.materialize(retried)
        assert result.success
        assert here.materialized(result) == here.site.loaded() == MODELS


def test_an_invocation_that_is_never_read_blocks_nothing(here: InterruptedHere) -> None:
    """An invocation that is prepared and never read blocks nothing."""
    prepared: list[SqlmeshInvocation] = []

    @sqlmesh_assets(project=here.project)
    def idle(context: dg.AssetExecutionContext, sqlmesh: SqlmeshResource) -> None:
        prepared.append(sqlmesh.run(context=context))

    here.materialize(idle)
    prepared[0].finish()
    assert here.site.loaded() == set()
