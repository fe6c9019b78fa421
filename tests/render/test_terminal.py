"""Reports, findings and differences on a terminal: contents, width and safety."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from textwrap import dedent
from time import process_time

import pytest
from hypothesis import given
from rich.cells import cell_len

from pytest_sqlmesh_tracker import AuditOutcome, RunReport
from pytest_sqlmesh_tracker.gate import GatePolicy
from pytest_sqlmesh_tracker.render.comparisons import change_of
from pytest_sqlmesh_tracker.render.terminal import difference, findings, tables
from pytest_sqlmesh_tracker.reports.diff import compare
from pytest_sqlmesh_tracker.wording.formats import duration
from pytest_sqlmesh_tracker.wording.invocations import error_headline
from pytest_sqlmesh_tracker.wording.printable import name_of
from pytest_sqlmesh_tracker.wording.rows import reason_in_short
from pytest_sqlmesh_tracker.wording.table import table
from tests.builders import (
    audit,
    audited,
    batches,
    executed,
    failed,
    interrupted,
    outcome,
    partly_failed,
    run,
    skipped,
    unknown,
    utc,
)
from tests.drawing import reports, unhurried

LONG = "marketing.partner_clicks_attributed_to_campaigns_of_last_year"
NIGHT = run(
    executed("raw.orders", rows=1204, duration=timedelta(seconds=1.5)),
    executed("raw.clicks", ("2024-01-10", "2024-01-11"), ("2024-01-13", "2024-01-14")),
    partly_failed("staging.orders", duration=timedelta(seconds=75)),
    skipped("sales.orders", "upstream_failed", blocked_by=("staging.orders",)),
    skipped("raw.weekly", next_due=utc("2024-01-21")),
    skipped("raw.rates", "not_evaluatable", kind="external"),
    completion="failure",
    finished_at=utc("2024-01-14 06:31:31"),
)


def text(expected: str) -> str:
    return dedent(expected).strip("\n")


class TestTable:
    def test_has_a_row_for_each_model(self) -> None:
        assert table(NIGHT, width=80) == text(
            """
            run prod, execution_time 2024-01-14 06:30:00 UTC: failure in 1 min 31 s
            status    model           intervals or reason                   rows        time
            executed  raw.orders      2024-01-13                           1,204      1.50 s
            executed  raw.clicks      2024-01-10, 2024-01-13
            failed    staging.orders  2024-01-01; error in batch 2 of 2           1 min 15 s
            skipped   sales.orders    upstream_failed: staging.orders
            skipped   raw.weekly      cron_not_due: next due 2024-01-21
                                      00:00 UTC
            staging.orders raised ValueError: no luck
            """
        )

    def test_has_the_causes_of_recorded_intervals(self) -> None:
        made = executed("a.x", causes=("restated", "reloaded"), restated_by=("s.orders",))
        shown = table(run(made, failed("a.y", causes=("new_interval",))))
        assert "2024-01-13: restated (s.orders), reloaded" in shown
        assert "new_interval" not in shown

    def test_has_no_column_for_unknown_rows(self) -> None:
        lines = table(run(executed("a.x"), command="plan", removed=("a.old",))).splitlines()
        assert lines[1].split() == ["status", "model", "intervals", "or", "reason", "time"]
        assert lines[3].split(maxsplit=2) == ["removed", "a.old", "the plan removes it"]

    def test_shows_the_error_of_the_command(self) -> None:
        raised = run(completion="raised", error="SQLMeshError: no such\n   environment")
        assert table(raised) == text(
            """
            run prod, execution_time 2024-01-14 06:30:00 UTC: raised in 2.00 s
            raised SQLMeshError: no such environment
            """
        )

    def test_shows_the_interruption_of_the_command(self) -> None:
        stopped = run(completion="interrupted", error="terminated by SIGTERM")
        assert table(stopped).splitlines()[1] == "interrupted: terminated by SIGTERM"

    def test_separates_invocations(self) -> None:
        assert tables([NIGHT, NIGHT], width=80) == "\n\n".join([table(NIGHT, width=80)] * 2)

    def test_is_colored_only_on_request(self) -> None:
        assert "\x1b" not in table(NIGHT)
        assert "\x1b[1;31mfailed" in table(NIGHT, color=True)

    @pytest.mark.parametrize("width", [60, 80, 120, 200])
    def test_wraps_long_text_without_losing_any(self, width: int) -> None:
        report = run(
            executed(LONG, duration=timedelta(minutes=10), rows=10**9),
            skipped("a.表" + "名" * 60, "upstream_failed", blocked_by=(LONG,)),
        )
        shown = table(report, width=width)
        assert max(map(cell_len, shown.splitlines()[1:])) <= width
        letters = [letter for line in shown.splitlines() for letter in line if letter.isalnum()]
        for name in (*report.outcomes, LONG):
            for letter in set(filter(str.isalnum, name)):
                assert letters.count(letter) >= name.count(letter)

    def test_has_a_readable_minimum_width(self) -> None:
        assert table(NIGHT, width=10) == table(NIGHT, width=60)

    def test_a_table_of_a_thousand_models_is_not_slow(self) -> None:
        """Half a second, which slow machines may exceed here."""
        report = run(*(executed(f"a.m{number}", rows=number) for number in range(1000)))
        start = process_time()
        shown = table(report, width=80)
        assert process_time() - start < 5
        assert shown.count("executed") == 1000


class TestLimit:
    MANY = run(
        *(skipped(f"a.due{number}") for number in range(3)),
        executed("a.first"),
        skipped("a.same", "no_changes"),
        executed("a.second"),
        failed("a.bad"),
        skipped("a.held", "signal_not_ready"),
        command="plan",
        removed=("a.old", "a.older", "a.oldest"),
    )

    def shown(self, limit: int) -> list[str]:
        """Second words of the rows, and the last line."""
        *lines, last = table(self.MANY, limit=limit, width=120).splitlines()
        return [line.split()[1] for line in lines[2:] if "raised" not in line] + [last]

    def test_changes_nothing_if_it_is_not_reached(self) -> None:
        assert table(self.MANY, limit=8) == table(self.MANY)

    def test_leaves_out_expected_skips_first(self) -> None:
        assert self.shown(7) == [
            *("a.first", "a.second", "a.bad", "a.held", "a.old", "a.older", "a.oldest"),
            "not shown: 3 cron_not_due, 1 no_changes",
        ]

    def test_leaves_out_executed_models_next_and_unexpected_outcomes_last(self) -> None:
        assert self.shown(3) == [
            *("a.first", "a.bad", "a.held", "a.old", "a.older", "a.oldest"),
            "not shown: 3 cron_not_due, 1 no_changes, 1 executed",
        ]
        assert self.shown(1) == [
            *("a.bad", "a.old"),
            "not shown: 3 cron_not_due, 2 executed, 2 removed, 1 no_changes, 1 signal_not_ready",
        ]


BROKEN_AUDIT = AuditOutcome(name="known", passed=False, error="IOException: x")


class TestReasonInShort:
    @pytest.mark.parametrize(
        ("made", "words"),
        [
            (skipped("a.x"), "cron_not_due"),
            (
                skipped("a.x", next_due=utc("2024-01-21")),
                "cron_not_due: next due 2024-01-21 00:00 UTC",
            ),
            (skipped("a.x", "upstream_failed", blocked_by=("a", "b")), "upstream_failed: a, b"),
            (failed("a.x"), "error: ValueError: no luck"),
            (
                failed("a.x", "audit_failed", audits=(audit("unique", rows_failed=2),)),
                "audit_failed: unique",
            ),
            (
                failed("a.x", batches=batches("executed", "failed")),
                "error in batch 2 of 2; 1 recorded: ValueError: no luck",
            ),
            (
                interrupted("a.x", batches=batches("executed", "interrupted")),
                "aborted; 1 of 2 batches recorded",
            ),
            (
                failed("a.x", error="IOException: x", audits=(BROKEN_AUDIT,)),
                "error: its audit known could not be run: IOException: x",
            ),
            (
                failed("a.x", "creation_failed", failed_step="its view a.x could not be created"),
                "creation_failed: its view a.x could not be created: ValueError: no luck",
            ),
            (executed("a.x"), "in 1 batch"),
            (executed("a.x", reasons=["outside_window"]), "outside_window: partly held back"),
            (audited("a.x", audit("unique")), "1 passed, 0 failed"),
            (unknown("a.x"), "the tracker lost its place"),
            (outcome("a.x", "skipped", message=""), ""),
        ],
    )
    def test_is_the_reason_and_additional_text_of_the_message(
        self, made: object, words: str
    ) -> None:
        assert str(reason_in_short(made)) == words  # type: ignore[arg-type]


class TestDuration:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0.254, "0.25 s"),
            (9.994, "9.99 s"),
            (9.996, "10 s"),
            (59.4, "59 s"),
            (59.6, "1 min 0 s"),
            (119.7, "2 min 0 s"),
            (3599.9, "1 h 0 min"),
            (360_000, "100 h 0 min"),
        ],
    )
    def test_has_two_significant_digits(self, seconds: float, words: str) -> None:
        assert duration(timedelta(seconds=seconds)) == words

    def test_is_left_out_if_it_is_unknown(self) -> None:
        assert duration(None) == ""


class TestFindings:
    POLICY = GatePolicy([{"models": "raw.weekly", "require": "executed"}])

    def test_are_by_invocation_with_the_summary_last(self) -> None:
        result = self.POLICY.evaluate(("t.py::night", NIGHT))
        assert findings(result, width=80) == text(
            """
            run of prod at 2024-01-14 06:30 UTC, in t.py::night
              - staging.orders failed in batch 2 of 2; 1 recorded: its evaluation raised
                ValueError: no luck
              - sales.orders was skipped: an upstream model failed (staging.orders)
              - raw.weekly must execute according to rule 1 (raw.weekly), but did not in the
                run; it was skipped: its cron was not due, next due 2024-01-21 00:00 UTC

            gate failed: 1 failure, 1 unexpected skip, 1 unmet requirement (5 outcomes in 1
            report)
            """
        )

    def test_about_rules_are_under_the_policy(self) -> None:
        result = GatePolicy([{"models": "no.such", "allow": "failed"}]).evaluate(NIGHT)
        assert "\n\nthe policy\n  - rule 1 (no.such): " in findings(result)

    def test_are_counted_if_there_are_many(self) -> None:
        result = GatePolicy().evaluate(
            run(*(failed(f"a.m{number}", error=f"ValueError: {number}") for number in range(60)))
        )
        shown = findings(result).splitlines()
        assert sum(line.startswith("  - ") for line in shown) == 50
        assert shown[-3:-1] == ["and 10 more", ""]

    def test_are_only_the_summary_if_there_are_none(self) -> None:
        result = GatePolicy().evaluate(run(executed("a.x")))
        assert findings(result) == "gate passed: 1 outcome in 1 report"
        assert findings(result, color=True) == f"\x1b[32m{findings(result)}\x1b[0m"


class TestDifference:
    OLD = run(
        executed("raw.orders", rows=1204, duration=timedelta(seconds=1)),
        skipped("raw.weekly"),
        executed("sales.gone"),
        failed("sales.mended"),
        executed("sales.orders"),
        execution_time=utc("2024-01-13 06:30"),
    )
    NEW = run(
        executed("raw.orders", rows=0, duration=timedelta(seconds=3)),
        skipped("raw.weekly", "not_selected"),
        executed("sales.mended"),
        skipped("sales.orders", "signal_not_ready", signals={"feed": ()}),
        unknown("sales.new"),
        completion="raised",
        error="OSError: disk full",
    )

    def test_is_by_comparison_and_kind(self) -> None:
        assert difference(compare([self.OLD], [self.NEW]), width=90) == text(
            """
            run of prod, 2024-01-13 06:30 UTC → 2024-01-14 06:30 UTC: success in 2.00 s → raised in
            2.00 s
            raised OSError: disk full
              no longer executed
                sales.orders  now skipped, signal_not_ready: feed
              newly executed
                sales.mended  before: failed, error: ValueError: no luck
              changed reason
                raw.weekly  skipped, cron_not_due → skipped, not_selected
              no longer listed
                sales.gone  before: executed in 1 batch
              newly listed
                sales.new  now unknown: the tracker lost its place
              slower
                raw.orders  1.00 s in 1 batch → 3.00 s in 1 batch
              changed rows
                raw.orders  1,204 → 0

            1 no longer executed, 1 newly executed, 1 changed reason, 1 no longer listed, 1 newly
            listed, 1 slower, 1 changed rows, 1 invocation ended differently (6 models in 1
            comparison)
            """
        )

    def test_names_models_on_only_one_side(self) -> None:
        old = [("t.py::a", self.OLD), ("t.py::gone", self.OLD)]
        new = [("t.py::a", self.OLD), *[("t.py::a", self.OLD)] * 2]
        assert difference(compare(old, new)).splitlines() == [
            "only in the old reports",
            "  - run of prod, in t.py::gone",
            "",
            "only in the new reports",
            "  - run of prod, in t.py::a (number 2)",
            "  - run of prod, in t.py::a (number 3)",
            "",
            "1 invocation only in the old reports, 2 invocations only in the new reports (5 models "
            "in 1",
            "comparison)",
        ]

    def test_shows_how_many_invocations_were_combined(self) -> None:
        shown = difference(compare([self.OLD, self.OLD], [self.NEW]), width=200)
        assert shown.startswith("2 runs of prod → run of prod, ")

    def test_counts_changes_beyond_the_limit(self) -> None:
        many = run(*(executed(f"a.m{number}") for number in range(60)))
        tests = [(f"t.py::{number}", run()) for number in range(60)]
        shown = difference(compare([run()], [many, *tests])).splitlines()
        assert shown[52] == "    and 10 more"
        assert shown[-4:-2] == ["  - run of prod, in t.py::49", "and 10 more"]

    def test_is_one_line_if_there_is_none(self) -> None:
        diff = compare([self.OLD], [self.OLD])
        assert difference(diff) == "no differences (5 models in 1 comparison)"

    def test_a_difference_of_status_is_shown_from_both_sides(self) -> None:
        diff = compare([run(skipped("a.x"))], [run(failed("a.x"))])
        assert change_of(diff.changes[0]) == (
            "skipped, cron_not_due → failed, error: ValueError: no luck"
        )


HOSTILE = "\x1b[2Ja\u202eb\ud800\x07\u2028[red]:smile:"


class TestSafety:
    """Names and errors don't steer the terminal, and can be printed."""

    BAD = run(
        failed(HOSTILE, error=HOSTILE),
        environment=HOSTILE,
        error=HOSTILE,
        completion="raised",
        removed=(HOSTILE,),
    )
    VIEWS: tuple[Callable[[RunReport], str], ...] = (
        table,
        lambda report: findings(GatePolicy().evaluate((HOSTILE, report))),
        lambda report: difference(compare([("t", run())], [("t", report)])),
        lambda report: difference(compare([(HOSTILE, report), (HOSTILE, report)], [])),
    )

    @pytest.mark.parametrize("view", VIEWS)
    def test_text_of_a_project_is_shown_literally(self, view: Callable[[RunReport], str]) -> None:
        shown = view(self.BAD)
        assert not set("\x1b\u202e\ud800\x07\u2028") & set(shown)
        assert "[red]:smile:" in shown.replace("\n", "")
        shown.encode()

    @pytest.mark.parametrize("view", VIEWS)
    def test_endless_text_is_cut_with_an_ellipsis(self, view: Callable[[RunReport], str]) -> None:
        endless = "x" * 1_000_000
        shown = view(run(failed(endless, error=endless), environment=endless, error=endless))
        assert len(shown) < 10_000
        assert "…" in shown

    @unhurried
    @given(reports())
    def test_any_report_has_all_its_models(self, report: RunReport) -> None:
        lines = table(report, width=400, everything=True).splitlines()
        for name in map(name_of, (*report.outcomes, *report.removed)):
            assert any(name in line for line in lines)


def test_a_cause_that_changed_is_shown_with_both() -> None:
    old = run(executed("a.x", causes=("new_interval",)))
    new = run(executed("a.x", causes=("restated", "new_interval"), restated_by=("s.orders",)))
    [change] = compare([old], [new]).changes
    assert change_of(change) == "new_interval → restated (s.orders), new_interval"
    assert "changed cause" in difference(compare([old], [new]))


class TestErrorHeadline:
    def test_only_the_first_paragraph_has_a_line(self) -> None:
        assert error_headline("PlanError: 1 unit test failed\n\n┏━━┓\n┗━━┛") == (
            "PlanError: 1 unit test failed"
        )

    def test_text_that_a_paragraph_introduces_is_shown_with_it(self) -> None:
        assert error_headline("ConfigError: it failed:\n\nno such file\n\nmore") == (
            "ConfigError: it failed: no such file"
        )

    def test_an_empty_error_stays_empty(self) -> None:
        assert error_headline("") == ""
