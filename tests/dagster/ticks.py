"""Ticks of a schedule: evaluated, run, and what Dagster shows then."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster import build_sqlmesh_schedule
from pytest_sqlmesh_tracker.dagster.testing import bind

UNFINISHED = (
    "plan 1a2b3c4d of prod is not finished; if it failed or was stopped, apply a plan to prod: "
    "until then, runs wait"
)
"""Why a tick is skipped while the plan 1a2b3c4d5e is not finished."""


class Scheduled:
    """Assets on a test's sandbox, a schedule of the first ones, and a Dagster instance."""

    def __init__(
        self,
        sqlmesh_project: Any,
        instance: dg.DagsterInstance,
        warehouse: dg.AssetsDefinition,
        *others: dg.AssetsDefinition,
    ) -> None:
        self.project, self.instance, self.warehouse = sqlmesh_project, instance, warehouse
        self.schedule = build_sqlmesh_schedule(warehouse, "5 * * * *")
        self.repository = dg.Definitions(
            assets=[warehouse, *others],
            schedules=[self.schedule],
            resources={"sqlmesh": bind(sqlmesh_project)},
            jobs=[dg.define_asset_job("everything", selection="*")],
        ).get_repository_def()

    def evaluate(self) -> dg.RunRequest | str:
        """What the schedule requests now, or why it skips the tick."""
        return evaluated(self.repository, self.schedule, self.instance)

    def requested(self) -> dg.RunRequest:
        """What the schedule requests now: something is due."""
        request = self.evaluate()
        assert isinstance(request, dg.RunRequest), request
        return request

    def execute(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Run what was requested."""
        return execute(self.repository, self.schedule, request, self.instance)

    def shown_failed(self) -> list[dg.AssetKey]:
        """The schedule's assets that Dagster's UI shows as failed."""
        return shown_failed(self.instance, self.warehouse.keys)


def evaluated(
    repository: Any, schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance
) -> dg.RunRequest | str:
    """What a schedule requests now, or why it skips the tick."""
    resources = repository.get_top_level_resources()
    with dg.build_schedule_context(
        instance=instance, resources=resources, repository_def=repository
    ) as context:
        data = schedule.evaluate_tick(context)
    if data.skip_message:
        return data.skip_message
    (request,) = data.run_requests or ()
    return request


def execute(
    repository: Any,
    schedule: dg.ScheduleDefinition,
    request: dg.RunRequest,
    instance: dg.DagsterInstance,
) -> dg.ExecuteInProcessResult:
    """Run what a schedule has requested, in this process."""
    checks = request.asset_check_keys
    job = repository.get_job(schedule.job_name).get_subset(
        asset_selection=set(request.asset_selection or ()),
        asset_check_selection=None if checks is None else set(checks),
    )
    result: dg.ExecuteInProcessResult = job.execute_in_process(
        instance=instance, tags=dict(request.tags), raise_on_error=False
    )
    return result


def shown_failed(instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]) -> list[dg.AssetKey]:
    """The assets that Dagster's UI shows as failed: the latest run that planned them failed, and
    their latest materialization is not of that run."""
    entries = [record.asset_entry for record in instance.get_asset_records(list(keys))]
    planned_by = {entry.asset_key: entry.last_run_id for entry in entries if entry.last_run_id}
    made_by = {
        entry.asset_key: entry.last_materialization.run_id
        for entry in entries
        if entry.last_materialization
    }
    runs = {run.run_id: run for run in instance.get_runs()}
    return [
        key
        for key, run_id in planned_by.items()
        if made_by.get(key) != run_id and runs[run_id].status is dg.DagsterRunStatus.FAILURE
    ]
