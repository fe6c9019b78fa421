"""Reads earlier events of this package from Dagster's event log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK, fitting
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status

from .outcome_record import read_record
from .standing_failures import StandingFailure

_PAGE = 1000
_ALWAYS = Interval(*(limit.replace(tzinfo=timezone.utc) for limit in (datetime.min, datetime.max)))


@dataclass(frozen=True)
class EarlierTries:
    """What earlier tries of a step have emitted in the same Dagster run."""

    materialized: frozenset[dg.AssetKey] = frozenset()
    unfinished: frozenset[dg.AssetKey] = frozenset()
    """Those that failed, were interrupted, or were blocked by a failure upstream."""


def latest_evaluation(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey
) -> dg.AssetCheckEvaluation | None:
    """The latest evaluation of a check; None if it never was evaluated."""
    from dagster._core.storage.asset_check_execution_record import (
        COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES as COMPLETED,
    )

    # The run that is under way has planned it already.
    records = instance.event_log_storage.get_asset_check_execution_history(
        check, limit=1, status=COMPLETED
    )
    return records[0].evaluation if records else None


def standing_failures(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]
) -> dict[dg.AssetKey, StandingFailure]:
    """The failures that may still stand: of the assets whose latest status check failed."""
    return {key: failure for key in keys if (failure := _standing_failure(instance, key))}


def _standing_failure(instance: dg.DagsterInstance, key: dg.AssetKey) -> StandingFailure | None:
    evaluation = latest_evaluation(instance, dg.AssetCheckKey(key, STATUS_CHECK))
    if evaluation is None or evaluation.passed:
        return None
    record = read_record(evaluation.metadata)
    return record.failure(evaluation.severity) if record else None


def earlier_tries(instance: dg.DagsterInstance, run_id: str) -> EarlierTries:
    """What the tries of a run have emitted so far."""
    materializations = _events(instance, run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
    materialized = frozenset(event.asset_key for event in materializations)
    evaluations = _events(instance, run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    checks = [event.event_specific_data for event in evaluations]
    unfinished = frozenset(check.asset_key for check in checks if _is_unfinished(check))
    return EarlierTries(materialized, unfinished - materialized)


def _events(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> list[Any]:
    return [entry.dagster_event for entry in instance.all_logs(run_id, of_type=kind)]


def _is_unfinished(check: dg.AssetCheckEvaluation) -> bool:
    record = read_record(check.metadata) if check.check_name == STATUS_CHECK else None
    return record is not None and (
        record.status in (Status.FAILED, Status.INTERRUPTED)
        or record.reasons[:1] == (Reason.UPSTREAM_FAILED,)
    )


def recorded_intervals(
    instance: dg.DagsterInstance, asset: dg.AssetKey, environment: str, *, after: int
) -> Iterator[Interval]:
    """The intervals of an asset's materializations, and of its check if a failure came after some.

    An event that has more intervals than it can list stands for all of time.

    Args:
        after: the position in Dagster's event log after which materializations count.
    """
    events = [event.metadata for event in _materializations(instance, asset, after)]
    check = latest_evaluation(instance, dg.AssetCheckKey(asset, STATUS_CHECK))
    if check and not check.passed:
        events.append(check.metadata)
    for record in filter(None, map(read_record, events)):
        if _in_sqlmesh(record.environment) == _in_sqlmesh(environment):
            yield from [_ALWAYS] if record.more_intervals else record.intervals


def _materializations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, after: int
) -> Iterator[dg.AssetMaterialization]:
    since = dg.AssetRecordsFilter(asset_key=asset, after_storage_id=after)
    cursor, more = None, True
    while more:
        page = instance.fetch_materializations(since, limit=_PAGE, cursor=cursor)
        yield from filter(None, (record.asset_materialization for record in page.records))
        cursor, more = page.cursor, page.has_more


def _in_sqlmesh(environment: str) -> str:
    """The name that SQLMesh gives an environment."""
    return fitting(environment).lower()
