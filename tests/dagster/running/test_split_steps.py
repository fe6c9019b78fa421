"""Assets of other ops between models: each step of the divided op runs its part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pytest_sqlmesh_tracker import Status
from pytest_sqlmesh_tracker.dagster import SqlmeshProject, build_sqlmesh_assets
from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.dagster.running.tags import DUE_ONLY
from pytest_sqlmesh_tracker.dagster.testing import assert_sqlmesh_status
from tests.dagster.building import hourly_models
from tests.dagster.conftest import checks, materialized
from tests.dagster.ticks import Scheduled

pytestmark = pytest.mark.sqlmesh_project(at="2024-01-08 09:05")
TEN, ELEVEN, MIDNIGHT = "2024-01-08 10:05", "2024-01-08 11:05", "2024-01-09 00:05"
EXTERNAL = """
- name: raw.rates
  columns: {hour: int}
- name: raw.scores
  columns: {hour: int}
"""
MODELS = ["s/beside", "s/clean", "s/orders", "s/priced", "s/ranked"]
EVERYTHING = sorted([*MODELS, "raw/rates", "raw/scores", "dashboard"])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """orders → clean → [rates] → priced → [scores] → ranked, and one model beside them: in brackets
    what Python writes. Each of them has the hour in which the orders were evaluated."""
    queries = {
        "s.orders": "SELECT EXTRACT(HOUR FROM @execution_ts::TIMESTAMP)::INT AS hour",
        "s.clean": "SELECT hour FROM s.orders",
        "s.priced": "SELECT r.hour FROM raw.rates AS r, s.clean AS c",
        "s.ranked": "SELECT hour FROM raw.scores",
        "s.beside": "SELECT 1 AS n",
    }
    return hourly_models(tmp_path_factory.mktemp("split"), queries, EXTERNAL)


@pytest.fixture(scope="module")
def chain(files: Path) -> SqlmeshProject:
    return SqlmeshProject(files)


class Site(Scheduled):
    """Assets with Python between the models, a schedule of them, and a Dagster instance."""

    def __init__(
        self,
        sqlmesh_project: Any,
        chain: SqlmeshProject,
        instance: dg.DagsterInstance,
        retry_policy: dg.RetryPolicy | None = None,
    ) -> None:
        self.failing: list[str] = []
        """Tables of which the next write fails."""
        self.written: list[str] = []
        warehouse = build_sqlmesh_assets(project=chain, name="warehouse", retry_policy=retry_policy)
        rates = self._copying("s.clean", "raw.rates")
        scores = self._copying("s.priced", "raw.scores")
        super().__init__(sqlmesh_project, instance, warehouse, rates, scores, _below("s/ranked"))

    def _copying(self, source: str, table: str) -> dg.AssetsDefinition:
        @dg.asset(key=table.split("."), deps=[source.split(".")])
        def copy() -> None:
            if table in self.failing:
                self.failing.remove(table)
                raise RuntimeError(f"{table} can't be written")
            self.project.execute(f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM {source}")
            self.written.append(table)

        return copy

    def run(self, *, due_only: bool = False, selection: list[str] | None = None) -> Any:
        """Run a job of everything, or of a selection."""
        job = self.repository.get_job("everything")
        if selection is not None:
            keys = {dg.AssetKey.from_user_string(key) for key in selection}
            job = job.get_subset(asset_selection=keys)
        return job.execute_in_process(
            instance=self.instance,
            tags={DUE_ONLY: "true"} if due_only else {},
            raise_on_error=False,
        )

    def run_requested(self) -> dg.ExecuteInProcessResult:
        """Run what the schedule requests."""
        return self.execute(self.requested())

    def hours(self) -> dict[str, int | None]:
        """Model → the hour of the orders that came down to it."""
        tables = ["s.orders", "s.clean", "s.priced", "s.ranked"]
        read = {table: self.project.fetch(f"SELECT hour FROM {table}") for table in tables}
        return {table: rows[0][0] if rows else None for table, rows in read.items()}

    def evaluations(self) -> Counter[str]:
        """Model → in how many invocations it was evaluated since the sandbox was planned."""
        return Counter(
            name
            for report in self.project.tracker.reports
            if report.command == "run"
            for name, outcome in report.outcomes.items()
            if any(batch.status in (Status.EXECUTED, Status.FAILED) for batch in outcome.batches)
        )


def _below(key: str) -> dg.AssetsDefinition:
    @dg.asset(deps=[dg.AssetKey.from_user_string(key)])
    def dashboard() -> None: ...

    return dashboard


@pytest.fixture
def instance(stored_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """Dagster evaluates schedules on instances that are stored alone."""
    return stored_instance


@pytest.fixture
def site(sqlmesh_project: Any, chain: SqlmeshProject, instance: dg.DagsterInstance) -> Site:
    return Site(sqlmesh_project, chain, instance)


def parts(result: dg.ExecuteInProcessResult) -> list[list[str]]:
    """What each step of the op materialized, in order."""
    by_step: dict[str, list[str]] = {}
    for event in result.get_asset_materialization_events():
        step, key = event.step_key, event.asset_key
        if step and key and step.startswith("warehouse"):
            by_step.setdefault(step, []).append(key.to_user_string())
    return [sorted(keys) for keys in by_step.values()]


def statuses(result: dg.ExecuteInProcessResult) -> Counter[str]:
    """Asset → how many status checks of it were evaluated."""
    return Counter(
        each.asset_key.to_user_string()
        for each in result.get_asset_check_evaluations()
        if each.check_name == STATUS_CHECK
    )


ONCE = Counter(dict.fromkeys(MODELS, 1))
RUNS = pytest.mark.parametrize(
    "run",
    [
        pytest.param(Site.run, marks=pytest.mark.nightly, id="job"),
        pytest.param(
            lambda site: site.run(due_only=True), marks=pytest.mark.nightly, id="due-only job"
        ),
        pytest.param(Site.run_requested, id="schedule"),
    ],
)
Run = Callable[[Site], dg.ExecuteInProcessResult]


@RUNS
@pytest.mark.long
def test_each_step_runs_its_part_in_order_hour_after_hour(site: Site, run: Run) -> None:
    site.project.travel(TEN)
    result = run(site)
    assert result.success
    assert parts(result)[1:] == [["s/priced"], ["s/ranked"]]
    assert site.written == ["raw.rates", "raw.scores"]
    # Nothing was evaluated before what it reads.
    assert set(site.hours().values()) == {10}
    # Everything once.
    below = {"dashboard"} if run is not Site.run_requested else set()
    materializations = Counter(materialized(result))
    assert materializations == Counter({*MODELS, "raw/rates", "raw/scores", *below})
    assert statuses(result) == ONCE
    assert site.evaluations() == Counter([name.replace("/", ".") for name in MODELS])
    for key in MODELS:
        assert_status(result, key)

    site.project.travel(ELEVEN)
    assert run(site).success
    assert set(site.hours().values()) == {11}
    assert set(site.evaluations().values()) == {2}


def assert_status(result: dg.ExecuteInProcessResult, key: str) -> None:
    assert checks(result)[key].description.startswith("executed in 1 batch"), checks(result)[key]


@pytest.mark.long
def test_nothing_is_due_in_any_step(site: Site) -> None:
    """Then no step after the first runs at all, and nothing is evaluated."""
    site.project.travel(TEN)
    site.run()
    again = site.run()
    assert again.success
    assert materialized(again) == []
    assert set(site.evaluations().values()) == {1}


# -- what the schedule requests --------------------------------------------------------------------


def keys(request: dg.RunRequest) -> list[str]:
    return sorted(key.to_user_string() for key in request.asset_selection or ())


def test_intermediate_assets_are_requested_with_due_models(site: Site) -> None:
    site.project.travel(TEN)
    assert keys(site.requested()) == sorted([*MODELS, "raw/rates", "raw/scores"])


@pytest.mark.long
def test_failed_intermediate_assets_are_requested_again(site: Site) -> None:
    """What is below it is due until then, and does not run without it."""
    site.project.travel(TEN)
    site.failing.append("raw.rates")
    failed = site.run_requested()
    assert not failed.success
    assert "s/priced" not in materialized(failed)
    assert keys(site.requested()) == ["raw/rates", "raw/scores", "s/priced", "s/ranked"]

    assert site.run_requested().success
    assert set(site.hours().values()) == {10}
    assert set(site.evaluations().values()) == {1}


@pytest.mark.long
def test_a_failed_model_keeps_downstream_steps_from_running(site: Site) -> None:
    site.project.travel(TEN)
    site.project.fail("s.clean", times=1)
    failed = site.run_requested()
    assert not failed.success
    assert sorted(materialized(failed)) == ["s/beside", "s/orders"]
    assert site.written == []

    again = site.run_requested()
    assert again.success
    assert set(site.hours().values()) == {10}
    assert site.evaluations()["s.orders"] == 1


@pytest.mark.long
def test_intermediate_assets_that_are_up_to_date_are_not_requested(site: Site) -> None:
    """The second of two steps failed: what comes before it has already been written."""
    site.project.travel(TEN)
    site.project.fail("s.priced", times=1)
    assert not site.run_requested().success
    assert keys(site.requested()) == ["raw/scores", "s/priced", "s/ranked"]
    assert site.run_requested().success
    assert site.written == ["raw.rates", "raw.scores"]
    assert set(site.hours().values()) == {10}


@pytest.mark.long
@pytest.mark.nightly
def test_models_that_became_due_meanwhile_wait_for_intermediate_assets(site: Site) -> None:
    """A run that waited in the queue comes to what was requested, and to what waits for nothing."""
    site.project.travel(TEN)
    assert site.run(selection=[*MODELS, "raw/rates", "raw/scores"]).success
    site.project.travel(ELEVEN)
    result = site.run(due_only=True, selection=["s/orders"])
    assert result.success
    assert sorted(materialized(result)) == ["s/beside", "s/clean", "s/orders"]
    assert site.hours() == {"s.orders": 11, "s.clean": 11, "s.priced": 10, "s.ranked": 10}
    # The next tick reaches the rest, with what lies between.
    assert keys(site.requested()) == ["raw/rates", "raw/scores", "s/priced", "s/ranked"]
    assert site.run_requested().success
    assert set(site.hours().values()) == {11}


# -- failures and retries --------------------------------------------------------------------------


def test_a_failed_intermediate_step_is_reexecuted_from_failure(site: Site) -> None:
    site.project.travel(TEN)
    site.failing.append("raw.scores")
    result = site.run()
    assert not result.success
    assert site.hours()["s.priced"] == 10
    assert "s/ranked" not in materialized(result)


@pytest.mark.long
def test_a_retry_policy_applies_to_each_step(
    sqlmesh_project: Any, chain: SqlmeshProject, instance: dg.DagsterInstance
) -> None:
    site = Site(sqlmesh_project, chain, instance, dg.RetryPolicy(max_retries=1))
    site.project.travel(TEN)
    site.project.fail("s.orders", times=1)
    site.project.fail("s.priced", times=1)
    result = site.run(due_only=True)
    assert result.success
    assert Counter(materialized(result)) == Counter(EVERYTHING)
    assert set(site.hours().values()) == {10}
    assert_sqlmesh_status(result, "s/priced", "executed")
    assert site.evaluations() == Counter(
        {"s.orders": 2, "s.clean": 1, "s.beside": 1, "s.priced": 2, "s.ranked": 1}
    )
