"""Strict mode: what counts as asserted, what is unexpected, and how it is reported."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from textwrap import dedent
from typing import Any

import pytest

from pytest_sqlmesh_tracker import (
    GatePolicy,
    GateRule,
    RunReport,
    assert_audit_failed,
    assert_executed,
    assert_execution_order,
    assert_failed,
    assert_not_executed,
    assert_nothing_executed,
    assert_only_executed,
    assert_outcomes,
    assert_skipped,
)
from pytest_sqlmesh_tracker.pytest_plugin.markers import MarkerError
from pytest_sqlmesh_tracker.pytest_plugin.strict import StrictTest, policy_errors, strict_options
from pytest_sqlmesh_tracker.reports.observers import observing
from tests.builders import TrackerOf, audit, executed, failed, run, skipped, unknown

TODAY = date(2024, 1, 14)
FAILED_NIGHT = (
    executed("web.views", start_order=0),
    failed("sales.orders", "audit_failed", audits=(audit("not_null", rows_failed=2),)),
    skipped("sales.daily", "upstream_failed", blocked_by=("sales.orders",)),
    skipped("sales.weekly"),
)


def failed_night() -> RunReport:
    return run(*FAILED_NIGHT, completion="failure")


def strict_test(*rules: GateRule, allow_skips: dict[str, Any] | None = None) -> StrictTest:
    allowed = strict_options({"allow_skips": allow_skips}).allowed
    return StrictTest(GatePolicy(rules), allowed, TODAY)


def listed_models(strict: StrictTest, *reports: RunReport) -> list[str]:
    """The models that a complaint lists."""
    lines = strict.complaint(reports).splitlines()
    return [line.split()[0] for line in lines if " was " in line or " failed: " in line]


class TestAsserted:
    """Each helper that passes asserts the models it names, in the report passed to it."""

    @pytest.mark.parametrize(
        ("helper", "arguments", "left"),
        [
            (assert_failed, ["sales.orders"], ["sales.daily"]),
            (assert_skipped, ["sales.daily"], ["sales.orders"]),
            (assert_audit_failed, ["sales.orders", "not_null"], ["sales.daily"]),
            (assert_not_executed, ["sales.orders"], ["sales.daily"]),
            (assert_not_executed, ["sales.*"], []),
            (assert_outcomes, [{"sales.orders": "audit_failed"}], ["sales.daily"]),
            (assert_executed, ["web.views"], ["sales.orders", "sales.daily"]),
            (assert_execution_order, ["web.views"], ["sales.orders", "sales.daily"]),
            (assert_only_executed, ["web.views"], []),
        ],
    )
    def test_a_passing_assertion_counts(
        self, helper: Callable[..., None], arguments: list[Any], left: list[str]
    ) -> None:
        strict, report = strict_test(), failed_night()
        with observing(strict.asserted):
            helper(report, *arguments)
        assert listed_models(strict, report) == left

    @pytest.mark.parametrize(
        ("helper", "arguments"),
        [
            (assert_failed, ["sales.orders", "sales.daily"]),
            (assert_skipped, ["sales.*"]),
            (assert_audit_failed, ["sales.orders", "not_there"]),
            (assert_not_executed, ["sales.*", "web.*"]),
            (assert_outcomes, [{"sales.*": "failed"}]),
            (assert_executed, ["sales.daily"]),
            (assert_execution_order, ["sales.daily", "web.views"]),
            (assert_only_executed, ["sales.daily"]),
            (assert_nothing_executed, []),
        ],
    )
    def test_a_failing_assertion_does_not_count(
        self, helper: Callable[..., None], arguments: list[Any]
    ) -> None:
        strict, report = strict_test(), failed_night()
        with observing(strict.asserted), pytest.raises(AssertionError):
            helper(report, *arguments)
        assert listed_models(strict, report) == ["sales.orders", "sales.daily"]

    def test_an_assertion_with_a_failing_match_does_not_count(self) -> None:
        strict, report = strict_test(), run(failed("sales.orders"))
        with observing(strict.asserted), pytest.raises(AssertionError):
            assert_failed(report, "sales.orders", match="nonsense")
        assert listed_models(strict, report) == ["sales.orders"]

    def test_an_exact_mapping_and_nothing_executed_name_every_model(self) -> None:
        strict = strict_test()
        exact, nothing = failed_night(), run(*FAILED_NIGHT[1:], completion="failure")
        with observing(strict.asserted):
            expected = {"web.*": "executed", "sales.orders": "failed"}
            exact.assert_outcomes(
                {**expected, "sales.daily": "skipped", "sales.weekly": "skipped"}, exact=True
            )
            nothing.assert_nothing_executed()
        assert strict.complaint([exact, nothing]) == ""

    def test_methods_of_a_tracker_apply_to_its_last_report(self) -> None:
        strict, earlier, last = strict_test(), failed_night(), failed_night()
        with observing(strict.asserted):
            TrackerOf(earlier, last).assert_not_executed("sales.*")
        assert earlier == last
        assert listed_models(strict, earlier, last) == ["sales.orders", "sales.daily"]

    def test_assertions_in_other_threads_count(self) -> None:
        strict, reports = strict_test(), [failed_night() for _ in range(20)]
        with observing(strict.asserted), ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda report: report.assert_not_executed("sales.*"), reports))
        assert strict.complaint(reports) == ""

    def test_assertions_before_or_afterwards_do_not_count(self) -> None:
        strict, report = strict_test(), failed_night()
        assert_not_executed(report, "sales.*")
        with observing(strict.asserted):
            pass
        assert_not_executed(report, "sales.*")
        assert listed_models(strict, report) == ["sales.orders", "sales.daily"]

    def test_each_of_two_observers_is_notified(self) -> None:
        outer, inner, report = strict_test(), strict_test(), failed_night()
        with observing(outer.asserted), observing(inner.asserted):
            report.assert_not_executed("sales.*")
        assert outer.complaint([report]) == inner.complaint([report]) == ""

    def test_catching_the_exception_of_an_invocation_counts(self) -> None:
        raised = run(completion="raised", error="ValueError: no such environment")
        cut_off = run(unknown("a.b"), completion="interrupted", error="KeyboardInterrupt")
        plan = run(failed("a.b"), command="plan", completion="failure", error="PlanError: failed")
        assert strict_test().complaint([raised, cut_off, plan]) == ""

    def test_an_exception_that_the_test_never_saw_does_not_count(self) -> None:
        plan = run(failed("a.b"), command="plan", completion="failure", error="PlanError: failed")
        assert "a.b failed" in strict_test().complaint([plan], unraised=[plan])


class TestHowCommandsEnd:
    """What no model explains, and the test never saw raised, is asserted with the whole report."""

    @staticmethod
    def returned(report: RunReport, *helpers: Callable[[RunReport], None]) -> str:
        """The complaint on a report that the sandbox returned, after these assertions."""
        strict = strict_test()
        with observing(strict.asserted):
            for helper in helpers:
                helper(report)
        return strict.complaint([report], unraised=[report])

    raised = run(executed("a.x"), completion="raised", error="ValueError: in after_all")
    empty = run(completion="interrupted", error="KeyboardInterrupt")

    def test_catching_the_exception_of_a_command_counts(self) -> None:
        assert strict_test().complaint([self.raised, self.empty]) == ""

    @pytest.mark.parametrize("report", [raised, empty], ids=["raised", "interrupted"])
    def test_a_report_that_the_sandbox_returned_must_be_asserted(self, report: RunReport) -> None:
        assert "1 unsuccessful invocation" in self.returned(report)

    def test_a_command_that_ended_early_without_raising_must_be_asserted(self) -> None:
        complaint = strict_test().complaint([run(completion="interrupted")])
        assert "  the run was interrupted\n" in complaint

    def test_assertions_on_models_are_not_enough(self) -> None:
        complaint = self.returned(self.raised, lambda report: assert_executed(report, "a.x"))
        assert "the run raised ValueError: in after_all" in complaint

    def test_assertions_on_the_whole_report_count(self) -> None:
        assert self.returned(self.raised, lambda report: assert_only_executed(report, "a.x")) == ""
        exact = {"a.x": "executed"}
        assert (
            self.returned(self.raised, lambda report: assert_outcomes(report, exact, exact=True))
            == ""
        )
        assert self.returned(self.empty, assert_nothing_executed) == ""

    def test_the_message(self) -> None:
        assert self.returned(self.raised) == dedent(
            """\
            sqlmesh_tracker strict: 1 unsuccessful invocation that the test did not assert

            run of prod at 2024-01-14 06:30 UTC
              the run raised ValueError: in after_all

            Assert how an invocation ended together with all of its models:
              assert_nothing_executed()
            or assert_only_executed(...), or assert_outcomes({...}, exact=True).
            Comparisons such as report.skipped == {...} do not count."""
        )

    def test_the_message_with_models(self) -> None:
        late = skipped("a.y", "signal_not_ready")
        report = run(late, completion="raised", error="ValueError: in after_all")
        assert self.returned(report).splitlines() == [
            "sqlmesh_tracker strict: 1 unexpected outcome and 1 unsuccessful invocation that the "
            "test did not assert",
            "",
            "run of prod at 2024-01-14 06:30 UTC",
            "  a.y was skipped: its signal was not ready",
            "  the run raised ValueError: in after_all",
            "",
            "Assert each by name:",
            '  assert_skipped("a.y", reason="signal_not_ready")',
            "or allow skips, with the marker or a rule of the gate policy:",
            '  sqlmesh_tracker(allow_skips={"a.y": "signal_not_ready"})',
            "Assert how an invocation ended together with all of its models:",
            "  assert_nothing_executed()",
            "or assert_only_executed(...), or assert_outcomes({...}, exact=True).",
            "Comparisons such as report.skipped == {...} do not count.",
        ]


class TestNonBlockingAudits:
    """They are warnings of the gate, which judge no test; a rule can deny them."""

    report = run(executed("a.x", audits=(audit("small", rows_failed=1, blocking=False),)))

    def test_they_need_no_assertion_by_default(self) -> None:
        assert strict_test().complaint([self.report]) == ""
        rule = GateRule("a.x", deny="nonblocking_audit_failed", severity="warning")
        assert strict_test(rule).complaint([self.report]) == ""

    def test_a_denied_one_must_be_asserted(self) -> None:
        strict = strict_test(GateRule("a.x", deny="nonblocking_audit_failed"))
        complaint = strict.complaint([self.report])
        assert "a.x has a failed non-blocking audit: small (1 row) (denied by rule 1" in complaint
        assert '\n  assert_audit_failed("a.x", "small")\n' in complaint
        with observing(strict.asserted):
            assert_audit_failed(self.report, "a.x", "small")
        assert strict.complaint([self.report]) == ""


class TestJudgement:
    """The gate policy says what is unexpected; `allow_skips` has the last word on a test."""

    def test_the_policy_decides(self) -> None:
        allow = GateRule("sales.daily", allow="upstream_failed")
        deny = GateRule("sales.weekly", deny="cron_not_due")
        assert listed_models(strict_test(allow, deny), failed_night()) == [
            "sales.orders",
            "sales.weekly",
        ]

    def test_rules_expire_by_the_given_date(self) -> None:
        until = GateRule("sales.daily", allow="upstream_failed", until=TODAY)
        past = GateRule("sales.daily", allow="upstream_failed", until=date(2024, 1, 13))
        assert listed_models(strict_test(until), failed_night()) == ["sales.orders"]
        assert listed_models(strict_test(past), failed_night()) == ["sales.orders", "sales.daily"]

    @pytest.mark.parametrize("reasons", ["upstream_failed", ["cron_not_due", "upstream_failed"]])
    def test_skips_can_be_allowed(self, reasons: Any) -> None:
        strict = strict_test(allow_skips={"sales.*": reasons})
        assert listed_models(strict, failed_night()) == ["sales.orders"]

    def test_allow_skips_beats_the_policy(self) -> None:
        deny = GateRule("sales.weekly", deny="cron_not_due")
        strict = strict_test(deny, allow_skips={"sales.*": ["cron_not_due", "upstream_failed"]})
        assert listed_models(strict, failed_night()) == ["sales.orders"]

    def test_a_glob_of_allow_skips_needs_a_match_in_one_of_the_reports(self) -> None:
        strict = strict_test(allow_skips={"web.*": "cron_not_due"})
        assert strict.complaint([run(skipped("sales.weekly")), run(executed("web.views"))]) == ""
        assert strict.complaint([]) == ""

    def test_a_typo_in_allow_skips_is_reported_alone(self) -> None:
        strict = strict_test(allow_skips={"salse.*": "cron_not_due", "sales.weekyl": "ended"})
        assert strict.complaint([run(skipped("sales.weekly"))]) == (
            "sqlmesh_tracker strict: allow_skips: no model matches 'salse.*' in the reports; it "
            "has sales.weekly\n"
            "sqlmesh_tracker strict: allow_skips: no model 'sales.weekyl' in the reports; did you "
            "mean sales.weekly?"
        )


class TestMessage:
    """Headline, findings below their invocation, typos, a way out."""

    def test_a_failed_night(self) -> None:
        strict = strict_test(allow_skips={"web.weiws": "cron_not_due"})
        plan = run(unknown("a.x"), command="plan", environment="dev")
        assert strict.complaint([failed_night(), run(executed("a.x")), plan]) == dedent(
            """\
            sqlmesh_tracker strict: 3 unexpected outcomes that the test did not assert

            run of prod at 2024-01-14 06:30 UTC
              sales.orders failed: a blocking audit failed (not_null)
              sales.daily was skipped: an upstream model failed (sales.orders)
            plan of dev at 2024-01-14 06:30 UTC
              a.x is unknown: the tracker lost its place

            allow_skips: no model 'web.weiws' in the reports; did you mean web.views?

            Assert each by name:
              assert_failed("sales.orders")
              assert_skipped("sales.daily", reason="upstream_failed")
              assert_outcomes({"a.x": "unknown"})
            or allow skips, with the marker or a rule of the gate policy:
              sqlmesh_tracker(allow_skips={"sales.daily": "upstream_failed"})
            Comparisons such as report.skipped == {...} do not count."""
        )

    def test_without_a_skip_allowing_skips_is_not_mentioned(self) -> None:
        deny = GateRule("web.*", deny="executed")
        complaint = strict_test(deny).complaint([run(executed("web.views"))])
        assert complaint.splitlines()[2:] == [
            "run of prod at 2024-01-14 06:30 UTC",
            "  web.views was executed in 1 batch (denied by rule 1 (web.*))",
            "",
            "Assert each by name:",
            '  assert_executed("web.views")',
            "Comparisons such as report.skipped == {...} do not count.",
        ]

    def test_a_skip_for_no_known_reason(self) -> None:
        gone = run(skipped("a.b").model_copy(update={"reason": None, "reasons": ()}))
        complaint = strict_test(GateRule("a.b", deny="skipped")).complaint([gone])
        assert '  assert_skipped("a.b")\n' in complaint
        assert "allow_skips" not in complaint

    def test_a_long_list_is_cut_short(self) -> None:
        reports = [run(*(failed(f"a.m{number}") for number in range(7))) for _ in range(3)]
        lines = strict_test().complaint(reports).splitlines()
        assert lines[0].startswith("sqlmesh_tracker strict: 21 unexpected outcomes")
        assert [line for line in lines if line.startswith("run of")] == [lines[2]] * 2
        assert [line.split()[0] for line in lines if " failed: " in line] == [
            *(f"a.m{number}" for number in range(7)),
            *(f"a.m{number}" for number in range(3)),
        ]
        assert lines[14] == "… and 11 more"

    def test_names_and_errors_can_contain_anything(self) -> None:
        name = 'sales."a\x1b[2J"'
        complaint = strict_test().complaint([run(failed(name, error="\x9b\x00 \n no"))])
        assert not [char for char in complaint if char != "\n" and not char.isprintable()]


class TestMarker:
    """What the marker `sqlmesh_tracker` takes."""

    @pytest.mark.parametrize("strict", [True, False, None])
    def test_strict(self, strict: bool | None) -> None:
        assert strict_options({"strict": strict, "allow_skips": None}) == (strict, ())
        assert strict_options({}) == (None, ())

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            ({"strct": True}, "the marker sqlmesh_tracker has no argument 'strct': did you mean"),
            ({"strict": "yes"}, "strict must be True or False, not 'yes'"),
            (
                {"allow_skips": "a.*"},
                "allow_skips must be a mapping of globs to reasons, not 'a.*'",
            ),
            (
                {"allow_skips": {"a.*": "cron_not_du"}},
                "allow_skips={'a.*': 'cron_not_du'}: 'cron_not_du' is not a reason; did you mean "
                "cron_not_due?",
            ),
            ({"allow_skips": {"a.*": []}}, "allow_skips={'a.*': []}: it needs a reason or a list"),
            (
                {"allow_skips": {"a.*": 7}},
                "allow_skips={'a.*': 7}: 7 is not a reason; valid values:",
            ),
            (
                {"allow_skips": {"a.*": "audit_failed"}},
                "allow_skips={'a.*': 'audit_failed'}: audit_failed is not a reason for a skip; "
                "use assert_failed for a failure",
            ),
            (
                {"allow_skips": {" ": "ended"}},
                "allow_skips={' ': 'ended'}: models: ' ' is neither a name nor a glob",
            ),
        ],
    )
    def test_invalid_arguments(self, arguments: dict[str, Any], complaint: str) -> None:
        with pytest.raises(MarkerError) as caught:
            strict_options(arguments)
        assert str(caught.value).startswith(complaint)
        assert "\n" not in str(caught.value)


class TestPolicyErrors:
    """Mistakes in rules are not a test's fault: they are reported for the session."""

    POLICY = GatePolicy(
        [
            {"models": "sales.daily", "allow": "ended", "until": date(2024, 1, 1), "why": "a\x1b"},
            {"models": "salse.*", "allow": "ended"},
            {"models": "sales.*", "require": "executed"},
        ]
    )

    def test_each_mistake_has_a_line(self) -> None:
        assert policy_errors(self.POLICY, [failed_night()], TODAY, complete=True) == [
            "rule 1 (sales.daily, a�): expired after 2024-01-01",
            "rule 2 (salse.*): no model matches 'salse.*' in the reports; it has sales.daily, "
            "sales.orders, sales.weekly, web.views",
        ]

    def test_rules_without_a_match_are_not_reported_if_only_some_tests_ran(self) -> None:
        (line,) = policy_errors(self.POLICY, [failed_night()], TODAY, complete=False)
        assert line.startswith("rule 1")

    def test_without_rules_nothing_is_reported(self) -> None:
        assert policy_errors(GatePolicy(), [failed_night()], TODAY, complete=True) == []
