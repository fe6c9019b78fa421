"""How commands end: every completion except success is a finding, regardless of the models."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sqlmesh_tracker import GatePolicy, ModelOutcome, Reason, Status
from tests.builders import executed, failed, interrupted, run, skipped, unknown

from .test_gate import evaluate, kinds_and_models

CUT_OFF = [failed("a.x"), interrupted("a.x"), unknown("a.x")]


@pytest.mark.parametrize(
    ("facts", "kind", "message"),
    [
        (
            {"completion": "interrupted", "error": "KeyboardInterrupt"},
            "command_interruption",
            "the run was interrupted: KeyboardInterrupt",
        ),
        ({"completion": "interrupted"}, "command_interruption", "the run was interrupted"),
        (
            {"completion": "raised", "command": "plan", "error": "PlanError: no\nluck"},
            "command_error",
            "the plan raised PlanError: no luck",
        ),
        ({"completion": "raised"}, "command_error", "the run raised an exception"),
        (
            {"completion": "failure", "error": "PlanError: Plan application failed."},
            "command_error",
            "the run failed: PlanError: Plan application failed.",
        ),
        (
            {"completion": "failure"},
            "command_error",
            "the run failed, although no model is reported as failed",
        ),
    ],
)
@pytest.mark.parametrize(
    "outcomes",
    [(), (skipped("a.x"), skipped("raw.y", "not_evaluatable", kind="external"))],
    ids=["no models", "skips"],
)
def test_a_completion_without_a_responsible_model_is_a_finding(
    outcomes: tuple[ModelOutcome, ...], facts: dict[str, Any], kind: str, message: str
) -> None:
    result = GatePolicy().evaluate(run(*outcomes, **facts))
    assert not result
    assert [(f.kind, f.model, f.message) for f in result.findings] == [(kind, None, message)]
    assert result.on_reports == result.findings


@pytest.mark.parametrize("completion", ["success", "nothing_to_do"])
def test_a_success_needs_no_explanation(completion: str) -> None:
    assert GatePolicy().evaluate(run(skipped("a.x"), completion=completion))


@pytest.mark.parametrize("completion", ["failure", "interrupted", "raised"])
@pytest.mark.parametrize("made", CUT_OFF, ids=lambda made: made.status)
def test_with_a_responsible_model_only_the_model_is_a_finding(
    made: ModelOutcome, completion: str
) -> None:
    result = GatePolicy().evaluate(run(made, skipped("a.y"), completion=completion))
    assert [model for _, model in kinds_and_models(result)] == ["a.x"]


def test_a_skip_does_not_explain_an_error() -> None:
    report = run(skipped("a.x", "signal_not_ready"), completion="raised", error="ValueError")
    assert kinds_and_models(GatePolicy().evaluate(report)) == [
        ("unexpected_skip", "a.x"),
        ("command_error", None),
    ]


def test_a_failure_is_allowed_with_all_of_its_failed_models() -> None:
    rules = [{"models": "a.*", "allow": ["failed", "upstream_failed"]}]
    night = (failed("a.x"), skipped("a.y", "upstream_failed"), executed("b.x"))
    assert evaluate(rules, run(*night, completion="failure"))
    plan = run(*night, command="plan", completion="failure", error="PlanError: failed")
    assert evaluate(rules, plan)
    mixed = run(*night, failed("b.y"), completion="failure")
    assert kinds_and_models(evaluate(rules, mixed)) == [("failure", "b.y")]


def test_an_error_next_to_failed_models_is_not_allowed_with_them() -> None:
    night = run(failed("a.x"), completion="failure", error="SQLMeshError: after_all failed")
    result = evaluate([{"models": "*", "allow": ["failed"]}], night)
    assert kinds_and_models(result) == [("command_error", None)]
    assert result.findings[0].message == "the run failed: SQLMeshError: after_all failed"


@pytest.mark.parametrize("completion", ["interrupted", "raised"])
@pytest.mark.parametrize("made", CUT_OFF, ids=lambda made: made.status)
@pytest.mark.parametrize(
    "rule",
    [
        {"models": "*", "allow": [*Status, *Reason]},
        {"models": "*", "deny": [*Status], "severity": "warning"},
    ],
    ids=["allow", "warn"],
)
def test_no_rule_allows_other_completions(
    rule: dict[str, Any], made: ModelOutcome, completion: str
) -> None:
    result = evaluate([rule], run(made, completion=completion))
    assert [model for _, model in kinds_and_models(result)] == [None]


def test_the_summary_counts_completions() -> None:
    ended = (run(completion="interrupted"), run(completion="interrupted"), run())
    assert GatePolicy().evaluate(*ended).summary == (
        "gate failed: 2 command interruptions (0 outcomes in 3 reports)"
    )
