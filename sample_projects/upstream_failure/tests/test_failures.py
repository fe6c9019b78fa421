"""What fails, what is skipped as a result, and what still runs. Loaded so far: up to 2024-03-03."""

from __future__ import annotations

import pytest

from pytest_sqlmesh_tracker import Reason, Sandbox

pytestmark = pytest.mark.sqlmesh_project(at="2024-03-04 06:00")


def test_a_healthy_night(sqlmesh_project: Sandbox) -> None:
    report = sqlmesh_project.run(at="2024-03-05 06:00")

    report.assert_only_executed("staging.*", "billing.*", "crm.*", "reports.*")
    report.assert_skipped(
        "raw.customers", "raw.payments", "raw.bank_statements", reason="not_evaluatable"
    )


def test_an_invalid_amount_stops_only_revenue(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.execute("UPDATE raw.payments SET amount = 'n/a' WHERE paid_on = '2024-03-04'")

    report = sqlmesh_project.run(at="2024-03-05 06:00")

    report.assert_failed("billing.charges", reason="error", match="Could not convert")
    report.assert_skipped(
        "reports.daily_revenue",
        "reports.revenue_by_country",
        "reports.reconciliation",
        reason="upstream_failed",
    )
    report.assert_only_executed(
        "staging.*",
        "billing.payment_volume",
        "crm.contacts",
        "reports.payment_monitor",
        "reports.newsletter",
    )


def test_the_run_after_the_repair_catches_up(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.execute("UPDATE raw.payments SET amount = 'n/a' WHERE paid_on = '2024-03-04'")
    sqlmesh_project.run(at="2024-03-05 06:00")
    sqlmesh_project.execute("UPDATE raw.payments SET amount = '9.50' WHERE amount = 'n/a'")

    report = sqlmesh_project.run(at="2024-03-05 06:30")

    report.assert_only_executed(
        "billing.charges",
        "reports.daily_revenue",
        "reports.revenue_by_country",
        "reports.reconciliation",
    )
    report.assert_skipped("staging.*", "crm.*", reason="cron_not_due")


def test_a_bad_day_does_not_undo_a_good_one(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.execute("UPDATE raw.payments SET amount = 'n/a' WHERE paid_on = '2024-03-05'")

    report = sqlmesh_project.run(at="2024-03-06 06:00")

    report.assert_failed("billing.charges")
    charges = report["billing.charges"]
    assert charges.partial
    assert [batch.status for batch in charges.batches] == ["executed", "failed"]


def test_a_duplicate_customer_fails_the_audit(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.execute("INSERT INTO raw.customers VALUES (4, 'emmy@example.org', 'DE')")

    report = sqlmesh_project.run(at="2024-03-05 06:00")

    report.assert_audit_failed("staging.customers", "unique_values")
    report.assert_failed("staging.customers", reason="audit_failed")
    report.assert_skipped(
        "crm.contacts",
        "reports.newsletter",
        "reports.revenue_by_country",
        reason="upstream_failed",
    )
    report.assert_executed("billing.*", "reports.daily_revenue", "reports.reconciliation")


def test_two_failures_are_both_named_as_root_causes(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.execute("UPDATE raw.payments SET amount = 'n/a' WHERE paid_on = '2024-03-04'")
    sqlmesh_project.execute("INSERT INTO raw.customers VALUES (4, 'emmy@example.org', 'DE')")

    report = sqlmesh_project.run(at="2024-03-05 06:00")

    assert report.failed == {"billing.charges", "staging.customers"}
    blocked_by = {
        name: set(report[name].blocked_by) for name in report.by_reason[Reason.UPSTREAM_FAILED]
    }
    assert blocked_by == {
        "crm.contacts": {"staging.customers"},
        "reports.newsletter": {"staging.customers"},
        "reports.daily_revenue": {"billing.charges"},
        "reports.reconciliation": {"billing.charges"},
        "reports.revenue_by_country": {"billing.charges", "staging.customers"},
    }


def test_a_missing_address_stops_nothing(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.execute("UPDATE raw.customers SET email = NULL WHERE customer_id = 4")

    report = sqlmesh_project.run(at="2024-03-05 06:00")

    report.assert_audit_failed("crm.contacts", "not_null")
    report.assert_executed("crm.contacts", "reports.newsletter")
    assert report.completion == "success"


def test_a_late_bank_holds_back_its_statement_and_the_reconciliation(
    sqlmesh_project: Sandbox,
) -> None:
    sqlmesh_project.execute("DELETE FROM raw.bank_statements WHERE statement_date = '2024-03-04'")

    report = sqlmesh_project.run(at="2024-03-05 06:00")

    report.assert_outcomes(
        {
            "staging.bank_statements": "signal_not_ready",
            "reports.reconciliation": "upstream_not_ready",
        }
    )
    assert report["reports.reconciliation"].blocked_by == ("staging.bank_statements",)
    report.assert_executed(
        "billing.*", "crm.*", "reports.daily_revenue", "reports.revenue_by_country"
    )


def test_only_days_that_the_bank_has_delivered_are_loaded(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.execute("DELETE FROM raw.bank_statements WHERE statement_date = '2024-03-05'")

    report = sqlmesh_project.run(at="2024-03-06 06:00")

    late = ("staging.bank_statements", "reports.reconciliation")
    report.assert_executed(*late, intervals=("2024-03-04", "2024-03-05"))
    report.assert_outcomes(dict(zip(late, ("signal_not_ready", "upstream_not_ready"), strict=True)))


def test_a_broken_view_stops_everything_downstream_of_payments(sqlmesh_project: Sandbox) -> None:
    # No bad row breaks a view: it is read by others alone.
    sqlmesh_project.fail("staging.payments", error="the provider's export is locked")

    report = sqlmesh_project.run(at="2024-03-05 06:00")

    report.assert_failed("staging.payments", match="export is locked")
    report.assert_only_executed(
        "staging.customers", "staging.bank_statements", "crm.contacts", "reports.newsletter"
    )
    blocked = report.by_reason[Reason.UPSTREAM_FAILED]
    assert {report[name].blocked_by for name in blocked} == {("staging.payments",)}


def test_a_failed_night_is_retried_until_it_succeeds(sqlmesh_project: Sandbox) -> None:
    sqlmesh_project.fail("staging.customers", audit="unique_values", times=2)

    sqlmesh_project.run(at="2024-03-05 06:00").assert_failed("staging.customers")
    sqlmesh_project.run(at="+30 minutes").assert_failed("staging.customers")
    report = sqlmesh_project.run(at="+30 minutes")

    report.assert_only_executed(
        "staging.customers", "crm.contacts", "reports.newsletter", "reports.revenue_by_country"
    )
