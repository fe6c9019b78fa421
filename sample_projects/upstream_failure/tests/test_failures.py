"""What fails, what is skipped for it and what runs anyway. Loaded so far: up to 2024-03-03."""

from __future__ import annotations

import time_machine
from sqlmesh import Context

from pytest_sqlmesh_tracker import (
    Reason,
    Tracker,
    assert_audit_failed,
    assert_executed,
    assert_failed,
    assert_only_executed,
    assert_outcomes,
    assert_skipped,
)


def run_at(time: str, warehouse: Context) -> None:
    with time_machine.travel(f"{time}Z", tick=True):
        warehouse.run()


def deliver(sql: str, warehouse: Context) -> None:
    warehouse.engine_adapter.execute(sql)


def test_a_healthy_night(warehouse: Context, sqlmesh_tracker: Tracker) -> None:
    run_at("2024-03-05 06:00", warehouse)

    assert_only_executed(sqlmesh_tracker, "staging.*", "billing.*", "crm.*", "reports.*")
    assert_skipped(
        sqlmesh_tracker,
        "raw.customers",
        "raw.payments",
        "raw.bank_statements",
        reason="not_evaluatable",
    )


def test_a_text_that_is_no_amount_stops_revenue_alone(
    warehouse: Context, sqlmesh_tracker: Tracker
) -> None:
    deliver("UPDATE raw.payments SET amount = 'n/a' WHERE paid_on = '2024-03-04'", warehouse)

    run_at("2024-03-05 06:00", warehouse)

    assert_failed(sqlmesh_tracker, "billing.charges", reason="error", match="Could not convert")
    assert_skipped(
        sqlmesh_tracker,
        "reports.daily_revenue",
        "reports.revenue_by_country",
        "reports.reconciliation",
        reason="upstream_failed",
    )
    assert_only_executed(
        sqlmesh_tracker,
        "staging.*",
        "billing.payment_volume",
        "crm.contacts",
        "reports.payment_monitor",
        "reports.newsletter",
    )


def test_the_run_after_the_repair_catches_up(warehouse: Context, sqlmesh_tracker: Tracker) -> None:
    deliver("UPDATE raw.payments SET amount = 'n/a' WHERE paid_on = '2024-03-04'", warehouse)
    run_at("2024-03-05 06:00", warehouse)
    deliver("UPDATE raw.payments SET amount = '9.50' WHERE amount = 'n/a'", warehouse)

    run_at("2024-03-05 06:30", warehouse)

    assert_only_executed(
        sqlmesh_tracker,
        "billing.charges",
        "reports.daily_revenue",
        "reports.revenue_by_country",
        "reports.reconciliation",
    )
    assert_skipped(sqlmesh_tracker, "staging.*", "crm.*", reason="cron_not_due")


def test_a_bad_day_does_not_undo_a_good_one(warehouse: Context, sqlmesh_tracker: Tracker) -> None:
    deliver("UPDATE raw.payments SET amount = 'n/a' WHERE paid_on = '2024-03-05'", warehouse)

    run_at("2024-03-06 06:00", warehouse)

    assert_failed(sqlmesh_tracker, "billing.charges")
    charges = sqlmesh_tracker.last["billing.charges"]
    assert charges.partial
    assert [batch.status for batch in charges.batches] == ["executed", "failed"]


def test_a_customer_twice_is_stopped_by_the_audit(
    warehouse: Context, sqlmesh_tracker: Tracker
) -> None:
    deliver("INSERT INTO raw.customers VALUES (4, 'emmy@example.org', 'DE')", warehouse)

    run_at("2024-03-05 06:00", warehouse)

    assert_audit_failed(sqlmesh_tracker, "staging.customers", "unique_values")
    assert_failed(sqlmesh_tracker, "staging.customers", reason="audit_failed")
    assert_skipped(
        sqlmesh_tracker,
        "crm.contacts",
        "reports.newsletter",
        "reports.revenue_by_country",
        reason="upstream_failed",
    )
    assert_executed(sqlmesh_tracker, "billing.*", "reports.daily_revenue", "reports.reconciliation")


def test_two_failures_are_both_named_as_root_causes(
    warehouse: Context, sqlmesh_tracker: Tracker
) -> None:
    deliver("UPDATE raw.payments SET amount = 'n/a' WHERE paid_on = '2024-03-04'", warehouse)
    deliver("INSERT INTO raw.customers VALUES (4, 'emmy@example.org', 'DE')", warehouse)

    run_at("2024-03-05 06:00", warehouse)

    assert sqlmesh_tracker.last.failed == {"billing.charges", "staging.customers"}
    blocked_by = {
        name: set(sqlmesh_tracker.last[name].blocked_by)
        for name in sqlmesh_tracker.last.by_reason[Reason.UPSTREAM_FAILED]
    }
    assert blocked_by == {
        "crm.contacts": {"staging.customers"},
        "reports.newsletter": {"staging.customers"},
        "reports.daily_revenue": {"billing.charges"},
        "reports.reconciliation": {"billing.charges"},
        "reports.revenue_by_country": {"billing.charges", "staging.customers"},
    }


def test_a_missing_address_stops_nobody(warehouse: Context, sqlmesh_tracker: Tracker) -> None:
    deliver("UPDATE raw.customers SET email = NULL WHERE customer_id = 4", warehouse)

    run_at("2024-03-05 06:00", warehouse)

    assert_audit_failed(sqlmesh_tracker, "crm.contacts", "not_null")
    assert_executed(sqlmesh_tracker, "crm.contacts", "reports.newsletter")
    assert sqlmesh_tracker.last.completion == "success"


def test_a_late_bank_holds_back_its_statement_and_the_reconciliation(
    warehouse: Context, sqlmesh_tracker: Tracker
) -> None:
    deliver("DELETE FROM raw.bank_statements WHERE statement_date = '2024-03-04'", warehouse)

    run_at("2024-03-05 06:00", warehouse)

    assert_outcomes(
        sqlmesh_tracker,
        {
            "staging.bank_statements": "signal_not_ready",
            "reports.reconciliation": "upstream_not_ready",
        },
    )
    assert sqlmesh_tracker.last["reports.reconciliation"].blocked_by == ("staging.bank_statements",)
    assert_executed(
        sqlmesh_tracker, "billing.*", "crm.*", "reports.daily_revenue", "reports.revenue_by_country"
    )


def test_the_days_that_the_bank_has_delivered_are_loaded(
    warehouse: Context, sqlmesh_tracker: Tracker
) -> None:
    deliver("DELETE FROM raw.bank_statements WHERE statement_date = '2024-03-05'", warehouse)

    run_at("2024-03-06 06:00", warehouse)

    late = ("staging.bank_statements", "reports.reconciliation")
    assert_executed(sqlmesh_tracker, *late, intervals=("2024-03-04", "2024-03-05"))
    assert_outcomes(
        sqlmesh_tracker, dict(zip(late, ("signal_not_ready", "upstream_not_ready"), strict=True))
    )
