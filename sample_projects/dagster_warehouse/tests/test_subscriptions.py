"""What Dagster shows of the subscriptions. Loaded so far: nothing."""

from __future__ import annotations

import pytest

from pytest_sqlmesh_tracker import Sandbox
from pytest_sqlmesh_tracker.dagster.testing import (
    Materialize,
    assert_check_failed,
    assert_materialized,
    assert_not_materialized,
    assert_sqlmesh_status,
)
from sample_projects.dagster_warehouse.definitions import deliveries, subscription_models

pytestmark = pytest.mark.sqlmesh_project("sample_projects/upstream_failure", at="2024-03-04 06:00")


def test_models_run_after_the_deliveries(
    sqlmesh_project: Sandbox, materialize_sqlmesh: Materialize
) -> None:
    sqlmesh_project.travel("2024-03-05 06:00")

    result = materialize_sqlmesh(deliveries, subscription_models)

    assert result.success
    assert_materialized(result, "raw/payments", "staging/payments", "reports/reconciliation")
    assert sqlmesh_project.fetch("SELECT COUNT(*) FROM staging.payments") != [(0,)]


def test_a_missing_bank_delivery_is_a_warning(
    sqlmesh_project: Sandbox, materialize_sqlmesh: Materialize
) -> None:
    sqlmesh_project.travel("2024-03-05 06:00")
    sqlmesh_project.hold("staging.bank_statements")

    result = materialize_sqlmesh(deliveries, subscription_models)

    assert result.success
    assert_sqlmesh_status(result, "staging/bank_statements", "skipped", "signal_not_ready")
    assert_check_failed(
        result, "reports/reconciliation", "sqlmesh_execution_status", severity="WARN"
    )
    assert_not_materialized(result, "staging/bank_statements", "reports/reconciliation")


def test_a_retry_runs_failed_models_and_repeats_no_events(
    sqlmesh_project: Sandbox, materialize_sqlmesh: Materialize
) -> None:
    sqlmesh_project.travel("2024-03-05 06:00")
    sqlmesh_project.fail("billing.charges", times=1)

    result = materialize_sqlmesh(deliveries, subscription_models)

    assert result.success
    assert_materialized(result, "staging/payments", "billing/charges", "reports/daily_revenue")
    assert_sqlmesh_status(result, "staging/payments", "executed")
    told = [event.asset_key for event in result.get_asset_materialization_events()]
    assert len(told) == len(set(told))
