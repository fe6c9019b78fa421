"""The outcome of a model as JSON in the metadata of its events, which later runs read."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest

from pytest_sqlmesh_tracker.dagster.events.checks import status_check
from pytest_sqlmesh_tracker.dagster.events.emission import check_evaluation
from pytest_sqlmesh_tracker.dagster.events.outcome_record import (
    INTERVALS_LIMIT,
    OUTCOME,
    InvocationFacts,
    OutcomeRecord,
    read_record,
)
from pytest_sqlmesh_tracker.dagster.events.standing_failures import StandingFailure
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from tests.builders import failed, skipped

ORDERS = dg.AssetKey(["shop", "orders"])
MIDNIGHT = datetime(2024, 1, 6, tzinfo=timezone.utc)
RUN = InvocationFacts("prod", MIDNIGHT, ignore_cron=True)
EARLIER_FAILURE = StandingFailure(
    severity=dg.AssetCheckSeverity.WARN,
    message="skipped: its signal was not ready",
    environment="prod",
    execution_time=MIDNIGHT - timedelta(days=1),
)


def stored(
    outcome: ModelOutcome, failure: StandingFailure | None = None
) -> dg.AssetCheckEvaluation:
    """The status check of an outcome, as it comes back from Dagster's event log."""
    evaluation = check_evaluation(status_check(outcome, ORDERS, RUN, failure))
    return dg.deserialize_value(dg.serialize_value(evaluation), dg.AssetCheckEvaluation)


def test_a_record_is_read_as_it_was_written() -> None:
    outcome = failed("shop.orders", message="failed: it, raised (2024-01-01 and 7 more)")
    evaluation = stored(outcome)
    record = read_record(evaluation.metadata)
    assert record == OutcomeRecord(
        environment="prod",
        execution_time=MIDNIGHT,
        ignore_cron=True,
        status=outcome.status,
        reasons=outcome.reasons,
        message=outcome.message,
    )


def test_a_failed_check_states_why_it_failed() -> None:
    """Its own failure, or the earlier one because of which it failed."""
    evaluation = stored(failed("shop.orders"))
    record = read_record(evaluation.metadata)
    assert record
    assert record.failure(evaluation.severity) == StandingFailure(
        severity=dg.AssetCheckSeverity.ERROR,
        message=record.message,
        environment="prod",
        execution_time=MIDNIGHT,
        ignore_cron=True,
    )

    evaluation = stored(skipped("shop.orders", "cron_not_due"), EARLIER_FAILURE)
    assert not evaluation.passed
    record = read_record(evaluation.metadata)
    assert record
    assert record.failure(evaluation.severity) == record.standing_failure == EARLIER_FAILURE


def test_a_record_has_at_most_as_many_intervals_as_an_event_can_hold() -> None:
    hours = [MIDNIGHT + timedelta(hours=number) for number in range(INTERVALS_LIMIT + 7)]
    intervals = tuple(Interval(at, at + timedelta(minutes=5)) for at in hours)
    record = OutcomeRecord(environment="prod", message="").with_intervals(intervals)
    assert (record.intervals, record.more_intervals) == (intervals[:INTERVALS_LIMIT], 7)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {OUTCOME: dg.MetadataValue.text("skipped")},
        {OUTCOME: dg.MetadataValue.json(["skipped"])},
        {OUTCOME: dg.MetadataValue.json({"schema_version": 2, "environment": "prod"})},
    ],
)
def test_unreadable_metadata_is_not_a_record(metadata: dict[str, dg.MetadataValue]) -> None:
    assert read_record(metadata) is None


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "dagster.md").read_text()
    keys = {*OutcomeRecord.model_fields, *StandingFailure.model_fields}
    assert {key for key in keys if f"`{key}`" not in page} == set()
