"""The explanation of an outcome, which people read when a test fails."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sqlmesh_tracker import AuditOutcome, ModelOutcome, Reason, RunReport, Status
from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.wording.formats import minute, moment, span, spans
from pytest_sqlmesh_tracker.wording.invocations import environment_words, notes, totals
from pytest_sqlmesh_tracker.wording.paragraphs import Complaint, paragraph
from pytest_sqlmesh_tracker.wording.sentences import failure, in_short, sentence, what_failed, why
from tests.builders import (
    audit,
    audited,
    batch,
    batches,
    executed,
    failed,
    interrupted,
    interval,
    outcome,
    partly_failed,
    run,
    skipped,
    unknown,
    utc,
)
from tests.drawing import outcomes, reports, unhurried

NOT_EXECUTED = Complaint("was not executed")


def explained(*made: ModelOutcome, complaint: Complaint | None = None, **facts: Any) -> str:
    """The paragraph on the first of these models, in a run of all."""
    return paragraph(run(*made, **facts), made[0], complaint)


def text(expected: str) -> str:
    return dedent(expected).strip("\n")


def lines_of(label: str, paragraph: str) -> list[str]:
    """The facts with this label, without it."""
    labelled = f"  {label} "
    return [
        line[len(labelled) :].strip()
        for line in paragraph.splitlines()
        if line.startswith(labelled)
    ]


class TestMoment:
    def test_is_to_the_second_and_in_utc(self) -> None:
        assert moment(utc("2024-01-14")) == "2024-01-14 00:00:00 UTC"
        assert moment(utc("2024-01-14 06:30:59.999999")) == "2024-01-14 06:30:59 UTC"

    def test_a_moment_in_another_time_zone_is_shown_in_utc(self) -> None:
        east = timezone(timedelta(hours=5, minutes=30))
        assert moment(datetime(2024, 1, 14, 4, tzinfo=east)) == "2024-01-13 22:30:00 UTC"

    def test_is_shorter_in_crowded_lines(self) -> None:
        assert minute(utc("2024-01-14")) == "2024-01-14 00:00 UTC"
        assert minute(utc("2024-01-14 06:30:15")) == "2024-01-14 06:30:15 UTC"


class TestSpan:
    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            ("2024-01-14", "2024-01-15", "2024-01-14"),
            ("2024-01-07", "2024-01-14", "2024-01-07 .. 2024-01-13"),
            ("2023-12-31", "2024-01-02", "2023-12-31 .. 2024-01-01"),
            ("2024-02-28", "2024-03-01", "2024-02-28 .. 2024-02-29"),
            ("2024-01-14 06:00", "2024-01-14 07:00", "2024-01-14 06:00 .. 07:00 UTC"),
            ("2024-01-14 23:30", "2024-01-15 00:30", "2024-01-14 23:30 .. 2024-01-15 00:30 UTC"),
            ("2024-01-14 23:00", "2024-01-15", "2024-01-14 23:00 .. 2024-01-15 00:00 UTC"),
            ("2024-01-14", "2024-01-14 06:00", "2024-01-14 00:00 .. 06:00 UTC"),
            ("2024-01-14", "2024-01-14", "2024-01-14 00:00 .. 00:00 UTC"),
        ],
    )
    def test_whole_days_by_their_dates_others_by_their_times(
        self, start: str, end: str, expected: str
    ) -> None:
        assert span(utc(start), utc(end)) == expected

    def test_days_are_those_of_utc(self) -> None:
        east = timezone(timedelta(hours=5))
        start, end = datetime(2024, 1, 14, tzinfo=east), datetime(2024, 1, 15, tzinfo=east)
        assert span(start, end) == "2024-01-13 19:00 .. 2024-01-14 19:00 UTC"

    def test_several_are_listed_up_to_a_limit(self) -> None:
        days = [interval(f"2024-01-0{day}", f"2024-01-0{day + 1}") for day in (1, 3, 5, 7)]
        assert spans(days[:3]) == "2024-01-01, 2024-01-03, 2024-01-05"
        assert spans(days) == "2024-01-01, 2024-01-03, 2024-01-05 and 1 more"
        assert spans(days, limit=1) == "2024-01-01 and 3 more"


class TestTotals:
    def test_count_each_status_in_the_same_order(self) -> None:
        report = run(
            skipped("a.s"),
            unknown("a.u"),
            executed("a.e"),
            interrupted("a.i"),
            audited("a.a"),
            failed("a.f"),
            skipped("a.t"),
        )
        assert totals(report) == (
            "1 executed (a.e), 1 failed (a.f), 2 skipped, 1 audited, 1 interrupted, 1 unknown"
        )

    def test_name_up_to_three_that_executed_or_failed(self) -> None:
        assert totals(run(*map(executed, "abc"))) == "3 executed (a, b, c)"
        assert totals(run(*map(executed, "abcd"))) == "4 executed"
        assert totals(run(*map(failed, "abcd"))) == "4 failed"

    def test_totals_of_no_models(self) -> None:
        assert totals(run()) == "no models"


class TestWhy:
    @pytest.mark.parametrize("reason", Reason)
    def test_every_reason_has_its_own_words(self, reason: Reason) -> None:
        words = why(skipped("a.x", reason))
        others = {why(skipped("a.x", other)) for other in Reason if other is not reason}
        assert words not in others
        assert words[0].islower()
        assert not words.endswith(".")
        assert not set("{}\n") & set(words)

    def test_without_a_reason_is_empty(self) -> None:
        assert why(executed("a.x")) == ""

    @pytest.mark.parametrize(
        ("kind", "words"), [("external", "an external model"), ("view", "a view model")]
    )
    def test_names_the_kind_that_is_not_evaluatable(self, kind: str, words: str) -> None:
        made = skipped("a.x", "not_evaluatable", kind=kind)
        assert why(made) == f"{words} without audits has nothing to evaluate"

    def test_no_changes_does_not_deny_intervals_that_became_missing(self) -> None:
        held = (interval("2024-01-13", "2024-01-14"),)
        words = why(skipped("a.x", "no_changes", held_back=held))
        assert words != "nothing of it changed or was missing"


class TestSentence:
    @pytest.mark.parametrize(
        ("made", "expected"),
        [
            (executed("a.x"), "executed in 1 batch"),
            (executed("a.x", batches=batches("executed", "executed")), "executed in 2 batches"),
            (
                executed("a.x", reasons=("signal_not_ready",)),
                "executed in 1 batch; partly held back: its signal was not ready",
            ),
            (failed("a.x"), "failed: its evaluation raised ValueError: no luck"),
            (
                failed("a.x", error="BinderException:\n  no column\n\n  c"),
                "failed: its evaluation raised BinderException: no column c",
            ),
            (
                failed("a.x", "creation_failed", error=None),
                "failed: its table or view could not be created",
            ),
            (
                skipped("a.x", next_due=utc("2024-01-15")),
                "skipped: its cron was not due, next due 2024-01-15 00:00 UTC",
            ),
            (skipped("a.x"), "skipped: its cron was not due"),
            (
                skipped("a.x", "not_started", next_due=utc("2024-02-01")),
                "skipped: it starts after the execution time, next due 2024-02-01 00:00 UTC",
            ),
            (
                skipped("a.x", "not_selected", next_due=utc("2024-01-15")),
                "skipped: it was not selected",
            ),
            (
                skipped("a.x", "upstream_failed", blocked_by=("a.y",)),
                "skipped: an upstream model failed (a.y)",
            ),
            (
                skipped("a.x", "upstream_failed", blocked_by=tuple("abc")),
                "skipped: an upstream model failed (a, b, c)",
            ),
            (
                skipped("a.x", "upstream_failed", blocked_by=tuple("abcde")),
                "skipped: an upstream model failed (a, b, c and 2 more)",
            ),
            (
                skipped("a.x", "signal_not_ready", signals={"feed": (), "lake": ()}),
                "skipped: its signal was not ready (feed, lake)",
            ),
            (outcome("a.x", "skipped"), "skipped"),
            (audited("a.x", audit("not_null")), "audited: 1 passed, 0 failed"),
            (
                audited("a.x", audit("not_null"), audit("unique", rows_failed=1, blocking=False)),
                "audited: 1 passed, 1 failed; a non-blocking audit failed: unique (1 row)",
            ),
            (
                executed("a.x", audits=(audit("positive", rows_failed=3, blocking=False),)),
                "executed in 1 batch; a non-blocking audit failed: positive (3 rows)",
            ),
            (
                executed(
                    "a.x",
                    reasons=("signal_not_ready",),
                    audits=[audit(name, rows_failed=1, blocking=False) for name in "abcd"],
                ),
                "executed in 1 batch; partly held back: its signal was not ready; "
                "4 non-blocking audits failed: a (1 row), b (1 row), c (1 row) and 1 more",
            ),
            (
                executed(
                    "a.x",
                    audits=[
                        audit("unique", rows_failed=1, blocking=False).model_copy(
                            update={"arguments": {"columns": column, "limit_": "1"}}
                        )
                        for column in ("id", "day")
                    ],
                ),
                "executed in 1 batch; 2 non-blocking audits failed: "
                "unique(columns := id, limit_ := 1) (1 row), "
                "unique(columns := day, limit_ := 1) (1 row)",
            ),
            (
                executed("a.x", audits=(AuditOutcome(name="odd", blocking=False, passed=False),)),
                "executed in 1 batch; a non-blocking audit failed: odd",
            ),
            (
                outcome("a.x", "audited", "outside_window"),
                "audited: its missing intervals are outside the invocation's window",
            ),
            (interrupted("a.x"), "interrupted: the invocation was aborted"),
            (
                interrupted("a.x", "environment_changed"),
                "interrupted: the environment changed in the meantime",
            ),
            (unknown("a.x", note=None), "unknown"),
        ],
    )
    def test_has_the_status_and_the_reason(self, made: ModelOutcome, expected: str) -> None:
        assert sentence(made) == expected

    def test_keeps_an_error_of_200_characters(self) -> None:
        assert sentence(failed("a.x", error="x" * 200)).endswith(" raised " + "x" * 200)
        assert sentence(failed("a.x", error="x" * 201)).endswith(" raised " + "x" * 199 + "…")

    def test_cuts_a_long_error(self) -> None:
        made = sentence(failed("a.x", error="E: " + "x" * 1000))
        assert made.endswith("xx…")
        assert len(made) < 260

    @pytest.mark.parametrize("status", Status)
    @pytest.mark.parametrize("reason", [None, *Reason])
    def test_begins_with_the_status(self, status: Status, reason: Reason | None) -> None:
        made = outcome("a.x", status, *([reason] if reason else []))
        assert sentence(made).startswith(status)
        if reason is not None and (status, reason) != (Status.EXECUTED, Reason.PLAN_LIMIT):
            assert why(made) in sentence(made)

    def test_a_seed_may_have_changed_since_it_was_loaded(self) -> None:
        assert sentence(skipped("a.x", "no_changes")) == "skipped: it did not change"
        seed = skipped("a.x", "no_changes", kind="seed")
        assert sentence(seed) == "skipped: its seed is loaded"

    @unhurried
    @given(outcomes())
    def test_is_one_line_for_any_outcome(self, made: ModelOutcome) -> None:
        assert len(sentence(made).splitlines()) == 1


class TestUndeterminedCrons:
    made = skipped(
        "a.x",
        "cron_not_due",
        cron="0 8-18 * * *",
        undetermined_cron=True,
        safe_cron="0 * * * *",
    )

    def test_the_sentence_names_the_cron_in_place_of_a_time(self) -> None:
        words = (
            "skipped: its cron was not due, next due when SQLMesh next considers 0 8-18 * * * due"
        )
        assert sentence(self.made) == words

    def test_the_paragraph_explains_what_it_depends_on(self) -> None:
        shown = paragraph(run(self.made), self.made)
        assert "its gaps differ, so its due times depend on the SQLMesh process" in shown
        assert "0 * * * * has equal gaps and includes its times" in shown


class TestParagraph:
    """The main ones, word for word."""

    def test_executed(self) -> None:
        headline, run_fact, *_, last = explained(executed("sales.orders")).splitlines()
        assert headline == "sales.orders was executed in 1 batch"
        assert run_fact == "  run         prod, execution_time 2024-01-14 06:30:00 UTC"
        assert last == "  this run    1 executed (sales.orders)"

    def test_cron_not_due_with_nothing_held_back(self) -> None:
        made = skipped("sales.orders", next_due=utc("2024-01-15"), loaded_through=utc("2024-01-14"))
        assert explained(made, executed("raw.users"), complaint=NOT_EXECUTED) == text(
            """
            sales.orders was not executed: its cron was not due
              run         prod, execution_time 2024-01-14 06:30:00 UTC
              cron        @daily, next due 2024-01-15 00:00:00 UTC
              intervals   loaded through 2024-01-13
              this run    1 executed (raw.users), 1 skipped

            It has nothing to evaluate before then: run at 2024-01-15 00:00:00 UTC or later.
            """
        )

    def test_cron_not_due_with_intervals_held_back(self) -> None:
        made = skipped(
            "sales.weekly",
            cron="@weekly",
            next_due=utc("2024-01-21"),
            loaded_through=utc("2024-01-07"),
            held_back=[interval("2024-01-07", "2024-01-14")],
        )
        assert explained(made, complaint=NOT_EXECUTED) == text(
            """
            sales.weekly was not executed: its cron was not due
              run         prod, execution_time 2024-01-14 06:30:00 UTC
              cron        @weekly, next due 2024-01-21 00:00:00 UTC
              intervals   loaded through 2024-01-06
                          7 days held back by cron: 2024-01-07 .. 2024-01-13
              this run    1 skipped

            To evaluate it now, use run(ignore_cron=True), or \
