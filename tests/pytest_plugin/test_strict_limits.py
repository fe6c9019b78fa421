"""Strict tests are judged by the policy's limits of waiting and of age."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .shops import write_ini, write_shop

POLICY = """
[[tool.sqlmesh_tracker.gate.rules]]
models = "shop.orders"
tolerate = { reason = "signal_not_ready", for = "2 days" }

[[tool.sqlmesh_tracker.gate.rules]]
models = "shop.prices"
fresh_within = "26 hours"
"""
TESTS = """
import pytest

pytestmark = pytest.mark.sqlmesh_project(at="2024-01-09")

@pytest.fixture
def held(sqlmesh_project):
    sqlmesh_project.hold("shop.orders")
    return sqlmesh_project

def test_good_within_two_days(held):
    for day in ("2024-01-10", "2024-01-11"):
        assert held.run(at=day).skipped >= {"shop.orders", "shop.revenue"}

def test_bad_after_two_days(held):
    held.run(at="2024-01-12 00:05")

def test_good_asserted(held):
    report = held.run(at="2024-01-12 00:05")
    report.assert_skipped("shop.orders", reason="signal_not_ready")
    report.assert_skipped("shop.revenue", reason="upstream_not_ready")

@pytest.mark.sqlmesh_tracker(
    allow_skips={"shop.orders": "signal_not_ready", "shop.revenue": "upstream_not_ready"}
)
def test_good_allowed(held):
    held.run(at="2024-01-12 00:05")

def test_bad_old_data(sqlmesh_project):
    sqlmesh_project.run(at="2024-01-10 03:00", select_models=["shop.orders"])

def test_good_old_data_that_is_asserted(sqlmesh_project):
    report = sqlmesh_project.run(at="2024-01-10 03:00", select_models=["shop.orders"])
    report.assert_not_executed("shop.prices")
"""


@pytest.mark.long
def test_limits_judge_strict_tests(pytester: pytest.Pytester, planned_project: Path) -> None:  # noqa: ARG001
    write_shop(pytester)
    (pytester.path / "models/shop.prices.sql").write_text(
        "MODEL (name shop.prices, kind FULL, cron '@daily');\nSELECT 1 AS price"
    )
    (pytester.path / "pyproject.toml").write_text(POLICY)
    write_ini(pytester, "sqlmesh_tracker_strict = true")
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("-p", "no:xdist", "-rN")
    result.assert_outcomes(passed=6, errors=2)
    names = re.findall(r"^_+ ERROR at teardown of (\S+) _+$", str(result.stdout), re.MULTILINE)
    assert names == ["test_bad_after_two_days", "test_bad_old_data"]
    result.stdout.fnmatch_lines(
        [
            "sqlmesh_tracker strict: 2 unexpected outcomes that the test did not assert",
            "run of prod at 2024-01-12 00:05*",
            "  shop.orders was skipped: its signal was not ready (held_by_test); held back since "
            "2024-01-10 00:00 UTC, tolerated for 2 days, until 2024-01-12 00:00 UTC (by rule 1 "
            "(shop.orders))",
            "  shop.revenue was skipped: an upstream signal was not ready (shop.orders)",
            '  assert_skipped("shop.orders", reason="signal_not_ready")',
            "sqlmesh_tracker strict: 1 unexpected outcome that the test did not assert",
            "  shop.prices is loaded up to 2024-01-09 00:00 UTC, which is 27 hours* old: rule 2 "
            "(shop.prices) allows at most 26 hours",
            '  assert_skipped("shop.prices", reason="not_selected")',
        ]
    )
