"""Findings that are the same for many models are one line in every format."""

from __future__ import annotations

from pytest_sqlmesh_tracker import GatePolicy, ModelOutcome, RunReport
from pytest_sqlmesh_tracker.render.alike import in_groups
from tests.builders import executed, failed, outcome, run


def waiting(name: str) -> ModelOutcome:
    return outcome(name, "interrupted", "environment_missing", message="prod does not exist")


def lines(report: RunReport) -> list[str]:
    return [finding.message for finding in in_groups(GatePolicy().evaluate(report).findings)]


def test_the_same_finding_of_many_models_is_one_line_and_the_result_keeps_all() -> None:
    report = run(*(waiting(f"shop.{letter}") for letter in "abcde"))
    assert lines(report) == ["shop.a, shop.b, shop.c and 2 more were prod does not exist"]
    assert [finding.model for finding in GatePolicy().evaluate(report).findings] == list(
        report.outcomes
    )


def test_three_models_are_all_named() -> None:
    report = run(*(failed(f"shop.{letter}") for letter in "abc"), executed("shop.d"))
    assert lines(report) == [
        "shop.a, shop.b and shop.c failed: its evaluation raised ValueError: no luck"
    ]


def test_two_or_different_findings_are_not_merged() -> None:
    others = (failed(f"shop.{n}", error=f"ValueError: {n}") for n in range(3))
    report = run(waiting("shop.a"), *others, waiting("shop.b"))
    assert [line.split()[0] for line in lines(report)] == list(report.outcomes)


def test_findings_of_different_invocations_are_not_merged() -> None:
    reports = [run(waiting("shop.a"), waiting("shop.b")) for _ in range(2)]
    findings = GatePolicy().evaluate(*reports).findings
    assert in_groups(findings) == list(findings)