run at 2024-01-21 00:00:00 UTC or later.
            """
        )

    def test_upstream_failed(self) -> None:
        made = skipped("sales.orders", "upstream_failed", blocked_by=("raw.events", "raw.gone"))
        assert explained(made, failed("raw.events"), complaint=NOT_EXECUTED) == text(
            """
            sales.orders was not executed: an upstream model failed
              run         prod, execution_time 2024-01-14 06:30:00 UTC
              blocked by  raw.events, failed: its evaluation raised ValueError: no luck
              blocked by  raw.gone
              this run    1 failed (raw.events), 1 skipped
            """
        )

    def test_signal_not_ready(self) -> None:
        held = (interval("2024-01-12", "2024-01-14"), interval("2024-01-10", "2024-01-11"))
        made = skipped("sales.orders", "signal_not_ready", signals={"partner_feed": held})
        assert explained(made, complaint=NOT_EXECUTED) == text(
            """
            sales.orders was not executed: its signal was not ready
              run         prod, execution_time 2024-01-14 06:30:00 UTC
              signal      partner_feed held back 2024-01-12 .. 2024-01-13, 2024-01-10
              this run    1 skipped
            """
        )

    def test_a_failed_batch(self) -> None:
        made = partly_failed("raw.events", error="ValueError: x\n\n  y")
        assert explained(made, executed("raw.users")) == text(
            """
            raw.events failed in batch 2 of 2; 1 recorded: its evaluation raised ValueError: x y
              run         prod, execution_time 2024-01-14 06:30:00 UTC
              batches     1 of 2 recorded
                          batch 2 failed: 2024-01-02
              error       ValueError: x
                            y
              this run    1 executed (raw.users), 1 failed (raw.events)
            """
        )

    def test_audit_failed(self) -> None:
        made = failed(
            "a",
            "audit_failed",
            error=None,
            audits=[
                audit("not_null"),
                audit("unique", rows_failed=3),
                audit("fresh", rows_failed=2, blocking=False),
            ],
        )
        assert explained(made) == text(
            """
            a failed: a blocking audit failed (unique); a non-blocking audit failed: fresh (2 rows)
              run         prod, execution_time 2024-01-14 06:30:00 UTC
              batches     0 of 1 recorded
                          batch 1 failed: 2024-01-01
              audit       unique (blocking), 3 rows failed
              audit       fresh (non-blocking), 2 rows failed
              this run    1 failed (a)
            """
        )

    def test_outside_window(self) -> None:
        assert explained(skipped("a.x", "outside_window"), complaint=NOT_EXECUTED) == text(
            """
            a.x was not executed: its missing intervals are outside the invocation's window
              run         prod, execution_time 2024-01-14 06:30:00 UTC
              this run    1 skipped

            It had work to do at this execution_time: widen start and end to evaluate it.
            """
        )

    def test_unknown(self) -> None:
        made = unknown("a.x", "the environment could not be read")
        assert explained(made, complaint=NOT_EXECUTED) == text(
            """
            a.x was not executed: its status is unknown (the environment could not be read)
              run         prod, execution_time 2024-01-14 06:30:00 UTC
              this run    1 unknown
            """
        )

    def test_a_paragraph_about_a_plan(self) -> None:
        made = skipped("a.x", "reused", change_category="forward_only")
        assert explained(made, command="plan", environment="dev") == text(
            """
            a.x was skipped: its data already existed
              plan        dev, execution_time 2024-01-14 06:30:00 UTC
              this plan   1 skipped
            """
        )


def test_seeds_have_reasons_of_their_own() -> None:
    assert why(skipped("a.x", "no_changes", kind="seed")) == "its seed is loaded"
    assert why(skipped("a.x", "restatement_refused", kind="seed")) == "seeds are not restated"
    assert why(skipped("a.x", "restatement_refused")) == "its restatement was refused"


class TestHeadline:
    """After a complaint it says what is true instead, and does not repeat it."""

    @pytest.mark.parametrize(
        ("made", "complaint", "expected"),
        [
            (skipped("a.x"), NOT_EXECUTED, "its cron was not due"),
            (outcome("a.x", "skipped"), NOT_EXECUTED, "it was only skipped"),
            (failed("a.x"), NOT_EXECUTED, "it failed, its evaluation raised"),
            (
                failed("a.x"),
                Complaint("failed, but not for audit_failed", omit_status=True),
                "its evaluation raised",
            ),
            (
                failed("a.x", "audit_failed"),
                Complaint("was not skipped"),
                "it failed, a blocking audit failed",
            ),
            (executed("a.x"), Complaint("was not skipped"), "it was executed in 1 batch"),
            (executed("a.x"), Complaint("was executed", omit_status=True), "in 1 batch"),
            (executed("a.x"), Complaint("was executed", instead="why not"), "why not"),
            (
                audited("a.x", audit("not_null")),
                NOT_EXECUTED,
                "it was only audited: 1 passed, 0 failed",
            ),
            (
                interrupted("a.x"),
                NOT_EXECUTED,
                "it was interrupted, the invocation was aborted",
            ),
        ],
    )
    def test_contains_the_complaint(
        self, made: ModelOutcome, complaint: Complaint, expected: str
    ) -> None:
        headline = explained(made, complaint=complaint).splitlines()[0]
        assert headline == f"a.x {complaint.text}: {expected}"

    def test_without_a_complaint_is_the_message(self) -> None:
        made = skipped("a.x", message="skipped: as somebody wrote")
        assert explained(made).splitlines()[0] == "a.x was skipped: as somebody wrote"
        assert explained(skipped("a.x", message="")).startswith(
            "a.x was skipped: its cron was not due"
        )

    def test_an_unknown_outcome_without_a_message_has_no_empty_parentheses(self) -> None:
        headline = explained(unknown("a.x", None), complaint=NOT_EXECUTED).splitlines()[0]
        assert "its status is unknown" in headline
        assert "()" not in headline


class TestFacts:
    def facts(self, label: str, *made: ModelOutcome, **facts: Any) -> list[str]:
        return lines_of(label, explained(*made, **facts))

    def test_cron_of_a_model_that_waits_for_it(self) -> None:
        due = utc("2024-01-15")
        assert self.facts("cron", skipped("a.x")) == ["@daily"]
        assert self.facts("cron", skipped("a.x", "no_changes", next_due=due)) == [
            "@daily, next due 2024-01-15 00:00:00 UTC"
        ]
        assert self.facts("cron", failed("a.x", next_due=due)) == [
            "@daily, next due 2024-01-15 00:00:00 UTC"
        ]

    def test_no_cron_if_it_does_not_matter(self) -> None:
        assert self.facts("cron", executed("a.x")) == []
        assert self.facts("cron", skipped("a.x", cron=None)) == []

    @pytest.mark.parametrize(
        ("through", "expected"),
        [
            ("2024-01-14", "loaded through 2024-01-13"),
            ("2024-01-14 06:00", "loaded up to 2024-01-14 06:00:00 UTC"),
        ],
    )
    def test_loaded_through_the_last_whole_day(self, through: str, expected: str) -> None:
        assert self.facts("intervals", skipped("a.x", loaded_through=utc(through))) == [expected]

    @pytest.mark.parametrize(
        ("spans", "expected"),
        [
            ([("2024-01-13", "2024-01-14")], "1 day held back by cron: 2024-01-13"),
            ([("2024-01-12", "2024-01-14")], "2 days held back by cron: 2024-01-12 .. 2024-01-13"),
            (
                [("2024-01-14 05:00", "2024-01-14 06:00")],
                "1 hour held back by cron: 2024-01-14 05:00 .. 06:00 UTC",
            ),
            (
                [("2024-01-13", "2024-01-14 12:00")],
                "36 hours held back by cron: 2024-01-13 00:00 .. 2024-01-14 12:00 UTC",
            ),
            (
                [("2024-01-14 05:00", "2024-01-14 05:05")],
                "5 minutes held back by cron: 2024-01-14 05:00 .. 05:05 UTC",
            ),
            (
                [("2024-01-10", "2024-01-11"), ("2024-01-12", "2024-01-13")],
                "2 days held back by cron: 2024-01-10, 2024-01-12",
            ),
        ],
    )
    def test_held_back(self, spans: list[tuple[str, str]], expected: str) -> None:
        made = skipped("a.x", held_back=[interval(*pair) for pair in spans])
        assert self.facts("intervals", made) == [expected]

    def test_held_back_by_time_in_a_plan(self) -> None:
        held = [interval("2024-01-13", "2024-01-14")]
        made = skipped("a.x", "no_changes", held_back=held)
        assert self.facts("intervals", made) == ["1 day missing by now: 2024-01-13"]

    def test_a_held_back_instant_has_no_amount(self) -> None:
        held = [interval("2024-01-14 05:00:00", "2024-01-14 05:00:00")]
        (fact,) = self.facts("intervals", skipped("a.x", held_back=held))
        assert fact.startswith("less than a second held back")

    def test_a_fractional_amount_has_days_and_a_time(self) -> None:
        held = [interval("2024-01-14 05:00:06", "2024-01-16 06:00:00")]
        (fact,) = self.facts("intervals", skipped("a.x", held_back=held))
        assert fact.startswith("2 days 0:59:54 held back by cron: ")

    def test_no_amount_is_invented(self) -> None:
        held = [interval("2024-01-14 05:00:00", "2024-01-14 05:00:30")]
        (fact,) = self.facts("intervals", skipped("a.x", held_back=held))
        assert fact.startswith("30 seconds held back by cron: ")
        held = [interval("2024-01-14 05:00:00", "2024-01-14 05:00:00.500000")]
        (fact,) = self.facts("intervals", skipped("a.x", held_back=held))
        assert fact.startswith("less than a second held back by cron: ")

    def test_several_signals(self) -> None:
        days = [interval(f"2024-01-0{day}", f"2024-01-0{day + 1}") for day in (1, 3, 5, 7)]
        made = skipped("a.x", "signal_not_ready", signals={"feed": days, "lake": days[:1]})
        assert self.facts("signal", made) == [
            "feed held back 2024-01-01, 2024-01-03, 2024-01-05 and 1 more",
            "lake held back 2024-01-01",
        ]

    def test_blocked_by_shows_the_outcome_of_the_root_cause(self) -> None:
        """Also where its message is empty."""
        made = skipped("a.x", "upstream_failed", blocked_by=("a.y",))
        assert self.facts("blocked by", made, failed("a.y", message="")) == [
            "a.y, failed: its evaluation raised ValueError: no luck"
        ]

    def test_blocked_by_shortens_a_long_message(self) -> None:
        made = skipped("a.x", "upstream_failed", blocked_by=("a.y",))
        (fact,) = self.facts("blocked by", made, failed("a.y", message="no " * 1000))
        assert fact.startswith("a.y, no no no")
        assert fact.endswith("…")
        assert len(fact) < 200

    def test_at_most_three_failed_batches(self) -> None:
        made = failed("a.x", batches=batches("executed", *["failed"] * 5))
        text = explained(made)
        assert self.facts("batches", made) == ["1 of 6 recorded"]
        assert text.count(" failed: 2024-") == 3
        assert "batch 2 failed: 2024-01-02" in text

    def test_the_interruption_of_the_invocation(self) -> None:
        made = interrupted("a.x")
        report = run(made, completion="interrupted", error="terminated by SIGTERM")
        assert "\n  interrupted  terminated by SIGTERM\n" in report.explain("a.x")

    def test_batches_of_an_interrupted_model(self) -> None:
        made = interrupted("a.x", batches=batches("executed", "interrupted"))
        assert self.facts("batches", made) == ["1 of 2 recorded"]

    def test_batches_of_an_audited_model_are_not_shown_as_unrecorded(self) -> None:
        assert self.facts("batches", audited("a.x", audit("not_null"))) == []

    @pytest.mark.parametrize(
        ("rows", "expected"),
        [(1, "unique (blocking), 1 row failed"), (2, "unique (blocking), 2 rows failed")],
    )
    def test_audits_that_failed(self, rows: int, expected: str) -> None:
        made = failed(
            "a.x", "audit_failed", audits=[audit("ok"), audit("unique", rows_failed=rows)]
        )
        assert self.facts("audit", made) == [expected]

    def test_an_error_is_cut_after_six_lines_and_in_wide_lines(self) -> None:
        error = "\n".join(f"line {number} " + "x" * 400 for number in range(9))
        lines = explained(failed("a.x", error=error)).splitlines()
        shown = [line.strip() for line in lines if line.strip().startswith(("line ", "error", "…"))]
        assert len([line for line in shown if "xxx" in line]) == 6
        assert shown[-1] == "…"
        assert all(len(line) < 320 for line in lines)

    def test_an_error_of_six_lines_is_whole(self) -> None:
        error = "\n \n".join(f"line {number}" for number in range(6))
        text = explained(failed("a.x", error=error))
        assert "…" not in text
        assert self.facts("error", failed("a.x", error=error)) == ["line 0"]
        assert [line.strip() for line in text.splitlines()][-6:-1] == [
            f"line {number}" for number in range(1, 6)
        ]

    @pytest.mark.parametrize("error", ["\n", " \n\t\n"])
    def test_an_error_without_text(self, error: str) -> None:
        assert explained(failed("a.x", error=error))

    def test_the_error_of_the_command(self) -> None:
        """The error of an interrupted model is that of the invocation."""
        made = interrupted("a.x", "command_failed")
        error = "SQLMeshError: before_all failed"
        text = explained(made, completion="raised", error=error)
        assert error in text

    def test_other_reasons(self) -> None:
        made = skipped("a.x", "not_selected", "upstream_failed", "cron_not_due")
        assert self.facts("also", made) == ["upstream_failed, cron_not_due"]
        assert self.facts("also", skipped("a.x")) == []

    def test_a_local_edit(self) -> None:
        assert self.facts("local edit", executed("a.x", local_edit=True)) == [
            "the project's definition differs from the environment's"
        ]

    def test_a_stub(self) -> None:
        assert self.facts("stubbed", executed("a.x", stubbed=True)) == [
            "the test's data replaces its query"
        ]

    def test_are_aligned(self) -> None:
        text = explained(
            skipped("a.x", "upstream_failed", blocked_by=("a.y",), local_edit=True),
            failed("a.y"),
            command="audit",
        )
        facts = text.splitlines()[1:]
        assert {line[:14].rstrip() for line in facts} == {
            "  audit",
            "  blocked by",
            "  local edit",
            "  this audit",
        }
        assert all(line[13] == " " and line[14] != " " for line in facts)


class TestRemedies:
    """Offered only where following them is known to help."""

    def remedy(self, made: ModelOutcome, **facts: Any) -> str:
        _, _, remedy = explained(made, **facts).partition("\n\n")
        return remedy

    held = (interval("2024-01-13", "2024-01-14"),)

    def test_the_remedy_for_cron(self) -> None:
        due = utc("2024-01-15")
        at = "run at 2024-01-15 00:00:00 UTC or later"
        assert self.remedy(skipped("a.x")) == ""
        assert at in self.remedy(skipped("a.x", next_due=due))
        assert "ignore_cron" not in self.remedy(skipped("a.x", next_due=due))
        assert self.remedy(skipped("a.x", held_back=self.held)) == (
            "To evaluate it now, use run(ignore_cron=True)."
        )
        assert self.remedy(skipped("a.x", held_back=self.held, next_due=due)) == (
            f"To evaluate it now, use run(ignore_cron=True), or {at}."
        )

    def test_the_remedy_for_selection_if_nothing_else_holds_it_back(self) -> None:
        assert self.remedy(skipped("a.x", "not_selected")) == (
            "It had work to do: select it to evaluate it."
        )
        assert self.remedy(skipped("a.x", "not_selected", "cron_not_due")) == ""

    def test_the_remedy_for_selection_in_other_commands(self) -> None:
        made = skipped("a.x", "not_selected")
        # Whether a plan had work for a model outside of it was never computed.
        assert self.remedy(made, command="plan") == ""
        assert self.remedy(made, command="audit") == (
            "It has audits: pass it in models to run them."
        )

    def test_the_remedies_for_the_window_of_a_plan_and_for_its_own_limit(self) -> None:
        window_start = {"start": "2024-01-01"}
        window = skipped("a.x", "outside_window")
        assert "widen start and end" in self.remedy(window, command="plan", arguments=window_start)
        limit = skipped("a.x", "outside_window", "plan_limit")
        beyond = "It had work to do beyond what its environment has loaded: plan with run=True."
        assert self.remedy(limit, command="plan") == beyond

    def test_the_remedy_for_the_window_if_nothing_else_holds_it_back(self) -> None:
        assert "widen start and end" in self.remedy(skipped("a.x", "outside_window"))
        assert self.remedy(skipped("a.x", "outside_window", "upstream_failed")) == ""
        assert self.remedy(executed("a.x", reasons=("outside_window",))) == ""

    def test_the_remedy_for_a_model_that_is_not_in_the_environment(self) -> None:
        assert self.remedy(skipped("a.x", "not_in_environment")) == (
            "A run evaluates only planned models: apply a plan that adds it."
        )
        assert self.remedy(skipped("a.x", "not_in_environment"), command="plan").startswith(
            "A restatement evaluates only planned models"
        )

    @pytest.mark.parametrize(
        "reason",
        sorted(
            {*Reason}
            - {"cron_not_due", "not_selected", "outside_window", "plan_limit", "not_in_environment"}
        ),
    )
    def test_other_reasons_have_no_remedy(self, reason: str) -> None:
        made = skipped("a.x", reason, next_due=utc("2024-01-15"), held_back=self.held)
        assert self.remedy(made) == ""


class TestAnything:
    @unhurried
    @given(reports(), st.none() | st.sampled_from([NOT_EXECUTED, Complaint("did not fail")]))
    def test_any_outcome_has_a_paragraph(
        self, report: RunReport, complaint: Complaint | None
    ) -> None:
        for name, made in report.outcomes.items():
            text = paragraph(report, made, complaint)
            assert text.startswith(name)
            if complaint is None:
                assert report.explain(name) == text

    @pytest.mark.parametrize("status", Status)
    @pytest.mark.parametrize("reason", [None, *Reason])
    @pytest.mark.parametrize("complaint", [None, NOT_EXECUTED])
    def test_any_valid_complaint_has_a_headline(
        self, status: Status, reason: Reason | None, complaint: Complaint | None
    ) -> None:
        made = outcome("a.x", status, *([reason] if reason else []), batches=batches("failed"))
        headline, run_fact, *_ = explained(made, complaint=complaint).splitlines()
        assert headline.startswith(f"a.x {complaint.text}: " if complaint else "a.x ")
        assert str(status) in headline or complaint
        assert run_fact == "  run         prod, execution_time 2024-01-14 06:30:00 UTC"
        if reason and status not in ("unknown", "executed"):
            assert why(made) in headline

    def test_hours_of_a_batch_are_shown(self) -> None:
        made = failed(
            "a.x", batches=[batch("2024-01-14 05:00", "2024-01-14 06:00", "failed", index=7)]
        )
        assert "batch 8 failed: 2024-01-14 05:00 .. 06:00 UTC" in explained(made)


class TestWhatFailed:
    BROKEN = AuditOutcome(name="known", passed=False, error="BinderException: no table")

    def test_an_audit_that_could_not_be_run(self) -> None:
        made = failed("a.x", error=self.BROKEN.error, audits=[audit("fine"), self.BROKEN])
        words = "its audit known could not be run"
        assert what_failed(made) == why(made) == words
        assert sentence(made) == f"failed: {words}: BinderException: no table"
        assert failure(made) == f": {words}: BinderException: no table"
        assert "audit       known (blocking), could not be run" in explained(made)

    def test_an_audit_of_another_batch_than_the_one_that_failed_first(self) -> None:
        made = failed("a.x", audits=[self.BROKEN])
        assert sentence(made) == "failed: its evaluation raised ValueError: no luck"
        assert failure(made) == " raised ValueError: no luck"

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            ("full", "its rows were written, but its interval could not be recorded"),
            ("view", "its view was created, but its interval could not be recorded"),
            ("audit", "its audits were run, but its interval could not be recorded"),
        ],
    )
    def test_an_interval_that_could_not_be_recorded(self, kind: str, words: str) -> None:
        unrecorded = batch("2024-01-13", "2024-01-14", "failed", unrecorded=True)
        made = failed("a.x", kind=kind, batches=[unrecorded], error="OperationalError: locked")
        assert sentence(made) == f"failed: {words}: OperationalError: locked"
        assert "batch 1 could not be recorded: 2024-01-13" in explained(made)

    @pytest.mark.parametrize("reason", ["creation_failed", "command_failed"])
    def test_a_known_step(self, reason: str) -> None:
        step = "its view a.x could not be created"
        made = failed("a.x", reason, failed_step=step, error="IOException: x", batches=())
        assert sentence(made) == f"failed: {step}: IOException: x"

    @pytest.mark.parametrize(
        ("statuses", "words"),
        [
            (("failed",), "failed: its evaluation raised ValueError: no luck"),
            (("executed", "failed", "skipped"), "failed in batch 2 of 3; 1 recorded: its"),
            (("failed", "skipped"), "failed in batch 1 of 2; none recorded: its"),
            (("executed", "failed", "failed"), "failed in 2 of 3 batches; 1 recorded: its"),
        ],
    )
    def test_failed_batches_are_numbered(self, statuses: tuple[str, ...], words: str) -> None:
        assert sentence(failed("a.x", batches=batches(*statuses))).startswith(words)

    def test_batches_of_two_rounds_are_counted_in_each_round(self) -> None:
        made = failed(
            "a.x",
            batches=[
                batch("2024-01-01", "2024-01-02", index=0),
                batch("2024-01-02", "2024-01-03", "failed", index=0, round=1),
            ],
        )
        assert sentence(made).startswith("failed in batch 1 of 1; 1 recorded: ")

    def test_batches_recorded_before_an_interruption(self) -> None:
        made = interrupted("a.x", batches=batches("executed", "interrupted"))
        words = "interrupted; 1 of 2 batches recorded: the invocation was aborted"
        assert sentence(made) == words
        unrecorded = interrupted("a.x", batches=batches("interrupted", "interrupted"))
        assert sentence(unrecorded) == "interrupted: the invocation was aborted"

    def test_short_errors_leave_out_the_position_in_a_statement(self) -> None:
        duckdb = 'CatalogException: no table "t"!\nDid you mean "u"?\n\nLINE 1: FROM t\n   ^'
        assert in_short(duckdb) == 'CatalogException: no table "t"! Did you mean "u"?'
        postgres = 'UndefinedColumn: no column "x"\nLINE 1: SELECT x\n               ^\nHINT:  y'
        assert in_short(postgres) == 'UndefinedColumn: no column "x" HINT: y'

    def test_short_errors_contain_only_the_first_exception(self) -> None:
        error = "OperationalError: gone\n\nfor good\n\nfollowed by InterfaceError: x\n\nraised as Y"
        assert in_short(error) == "OperationalError: gone for good"


class TestEnvironments:
    """Why no model could be run, or why no model can be run next."""

    MISSING = EnvironmentState(unfinished_plan=None, environments=("dev", "prod"))
    BUSY = EnvironmentState(unfinished_plan="1a2b3c4d5e6f", environments=("prod",))

    def test_a_missing_environment(self) -> None:
        cut_off = interrupted("a.x", "environment_missing", "command_failed")
        assert explained(
            cut_off, environment="pord", environment_state=self.MISSING, completion="raised"
        ) == text(
            """
            a.x was interrupted: environment pord does not exist
              run           pord, execution_time 2024-01-14 06:30:00 UTC
              environments  dev, prod
              also          command_failed
              this run      1 interrupted

            Create it by applying a plan to pord.
            """
        )

    def test_a_missing_environment_without_any_others(self) -> None:
        nothing = EnvironmentState(unfinished_plan=None)
        assert environment_words("prod", nothing) == (
            "environment prod does not exist; create it by applying a plan to prod "
            "(environments: none)"
        )

    def test_a_problem_that_the_error_names_is_not_repeated(self) -> None:
        # Earlier versions wrote the remedy in other words.
        error = "EnvironmentBusyError: plan 1a2b3c4d of prod is not finished; apply a plan of prod"
        busy = run(interrupted("a.x", "environment_busy"), environment_state=self.BUSY, error=error)
        assert notes(busy) == []
        unmentioned = busy.model_copy(update={"error": "SQLMeshError: it gave up"})
        assert notes(unmentioned) == [environment_words("prod", self.BUSY)]

    def test_a_busy_environment(self) -> None:
        cut_off = interrupted("a.x", "environment_busy", "aborted")
        lines = explained(cut_off, environment_state=self.BUSY).splitlines()
        assert lines[0] == "a.x was interrupted: plan 1a2b3c4d of prod is not finished"
        assert (
            lines[-1] == "If it failed or was stopped, apply a plan to prod: until then, runs wait."
        )

    def test_an_environment_in_the_message_of_a_failed_assertion(self) -> None:
        cut_off = interrupted("a.x", "environment_busy")
        lines = explained(cut_off, environment_state=self.BUSY, complaint=NOT_EXECUTED).splitlines()
        assert lines[0].startswith("a.x was not executed: it was interrupted")

    def test_an_environment_that_a_plan_left_unfinished(self) -> None:
        report: dict[str, Any] = {
            "command": "plan",
            "completion": "failure",
            "environment_state": self.BUSY,
        }
        fact = "plan 1a2b3c4d of prod is not finished: runs wait for it"
        assert lines_of("environment", explained(failed("a.x"), **report)) == [fact]
        assert lines_of("environment", explained(executed("a.x"), **report)) == []
