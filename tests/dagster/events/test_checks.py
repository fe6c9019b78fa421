"""Asset checks made from outcomes: their descriptions, and the severity of failures."""

from __future__ import annotations

import dagster as dg

from pytest_sqlmesh_tracker import AuditOutcome
from pytest_sqlmesh_tracker.dagster.events.checks import audit_check
from tests.builders import failed


def test_an_audit_that_could_not_be_run_fails_as_an_error() -> None:
    broken = AuditOutcome(name="known", blocking=False, passed=False, error="IOException: x")
    made = failed("shop.revenue", error=broken.error, audits=(broken,))
    key = dg.AssetCheckKey(dg.AssetKey(["shop", "revenue"]), "known")
    check = audit_check(made, broken, key)
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert check.description == "could not be run: IOException: x"
