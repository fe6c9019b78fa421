"""Assertions about reports: what passes, what fails, and the messages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

import pytest_sqlmesh_tracker.reports.assertions
from pytest_sqlmesh_tracker import (
    AuditOutcome,
    Reason,
    RunReport,
    Status,
    UnknownModelError,
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
from pytest_sqlmesh_tracker.reports.assertions import AssertionMethods
from tests.builders import (
    TrackerOf,
    audit,
    audited,
    batch,
    batches,
    executed,
    failed,
    fqn,
    interrupted,
    interval,
    outcome,
    partly_failed,
    run,
    skipped,
    unknown,
    utc,
)

Call = Callable[..., None]


def message(call: Call, *args: Any, **kwargs: Any) -> str:
    """What the failing assertion says."""
    with pytest.raises(AssertionError) as caught:
        call(*args, **kwargs)
    assert type(caught.value) is AssertionError
    return str(caught.value)


def headline(call: Call, *args: Any, **kwargs: Any) -> str:
    return message(call, *args, **kwargs).splitlines()[0]


SHOP = run(
    executed("staging.users", start_order=0),
    executed("staging.orders", start_order=1),
    failed("marts.revenue", start_order=2),
    skipped("marts.weekly"),
    skipped("marts.orders", "upstream_failed", blocked_by=("marts.revenue",)),
    audited("raw.rates", audit("not_null"), kind="external"),
)


class TestExecuted:
    def test_passes_for_models_that_executed(self) -> None:
        assert_executed(SHOP, "staging.users")
        assert_executed(SHOP, "staging.users", fqn("staging.orders"), SHOP["staging.users"])

    @pytest.mark.parametrize(
        "other",
        [
            skipped("a.x"),
            failed("a.x"),
            partly_failed("a.x"),
            audited("a.x", audit("not_null")),
            interrupted("a.x"),
            interrupted("a.x", partial=True, batches=batches("executed", "interrupted")),
            unknown("a.x"),
            unknown("a.x", batches=batches("executed")),
        ],
        ids=lambda made: f"{made.status} {len(made.batches)}",
    )
    def test_fails_for_every_other_status(self, other: Any) -> None:
        assert headline(assert_executed, run(other), "a.x").startswith("a.x was not executed")

    def test_passes_if_intervals_were_held_back(self) -> None:
        held = executed("a.x", reasons=("signal_not_ready",))
        assert_executed(run(held), "a.x")

    def test_fails_if_one_of_several_models_did_not_execute(self) -> None:
        text = message(assert_executed, SHOP, "staging.users", "marts.weekly")
        assert text.startswith("marts.weekly was not executed: its cron was not due\n")
        assert "staging.users was" not in text

    def test_every_failure_is_reported(self) -> None:
        text = message(assert_executed, SHOP, "marts.weekly", "marts.revenue")
        assert "marts.weekly was not executed" in text
        assert "\n\nmarts.revenue was not executed" in text

    def test_a_model_named_twice_is_reported_once(self) -> None:
        text = message(assert_executed, SHOP, "marts.weekly", fqn("marts.weekly"), "marts.w*")
        assert text.count("was not executed") == 1


class TestExecutedIntervals:
    """`intervals=(start, end)`: the batches of this invocation cover it, without a gap."""

    week = run(
        executed("a.x", *[(f"2024-01-0{day}", f"2024-01-0{day + 1}") for day in range(1, 8)])
    )

    @pytest.mark.parametrize(
        "intervals",
        [
            ("2024-01-01", "2024-01-08"),
            ("2024-01-03", "2024-01-05"),
            ("2024-01-03 06:30", "2024-01-05T06:30:00"),
            ("2024-01-01T00:00:00Z", "2024-01-08T00:00:00+00:00"),
            ("2024-01-01T05:00:00+05:00", "2024-01-07T19:00:00-05:00"),
            (date(2024, 1, 1), date(2024, 1, 8)),
            (datetime(2024, 1, 1), datetime(2024, 1, 8)),
            (datetime(2024, 1, 1, tzinfo=timezone.utc), datetime(2024, 1, 8, tzinfo=timezone.utc)),
            (datetime(2024, 1, 1, 5, tzinfo=timezone(timedelta(hours=5))), "2024-01-08"),
            (date(2024, 1, 1), datetime(2024, 1, 1, 0, 0, 0, 1)),
            ["2024-01-01", "2024-01-08"],
        ],
        ids=str,
    )
    def test_covered(self, intervals: Any) -> None:
        assert_executed(self.week, "a.x", intervals=intervals)

    @pytest.mark.parametrize(
        "intervals",
        [
            ("2023-12-31", "2024-01-08"),
            ("2024-01-01", "2024-01-09"),
            ("2023-12-31T23:59:59.999999", "2024-01-02"),
            ("2024-01-07", "2024-01-08T00:00:00.000001"),
            ("2024-01-01T00:00:00+05:00", "2024-01-08"),
            ("2024-01-01", "2024-01-08T00:00:00-05:00"),
            (date(2023, 1, 1), date(2023, 1, 2)),
            (date(2025, 1, 1), date(2025, 1, 2)),
            ("2024-01-08", "2024-01-09"),
        ],
        ids=str,
    )
    def test_not_covered(self, intervals: Any) -> None:
        text = headline(assert_executed, self.week, "a.x", intervals=intervals)
        assert text.startswith("a.x did not execute all of ")

    def test_a_gap_between_batches(self) -> None:
        gap = run(executed("a.x", ("2024-01-01", "2024-01-03"), ("2024-01-04", "2024-01-06")))
        assert_executed(gap, "a.x", intervals=("2024-01-01", "2024-01-03"))
        assert_executed(gap, "a.x", intervals=("2024-01-04", "2024-01-06"))
        for intervals in [("2024-01-01", "2024-01-06"), ("2024-01-03", "2024-01-04")]:
            text = headline(assert_executed, gap, "a.x", intervals=intervals)
            assert text.startswith("a.x did not execute all of ")

    def test_batches_in_any_order_and_overlapping(self) -> None:
        spans = [
            ("2024-01-05", "2024-01-08"),
            ("2024-01-01", "2024-01-06"),
            ("2024-01-02", "2024-01-03"),
        ]
        assert_executed(run(executed("a.x", *spans)), "a.x", intervals=("2024-01-01", "2024-01-08"))

    def test_a_batch_that_was_not_recorded_covers_nothing(self) -> None:
        made = executed("a.x", batches=batches("executed", "interrupted", "executed"))
        text = headline(assert_executed, run(made), "a.x", intervals=("2024-01-01", "2024-01-04"))
        assert text.startswith("a.x did not execute all of 2024-01-01 .. 2024-01-03")

    def test_intervals_loaded_before_do_not_count(self) -> None:
        made = executed("a.x", ("2024-01-08", "2024-01-09"), loaded_through=utc("2024-01-09"))
        assert message(assert_executed, run(made), "a.x", intervals=("2024-01-01", "2024-01-09"))

    def test_show_which_were_executed_instead(self) -> None:
        made = executed("a.x", ("2024-01-01", "2024-01-03"), ("2024-01-04", "2024-01-06"))
        text = message(assert_executed, run(made), "a.x", intervals=("2024-01-01", "2024-01-06"))
        assert "2024-01-01 .. 2024-01-02" in text
        assert "2024-01-04 .. 2024-01-05" in text

    def test_hold_for_every_model_named(self) -> None:
        report = run(
            executed("a.x", ("2024-01-01", "2024-01-03")),
            executed("a.y", ("2024-01-01", "2024-01-02")),
        )
        text = message(assert_executed, report, "a.*", intervals=("2024-01-01", "2024-01-03"))
        assert text.startswith("a.y did not execute all of ")

    def test_do_not_excuse_another_status(self) -> None:
        report = run(partly_failed("a.x"))
        text = headline(assert_executed, report, "a.x", intervals=("2024-01-01", "2024-01-02"))
        assert text.startswith("a.x was not executed")

    @pytest.mark.parametrize(
        ("intervals", "complaint"),
        [
            (("2024-01-02", "2024-01-01"), "2024-01-02 must be before 2024-01-01"),
            (("2024-01-01", "2024-01-01"), "2024-01-01 must be before 2024-01-01"),
            (("2024-01-01",), "intervals must be a pair (start, end), not ('2024-01-01',)"),
            (("2024-01-01", "2024-01-02", "2024-01-03"), "intervals must be a pair (start, end)"),
            ("2024-01-01", "intervals must be a pair (start, end), not '2024-01-01'"),
            (date(2024, 1, 1), "intervals must be a pair (start, end)"),
            (("yesterday", "2024-01-02"), "'yesterday' is not an ISO date or time"),
            (("2024-01-01", ""), "'' is not an ISO date or time"),
            ((1704067200000, 1704153600000), "1704067200000 is not a date or time"),
            ((None, "2024-01-02"), "None is not a date or time"),
        ],
        ids=str,
    )
    def test_invalid_intervals_are_a_value_error(self, intervals: Any, complaint: str) -> None:
        with pytest.raises(ValueError, match=re.escape(complaint)):
            assert_executed(self.week, "a.x", intervals=intervals)
        with pytest.raises(ValueError, match=re.escape(complaint)):
            assert_executed(SHOP, "marts.weekly", intervals=intervals)


class TestExecutedBatches:
    report = run(executed("a.x", ("2024-01-01", "2024-01-02"), ("2024-01-02", "2024-01-03")))

    def test_count(self) -> None:
        assert_executed(self.report, "a.x", batches=2)

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_fails_for_another_count(self, count: int) -> None:
        text = headline(assert_executed, self.report, "a.x", batches=count)
        assert text.startswith(f"a.x executed in 2 batches, not {count}")

    def test_one_batch_is_singular(self) -> None:
        text = headline(assert_executed, run(executed("a.x")), "a.x", batches=2)
        assert text.startswith("a.x executed in 1 batch, not 2")

    def test_batches_and_intervals_must_both_hold(self) -> None:
        both = partial(assert_executed, self.report, "a.x")
        both(intervals=("2024-01-01", "2024-01-03"), batches=2)
        message(both, intervals=("2024-01-01", "2024-01-03"), batches=1)
        message(both, intervals=("2024-01-01", "2024-01-04"), batches=2)


class TestSkipped:
    def test_passes_for_models_that_did_not_run(self) -> None:
        assert_skipped(SHOP, "marts.weekly", "marts.orders")

    @pytest.mark.parametrize("reason", ["cron_not_due", Reason.CRON_NOT_DUE])
    def test_passes_for_the_reason(self, reason: str) -> None:
        assert_skipped(SHOP, "marts.weekly", reason=reason)

    def test_passes_for_any_of_its_reasons(self) -> None:
        report = run(skipped("a.x", "signal_not_ready", "upstream_failed"))
        assert_skipped(report, "a.x", reason="signal_not_ready")
        assert_skipped(report, "a.x", reason="upstream_failed")

    @pytest.mark.parametrize(
        "other",
        [
            executed("a.x"),
            executed("a.x", reasons=("cron_not_due",)),
            failed("a.x"),
            audited("a.x", audit("not_null")),
            interrupted("a.x"),
            unknown("a.x"),
        ],
        ids=lambda made: str(made.status),
    )
    def test_fails_for_every_other_status(self, other: Any) -> None:
        assert headline(assert_skipped, run(other), "a.x").startswith("a.x was not skipped")
        text = headline(assert_skipped, run(other), "a.x", reason="cron_not_due")
        assert text.startswith("a.x was not skipped")

    def test_fails_for_another_reason(self) -> None:
        text = headline(assert_skipped, SHOP, "marts.weekly", reason="signal_not_ready")
        assert text == (
            "marts.weekly was skipped, but not for signal_not_ready: its cron was not due"
        )

    def test_fails_for_a_skip_without_reason(self) -> None:
        report = run(outcome("a.x", "skipped"))
        assert_skipped(report, "a.x")
        assert message(assert_skipped, report, "a.x", reason="cron_not_due")


class TestFailed:
    def test_passes_for_models_that_failed(self) -> None:
        report = run(failed("a.x"), partly_failed("a.y"), failed("a.z", "audit_failed"))
        assert_failed(report, "a.x", "a.y", "a.z")
        assert_failed(report, "a.z", reason="audit_failed")
        assert_failed(report, "a.x", reason=Reason.ERROR)

    @pytest.mark.parametrize(
        "other",
        [
            executed("a.x"),
            skipped("a.x", "upstream_failed"),
            audited("a.x", audit("unique", rows_failed=1, blocking=False)),
            interrupted("a.x", "command_failed", error="ValueError: no luck"),
            unknown("a.x", error="ValueError: no luck"),
        ],
        ids=lambda made: str(made.status),
    )
    def test_fails_for_every_other_status(self, other: Any) -> None:
        assert headline(assert_failed, run(other), "a.x").startswith("a.x did not fail: ")
        assert message(assert_failed, run(other), "a.x", match="no luck")

    def test_fails_for_another_reason(self) -> None:
        text = headline(assert_failed, run(failed("a.x")), "a.x", reason="audit_failed")
        assert text.startswith("a.x failed, but not for audit_failed: its evaluation raised")

    @pytest.mark.parametrize("match", ["no luck", "^ValueError", r"no\s+l.ck$", "(?i)NO LUCK"])
    def test_match_is_found_in_the_error(self, match: str) -> None:
        assert_failed(run(failed("a.x")), "a.x", match=match)
        assert_failed(run(failed("a.x")), "a.x", reason="error", match=match)

    def test_match_is_found_in_a_later_line_of_it(self) -> None:
        report = run(failed("a.x", error="BinderException: no\n\ncolumn c"))
        assert_failed(report, "a.x", match="column c")

    def test_another_error_does_not_match(self) -> None:
        text = message(assert_failed, run(failed("a.x")), "a.x", match="luck no")
        assert text.startswith("a.x failed, but its error does not match 'luck no'")
        assert "ValueError: no luck" in text

    def test_match_holds_for_every_model_named(self) -> None:
        report = run(failed("a.x"), failed("a.y", error="OSError: full"))
        text = message(assert_failed, report, "a.*", match="no luck")
        assert text.startswith("a.y failed, but its error does not match")
        assert "a.x failed" not in text

    @pytest.mark.parametrize("match", ["", ".*", "^$"])
    def test_no_error_matches_nothing(self, match: str) -> None:
        report = run(failed("a.x", "audit_failed", error=None))
        assert message(assert_failed, report, "a.x", match=match)

    def test_match_that_is_not_a_regular_expression(self) -> None:
        with pytest.raises(ValueError, match=r"match='\(' is not a regular expression: missing \)"):
            assert_failed(run(failed("a.x")), "a.x", match="(")


NOTHING_RECORDED = [
    skipped("a.x"),
    failed("a.x"),
    audited("a.x", audit("not_null")),
    interrupted("a.x", batches=batches("interrupted")),
]
SOMETHING_RECORDED = [
    (executed("a.x"), "was executed"),
    (executed("a.x", reasons=("signal_not_ready",)), "was executed"),
    (executed("a.x", batches=()), "was executed"),
    (partly_failed("a.x"), "was partially executed"),
    (failed("a.x", partial=True, batches=()), "was partially executed"),
    (
        interrupted("a.x", partial=True, batches=batches("executed", "interrupted")),
        "was partially executed",
    ),
    (unknown("a.x"), "may have been executed"),
    (unknown("a.x", batches=batches("executed")), "may have been executed"),
]


class TestNotExecuted:
    """No batch of it was recorded."""

    @pytest.mark.parametrize("made", NOTHING_RECORDED, ids=lambda made: str(made.status))
    def test_passes_when_no_batch_was_recorded(self, made: Any) -> None:
        assert_not_executed(run(made), "a.x")
        assert_nothing_executed(run(made))
        assert_only_executed(run(made, executed("a.y")), "a.y")

    @pytest.mark.parametrize(
        ("made", "complaint"),
        SOMETHING_RECORDED,
        ids=[f"{made.status}, {len(made.batches)} batches" for made, _ in SOMETHING_RECORDED],
    )
    def test_fails_if_a_batch_was_or_may_have_been_recorded(
        self, made: Any, complaint: str
    ) -> None:
        report = run(made, executed("a.y"))
        assert headline(assert_not_executed, report, "a.x").startswith(f"a.x {complaint}: ")
        assert headline(assert_nothing_executed, run(made)).startswith(f"a.x {complaint}: ")
        assert headline(assert_only_executed, report, "a.y").startswith(f"a.x {complaint}: ")

    def test_reports_only_executed_models(self) -> None:
        text = message(assert_not_executed, SHOP, "marts.weekly", "staging.users")
        assert text.startswith("staging.users was executed: ")
        assert "marts.weekly was" not in text


class TestOnlyExecuted:
    def test_passes_for_exactly_these(self) -> None:
        assert_only_executed(SHOP, "staging.users", "staging.orders")
        assert_only_executed(SHOP, "staging.*")
        assert_only_executed(SHOP, "staging.orders", "staging.*", SHOP["staging.users"])

    def test_fails_if_one_of_them_did_not_execute(self) -> None:
        text = message(assert_only_executed, SHOP, "staging.*", "marts.weekly")
        assert text.startswith("marts.weekly was not executed: its cron was not due")

    def test_fails_if_another_model_executed(self) -> None:
        text = message(assert_only_executed, SHOP, "staging.users")
        assert text.startswith("staging.orders was executed: ")

    def test_fails_for_both_at_once(self) -> None:
        text = message(assert_only_executed, SHOP, "staging.users", "marts.weekly")
        assert "marts.weekly was not executed" in text
        assert "staging.orders was executed" in text

    def test_fails_for_a_partially_executed_model_even_if_it_is_named(self) -> None:
        report = run(partly_failed("a.x"))
        assert message(assert_only_executed, report, "a.x").startswith("a.x was not executed")

    def test_fails_for_an_unknown_model_even_if_it_is_named(self) -> None:
        report = run(unknown("a.x", batches=batches("executed")))
        assert message(assert_only_executed, report, "a.x").startswith("a.x was not executed")


class TestNothingExecuted:
    def test_passes_for_a_report_without_models(self) -> None:
        assert_nothing_executed(run())

    def test_fails_for_any_model(self) -> None:
        text = message(assert_nothing_executed, SHOP)
        assert "staging.users was executed" in text
        assert "staging.orders was executed" in text

    @pytest.mark.parametrize("models", [6, 9])
    def test_many_failures_are_shortened(self, models: int) -> None:
        report = run(*(executed(f"a.m{number}") for number in range(models)))
        text = message(assert_nothing_executed, report)
        assert text.count("was executed: ") == 5
        assert text.endswith(f"\n\n… and {models - 5} more")

    def test_five_failures_are_not_shortened(self) -> None:
        report = run(*(executed(f"a.m{number}") for number in range(5)))
        text = message(assert_nothing_executed, report)
        assert text.count("was executed: ") == 5
        assert "more" not in text.rsplit("\n", 1)[-1]


class TestAuditFailed:
    report = run(
        failed(
            "a.x",
            "audit_failed",
            audits=(audit("not_null"), audit("unique", rows_failed=2)),
        ),
        executed("a.y", audits=(audit("not_null", rows_failed=1, blocking=False),)),
        executed("a.z", audits=(audit("not_null"), audit("unique"))),
        skipped("a.w"),
        failed(
            "no_orphans",
            "audit_failed",
            kind="audit",
            fqn="no_orphans",
            audits=(audit("no_orphans", rows_failed=1),),
        ),
    )

    def test_passes_for_a_blocking_and_for_a_non_blocking_one(self) -> None:
        assert_audit_failed(self.report, "a.x")
        assert_audit_failed(self.report, "a.x", "unique")
        assert_audit_failed(self.report, "a.y", audit="not_null")

    @pytest.mark.parametrize("name", [None, "known"])
    def test_fails_for_one_that_could_not_be_run(self, name: str | None) -> None:
        broken = AuditOutcome(name="known", passed=False, error="BinderException: no table")
        report = run(failed("a.x", audits=(audit("not_null"), broken)))
        shown = message(assert_audit_failed, report, "a.x", name)
        assert shown.startswith("a.x had no failed audit: known could not be run: it failed, ")

    def test_passes_for_a_standalone_audit(self) -> None:
        assert_audit_failed(self.report, "no_orphans", "no_orphans")

    def test_passes_when_one_of_two_of_that_name_failed(self) -> None:
        twice = (audit("unique"), audit("unique", rows_failed=1))
        assert_audit_failed(run(failed("a.x", "audit_failed", audits=twice)), "a.x", "unique")

    def test_fails_for_another_audit_than_the_one_that_failed(self) -> None:
        text = headline(assert_audit_failed, self.report, "a.x", "not_null")
        assert text.startswith("a.x had no failed audit 'not_null': ")

    def test_fails_when_all_passed(self) -> None:
        text = headline(assert_audit_failed, self.report, "a.z")
        assert text.startswith("a.z had no failed audit: ")

    def test_fails_if_no_audit_ran(self) -> None:
        text = headline(assert_audit_failed, self.report, "a.w")
        assert text == "a.w ran no audits: its cron was not due"
        text = headline(assert_audit_failed, self.report, "a.w", "unique")
        assert text == "a.w ran no audit 'unique' (it ran none): its cron was not due"

    def test_fails_for_a_typo_with_close_matches_or_all_audits(self) -> None:
        text = headline(assert_audit_failed, self.report, "a.x", "uniqe")
        assert text.startswith("a.x ran no audit 'uniqe' (did you mean unique?): ")
        text = headline(assert_audit_failed, self.report, "a.x", "accepted_values")
        assert text.startswith("a.x ran no audit 'accepted_values' (it ran not_null, unique): ")

    def test_holds_for_every_match_of_a_glob(self) -> None:
        assert_audit_failed(self.report, "a.[xy]")
        assert message(assert_audit_failed, self.report, "a.[xz]").startswith("a.z had no failed")

    def test_fails_for_unknown(self) -> None:
        assert message(assert_audit_failed, run(unknown("a.x")), "a.x")


class TestOutcomes:
    def test_passes_for_statuses_and_reasons_as_text_or_members(self) -> None:
        assert_outcomes(
            SHOP,
            {
                "staging.users": "executed",
                "marts.weekly": "cron_not_due",
                "marts.orders": Reason.UPSTREAM_FAILED,
                "marts.revenue": Status.FAILED,
                "raw.rates": "audited",
            },
        )

    def test_passes_for_any_of_the_reasons(self) -> None:
        report = run(skipped("a.x", "signal_not_ready", "upstream_failed"))
        for word in ("skipped", "signal_not_ready", "upstream_failed"):
            assert_outcomes(report, {"a.x": word})

    def test_passes_for_unknown_when_that_is_expected(self) -> None:
        assert_outcomes(run(unknown("a.x")), {"a.x": "unknown"})

    @pytest.mark.parametrize("word", [word for word in [*Status, *Reason] if word != "unknown"])
    def test_an_unknown_outcome_equals_nothing_else(self, word: str) -> None:
        report = run(unknown("a.x"))
        assert headline(assert_outcomes, report, {"a.x": word}).startswith(f"a.x is not {word}: ")

    @pytest.mark.parametrize(
        ("model", "word"),
        [
            ("staging.users", "skipped"),
            ("staging.users", "cron_not_due"),
            ("marts.weekly", "executed"),
            ("marts.weekly", "upstream_failed"),
            ("marts.revenue", "audit_failed"),
            ("raw.rates", "executed"),
        ],
    )
    def test_fails_for_another_outcome(self, model: str, word: str) -> None:
        text = headline(assert_outcomes, SHOP, {"staging.orders": "executed", model: word})
        assert text.startswith(f"{model} is not {word}: ")

    def test_every_match_of_a_glob_must_have_the_outcome(self) -> None:
        assert_outcomes(SHOP, {"staging.*": "executed"})
        text = message(assert_outcomes, SHOP, {"marts.*": "skipped"})
        assert text.startswith("marts.revenue is not skipped: ")
        assert "marts.weekly is" not in text

    def test_a_model_with_two_names_must_have_both_outcomes(self) -> None:
        assert_outcomes(SHOP, {"marts.weekly": "cron_not_due", "marts.w*": "skipped"})
        assert message(
            assert_outcomes, SHOP, {"marts.weekly": "cron_not_due", "marts.w*": "failed"}
        )

    def test_exact_requires_every_model_to_be_named(self) -> None:
        partly = {"staging.*": "executed", "marts.revenue": "failed", "raw.rates": "audited"}
        assert_outcomes(SHOP, partly)
        text = message(assert_outcomes, SHOP, partly, exact=True)
        assert "marts.weekly is not among the expected outcomes" in text
        assert "marts.orders is not among the expected outcomes" in text
        assert_outcomes(SHOP, {**partly, "marts.[ow]*": "skipped"}, exact=True)

    def test_exact_requires_audited_external_models_to_be_named(self) -> None:
        """No glob matches them."""
        text = message(
            assert_outcomes, run(SHOP["raw.rates"], skipped("a.x")), {"*": "skipped"}, exact=True
        )
        assert text.startswith("raw.rates is not among the expected outcomes")

    def test_exact_without_models(self) -> None:
        assert_outcomes(run(), {}, exact=True)
        assert message(assert_outcomes, SHOP, {}, exact=True)

    def test_expecting_nothing_is_a_type_error(self) -> None:
        with pytest.raises(TypeError, match="at least one model"):
            assert_outcomes(SHOP, {})

    def test_an_invalid_word_is_reported_with_close_matches_or_all_words(self) -> None:
        with pytest.raises(
            ValueError, match=r"^'skiped' is neither a status nor a reason; did you mean .*skipped"
        ):
            assert_outcomes(SHOP, {"marts.weekly": "skiped"})
        with pytest.raises(
            ValueError, match="'zzz' is neither a status nor a reason; valid values: executed, "
        ) as caught:
            assert_outcomes(SHOP, {"marts.weekly": "zzz"})
        assert all(word in str(caught.value) for word in [*Status, *Reason])

    @pytest.mark.parametrize("word", [None, "", 1, ["executed"], "EXECUTED", "Executed"], ids=repr)
    def test_a_value_that_is_not_a_word_is_a_value_error(self, word: Any) -> None:
        with pytest.raises(
            ValueError, match=re.escape(f"{word!r} is neither a status nor a reason")
        ):
            assert_outcomes(SHOP, {"staging.users": word})

    def test_an_invalid_word_is_reported_before_a_wrong_outcome(self) -> None:
        with pytest.raises(ValueError, match="zzz"):
            assert_outcomes(SHOP, {"marts.weekly": "executed", "staging.users": "zzz"})


class TestExecutionOrder:
    def test_passes_in_the_order_of_first_starts(self) -> None:
        assert_execution_order(SHOP, "staging.users", "staging.orders", "marts.revenue")
        assert_execution_order(SHOP, "staging.users", "marts.revenue")
        assert_execution_order(SHOP, "staging.users")

    def test_every_match_of_a_glob_comes_before_the_next_models(self) -> None:
        assert_execution_order(SHOP, "staging.*", "marts.revenue")
        assert_execution_order(SHOP, "staging.users", "[!s]*.revenue")
        text = message(assert_execution_order, SHOP, "staging.orders", "staging.*")
        assert text.startswith("staging.orders did not start before staging.users")

    def test_fails_for_another_order(self) -> None:
        assert message(assert_execution_order, SHOP, "staging.orders", "staging.users") == (
            "staging.orders did not start before staging.users\n"
            "  started     staging.users, staging.orders, marts.revenue"
        )

    def test_shows_the_order_of_starts_not_of_the_report(self) -> None:
        report = run(executed("a.x", start_order=1), skipped("a.y"), executed("a.z", start_order=0))
        text = message(assert_execution_order, report, "a.x", "a.z")
        assert text == "a.x did not start before a.z\n  started     a.z, a.x"

    def test_fails_for_one_of_a_glob(self) -> None:
        report = run(
            executed("a.x", start_order=0),
            executed("b.y", start_order=1),
            executed("a.z", start_order=2),
        )
        text = message(assert_execution_order, report, "a.*", "b.y")
        assert text.startswith("a.z did not start before b.y\n")
        text = message(assert_execution_order, report, "b.y", "a.*")
        assert text.startswith("b.y did not start before a.x\n")

    def test_fails_for_models_that_are_not_adjacent(self) -> None:
        text = message(
            assert_execution_order, SHOP, "marts.revenue", "staging.users", "staging.orders"
        )
        assert text.startswith("marts.revenue did not start before staging.users\n")

    def test_every_wrong_pair_is_reported(self) -> None:
        text = headline(
            assert_execution_order, SHOP, "marts.revenue", "staging.orders", "staging.users"
        )
        assert text == (
            "marts.revenue did not start before staging.orders; "
            "staging.orders did not start before staging.users"
        )

    def test_no_model_starts_before_itself(self) -> None:
        assert message(assert_execution_order, SHOP, "staging.users", "staging.users")

    @pytest.mark.parametrize(
        "made", [skipped("a.x"), unknown("a.x"), failed("a.x", "creation_failed", batches=())]
    )
    def test_fails_for_a_model_that_did_not_start(self, made: Any) -> None:
        report = run(executed("a.y", start_order=0), made)
        for models in [("a.x",), ("a.x", "a.y"), ("a.y", "a.x"), ("a.*",)]:
            text = message(assert_execution_order, report, *models)
            assert text.startswith("a.x did not start: ")

    def test_accepts_a_failed_model_that_started(self) -> None:
        assert_execution_order(run(failed("a.x", start_order=0)), "a.x")


class TestUnknown:
    """Nothing is assumed about a model whose outcome the tracker could not determine."""

    rich: Any = unknown(
        "a.x",
        reason="cron_not_due",
        reasons=("cron_not_due", "error"),
        error="ValueError: no luck",
        batches=batches("executed"),
        partial=True,
    )

    @pytest.mark.parametrize(
        ("helper", "args", "kwargs"),
        [
            (assert_executed, ["a.x"], {}),
            (assert_skipped, ["a.x"], {}),
            (assert_skipped, ["a.x"], {"reason": "cron_not_due"}),
            (assert_failed, ["a.x"], {}),
            (assert_failed, ["a.x"], {"reason": "error", "match": "no luck"}),
            (assert_not_executed, ["a.x"], {}),
            (assert_only_executed, ["a.x"], {}),
            (assert_nothing_executed, [], {}),
            (assert_audit_failed, ["a.x"], {}),
            (assert_outcomes, [{"a.x": "executed"}], {}),
            (assert_outcomes, [{"a.x": "cron_not_due"}], {}),
            (assert_outcomes, [{"a.x": "error"}], {}),
            (assert_execution_order, ["a.x"], {}),
        ],
    )
    def test_fails_every_assertion(self, helper: Call, args: list[Any], kwargs: Any) -> None:
        assert "a.x" in message(helper, run(self.rich), *args, **kwargs)

    def test_the_message_says_why_the_outcome_is_unknown(self) -> None:
        text = headline(assert_executed, run(unknown("a.x", "lost its place")), "a.x")
        assert text == "a.x was not executed: its status is unknown (lost its place)"


# Each helper as tests call it: its arguments after the report, and what fails on SHOP.
FAILING: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "assert_executed": (("marts.weekly",), {}),
    "assert_skipped": (("staging.users",), {"reason": "cron_not_due"}),
    "assert_failed": (("marts.revenue",), {"match": "another error"}),
    "assert_not_executed": (("staging.users",), {}),
    "assert_only_executed": (("staging.users",), {}),
    "assert_nothing_executed": ((), {}),
    "assert_audit_failed": (("raw.rates", "not_null"), {}),
    "assert_outcomes": (({"staging.*": "executed"},), {"exact": True}),
    "assert_execution_order": (("staging.orders", "staging.users"), {}),
}
OF_MODELS = [
    "assert_executed",
    "assert_skipped",
    "assert_failed",
    "assert_not_executed",
    "assert_only_executed",
    "assert_execution_order",
]


def test_every_assertion_is_tested_below() -> None:
    public = {name for name in dir(AssertionMethods) if name.startswith("assert_")}
    functions = {
        name
        for name in vars(pytest_sqlmesh_tracker.reports.assertions)
        if name.startswith("assert_")
    }
    assert public == functions == set(FAILING)


def function(helper: str) -> Call:
    call: Call = getattr(pytest_sqlmesh_tracker, helper)
    return call


@pytest.mark.parametrize("helper", FAILING)
class TestEveryAssertion:
    def test_has_the_same_message_as_function_and_as_method(self, helper: str) -> None:
        args, kwargs = FAILING[helper]
        text = message(function(helper), SHOP, *args, **kwargs)
        assert text == message(getattr(SHOP, helper), *args, **kwargs)
        tracker = TrackerOf(run(), SHOP)
        assert text == message(function(helper), tracker, *args, **kwargs)
        assert text == message(getattr(tracker, helper), *args, **kwargs)

    def test_uses_the_last_report_of_a_tracker(self, helper: str) -> None:
        args, kwargs = FAILING[helper]
        tracker = TrackerOf(SHOP, run())
        if args:
            with pytest.raises(UnknownModelError):
                function(helper)(tracker, *args, **kwargs)
        else:
            function(helper)(tracker)

    def test_returns_nothing(self, helper: str) -> None:
        passing: dict[str, tuple[Any, ...]] = {
            "assert_nothing_executed": (),
            "assert_audit_failed": ("a.f",),
            "assert_outcomes": ({"a.e": "executed"},),
            "assert_skipped": ("a.s",),
            "assert_not_executed": ("a.s",),
            "assert_failed": ("a.f",),
        }
        report = run(
            *([executed("a.e", start_order=0)] if helper != "assert_nothing_executed" else []),
            skipped("a.s"),
            failed("a.f", audits=(audit("unique", rows_failed=1),)),
        )
        helped: Callable[..., object] = function(helper)
        assert helped(report, *passing.get(helper, ("a.e",))) is None

    def test_hides_its_frames_from_the_traceback(self, helper: str) -> None:
        args, kwargs = FAILING[helper]
        for call in (partial(function(helper), SHOP), getattr(TrackerOf(SHOP), helper)):
            with pytest.raises(AssertionError) as caught:
                call(*args, **kwargs)
            ours = [
                frame for frame in frames(caught.value.__traceback__) if frame["hide"] is not None
            ]
            assert ours
            assert all(frame["hide"] for frame in ours), ours

    def test_requires_a_report_or_a_tracker(self, helper: str) -> None:
        args, kwargs = FAILING[helper]
        for wrong in ("marts.weekly", None, SHOP.outcomes):
            kind = type(wrong).__name__
            with pytest.raises(TypeError, match=f"must be a Tracker or a RunReport, not {kind}$"):
                function(helper)(wrong, *args, **kwargs)

    def test_rejects_unknown_keywords(self, helper: str) -> None:
        args, _ = FAILING[helper]
        with pytest.raises(TypeError):
            function(helper)(SHOP, *args, reasons="cron_not_due")


def frames(traceback: TracebackType | None) -> list[dict[str, Any]]:
    """Each frame of the package by function, and whether it hides itself; None for others."""
    home = str(Path(pytest_sqlmesh_tracker.reports.assertions.__file__).parent)
    entries = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        ours = code.co_filename.startswith(home)
        hide = traceback.tb_frame.f_locals.get("__tracebackhide__", False) if ours else None
        entries.append({"function": code.co_name, "hide": hide})
        traceback = traceback.tb_next
    return entries


@pytest.mark.parametrize("helper", OF_MODELS)
class TestEveryAssertionAboutModels:
    def test_requires_at_least_one_model(self, helper: str) -> None:
        for report in (SHOP, run()):
            with pytest.raises(TypeError, match=f"^{helper} needs at least one model"):
                function(helper)(report)

    def test_suggests_assert_nothing_executed_without_models(self, helper: str) -> None:
        with pytest.raises(TypeError) as caught:
            function(helper)(SHOP)
        hinted = "assert_nothing_executed" in str(caught.value)
        assert hinted == helper.endswith("executed")

    def test_rejects_a_list_of_models(self, helper: str) -> None:
        with pytest.raises(TypeError, match="not list"):
            function(helper)(SHOP, ["staging.users"])

    @pytest.mark.parametrize("typo", ["staging.user", "nonsense", "nonsense.*", ""])
    def test_a_typo_is_an_error_even_next_to_a_failure(self, helper: str, typo: str) -> None:
        for models in [
            (typo,),
            ("staging.users", typo),
            (typo, "marts.weekly"),
            ("marts.weekly", typo),
        ]:
            with pytest.raises(UnknownModelError):
                function(helper)(SHOP, *models)

    def test_every_match_of_a_glob_must_hold(self, helper: str) -> None:
        """The report has a model with each outcome, so at least one fails every assertion."""
        report = run(executed("a.e", start_order=0), skipped("a.s"), failed("a.f"))
        assert message(function(helper), report, "a.*")


@pytest.mark.parametrize("typo", ["staging.user", "nonsense", "nonsense.*"])
def test_a_typo_is_an_error_for_audits_and_outcomes_too(typo: str) -> None:
    with pytest.raises(UnknownModelError):
        assert_audit_failed(SHOP, typo)
    with pytest.raises(UnknownModelError):
        assert_outcomes(SHOP, {"marts.weekly": "executed", typo: "executed"})
    with pytest.raises(UnknownModelError):
        assert_outcomes(SHOP, {"marts.weekly": "executed", typo: "executed"}, exact=True)


@pytest.mark.parametrize("helper", [assert_skipped, assert_failed])
class TestReasons:
    def test_a_typo_is_reported_with_close_matches(self, helper: Call) -> None:
        with pytest.raises(
            ValueError, match=r"^'cron_not_duo' is not a reason; did you mean cron_not_due"
        ):
            helper(SHOP, "marts.weekly", reason="cron_not_duo")

    def test_without_close_matches_all_reasons_are_listed(self, helper: Call) -> None:
        with pytest.raises(ValueError, match=r"^'zzz' is not a reason; valid values: ") as caught:
            helper(SHOP, "marts.weekly", reason="zzz")
        assert all(reason in str(caught.value) for reason in Reason)

    @pytest.mark.parametrize(
        "word", ["", "skipped", "failed", Status.FAILED, 1, [], "CRON_NOT_DUE"], ids=repr
    )
    def test_statuses_and_other_values_are_rejected(self, helper: Call, word: Any) -> None:
        with pytest.raises(ValueError, match="is not a reason"):
            helper(SHOP, "marts.weekly", reason=word)

    def test_a_typo_is_reported_for_any_outcome(self, helper: Call) -> None:
        for model in SHOP.outcomes:
            with pytest.raises(ValueError, match="is not a reason"):
                helper(SHOP, model, reason="zzz")


def test_helpers_raise_under_python_o() -> None:
    """Optimized Python strips `assert` statements; these still demand."""
    code = """
