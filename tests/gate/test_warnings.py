"""Warnings are reported, but do not decide whether the gate passes."""

from __future__ import annotations

from datetime import date
from typing import Any

from pytest_sqlmesh_tracker import GatePolicy, Status
from pytest_sqlmesh_tracker.gate import GateFinding
from pytest_sqlmesh_tracker.pytest_plugin.strict import StrictTest
from pytest_sqlmesh_tracker.wording.remarks import Fact
from tests.builders import audit, audited, executed, failed, interval, run, skipped

from .test_gate import evaluate, kinds_and_models

FACT = "nonblocking_audit_failed"
SMALL = audit("small", rows_failed=3, blocking=False)
ODD = executed("a.x", audits=(audit("not_null"), SMALL))


def judged(*rules: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Kinds of the findings and of the warnings on one model with a failed non-blocking audit."""
    result = evaluate([{"models": "a.*", **rule} for rule in rules], run(ODD))
    assert result.passed is (not result.findings)
    return [str(f.kind) for f in result.findings], [str(w.kind) for w in result.warnings]


class TestNonBlockingAudits:
    def test_a_failed_audit_is_a_warning_by_default(self) -> None:
        report = run(ODD)
        result = GatePolicy().evaluate(("t.py::night", report))
        assert result
        assert result.findings == result.on_reports == ()
        assert result.warnings == (
            GateFinding(
                kind=Fact.NONBLOCKING_AUDIT_FAILED,
                severity="warning",
                message="a.x has a failed non-blocking audit: small (3 rows)",
                report_index=0,
                test="t.py::night",
                command="run",
                environment="prod",
                execution_time=report.execution_time,
                model="a.x",
                status=Status.EXECUTED,
                audit="small",
            ),
        )

    def test_a_warning_is_given_once_for_each_model_audit_and_invocation(self) -> None:
        tiny = audit("tiny", rows_failed=1, blocking=False)
        report = run(ODD, audited("a.y", SMALL, tiny), failed("a.z", audits=(SMALL,)))
        warnings = GatePolicy().evaluate(report, run(ODD)).warnings
        assert [(warning.report_index, warning.model, warning.audit) for warning in warnings] == [
            (0, "a.x", "small"),
            (0, "a.y", "small"),
            (0, "a.y", "tiny"),
            (0, "a.z", "small"),
            (1, "a.x", "small"),
        ]

    def test_passed_and_blocking_audits_are_not_warnings(self) -> None:
        passed, blocking = audit("small", blocking=False), audit("big", rows_failed=1)
        assert GatePolicy().evaluate(run(executed("a.x", audits=(passed, blocking)))).warnings == ()

    def test_rules_allow_deny_or_warn(self) -> None:
        assert judged() == ([], [FACT])
        assert judged({"allow": FACT}) == ([], [])
        assert judged({"deny": FACT}) == ([FACT], [])
        assert judged({"deny": FACT, "severity": "warning"}) == ([], [FACT])

    def test_statuses_and_reasons_in_rules_do_not_apply(self) -> None:
        assert judged({"allow": ["executed", "audit_failed"]}) == ([], [FACT])
        assert judged({"deny": "audit_failed"}) == ([], [FACT])

    def test_the_last_rule_that_lists_the_fact_decides(self) -> None:
        allow = {"models": "*", "allow": FACT}
        deny = {"models": "a.x", "deny": FACT}
        other = {"models": "a.x", "deny": "cron_not_due"}
        assert not evaluate([allow, deny, other], run(ODD))
        assert evaluate([deny, allow, other], run(ODD)).passed
        warn = {**deny, "severity": "warning"}
        assert len(evaluate([allow, warn], run(ODD)).warnings) == 1

    def test_allowing_and_denying_is_a_contradiction(self) -> None:
        assert judged({"allow": FACT, "deny": FACT})[0] == [FACT, "contradiction"]
        assert judged({"deny": FACT}, {"allow": FACT})[0] == ["contradiction"]

    def test_a_warning_names_the_rule(self) -> None:
        rules = [{"models": "a.*", "deny": FACT, "why": "rows are money"}]
        [finding] = evaluate(rules, run(ODD)).findings
        assert finding.message == (
            "a.x has a failed non-blocking audit: small (3 rows) "
            "(denied by rule 1 (a.*, rows are money))"
        )
        assert finding.rule_index == 0


class TestSeverity:
    def test_a_denied_outcome_is_a_warning(self) -> None:
        rules = [{"models": "a.*", "deny": ["failed", "cron_not_due"], "severity": "warning"}]
        report = run(failed("a.x"), skipped("a.y"), failed("b.x"), completion="failure")
        result = evaluate(rules, report)
        assert kinds_and_models(result) == [("failure", "b.x")]
        assert [(warning.kind, warning.model) for warning in result.warnings] == [
            ("failure", "a.x"),
            ("unexpected_skip", "a.y"),
        ]
        assert evaluate(rules, run(failed("a.x"), completion="failure")).passed

    def test_an_unmet_requirement_is_a_warning(self) -> None:
        rules = [{"models": "a.*", "require": "executed", "severity": "warning"}]
        plan = run(executed("a.new"), command="plan")
        result = evaluate(rules, run(skipped("a.x")), plan)
        assert result.passed
        assert [(warning.kind, warning.model) for warning in result.warnings] == [
            ("required_not_executed", "a.x"),
            ("required_not_executed", "a.new"),
        ]

    def test_a_mistake_in_a_warning_rule_is_a_finding(self) -> None:
        rules = [{"models": "zz", "deny": "failed", "severity": "warning"}]
        assert kinds_and_models(evaluate(rules, run(ODD))) == [("unmatched_rule", None)]


class TestUpstreamBehind:
    DAY = (interval("2024-01-07", "2024-01-08"),)
    CHILD = executed("a.x", upstream_behind={"s.orders": DAY, "s.items": DAY})

    def test_is_a_warning_once_for_each_pair_and_invocation(self) -> None:
        result = GatePolicy().evaluate(run(self.CHILD), run(self.CHILD))
        assert result.passed
        assert [(w.report_index, w.model, w.upstream) for w in result.warnings] == [
            (0, "a.x", "s.orders"),
            (0, "a.x", "s.items"),
            (1, "a.x", "s.orders"),
            (1, "a.x", "s.items"),
        ]
        assert result.warnings[0].kind is Fact.UPSTREAM_BEHIND
        assert result.warnings[0].message == (
            "a.x was evaluated ahead of s.orders, which had not loaded 2024-01-07"
        )
        assert result.summary == "gate passed: 2 outcomes in 2 reports, 4 warnings"

    def test_a_rule_that_allows_it_silences_it(self) -> None:
        result = evaluate([{"models": "a.*", "allow": "upstream_behind"}], run(self.CHILD))
        assert result.passed
        assert not result.warnings

    def test_a_rule_that_denies_it_makes_findings(self) -> None:
        result = evaluate([{"models": "a.*", "deny": "upstream_behind"}], run(self.CHILD))
        assert kinds_and_models(result) == [("upstream_behind", "a.x")] * 2
        assert result.summary == "gate failed: 2 lagging upstream models (1 outcome in 1 report)"
        assert [finding.status for finding in result.findings] == [Status.EXECUTED] * 2

    def test_rules_for_one_fact_do_not_apply_to_another(self) -> None:
        both = self.CHILD.model_copy(update={"audits": (SMALL,)})
        result = evaluate([{"models": "a.*", "allow": "upstream_behind"}], run(both))
        assert [str(warning.kind) for warning in result.warnings] == [FACT]

    def test_strict_tests_ignore_it(self) -> None:
        test = StrictTest(GatePolicy(), (), date(2024, 1, 14))
        assert test.complaint([run(self.CHILD)]) == ""

    def test_strict_tests_report_it_if_a_rule_denies_it(self) -> None:
        policy = GatePolicy([{"models": "a.*", "deny": "upstream_behind"}])
        complaint = StrictTest(policy, (), date(2024, 1, 14)).complaint([run(self.CHILD)])
        assert "2 unexpected outcomes that the test did not assert" in complaint
        assert '  assert_executed("a.x")' in complaint


def test_the_summary_counts_warnings() -> None:
    both = run(ODD, executed("a.y", audits=(SMALL,)))
    allow = {"models": "a.z", "allow": "failed"}
    deny = {"models": "*", "deny": FACT}
    assert [
        GatePolicy().evaluate(run(ODD)).summary,
        evaluate([allow], run(ODD, failed("a.z"))).summary,
        GatePolicy().evaluate(both, run(failed("a.z"))).summary,
        evaluate([deny], both).summary,
    ] == [
        "gate passed: 1 outcome in 1 report, 1 warning",
        "gate passed: 2 outcomes in 1 report, 1 allowed by rules, 1 warning",
        "gate failed: 1 failure (3 outcomes in 2 reports, 2 warnings)",
        "gate failed: 2 failed non-blocking audits (2 outcomes in 1 report)",
    ]
