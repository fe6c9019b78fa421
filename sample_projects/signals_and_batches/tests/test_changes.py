"""What a plan executes after an edit, and what the next run does.

Loaded so far: up to 2024-05-10. Charged so far is what was settled: up to 2024-05-08.
"""

from __future__ import annotations

import pytest
from sqlmesh.utils.errors import PlanError

from pytest_sqlmesh_tracker import Sandbox

pytestmark = pytest.mark.sqlmesh_project(at="2024-05-11 06:00")

CHARGES = "models/billing/charges.sql"
BUILT_ON_CHARGES = ("billing.balances", "reports.margin")


def edit(project: Sandbox, file: str, old: str, new: str) -> None:
    text = (project.path / file).read_text()
    assert old in text
    project.write(file, text.replace(old, new))


def raise_the_standing_charge(project: Sandbox) -> None:
    edit(project, CHARGES, "tariffs.cents_per_day", "tariffs.cents_per_day + 5")
    edit(project, "tests/test_charges.yaml", "amount: 3.45", "amount: 3.50")


def test_a_new_rule_for_peaks_is_previewed_and_applies_from_then_on(
    sqlmesh_project: Sandbox,
) -> None:
    peaks = "SELECT kw > 10 FROM {}.peak_load ORDER BY day"
    edit(sqlmesh_project, "models/grid/peak_load.sql", "MAX(kwh / 6)", "MAX(kwh)")

    report = sqlmesh_project.plan("dev")

    # The preview begins with the last day that the weekly model has.
    report.assert_only_executed("grid.peak_load", "reports.capacity")
    report.assert_executed("grid.peak_load", intervals=("2024-05-04", "2024-05-11"))
    assert sqlmesh_project.fetch(peaks.format("grid__dev")) == [(True,)] * 7

    report = sqlmesh_project.plan("prod")

    report.assert_nothing_executed()
    report.assert_skipped("grid.peak_load", "reports.capacity", reason="reused")

    report = sqlmesh_project.run(at="2024-05-12 06:00")

    report.assert_executed("grid.peak_load", intervals=("2024-05-11", "2024-05-12"))
    assert sqlmesh_project.fetch(peaks.format("grid")) == [(False,)] * 10 + [(True,)]


def test_a_change_of_charges_rebuilds_settled_days(sqlmesh_project: Sandbox) -> None:
    raise_the_standing_charge(sqlmesh_project)

    report = sqlmesh_project.plan()

    report.assert_only_executed("billing.charges", *BUILT_ON_CHARGES)
    report.assert_executed("billing.charges", intervals=("2024-05-01", "2024-05-09"), batches=2)


def test_a_deploy_that_must_not_rebuild_anything(sqlmesh_project: Sandbox) -> None:
    raise_the_standing_charge(sqlmesh_project)

    report = sqlmesh_project.plan(forward_only=True)

    report.assert_nothing_executed()
    report.assert_skipped("billing.charges", *BUILT_ON_CHARGES, reason="reused")

    report = sqlmesh_project.run(at="2024-05-12 06:00")

    # The next run goes on where the old charges end.
    changed = ("billing.charges", *BUILT_ON_CHARGES)
    report.assert_executed(*changed, intervals=("2024-05-09", "2024-05-10"), batches=1)
    assert {report[name].batches[0].start.day for name in changed} == {9}


def test_a_skipped_backfill_is_only_postponed(sqlmesh_project: Sandbox) -> None:
    raise_the_standing_charge(sqlmesh_project)

    report = sqlmesh_project.plan("dev", skip_backfill=True)

    report.assert_nothing_executed()
    report.assert_skipped("billing.charges", *BUILT_ON_CHARGES, reason="backfill_skipped")
    assert sqlmesh_project.fetch("SELECT COUNT(*) FROM billing__dev.charges") == [(0,)]

    report = sqlmesh_project.run("dev", at="2024-05-12 06:00")

    report.assert_executed(
        "billing.charges", *BUILT_ON_CHARGES, intervals=("2024-05-01", "2024-05-10")
    )


def test_a_stricter_audit_runs_on_loaded_data(sqlmesh_project: Sandbox) -> None:
    edit(sqlmesh_project, "models/metering/readings.sql", "max_v := 50", "max_v := 40")

    report = sqlmesh_project.plan()

    report.assert_nothing_executed()
    report.assert_outcomes({"metering.readings": "audited", "metering.consumption": "reused"})


def test_a_new_tariff_is_built_in_dev_and_reused_in_prod(sqlmesh_project: Sandbox) -> None:
    edit(sqlmesh_project, "seeds/tariffs.csv", "3,Trade", "4,Farm,25,90\n3,Trade")

    in_dev = sqlmesh_project.plan("dev")
    in_prod = sqlmesh_project.plan("prod")

    in_dev.assert_only_executed("reference.tariffs", "billing.charges", *BUILT_ON_CHARGES)
    in_prod.assert_nothing_executed()
    in_prod.assert_outcomes(dict.fromkeys(in_dev.executed, "reused"))


def test_a_macro_that_fails_the_unit_test_is_not_planned(sqlmesh_project: Sandbox) -> None:
    # Of a sum of cents, only the last one would be divided.
    edit(sqlmesh_project, "macros/__init__.py", "(({cents}) / 100)", "({cents} / 100)")

    with pytest.raises(PlanError, match="failing test"):
        sqlmesh_project.plan()

    report = sqlmesh_project.tracker.last
    report.assert_nothing_executed()
    assert report["billing.charges"].reason == "command_failed"