import json
import pytest_sqlmesh_tracker
from tests.reports.test_assertions import FAILING, SHOP

assert False, "not stripped: this Python is not optimized"
said = {}
for helper, (args, kwargs) in FAILING.items():
    try:
        getattr(pytest_sqlmesh_tracker, helper)(SHOP, *args, **kwargs)
    except AssertionError as error:
        said[helper] = str(error)
print(json.dumps(said))
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-O", "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    printed = json.loads(done.stdout)
    assert printed == {
        helper: message(function(helper), SHOP, *args, **kwargs)
        for helper, (args, kwargs) in FAILING.items()
    }


def test_a_report_from_a_file_has_the_same_assertions() -> None:
    back = RunReport.from_json(SHOP.to_json())
    back.assert_only_executed("staging.*")
    back.assert_executed("staging.users", intervals=("2024-01-13", "2024-01-14"), batches=1)
    back.assert_skipped("marts.orders", reason="upstream_failed")
    back.assert_execution_order("staging.users", "staging.orders")
    back.assert_failed("marts.revenue", match="no luck")


def test_intervals_of_two_rounds_count_once_each() -> None:
    """A plan may evaluate in two rounds: together they cover what they cover."""
    rounds = (
        batch("2024-01-01", "2024-01-02", round=0),
        batch("2024-01-02", "2024-01-03", round=1),
    )
    report = run(executed("a.x", batches=rounds), command="plan")
    assert_executed(report, "a.x", intervals=("2024-01-01", "2024-01-03"), batches=2)


def test_held_back_intervals_are_not_executed() -> None:
    held = (interval("2024-01-14", "2024-01-15"),)
    made = executed("a.x", reasons=("signal_not_ready",), signals={"feed": held})
    assert message(assert_executed, run(made), "a.x", intervals=("2024-01-13", "2024-01-15"))
