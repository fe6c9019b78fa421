"""The outcome of a model as JSON metadata of its events, for programs.

The other `sqlmesh/…` keys are for people, and nothing in this package reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import dagster as dg
from pydantic import ValidationError

from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.outcomes.types import Frozen, Interval, UtcDatetime
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport

from .standing_failures import StandingFailure

OUTCOME = "sqlmesh/outcome"
"""The metadata key of the record."""
INTERVALS_LIMIT = 100
"""How many intervals an event has, as text and in its record: MySQL limits the size of events."""


@dataclass(frozen=True)
class InvocationFacts:
    """What is known of an invocation while it goes on, and more when it has ended."""

    environment: str
    execution_time: datetime | None = None
    """In UTC; None as long as SQLMesh has not taken it."""
    ignore_cron: bool = False
    environment_state: EnvironmentState | None = None

    @classmethod
    def of_report(cls, report: RunReport) -> InvocationFacts:
        """The facts in the report of an invocation that has ended."""
        return cls(
            environment=report.environment,
            execution_time=report.execution_time,
            ignore_cron=bool(report.arguments.get("ignore_cron")),
            environment_state=report.environment_state,
        )


class OutcomeRecord(Frozen):
    """What an event states about a model. Datetimes are in UTC, intervals half-open."""

    schema_version: Literal[1] = 1
    environment: str
    execution_time: UtcDatetime | None = None
    """None where it is not known, as for intervals that were loaded outside of Dagster."""
    ignore_cron: bool = False
    status: Status | None = None
    """None where SQLMesh's state has the intervals as loaded, and nothing else is known."""
    reasons: tuple[Reason, ...] = ()
    """In order of precedence."""
    message: str
    intervals: tuple[Interval, ...] = ()
    """What was evaluated and recorded, or is loaded; the first ones, if there are more."""
    more_intervals: int = 0
    """How many more there are."""
    standing_failure: StandingFailure | None = None
    """The failure of an earlier run because of which a check fails that would have passed."""

    @property
    def metadata(self) -> dict[str, dg.MetadataValue]:
        """The metadata of an event that has this record."""
        return {OUTCOME: dg.MetadataValue.json(self.model_dump(mode="json"))}

    def with_intervals(self, intervals: tuple[Interval, ...]) -> OutcomeRecord:
        """The record with these intervals, up to the limit."""
        more = max(0, len(intervals) - INTERVALS_LIMIT)
        changes = {"intervals": intervals[:INTERVALS_LIMIT], "more_intervals": more}
        return self.model_copy(update=changes)

    def failure(self, severity: dg.AssetCheckSeverity) -> StandingFailure | None:
        """Why a check with this record failed; None without an execution time."""
        if self.standing_failure is not None or self.execution_time is None:
            return self.standing_failure
        return StandingFailure(
            severity=severity,
            message=self.message,
            environment=self.environment,
            execution_time=self.execution_time,
            ignore_cron=self.ignore_cron,
        )


def record_of(
    outcome: ModelOutcome,
    invocation: InvocationFacts,
    *,
    message: str | None = None,
    standing_failure: StandingFailure | None = None,
) -> OutcomeRecord:
    """The record of a model's outcome.

    Args:
        message: the message of the event; None means the message of the outcome.
    """
    record = OutcomeRecord(
        environment=invocation.environment,
        execution_time=invocation.execution_time,
        ignore_cron=invocation.ignore_cron,
        status=outcome.status,
        reasons=outcome.reasons,
        message=outcome.message if message is None else message,
        standing_failure=standing_failure,
    )
    return record.with_intervals(outcome.executed_intervals)


def read_record(metadata: Mapping[str, dg.MetadataValue]) -> OutcomeRecord | None:
    """The record in an event's metadata; None if the event has none that this version can read."""
    value = metadata.get(OUTCOME)
    if not isinstance(value, dg.JsonMetadataValue):
        return None
    try:
        return OutcomeRecord.model_validate(value.data)
    except ValidationError:
        return None
