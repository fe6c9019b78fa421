"""What a plan evaluates when a model was edited."""

from __future__ import annotations

import pytest

from pytest_sqlmesh_tracker import Sandbox

pytestmark = pytest.mark.sqlmesh_project(at="2024-01-08 09:05")


def edit(project: Sandbox, model: str, old: str, new: str) -> None:
    text = (project.path / model).read_text()
    assert old in text
    project.write(model, text.replace(old, new))


def test_a_new_rule_for_segments_rebuilds_nothing_else(sqlmesh_project: Sandbox) -> None:
    edit(sqlmesh_project, "models/marketing/segments.sql", "orders >= 10", "orders >= 5")

    report = sqlmesh_project.plan("dev", at="2024-01-08 09:10")

    report.assert_only_executed("marketing.segments")


def test_tables_built_in_dev_are_reused_in_prod(sqlmesh_project: Sandbox) -> None:
    edit(sqlmesh_project, "models/sales/orders_daily.sql", "SUM(amount)", "SUM(amount / 1.19)")

    in_dev = sqlmesh_project.plan("dev", at="2024-01-08 09:10")
    in_prod = sqlmesh_project.plan()

    assert "finance.weekly_revenue" in in_dev.executed
    in_prod.assert_nothing_executed()
    in_prod.assert_outcomes(dict.fromkeys(in_dev.executed, "reused"))
