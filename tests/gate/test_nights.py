"""Limits of waiting and of age in projects that SQLMesh runs night after night."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sqlmesh_tracker import GatePolicy, RunReport
from pytest_sqlmesh_tracker.gate import GateResult
from tests.projects import Project, at, read_between, rows_every

PLANNED = "2024-01-04 00:05"
TOLERANT: dict[str, Any] = {
    "models": "bank.*",
    "tolerate": {"reason": "signal_not_ready", "for": "2 days"},
}
FRESH: dict[str, Any] = {"models": "*", "fresh_within": "26 hours"}
DAILY = "'@daily'"
# The days up to this one have arrived.
SIGNAL = """
import os
from datetime import datetime, timezone

from sqlmesh import signal

@signal()
def arrived(batch):
    end = datetime.fromisoformat(os.environ["ARRIVED"]).replace(tzinfo=timezone.utc)
    return [interval for interval in batch if interval[1] <= end]
"""


@pytest.fixture
def bank(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """statements, which waits for a signal → ledger → report; and accounts, which does not wait."""
    monkeypatch.setenv("ARRIVED", "2024-01-04")
    project.write("signals/arrived.py", SIGNAL)
    project.incremental("bank.statements", rows_every("1 day"), cron=DAILY, signals="[arrived()]")
    project.incremental("bank.accounts", rows_every("1 day"), cron=DAILY)
    project.incremental("finance.ledger", read_between("bank.statements"), cron=DAILY)
    project.model("finance.report", "SELECT COUNT(*) AS n FROM finance.ledger", cron=DAILY)
    return project


def night(project: Project, moment: str) -> RunReport:
    """A run with exactly this execution time."""
    with at(moment):
        return project.run(execution_time=moment)


def judge(report: RunReport, *rules: dict[str, Any]) -> GateResult:
    return GatePolicy(rules).evaluate(report)


@pytest.mark.long
def test_a_model_that_a_signal_holds_back_is_tolerated_for_exactly_two_days(
    bank: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = {"bank.statements", "finance.ledger", "finance.report"}
    with at(PLANNED):
        assert judge(bank.plan(), TOLERANT)
    for moment in ("2024-01-05 00:05", "2024-01-06 00:05", "2024-01-07 00:00"):
        report = night(bank, moment)
        assert report.skipped >= waiting
        result = judge(report, TOLERANT)
        assert result.passed, moment
        assert {finding.model for finding in result.tolerated} == waiting
        assert not judge(report)
    report = night(bank, "2024-01-07 00:00:01")
    result = judge(report, TOLERANT)
    assert {finding.model for finding in result.findings} == waiting
    assert (
        "held back since 2024-01-05 00:00 UTC, tolerated for 2 days, until 2024-01-07 00:00 UTC"
    ) in result.findings[0].message

    monkeypatch.setenv("ARRIVED", "2024-01-08")
    report = night(bank, "2024-01-08 00:05")
    report.assert_executed(*waiting)
    result = judge(report, TOLERANT)
    assert result.passed
    assert not result.tolerated


@pytest.mark.long
def test_a_model_that_is_held_back_in_part_waits_since_the_first_day_that_is_missing(
    bank: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with at(PLANNED):
        bank.plan()
    monkeypatch.setenv("ARRIVED", "2024-01-06")
    report = night(bank, "2024-01-08 00:05")
    report.assert_executed("bank.statements", "finance.ledger")
    # It waits since the 7th, for one of two days.
    result = judge(report, TOLERANT)
    assert result.passed
    assert [finding.model for finding in result.tolerated] == ["bank.statements"]
    monkeypatch.setenv("ARRIVED", "2024-01-07")
    report = night(bank, "2024-01-10 00:05")
    report.assert_executed("bank.statements")
    [finding] = judge(report, TOLERANT).findings
    assert (finding.kind, finding.model) == ("unexpected_execution", "bank.statements")
    assert "held back since 2024-01-08 00:00 UTC" in finding.message


@pytest.mark.long
def test_a_model_is_late_26_hours_after_the_end_of_its_data(bank: Project) -> None:
    allow = {"models": "*", "allow": ["signal_not_ready", "upstream_not_ready"]}
    with at(PLANNED):
        bank.plan()
    report = night(bank, "2024-01-05 02:00")
    assert judge(report, allow, FRESH)
    report = night(bank, "2024-01-05 02:00:01")
    result = judge(report, allow, FRESH)
    assert [finding.model for finding in result.findings] == [
        "bank.statements",
        "finance.ledger",
        "finance.report",
    ]
    assert result.findings[0].message == (
        "bank.statements is loaded up to 2024-01-04 00:00 UTC, which is 26 hours 1 second old: "
        "rule 2 (*) allows at most 26 hours"
    )
    by_name = {**FRESH, "models": ["finance.report", "bank.accounts"]}
    assert [f.model for f in judge(report, allow, by_name).findings] == ["finance.report"]


@pytest.mark.long
def test_a_model_of_which_nothing_was_ever_loaded_is_late(
    bank: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARRIVED", "2024-01-01")
    with at(PLANNED):
        plan, run = bank.plan(), bank.run()
    for report in (plan, run):
        stale = [f for f in judge(report, FRESH).findings if f.kind == "stale_model"]
        assert [finding.model for finding in stale] == [
            "bank.statements",
            "finance.ledger",
            "finance.report",
        ]
        assert stale[0].predicate.startswith("has nothing loaded: ")


@pytest.mark.long
def test_what_is_never_loaded_again_is_not_late(project: Project) -> None:
    project.write("seeds/countries.csv", "id,name\n1,Chile\n")
    project.model("s.countries", "", kind="SEED (path '../seeds/countries.csv')")
    project.write("external_models.yaml", "- name: raw.till\n  columns: {n: int}\n")
    project.incremental("s.closed", rows_every("1 day"), end="'2024-01-02'")
    project.incremental("s.open", rows_every("1 day"))
    project.model("s.view", "SELECT * FROM s.open", kind="VIEW")
    project.model("s.embedded", "SELECT * FROM s.open", kind="EMBEDDED")
    names = ["s.countries", "raw.till", "s.closed", "s.embedded"]
    with at(PLANNED):
        project.plan()
    with at("2024-01-09 00:05"):
        # A plan leaves to the next run what only time has made missing.
        plan = project.plan()
        assert judge(plan, FRESH, {"models": names, "fresh_within": "1 hour"})
        selected = project.run(select_models=["s.view"], no_auto_upstream=True)
        late = judge(selected, {"models": [*names, "s.open"], "fresh_within": "1 hour"})
        assert [finding.model for finding in late.findings] == ["s.open"]
        assert judge(project.run(), FRESH)
