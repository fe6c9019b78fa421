"""Ticks of a schedule: evaluated, run, and what Dagster shows then."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dagster as dg

UNFINISHED = (
    "plan 1a2b3c4d of prod is not finished; if it failed or was stopped, apply a plan of prod: "
    "until then, runs wait"
)
"""Why a tick is skipped while the plan 1a2b3c4d5e is not finished."""


def evaluated(
    repository: Any, schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance
) -> dg.RunRequest | str:
    """What a schedule requests now, or why it skips the tick."""
    resources = repository.get_top_level_resources()
    with dg.build_schedule_context(
        instance=instance, resources=resources, repository_def=repository
    ) as context:
        said = schedule.evaluate_tick(context)
    if said.skip_message:
        return said.skip_message
    (request,) = said.run_requests or ()
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
