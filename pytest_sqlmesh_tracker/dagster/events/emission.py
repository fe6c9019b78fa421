"""Dagster's events, made of checks and materializations. No other module makes any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, Union

import dagster as dg

from pytest_sqlmesh_tracker.outcomes.vocabulary import Status

from .checks import Check, StatusCheck, UnknownStatusCheck
from .materializations import Materialization, ObservedMaterialization, OutputMaterialization
from .metadata import intervals_text, outcome_metadata
from .outcome_record import OutcomeRecord, record_of

# As text: the first versions of Dagster have no parameters of `MaterializeResult`. One text, as
# pyright reads no type from several that are joined.
Event: TypeAlias = Union[
    "dg.MaterializeResult[Any]",
    dg.AssetMaterialization,
    dg.AssetCheckResult,
    dg.AssetCheckEvaluation,
]
"""What an op may yield."""
DATA_VERSION = "dagster/data_version"
"""The tag of a materialization that distinguishes its data from the data of others."""


def materialization_event(
    materialization: Materialization,
) -> dg.MaterializeResult[Any] | dg.AssetMaterialization:
    """A result, if the materialization is an output of the step; else an event of its own."""
    outcome, invocation = materialization.outcome, materialization.invocation
    metadata = outcome_metadata(outcome, invocation) | record_of(outcome, invocation).metadata
    if not isinstance(materialization, OutputMaterialization):
        return dg.AssetMaterialization(materialization.asset, metadata=metadata)
    return dg.MaterializeResult(
        asset_key=materialization.asset,
        metadata={**materialization.definition_metadata, **metadata},
        check_results=[check_result(audit) for audit in materialization.audits],
        data_version=dg.DataVersion(materialization.data_version),
    )


def observed_event(observed: ObservedMaterialization) -> dg.AssetMaterialization:
    """The materialization of what was loaded outside of Dagster."""
    record = OutcomeRecord(environment=observed.environment, message=observed.description)
    return dg.AssetMaterialization(
        observed.asset,
        description=observed.description,
        metadata={
            "sqlmesh/environment": observed.environment,
            "sqlmesh/intervals": intervals_text(observed.intervals),
            "sqlmesh/loaded_through": observed.loaded_through.isoformat(),
            "sqlmesh/message": observed.description,
            **record.with_intervals(observed.intervals).metadata,
        },
        # Dagster takes the data of all events without a version for the same.
        tags={DATA_VERSION: observed.data_version},
    )


def stored_materialization(result: dg.MaterializeResult[Any]) -> dg.AssetMaterialization:
    """The event that Dagster stores of a result."""
    assert result.asset_key is not None
    version = result.data_version
    return dg.AssetMaterialization(
        result.asset_key,
        metadata=result.metadata,
        tags={DATA_VERSION: version.value} if version else None,
    )


def check_result(check: Check) -> dg.AssetCheckResult:
    """A check as the result of a step: Dagster ties it to the step's materialization."""
    return dg.AssetCheckResult(**_arguments(check))


def check_evaluation(check: Check) -> dg.AssetCheckEvaluation:
    """A check as Dagster stores it, which nothing waits for.

    Dagster ties an `AssetCheckResult` to the asset's latest materialization and accepts only one
    per check. After one that is blocking and failed, its first versions accept no other results.
    """
    return dg.AssetCheckEvaluation(**_arguments(check))


def _arguments(check: Check) -> dict[str, Any]:
    return {
        "asset_key": check.key.asset_key,
        "check_name": check.key.name,
        "passed": check.passed,
        "severity": check.severity,
        "description": check.description,
        "metadata": _metadata(check),
    }


def _metadata(check: Check) -> Mapping[str, Any]:
    if isinstance(check, StatusCheck):
        return _status_metadata(check)
    if isinstance(check, UnknownStatusCheck):
        return _unknown_metadata(check)
    return {"sqlmesh/rows_failed": check.rows_failed}


def _status_metadata(check: StatusCheck) -> Mapping[str, Any]:
    failure = check.standing_failure
    record = record_of(
        check.outcome, check.invocation, message=check.description, standing_failure=failure
    )
    return {
        **outcome_metadata(check.outcome, check.invocation),
        "sqlmesh/message": check.description,
        **({"sqlmesh/still_missing": failure.message} if failure else {}),
        **record.metadata,
    }


def _unknown_metadata(check: UnknownStatusCheck) -> Mapping[str, Any]:
    status, message = Status.UNKNOWN, check.description
    record = OutcomeRecord(environment=check.invocation.environment, status=status, message=message)
    return {"sqlmesh/status": str(status), "sqlmesh/message": message, **record.metadata}
