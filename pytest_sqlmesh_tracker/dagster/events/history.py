"""What Dagster's event log knows from before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.metadata import IGNORED_CRON
from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status

_SINCE, _WHERE = "sqlmesh/missing_since", "sqlmesh/missing_in"
_ANYHOW = "sqlmesh/missing_whatever_cron_says"


@dataclass(frozen=True)
class Fault:
    """A status check that failed, and was not found passed since."""

    severity: dg.AssetCheckSeverity
    message: str
    at: datetime
    """The execution time of the invocation that it tells of."""
    environment: str
    """The one that was run; another's intervals mend nothing in it."""
    ignored_cron: bool = False
    """Whether that invocation did: what it left may not be due yet."""

    @property
    def metadata(self) -> dict[str, str | bool]:
        """What a check says that repeats it, so that the next one can do so again."""
        return {
            "sqlmesh/still_missing": self.message,
            _SINCE: self.at.isoformat(),
            _WHERE: self.environment,
            _ANYHOW: self.ignored_cron,
        }


def standing_faults(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]
) -> dict[dg.AssetKey, Fault]:
    """Of which of the assets the latest status check failed."""
    return {key: fault for key in keys if (fault := _standing_fault(instance, key))}


def latest_evaluation(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey
) -> dg.AssetCheckEvaluation | None:
    """What was told of a check last."""
    from dagster._core.storage.asset_check_execution_record import (
        COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES as COMPLETED,
    )

    # The run that is under way has planned it already.
    records = instance.event_log_storage.get_asset_check_execution_history(
        check, limit=1, status=COMPLETED
    )
    return records[0].evaluation if records else None


def _standing_fault(instance: dg.DagsterInstance, key: dg.AssetKey) -> Fault | None:
    evaluation = latest_evaluation(instance, dg.AssetCheckKey(key, STATUS_CHECK))
    if evaluation is None or evaluation.passed:
        return None
    facts = {name: value.value for name, value in evaluation.metadata.items()}
    said = facts.get("sqlmesh/still_missing") or facts.get("sqlmesh/message")
    since = facts.get(_SINCE) or facts.get("sqlmesh/execution_time")
    where = facts.get(_WHERE) or facts.get("sqlmesh/environment")
    if not (isinstance(said, str) and isinstance(since, str) and isinstance(where, str)):
        # A check of somebody else's.
        return None
    anyhow = facts.get(_ANYHOW if _SINCE in facts else IGNORED_CRON)
    return Fault(evaluation.severity, said, datetime.fromisoformat(since), where, bool(anyhow))


@dataclass(frozen=True)
class Told:
    """What earlier tries of a Dagster run have told."""

    materialized: frozenset[dg.AssetKey] = frozenset()
    unfinished: frozenset[dg.AssetKey] = frozenset()
    """Of which a try failed, or was blocked by what failed."""


def told_by(instance: dg.DagsterInstance, run_id: str) -> Told:
    """What a run has told so far."""
    done, checked = (
        _events(instance, run_id, kind)
        for kind in (
            dg.DagsterEventType.ASSET_MATERIALIZATION,
            dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        )
    )
    materialized = frozenset(event.asset_key for event in done)
    checks = [event.event_specific_data for event in checked]
    unfinished = frozenset(check.asset_key for check in checks if _is_unfinished(check))
    return Told(materialized, unfinished - materialized)


def _events(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> list[Any]:
    return [entry.dagster_event for entry in instance.all_logs(run_id, of_type=kind)]


def _is_unfinished(check: Any) -> bool:
    facts = {name: value.value for name, value in check.metadata.items()}
    return check.check_name == STATUS_CHECK and (
        facts.get("sqlmesh/status") in (Status.FAILED, Status.INTERRUPTED)
        or facts.get("sqlmesh/reason") == Reason.UPSTREAM_FAILED
    )
