"""What CI accepts: by default, by rules, and mistakes in rules."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from time import process_time
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
import time_machine
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_sqlmesh_tracker import ModelOutcome, Reason, RunReport, Status, UnknownModelError
from pytest_sqlmesh_tracker.gate import GateFinding, GatePolicy, GateResult, GateRule
from pytest_sqlmesh_tracker.gate.tolerance import Wait
from pytest_sqlmesh_tracker.gate.verdicts import verdict
from pytest_sqlmesh_tracker.outcomes.expected import unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.invocation import Completion
from pytest_sqlmesh_tracker.reports.files import Entry, entries_from_json, entries_to_json
from pytest_sqlmesh_tracker.wording.remarks import Fact
from tests.builders import (
    NOW,
    audit,
    audited,
    executed,
    failed,
    fqn,
    interrupted,
    outcome,
    run,
    skipped,
    unknown,
    utc,
)
from tests.drawing import unhurried

UNEXPECTED_SKIPS = {
    "upstream_failed",
    "signal_not_ready",
    "upstream_not_ready",
    "depends_on_past_gap",
    "not_in_environment",
    "not_applied",
    "backfill_emptied",
    "restatement_refused",
}


def evaluate(rules: Iterable[Any], *reports: Any, today: date | None = None) -> GateResult:
    return GatePolicy(rules).evaluate(*reports, today=today)


def kinds_and_models(result: GateResult) -> list[tuple[str, str | None]]:
    """Kind and model of each finding."""
    return [(finding.kind, finding.model) for finding in result.findings]


def messages(result: GateResult) -> list[str]:
    return [finding.message for finding in result.findings]


class TestDefault:
    """Without rules: the findings that every model repository needs."""

    @pytest.mark.parametrize("reason", Reason, ids=str)
    def test_a_skip_is_judged_by_its_primary_reason(self, reason: Reason) -> None:
        result = GatePolicy().evaluate(run(skipped("a.x", reason)))
        assert result.passed is (reason not in UNEXPECTED_SKIPS)
        assert kinds_and_models(result) == [("unexpected_skip", "a.x")] * (
            reason in UNEXPECTED_SKIPS
        )

    def test_other_reasons_do_not_count(self) -> None:
        both = skipped("a.x", "not_selected", "upstream_failed")
        assert GatePolicy().evaluate(run(both)).passed

    @pytest.mark.parametrize(
        ("made", "kinds"),
        [
            (executed("a.x"), []),
            (executed("a.x", reasons=("signal_not_ready",)), []),
            (audited("a.x", audit("not_null", rows_failed=2, blocking=False)), []),
            (failed("a.x"), ["failure"]),
            (failed("a.x", "audit_failed", kind="audit"), ["failure"]),
            (interrupted("a.x"), ["interruption"]),
            (unknown("a.x"), ["unknown_outcome"]),
        ],
        ids=lambda made: getattr(made, "status", None),
    )
    def test_other_statuses_have_defaults(self, made: ModelOutcome, kinds: list[str]) -> None:
        assert [kind for kind, _ in kinds_and_models(GatePolicy().evaluate(run(made)))] == kinds

    @pytest.mark.parametrize("command", ["run", "plan", "audit"])
    def test_all_commands_are_judged_alike(self, command: str) -> None:
        report = run(executed("a.x"), failed("a.y"), command=command)
        assert kinds_and_models(GatePolicy().evaluate(report)) == [("failure", "a.y")]

    def test_a_plan_without_changes_passes(self) -> None:
        report = run(skipped("a.x", "no_changes"), command="plan", completion="nothing_to_do")
        assert GatePolicy().evaluate(report)

    def test_an_error_without_interrupted_models_is_a_finding(self) -> None:
        report = run(executed("a.x"), completion="raised", error="ValueError: in\nafter_all")
        result = GatePolicy().evaluate(report)
        assert kinds_and_models(result) == [("command_error", None)]
        assert messages(result) == ["the run raised ValueError: in after_all"]
        assert result.summary == "gate failed: 1 command error (1 outcome in 1 report)"

    def test_an_error_that_interrupted_models_is_reported_for_the_models(self) -> None:
        report = run(interrupted("a.x", "command_failed"), completion="raised", error="ValueError")
        assert kinds_and_models(GatePolicy().evaluate(report)) == [("interruption", "a.x")]


class TestRules:
    late = skipped("marketing.leads", "signal_not_ready", signals={"partner_feed": ()})

    def test_allow(self) -> None:
        rules = [{"models": "marketing.*", "allow": ["signal_not_ready"]}]
        result = evaluate(rules, run(self.late, skipped("sales.orders", "signal_not_ready")))
        assert kinds_and_models(result) == [("unexpected_skip", "sales.orders")]
        assert result.allowed == 1

    def test_deny(self) -> None:
        rules = [{"models": "finance.*", "deny": ["cron_not_due"], "why": "they are hourly"}]
        result = evaluate(rules, run(skipped("finance.rates"), skipped("sales.weekly")))
        assert messages(result) == [
            "finance.rates was skipped: its cron was not due "
            "(denied by rule 1 (finance.*, they are hourly))"
        ]
        assert result.findings[0].rule == GatePolicy(rules).rules[0]
        assert result.findings[0].rule_index == 0

    def test_a_status_stands_for_all_its_reasons(self) -> None:
        report = run(failed("a.x"), failed("a.y", "audit_failed"))
        assert evaluate([{"models": "a.*", "allow": ["failed"]}], report).passed
        assert not evaluate([{"models": "a.*", "allow": ["error"]}], report).passed

    def test_the_last_rule_that_lists_a_word_decides(self) -> None:
        rules = [
            {"models": "*", "deny": ["skipped"]},
            {"models": "marketing.*", "allow": ["skipped"]},
            {"models": "marketing.leads", "deny": ["upstream_failed"]},
        ]
        assert evaluate(rules, run(self.late)).passed
        other = skipped("marketing.leads", "upstream_failed")
        assert evaluate(rules, run(other)).findings[0].rule_index == 2

    def test_the_last_rule_decides_even_if_it_is_broader(self) -> None:
        rules = [
            {"models": "marketing.leads", "allow": ["signal_not_ready"]},
            {"models": "*", "deny": ["skipped"]},
        ]
        assert kinds_and_models(evaluate(rules, run(self.late))) == [
            ("unexpected_skip", "marketing.leads")
        ]

    def test_within_a_rule_the_reason_takes_precedence_over_the_status(self) -> None:
        rules = [{"models": "a.*", "allow": ["failed"], "deny": ["audit_failed"]}]
        result = evaluate(rules, run(failed("a.x"), failed("a.y", "audit_failed")))
        assert kinds_and_models(result) == [("failure", "a.y")]

    def test_unknown_is_allowed_by_its_status_alone(self) -> None:
        report = run(unknown("a.x", reasons=("cron_not_due",), reason="cron_not_due"))
        assert not evaluate([{"models": "a.x", "allow": ["cron_not_due"]}], report)
        assert evaluate([{"models": "a.x", "allow": ["unknown"]}], report)

    def test_a_model_that_was_only_audited_can_be_denied(self) -> None:
        rules = [{"models": "a.x", "deny": ["audited"]}]
        assert kinds_and_models(evaluate(rules, run(audited("a.x")))) == [
            ("unexpected_audit", "a.x")
        ]


class TestRulesOnExecutedModels:
    """They are unexpected only where a rule denies one of their reasons, or the execution."""

    part = executed("a.x", reasons=("outside_window", "signal_not_ready"))

    def judged(self, *rules: dict[str, Any]) -> list[tuple[str, str | None]]:
        return kinds_and_models(
            evaluate([{"models": "a.*", **rule} for rule in rules], run(self.part))
        )

    def test_any_reason_of_an_executed_model_can_be_denied(self) -> None:
        assert self.judged({"deny": ["signal_not_ready"]}) == [("unexpected_execution", "a.x")]
        assert self.judged({"deny": ["upstream_failed", "skipped"]}) == []

    def test_a_later_rule_allows_the_reason(self) -> None:
        denied = {"deny": ["signal_not_ready", "outside_window"]}
        assert self.judged(denied, {"allow": ["signal_not_ready"]}) != []
        assert (
            self.judged(denied, {"allow": ["signal_not_ready", "outside_window"]})
            == [("contradiction", None)] * 2
        )
        until = {"until": date.max}
        assert self.judged(denied, {"allow": list(denied["deny"]), **until}) == []

    def test_a_later_rule_allows_the_execution(self) -> None:
        assert self.judged({"deny": ["signal_not_ready"]}, {"allow": ["executed"]}) == []

    def test_a_model_that_must_not_execute(self) -> None:
        rules = [{"models": "legacy.*", "deny": ["executed"]}]
        result = evaluate(rules, run(executed("legacy.x"), skipped("legacy.y")))
        assert messages(result) == [
            "legacy.x was executed in 1 batch (denied by rule 1 (legacy.*))"
        ]


class TestModelsOfRules:
    """Names and globs are those of the whole package: what assertions take, rules take."""

    @pytest.mark.parametrize("name", ["a.x", "A.X", "wh.a.x", fqn("a.x"), "a.*", "*.A.?", "[a]*"])
    def test_ways_to_name_a_model(self, name: str) -> None:
        rules = [{"models": ["b.y", name], "allow": ["failed"]}]
        assert evaluate(rules, run(failed("a.x"), executed("b.y"))).passed

    @pytest.mark.parametrize("kind", ["external", "embedded", "audit"])
    def test_only_exact_names_match_models_that_globs_leave_out(self, kind: str) -> None:
        report = run(failed("raw.rates", kind=kind), failed("raw.x"))
        by_glob = evaluate([{"models": "raw.*", "allow": ["failed"]}], report)
        assert kinds_and_models(by_glob) == [("failure", "raw.rates")]
        by_name = evaluate([{"models": ["raw.*", "raw.rates"], "allow": ["failed"]}], report)
        assert by_name.passed

    def test_a_name_with_glob_characters(self) -> None:
        report = run(failed("a.x[1]"), failed("a.x1"))
        result = evaluate([{"models": "a.x[1]", "allow": ["failed"]}], report)
        assert kinds_and_models(result) == [("failure", "a.x1")]

    def test_a_rule_need_not_match_every_report(self) -> None:
        rules = [{"models": "dev_only.*", "allow": ["failed"]}]
        reports = run(failed("dev_only.x"), environment="dev"), run(executed("a.x"))
        assert evaluate(rules, *reports).passed

    def test_each_report_has_its_own_names(self) -> None:
        rules = [{"models": "orders", "allow": ["failed"]}]
        other = run(failed("orders", fqn='"other"."orders"'), executed("a.x"))
        assert evaluate(rules, run(failed("orders")), other).passed


class TestRequire:
    rules = ({"models": "sales.*", "require": "executed"},)

    def test_a_model_executed_in_one_of_the_runs(self) -> None:
        reports = run(skipped("sales.orders")), run(executed("sales.orders")), run(executed("a.x"))
        assert evaluate(self.rules, *reports).passed

    def test_a_model_executed_in_no_run(self) -> None:
        result = evaluate(
            self.rules,
            ("t.py::late", run(skipped("sales.orders"), started_at=utc("2024-01-15"))),
            ("t.py::soon", run(failed("sales.orders", "error"), started_at=utc("2024-01-14"))),
        )
        finding = result.findings[-1]
        assert finding.message == (
            "sales.orders must execute according to rule 1 (sales.*), but did not in any of 2 "
            "runs; in the last one that lists it, it was skipped: its cron was not due"
        )
        assert (finding.kind, finding.status, finding.reason) == (
            "required_not_executed",
            "skipped",
            "cron_not_due",
        )
        assert (finding.report_index, finding.test, finding.rule_index) == (0, "t.py::late", 0)
        assert result.summary == (
            "gate failed: 1 failure, 1 unmet requirement (2 outcomes in 2 reports)"
        )

    def test_each_model_of_a_glob(self) -> None:
        result = evaluate(self.rules, run(executed("sales.a"), skipped("sales.b")))
        assert messages(result) == [
            "sales.b must execute according to rule 1 (sales.*), but did not in the run; "
            "it was skipped: its cron was not due"
        ]

    def test_require_beats_allow(self) -> None:
        rules = [{"models": "sales.*", "require": "executed", "allow": ["upstream_failed"]}]
        report = run(skipped("sales.orders", "upstream_failed"))
        assert kinds_and_models(evaluate(rules, report)) == [
            ("required_not_executed", "sales.orders")
        ]

    def test_partial_execution_meets_the_requirement(self) -> None:
        assert evaluate(self.rules, run(executed("sales.a", reasons=("signal_not_ready",))))

    def test_audits_do_not_meet_the_requirement(self) -> None:
        assert not evaluate(self.rules, run(audited("sales.orders")))

    def test_plans_do_not_meet_the_requirement(self) -> None:
        plan = run(executed("sales.orders"), executed("sales.new"), command="plan")
        result = evaluate(self.rules, plan, run(skipped("sales.orders")))
        assert kinds_and_models(result) == [
            ("required_not_executed", "sales.orders"),
            ("required_not_executed", "sales.new"),
        ]
        assert messages(result)[1] == (
            "sales.new must execute according to rule 1 (sales.*), but no run report contains it"
        )
        assert result.findings[1].report_index is None

    def test_nothing_is_required_without_a_run(self) -> None:
        assert evaluate(self.rules, run(skipped("sales.orders", "no_changes"), command="plan"))

    def test_a_model_of_no_report_is_a_rule_without_a_match(self) -> None:
        rules = [{"models": ["sales.orders", "sales.oders"], "require": "executed"}]
        assert messages(evaluate(rules, run(executed("sales.orders")))) == [
            "rule 1 (sales.orders, sales.oders): no model 'sales.oders' in the reports; "
            "did you mean sales.orders?"
        ]


class TestExpiry:
    rules = (
        {"models": "a.*", "allow": ["failed"], "until": date(2026, 12, 31), "why": "it is new"},
    )

    def test_the_last_day_is_included(self) -> None:
        assert evaluate(self.rules, run(failed("a.x")), today=date(2026, 12, 31)).passed

    def test_an_expired_rule_has_no_effect_and_is_reported_once(self) -> None:
        reports = run(failed("a.x")), run(executed("a.x")), run(executed("b.y"))
        result = evaluate(self.rules, *reports, today=date(2027, 1, 1))
        assert kinds_and_models(result) == [("failure", "a.x"), ("expired_rule", None)]
        assert messages(result)[1] == "rule 1 (a.*, it is new): expired after 2026-12-31"

    def test_nothing_else_is_reported_about_an_expired_rule(self) -> None:
        rules = [{"models": "zz", "allow": "failed", "deny": "failed", "until": date(2020, 1, 1)}]
        assert kinds_and_models(evaluate(rules, run(executed("a.x")))) == [("expired_rule", None)]

    def test_an_expired_requirement_requires_nothing(self) -> None:
        rules = [{"models": "a.x", "require": "executed", "until": date(2020, 1, 1)}]
        assert kinds_and_models(evaluate(rules, run(skipped("a.x")))) == [("expired_rule", None)]

    def test_today_is_the_day_in_utc(self) -> None:
        """It is the new year in Berlin already."""
        with time_machine.travel(datetime(2027, 1, 1, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))):
            assert date.today() == date(2027, 1, 1)
            assert evaluate(self.rules, run(failed("a.x"))).passed


class TestRulesWithoutAMatch:
    shop = run(executed("sales.orders"), executed("raw.rates", kind="external"))

    @pytest.mark.parametrize(
        ("models", "complaint"),
        [
            (
                "sale.*",
                "no model matches 'sale.*' in the reports; it has sales.orders",
            ),
            ("orders", "no model 'orders' in the reports; did you mean sales.orders?"),
            (
                "raw.*",
                "no model matches 'raw.*' in the reports; it has sales.orders; "
                "globs exclude raw.rates",
            ),
        ],
    )
    def test_is_reported_with_close_matches(self, models: str, complaint: str) -> None:
        result = evaluate([{"models": models, "deny": ["failed"]}], self.shop)
        assert kinds_and_models(result) == [("unmatched_rule", None)]
        assert messages(result) == [f"rule 1 ({models}): {complaint}"]

    def test_is_reported_once_for_all_reports(self) -> None:
        rules = [{"models": ["sale.*", "sales.*", "zz"], "deny": ["failed"]}]
        result = evaluate(rules, self.shop, run(executed("a.x")), self.shop)
        assert kinds_and_models(result) == [("unmatched_rule", None)]
        assert "no model matches 'sale.*'" in messages(result)[0]
        assert "no model 'zz'" in messages(result)[0]

    def test_an_ambiguous_name_matches_no_model(self) -> None:
        twins = run(failed("a.X"), failed("a.x"))
        result = evaluate([{"models": "A.x", "allow": ["failed"]}], twins, run(failed("a.x")))
        assert kinds_and_models(result) == [
            ("failure", "a.X"),
            ("failure", "a.x"),
            ("unmatched_rule", None),
        ]
        assert "'A.x' matches several models: a.X" in messages(result)[2]

    def test_a_glob_in_other_case_matches_no_models_that_differ_only_in_case(self) -> None:
        twins = run(executed("a.X"), executed("a.x"))
        result = evaluate([{"models": "A.*", "allow": ["failed"]}], twins)
        assert kinds_and_models(result) == [("unmatched_rule", None)]

    @pytest.mark.parametrize("reports", [[], [run()]], ids=["no reports", "no models"])
    def test_without_models_nothing_is_reported(self, reports: list[RunReport]) -> None:
        assert evaluate([{"models": "a.*", "allow": ["failed"]}], *reports).passed


class TestContradictions:
    report = run(executed("a.x"))

    def complaints(self, *rules: dict[str, Any]) -> list[str]:
        result = evaluate([{"models": "a.*", **rule} for rule in rules], self.report)
        assert {finding.kind for finding in result.findings} <= {"contradiction"}
        return messages(result)

    def test_one_word_in_both_lists(self) -> None:
        assert self.complaints({"allow": ["failed", "error"], "deny": ["error"]}) == [
            "rule 1 (a.*): both allows and denies error"
        ]

    def test_deny_takes_precedence(self) -> None:
        rules = [{"models": "a.x", "allow": ["failed"], "deny": ["failed"]}]
        assert kinds_and_models(evaluate(rules, run(failed("a.x")))) == [
            ("failure", "a.x"),
            ("contradiction", None),
        ]

    def test_a_model_that_is_required_and_denied(self) -> None:
        assert self.complaints({"deny": ["failed"], "require": "executed"}) == []
        result = evaluate(
            [{"models": "a.x", "deny": ["executed"], "require": "executed"}],
            run(skipped("a.x"), command="plan"),
        )
        assert messages(result) == ["rule 1 (a.x): both requires and denies executed"]

    def test_two_rules_for_the_same_models(self) -> None:
        assert self.complaints({"allow": ["failed"]}, {"deny": ["error", "failed"]}) == [
            "rule 2 (a.*): denies failed, which rule 1 allows for the same models"
        ]
        assert self.complaints(
            {"deny": ["failed"]}, {"deny": ["error"]}, {"allow": ["failed"]}
        ) == ["rule 3 (a.*): allows failed, which rule 1 denies for the same models"]

    def test_a_temporary_exception_is_not_a_contradiction(self) -> None:
        assert self.complaints({"deny": ["failed"]}, {"allow": ["failed"], "until": date.max}) == []

    def test_an_exception_for_some_models_is_not_a_contradiction(self) -> None:
        rules = [{"models": "*", "deny": ["failed"]}, {"models": "a.x", "allow": ["failed"]}]
        assert evaluate(rules, self.report).passed


class TestFindings:
    report = run(executed("a.x"), failed("a.y"), skipped("a.z", "upstream_failed"))

    def test_the_fields_of_a_finding(self) -> None:
        first = GatePolicy().evaluate(("test_shop.py::test_night", self.report)).findings[0]
        assert first == GateFinding(
            kind="failure",
            message="a.y failed: its evaluation raised ValueError: no luck",
            report_index=0,
            test="test_shop.py::test_night",
            command="run",
            environment="prod",
            execution_time=self.report.execution_time,
            model="a.y",
            status=Status.FAILED,
            reason=Reason.ERROR,
        )
        assert first.where == "run of prod at 2024-01-14 06:30 UTC, in test_shop.py::test_night"

    def test_the_place_of_a_finding(self) -> None:
        result = evaluate([{"models": "zz", "allow": ["failed"]}], self.report)
        assert [finding.where for finding in result.findings] == [
            "run of prod at 2024-01-14 06:30 UTC",
            "run of prod at 2024-01-14 06:30 UTC",
            "",
        ]

    def test_the_order_of_findings(self) -> None:
        rules = [
            {"models": "b.x", "require": "executed"},
            {"models": "zz", "allow": ["error"], "deny": ["error"]},
            {"models": "a.x", "allow": ["failed"], "until": date(2020, 1, 1)},
        ]
        result = evaluate(rules, run(failed("b.x")), self.report)
        assert [(one.kind, one.report_index, one.rule_index) for one in result.findings] == [
            ("failure", 0, None),
            ("failure", 1, None),
            ("unexpected_skip", 1, None),
            ("required_not_executed", 0, 0),
            ("unmatched_rule", None, 1),
            ("contradiction", None, 1),
            ("expired_rule", None, 2),
        ]
        assert [one.kind for one in result.on_rules] == [
            "unmatched_rule",
            "contradiction",
            "expired_rule",
        ]
        assert [one.model for one in result.on_reports] == ["b.x", "a.y", "a.z"]

    def test_a_message_is_one_line_of_limited_length(self) -> None:
        hostile = failed("a\n.x" + "y" * 2000, message="fail\ned\x85: " + "z" * 1_000_000)
        rules = [{"models": "*", "deny": ["failed"], "require": "executed", "why": "w\n" * 5000}]
        for finding in evaluate(rules, run(hostile)).findings:
            assert len(finding.message) < 1000
            assert finding.message.splitlines() == [finding.message]

    def test_an_outcome_without_a_message(self) -> None:
        report = run(outcome("a.x", "failed", "error", message=""))
        assert messages(GatePolicy().evaluate(report)) == ["a.x failed: its evaluation raised"]

    def test_entries_of_report_files_are_accepted(self) -> None:
        text = entries_to_json([Entry("t.py::a", self.report), Entry(None, run(executed("a.x")))])
        result = GatePolicy().evaluate(*entries_from_json(text))
        assert [one.test for one in result.findings] == ["t.py::a", "t.py::a"]

    @pytest.mark.parametrize("other", [None, "report.json", (None, None), []])
    def test_other_arguments_are_rejected(self, other: Any) -> None:
        with pytest.raises(TypeError, match=r"GatePolicy\.evaluate takes RunReports, not "):
            GatePolicy().evaluate(other)


class TestResult:
    report = run(executed("a.x"), failed("a.y"), skipped("a.z", "upstream_failed"))

    def test_a_result_is_true_if_the_gate_passed(self) -> None:
        assert GatePolicy().evaluate(run(executed("a.x")))
        assert not GatePolicy().evaluate(self.report)

    def test_the_summary(self) -> None:
        allow = {"models": "a.y", "allow": ["failed"]}
        assert [
            GatePolicy().evaluate().summary,
            GatePolicy().evaluate(run(executed("a.x"))).summary,
            evaluate([allow], self.report).summary,
            evaluate([allow, {"models": "zz", "allow": ["failed"]}], self.report).summary,
            GatePolicy().evaluate(self.report, self.report).summary,
        ] == [
            "gate passed: 0 outcomes in 0 reports",
            "gate passed: 1 outcome in 1 report",
            "gate failed: 1 unexpected skip (3 outcomes in 1 report, 1 allowed by rules)",
            "gate failed: 1 unexpected skip, 1 unmatched rule "
            "(3 outcomes in 1 report, 1 allowed by rules)",
            "gate failed: 2 failures, 2 unexpected skips (6 outcomes in 2 reports)",
        ]

    def test_a_result_as_json(self) -> None:
        rules = [
            {"models": "a.x", "deny": ["executed"], "until": date(9999, 1, 1), "why": "no more"}
        ]
        written = json.loads(json.dumps(evaluate(rules, run(executed("a.x"))).to_dict()))
        assert written == {
            "passed": False,
            "summary": "gate failed: 1 unexpected execution (1 outcome in 1 report)",
            "findings": [
                {
                    "kind": "unexpected_execution",
                    "severity": "error",
                    "message": "a.x was executed in 1 batch (denied by rule 1 (a.x, no more))",
                    "report_index": 0,
                    "number": None,
                    "test": None,
                    "command": "run",
                    "environment": "prod",
                    "execution_time": "2024-01-14T06:30:00Z",
                    "model": "a.x",
                    "status": "executed",
                    "reason": None,
                    "audit": None,
                    "upstream": None,
                    "rule_index": 0,
                    "rule": {
                        "models": ["a.x"],
                        "allow": [],
                        "deny": ["executed"],
                        "require": None,
                        "fresh_within": None,
                        "tolerate": None,
                        "severity": "error",
                        "until": "9999-01-01",
                        "why": "no more",
                    },
                    "tolerated_until": None,
                }
            ],
            "warnings": [],
            "tolerated": [],
            "reports": 1,
            "outcomes": 1,
            "allowed": 0,
        }


# Properties: of any reports and any rules.

NAMES = ("a.x", "a.X", "a.y", "b.x", "b.y", "c[1].x")
PATTERNS = (*NAMES, "a.*", "A.*", "*", "*.x", "[ab].?", "b.Y", "wh.b.*", "c[1].*", "zz.*", "zz")
WORDS = [str(word) for word in (*Status, *Reason, *Fact)]
AUDITS = [
    audit(name, rows_failed=rows, blocking=blocking)
    for name in ("p", "q")
    for rows in (0, 1)
    for blocking in (True, False)
]


@st.composite
def drawn_outcomes(draw: st.DrawFn, name: str) -> ModelOutcome:
    reasons = draw(st.lists(st.sampled_from(Reason), max_size=3, unique=True))
    return outcome(
        name,
        draw(st.sampled_from(list(Status))),
        *sorted(reasons, key=lambda reason: reason.rank),
        kind=draw(st.sampled_from(["full", "full", "external", "audit"])),
        message="m",
        audits=draw(st.lists(st.sampled_from(AUDITS), max_size=2, unique_by=lambda a: a.name)),
    )


@st.composite
def drawn_reports(draw: st.DrawFn) -> RunReport:
    names = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    return run(
        *(draw(drawn_outcomes(name)) for name in names),
        command=draw(st.sampled_from(["run", "plan"])),
        completion=draw(st.sampled_from(get_args(Completion))),
        started_at=utc("2024-01-01") + timedelta(minutes=draw(st.integers(0, 10**6))),
    )


# Statuses and facts decide most, and would be rare among all words.
words = st.lists(
    st.sampled_from([*map(str, Status), *map(str, Fact)]) | st.sampled_from(WORDS),
    min_size=1,
    max_size=5,
)
patterns = st.lists(st.just("*") | st.sampled_from(PATTERNS), min_size=1, max_size=2)
rules = st.builds(
    lambda models, allow, deny, require, severity, until: GateRule(
        models,
        allow=allow,
        deny=deny,
        require=require,
        severity=severity if deny or require else "error",
        until=until,
    ),
    patterns,
    words,
    words | st.just([]),
    st.sampled_from([None, None, "executed"]),
    st.sampled_from(["error", "error", "warning"]),
    st.sampled_from([None, date(2026, 1, 1), date(2026, 1, 2)]),
)
policies = st.lists(rules, max_size=4)
several = st.lists(drawn_reports(), max_size=3)
TODAY = date(2026, 1, 2)


def unexpected(policy: list[GateRule], reports: list[RunReport]) -> set[tuple[int | None, Any]]:
    judged = GatePolicy(policy).evaluate(*reports, today=TODAY).on_reports
    return {(finding.report_index, finding.model) for finding in judged}


Judged = tuple[int | None, str | None, str | None]
FACT = Fact.NONBLOCKING_AUDIT_FAILED


def judged(finding: GateFinding) -> Judged:
    return finding.report_index, finding.model, finding.audit


def matched_models(rule: GateRule, report: RunReport) -> set[str]:
    """The models of a rule, as assertions would find them."""
    names: set[str] = set()
    for pattern in rule.models:
        try:
            names |= {outcome.name for outcome in report.matching(pattern)}
        except UnknownModelError:
            continue
    return names


@settings(unhurried, max_examples=200)
@given(policies, several)
# Cases that are rarely drawn: rules that allow every failure, and warnings in place of findings.
@example([GateRule("*", allow="failed")], [run(failed("a.x"), completion="failure")])
@example([GateRule("*", allow="failed")], [run(failed("a.x"), completion="failure", error="E: e")])
@example(
    [GateRule("*", deny=["failed", FACT], severity="warning")],
    [run(failed("a.x", audits=AUDITS), completion=end) for end in ("failure", "interrupted")],
)
@example([GateRule("*", deny=FACT)], [run(executed("a.x", audits=AUDITS))])
def test_rules_match_the_same_models_as_assertions(
    policy: list[GateRule], reports: list[RunReport]
) -> None:
    findings: Counter[Judged] = Counter()
    warnings: Counter[Judged] = Counter()
    for index, report in enumerate(reports):
        to_blame = False
        for name, made in report.outcomes.items():
            its = [r for r in reversed(policy) if r.until != date(2026, 1, 1)]
            its = [rule for rule in its if name in matched_models(rule, report)]
            wait = Wait.of(report, made)
            expected, place, _ = verdict(its, made.status, made.reason, made.reasons, wait)
            warned = place is not None and its[place].severity == "warning"
            if not expected:
                (warnings if warned else findings)[index, name, None] += 1
                to_blame |= not warned and made.status in ("failed", "interrupted", "unknown")
            listing = [r for r in its if FACT in (*r.allow, *r.deny)]
            for one in made.audits:
                if one.passed or one.blocking or (listing and FACT not in listing[0].deny):
                    continue
                denied = bool(listing) and listing[0].severity == "error"
                (findings if denied else warnings)[index, name, one.name] += 1
        fine = report.completion in ("success", "nothing_to_do")
        by_models = report.command != "run" or not report.error
        accepted = report.completion == "failure" and report.failed and by_models
        if not (fine or to_blame or accepted):
            findings[index, None, None] += 1
    result = GatePolicy(policy).evaluate(*reports, today=TODAY)
    assert Counter(map(judged, result.on_reports)) == findings
    others = [w for w in result.warnings if w.kind != "required_not_executed"]
    assert Counter(map(judged, others)) == warnings
    assert result.passed is (not result.findings)


@unhurried
@given(policies, several, st.data())
def test_the_order_of_reports_does_not_matter(
    policy: list[GateRule], reports: list[RunReport], data: st.DataObject
) -> None:
    def judged_alike(reports: list[RunReport]) -> Counter[tuple[object, ...]]:
        result = GatePolicy(policy).evaluate(*reports, today=TODAY)
        return Counter((one.kind, one.model, one.rule_index) for one in result.findings)

    assert judged_alike(data.draw(st.permutations(reports))) == judged_alike(reports)


@unhurried
@given(policies, several, patterns, words, st.integers(0, 4))
def test_a_rule_that_allows_adds_nothing_unexpected_and_one_that_denies_takes_nothing_away(
    policy: list[GateRule],
    reports: list[RunReport],
    models: list[str],
    listed: list[str],
    place: int,
) -> None:
    before = unexpected(policy, reports)
    allowing = [*policy[:place], GateRule(models, allow=listed), *policy[place:]]
    # If its models are allowed, the command itself is the finding; with a failed model it is not.
    assert {(n, model) for n, model in unexpected(allowing, reports) if model} <= before
    denying = [*policy[:place], GateRule(models, deny=listed), *policy[place:]]
    assert unexpected(denying, reports) >= {(n, model) for n, model in before if model}


@unhurried
@given(policies, several)
def test_reports_are_judged_independently(policy: list[GateRule], reports: list[RunReport]) -> None:
    apart = {(n, model) for n, one in enumerate(reports) for _, model in unexpected(policy, [one])}
    assert unexpected(policy, reports) == apart


@unhurried
@given(policies, several)
def test_results_are_deterministic_and_messages_have_one_line(
    policy: list[GateRule], reports: list[RunReport]
) -> None:
    first = GatePolicy(policy).evaluate(*reports, today=TODAY)
    assert first == GatePolicy(policy).evaluate(*reports, today=TODAY)
    assert first.passed is first.summary.startswith("gate passed")
    assert json.loads(json.dumps(first.to_dict()))["findings"] == [
        {**finding.model_dump(mode="json"), "message": " ".join(finding.message.split())}
        for finding in first.findings
    ]


@unhurried
@given(st.sampled_from(Status), st.none() | st.sampled_from(Reason))
def test_without_rules_the_default_judges(status: Status, reason: Reason | None) -> None:
    reasons = () if reason is None else (reason,)
    expected = not unexpected_by_default(status, reason)
    assert verdict([], status, reason, reasons, Wait(NOW, None)) == (expected, None, None)


@pytest.mark.long
@pytest.mark.nightly
def test_a_hundred_reports_of_a_thousand_models() -> None:
    """Far below the ten seconds of CPU time that slow machines may take."""
    models = [
        skipped(f"s{n % 20}.m_{n}", "signal_not_ready") if n % 5 else failed(f"s{n % 20}.m_{n}")
        for n in range(1000)
    ]
    policy = GatePolicy({"models": f"s{n}.m_?{n}*", "allow": ["failed"]} for n in range(20))
    reports = [run(*models)] * 100
    start = process_time()
    result = policy.evaluate(*reports)
    json.dumps(result.to_dict())
    assert process_time() - start < 10
    assert result.outcomes == 100_000


def test_the_gate_imports_nothing_heavy() -> None:
    code = "import sys, pytest_sqlmesh_tracker.gate; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"sqlmesh", "sqlglot", "pytest", "click", "rich"} & set(loaded.stdout.split())


def test_where_distinguishes_similar_reports() -> None:
    one, other = run(failed("a.x")), run(failed("a.x"))
    elsewhere = run(failed("a.x"), environment="dev")
    findings = GatePolicy().evaluate(one, elsewhere, other).findings
    assert [finding.where for finding in findings] == [
        "run of prod at 2024-01-14 06:30 UTC, report 1",
        "run of dev at 2024-01-14 06:30 UTC",
        "run of prod at 2024-01-14 06:30 UTC, report 3",
    ]


class TestRepeatedTries:
    """The last try of a test is judged."""

    REPEATED = run(failed("a.x"), executed("a.y"), completion="failure", superseded=True)

    def test_are_ignored(self) -> None:
        assert GatePolicy().evaluate(self.REPEATED) == GateResult()
        result = GatePolicy().evaluate(self.REPEATED, run(executed("a.x")))
        assert (result.passed, result.reports, result.outcomes) == (True, 1, 1)

    def test_do_not_change_the_numbers_of_others(self) -> None:
        last = run(failed("a.x"))
        [finding] = GatePolicy().evaluate(self.REPEATED, last).findings
        assert (finding.report_index, finding.number) == (1, None)
        one, other = GatePolicy().evaluate(last, self.REPEATED, last).findings
        assert (one.report_index, other.report_index, other.number) == (0, 2, 3)

    def test_meet_no_requirement_and_match_no_rule(self) -> None:
        rule = {"models": "a.y", "require": "executed"}
        result = evaluate([rule], self.REPEATED, run(skipped("a.y")))
        assert kinds_and_models(result) == [("required_not_executed", "a.y")]
        result = evaluate([{"models": "a.y", "allow": "failed"}], self.REPEATED, run(failed("a.x")))
        assert kinds_and_models(result) == [("failure", "a.x"), ("unmatched_rule", None)]
