"""What printing a report or an outcome shows."""

from __future__ import annotations

from textwrap import dedent

from hypothesis import given

from pytest_sqlmesh_tracker import RunReport
from tests.builders import audit, audited, executed, failed, interval, run, skipped, unknown, utc
from tests.drawing import reports, unhurried

NIGHT = run(
    skipped("raw.rates", "not_evaluatable", kind="external"),
    executed("raw.orders", causes=("new_interval",)),
    failed("staging.orders"),
    skipped("sales.orders", "upstream_failed", blocked_by=("staging.orders",)),
    skipped("sales.weekly", next_due=utc("2024-01-21")),
    audited("sales.checks", audit("unique")),
    unknown("sales.lost"),
    completion="failure",
)


def text(expected: str) -> str:
    return dedent(expected).strip("\n")


class TestText:
    def test_has_evaluated_models_models_that_need_attention_and_totals(self) -> None:
        assert str(NIGHT) == text(
            """
            run prod, execution_time 2024-01-14 06:30:00 UTC: failure in 2.00 s
              executed  raw.orders      2024-01-13: new_interval
              failed    staging.orders  its evaluation raised ValueError: no luck
              skipped   sales.orders    upstream_failed: staging.orders
              audited   sales.checks    1 passed, 0 failed
              unknown   sales.lost      the tracker lost its place
            1 executed, 1 failed, 2 skipped, 1 audited, 1 unknown
            """
        )

    def test_has_the_error_and_removed_models(self) -> None:
        report = run(
            skipped("a.x"),
            command="plan",
            completion="raised",
            error="PlanError:\n  no",
            removed=("a.old", "a.older"),
            project_files="not_read",
        )
        assert str(report) == text(
            """
            plan prod, execution_time 2024-01-14 06:30:00 UTC: raised in 2.00 s
            raised PlanError: no
            the project's files were not read: unknown reason
              the plan removes 2 models
            1 skipped
            """
        )

    def test_the_text_of_a_report_without_models(self) -> None:
        assert str(run()).splitlines()[1:] == ["no models"]

    def test_many_models_are_limited_to_twenty_with_those_that_need_attention_first(self) -> None:
        many = [executed(f"a.m{number}") for number in range(30)]
        lines = str(run(*many, failed("a.bad"), completion="failure")).splitlines()
        assert len(lines) == 1 + 20 + 1 + 1
        assert lines[20].split()[:2] == ["failed", "a.bad"]
        assert lines[-2:] == ["  … and 11 executed", "30 executed, 1 failed"]

    def test_is_short_for_any_report(self) -> None:
        long = failed("a.x", error="E: " + "x" * 5000)
        assert len(str(run(long, completion="failure"))) < 600

    @unhurried
    @given(reports())
    def test_the_text_of_any_report_has_no_control_characters(self, report: RunReport) -> None:
        assert str(report).replace("\n", "").isprintable() or "\x1b" not in str(report)
        assert "\x1b" not in str(report)


class TestRepr:
    def test_is_one_line(self) -> None:
        assert repr(NIGHT) == (
            "<RunReport run of prod at 2024-01-14 06:30 UTC, failure: "
            "1 executed, 1 failed, 2 skipped, 1 audited, 1 unknown>"
        )

    @unhurried
    @given(reports())
    def test_is_one_line_for_any_report(self, report: RunReport) -> None:
        assert len(repr(report).splitlines()) == 1
        assert len(repr(report)) < 400


class TestTable:
    def test_has_all_models_and_no_color(self) -> None:
        lines = NIGHT.table().splitlines()
        assert lines[0] == str(NIGHT).splitlines()[0]
        assert [line.split()[1] for line in lines[2:9]] == list(NIGHT.outcomes)
        assert "not_evaluatable" in lines[2]
        assert "\x1b" not in NIGHT.table()


class TestOutcome:
    def test_is_its_explanation(self) -> None:
        outcome = NIGHT["sales.orders"]
        assert str(outcome) == text(
            """
            sales.orders was skipped: an upstream model failed (staging.orders)
              blocked by  staging.orders
            """
        )
        assert f"{outcome}" == str(outcome)

    def test_has_all_facts_without_its_report(self) -> None:
        made = skipped(
            "a.weekly",
            next_due=utc("2024-01-21"),
            loaded_through=utc("2024-01-07"),
            held_back=(interval("2024-01-07", "2024-01-14"),),
        )
        assert str(made) == text(
            """
            a.weekly was skipped: its cron was not due, next due 2024-01-21 00:00 UTC
              cron        @daily, next due 2024-01-21 00:00:00 UTC
              intervals   loaded through 2024-01-06
                          7 days held back by cron: 2024-01-07 .. 2024-01-13
            """
        )

    def test_may_have_no_further_facts(self) -> None:
        assert str(skipped("a.x", "not_selected")) == "a.x was skipped: it was not selected"

    def test_a_failure_has_the_error(self) -> None:
        assert "  error       ValueError: no luck" in str(NIGHT["staging.orders"])
