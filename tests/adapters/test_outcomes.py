"""On each engine, reports agree with those on DuckDB and with what SQLMesh and the tables show."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_sqlmesh_tracker import RunReport
from tests.projects import check_against_state

from .scenario import SCENARIO, History
from .witnesses import false_statements

# Drivers cause warnings that do not concern this package.
pytestmark = pytest.mark.filterwarnings("default")
steps = pytest.mark.parametrize("step", [step.title for step in SCENARIO])

_OF_THE_ENGINE: Any = {
    # Names are folded as the engine does, and errors are quoted.
    **dict.fromkeys(("name", "fqn", "error", "message"), True),
    # What is measured.
    **dict.fromkeys(("rows", "bytes", "duration", "started_at", "finished_at"), True),
    # Models that do not depend on each other start in any order.
    "start_order": True,
    "batches": {"__all__": {"rows", "bytes", "duration"}},
    "audits": {"__all__": {"arguments"}},
}


def outcomes(report: RunReport) -> dict[str, Any]:
    """Everything about the models that does not depend on the engine, by name."""
    return {
        name.lower(): json.loads(outcome.model_dump_json(exclude=_OF_THE_ENGINE).lower())
        for name, outcome in report.outcomes.items()
    }


@steps
def test_outcomes_are_those_of_duckdb(step: str, on_duckdb: History, on_engine: History) -> None:
    expected, actual = on_duckdb.played[step], on_engine.played[step]

    assert actual.raised is expected.raised
    assert actual.report.completion == expected.report.completion
    left_out = {f"shop.{model}" for model in on_engine.engine.left_out}
    assert outcomes(actual.report) == {
        name: outcome for name, outcome in outcomes(expected.report).items() if name not in left_out
    }


@steps
def test_reports_agree_with_state_evaluator_and_tables(step: str, on_engine: History) -> None:
    played = on_engine.played[step]

    check_against_state([played.report], played.before, played.after)
    assert false_statements(played) == []


@steps
def test_tables_have_as_many_rows_as_on_duckdb(
    step: str, on_duckdb: History, on_engine: History
) -> None:
    counts = on_engine.played[step].tables.counts
    expected = on_duckdb.played[step].tables.counts

    assert counts == {model: count for model, count in expected.items() if model in counts}


def test_the_scenario_has_every_status_and_many_reasons(on_engine: History) -> None:
    reports = [played.report for played in on_engine.played.values()]
    statuses = {outcome.status for report in reports for outcome in report.outcomes.values()}
    reasons = {reason for report in reports for reason in report.by_reason}

    assert statuses == {"executed", "failed", "skipped", "audited"}
    assert reasons > {
        "cron_not_due",
        "no_changes",
        "up_to_date",
        "upstream_failed",
        "error",
        "audit_failed",
    }
