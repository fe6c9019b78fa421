"""Causes in sentences, paragraphs, assertions and totals."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest

from pytest_sqlmesh_tracker import Cause, ModelOutcome, UnknownModelError, assert_executed
from pytest_sqlmesh_tracker.wording.causes import causes_in_short, causes_in_words
from pytest_sqlmesh_tracker.wording.paragraphs import paragraph
from pytest_sqlmesh_tracker.wording.sentences import sentence
from tests.builders import (
    TrackerOf,
    audit,
    audited,
    batches,
    executed,
    failed,
    interval,
    run,
    skipped,
    utc,
)

DAY, OTHER_DAY = interval("2024-01-13", "2024-01-14"), interval("2024-01-08", "2024-01-09")


def evaluated(*causes: str, name: str = "sales.daily", **facts: Any) -> ModelOutcome:
    return executed(name, **{"causes": causes, "kind": "incremental_by_time_range", **facts})


def text(expected: str) -> str:
    return dedent(expected).strip("\n")


class TestWords:
    @pytest.mark.parametrize(
        ("made", "words"),
        [
            (evaluated("restated", restated_by=("sales.daily",)), "restated"),
            (evaluated("restated"), "restated"),
            (evaluated("restated", restated_by=("s.orders",)), "restated with s.orders"),
            (
                evaluated("restated", restated_by=tuple("abcd")),
                "restated with a, b, c and 1 more",
            ),
            (evaluated("restated", restated_by=("s.orders", "sales.daily")), "restated"),
            (evaluated("auto_restated"), "restated by its auto_restatement_cron"),
            (
                evaluated("auto_restated", restated_by=("s.orders",)),
                "restated by the auto_restatement_cron of s.orders",
            ),
            (evaluated("first_load"), "first load"),
            (
                evaluated("first_load", changed_by=("sales.daily",)),
                "first load after a change",
            ),
            (
                evaluated("first_load", changed_by=("sales.daily",), change_category="breaking"),
                "first load after a breaking change",
            ),
            (
                evaluated(
                    "first_load", changed_by=("s.orders",), change_category="indirect_breaking"
                ),
                "first load after an indirect breaking change of s.orders",
            ),
            (
                evaluated(
                    "first_load", changed_by=("s.orders",), change_category="indirect_non_breaking"
                ),
                "first load after an indirect non-breaking change of s.orders",
            ),
            (
                evaluated("first_load", changed_by=("s.a", "s.b"), change_category="breaking"),
                "first load after breaking changes of s.a, s.b",
            ),
            (evaluated("removed_before"), "loaded again after a removal"),
            (evaluated("filled_gap"), "filled a gap"),
            (evaluated("new_interval"), "new interval"),
            (
                evaluated("new_interval", intervals_by_cause={"new_interval": (DAY,)}),
                "new interval",
            ),
            (
                evaluated("new_interval", intervals_by_cause={"new_interval": (OTHER_DAY, DAY)}),
                "new intervals",
            ),
            (evaluated("ahead_of_cron"), "ahead of its cron"),
            (evaluated("reloaded"), "reloaded"),
            (evaluated("reloaded", kind="full"), "reloaded as a whole"),
            (evaluated("audits_changed"), "its audits changed"),
            (evaluated("requested"), "requested"),
            (
                evaluated("restated", "new_interval", restated_by=("s.orders",)),
                "restated with s.orders, new interval",
            ),
            (evaluated(), ""),
        ],
    )
    def test_names_the_causes(self, made: ModelOutcome, words: str) -> None:
        assert causes_in_words(made) == words

    @pytest.mark.parametrize("cause", Cause)
    def test_every_cause_has_its_own_words(self, cause: Cause) -> None:
        words = causes_in_words(evaluated(cause))
        others = {causes_in_words(evaluated(other)) for other in Cause if other is not cause}
        assert words
        assert words not in others
        assert not set("_{}.") & set(words.replace("auto_restatement_cron", ""))

    @pytest.mark.parametrize(
        ("made", "words"),
        [
            (evaluated("restated", "reloaded"), "restated, reloaded"),
            (evaluated("restated", restated_by=("s.orders",)), "restated (s.orders)"),
            (evaluated("auto_restated", restated_by=("s.orders",)), "auto_restated (s.orders)"),
            (evaluated("first_load", changed_by=("s.a", "sales.daily")), "first_load (s.a)"),
            (evaluated("first_load", changed_by=("sales.daily",)), "first_load"),
            (evaluated(), ""),
        ],
    )
    def test_short_words_are_those_of_assertions(self, made: ModelOutcome, words: str) -> None:
        assert causes_in_short(made) == words


class TestSentence:
    @pytest.mark.parametrize(
        ("made", "expected"),
        [
            (
                evaluated("new_interval", batches=batches("executed", "executed")),
                "executed in 2 batches: new interval",
            ),
            (
                evaluated("new_interval", reasons=("signal_not_ready",)),
                "executed in 1 batch: new interval; partly held back: its signal was not ready",
            ),
            (
                evaluated("first_load", reasons=("plan_limit",), held_back=(DAY, OTHER_DAY)),
                "executed in 1 batch: first load; the rest is left for the next run: 2 days",
            ),
            (
                evaluated("first_load", reasons=("plan_limit",)),
                "executed in 1 batch: first load; the rest is left for the next run",
            ),
            (
                evaluated("first_load", reasons=("plan_limit", "signal_not_ready")),
                "executed in 1 batch: first load; partly held back: its signal was not ready",
            ),
            (
                audited("a.x", audit("unique"), causes=("audits_changed",)),
                "audited: 1 passed, 0 failed; its audits changed",
            ),
            (
                audited("a.x", audit("unique"), causes=("requested",)),
                "audited: 1 passed, 0 failed",
            ),
            (
                failed("a.x", causes=("new_interval",)),
                "failed: its evaluation raised ValueError: no luck",
            ),
        ],
    )
    def test_contains_the_cause(self, made: ModelOutcome, expected: str) -> None:
        assert sentence(made) == expected


class TestParagraph:
    def test_several_causes_have_their_intervals(self) -> None:
        made = evaluated(
            "restated",
            "new_interval",
            "reloaded",
            restated_by=("s.orders", "s.items"),
            intervals_by_cause={"restated": (OTHER_DAY,), "new_interval": (DAY,)},
            batches=batches("executed"),
        )
        assert paragraph(run(made), made) == text(
            """
            sales.daily was executed in 1 batch: restated with s.orders, s.items, new interval, \
reloaded
              run          prod, execution_time 2024-01-14 06:30:00 UTC
              executed     2024-01-01
              causes       restated: 2024-01-08
                           new_interval: 2024-01-13
                           reloaded
              restated by  s.orders, s.items
              this run     1 executed (sales.daily)
            """
        )

    def test_a_first_load_shows_the_changed_models(self) -> None:
        made = evaluated(
            "first_load",
            changed_by=("s.orders",),
            change_category="indirect_breaking",
            reasons=("plan_limit",),
            held_back=(OTHER_DAY,),
            waiting_since=utc("2024-01-09"),
        )
        assert paragraph(run(made, command="plan"), made) == text(
            """
            sales.daily was executed in 1 batch: first load after an indirect breaking change of \
s.orders; the rest is left for the next run: 1 day
              plan        prod, execution_time 2024-01-14 06:30:00 UTC
              intervals   1 day left for the next run: 2024-01-08
              waiting     since 2024-01-09 00:00:00 UTC
              executed    2024-01-13
              cause       first_load
              changed by  s.orders (indirect breaking)
              this plan   1 executed (sales.daily)
            """
        )

    def test_can_have_changes_without_a_category(self) -> None:
        made = evaluated("first_load", changed_by=("s.orders",))
        assert "  changed by  s.orders\n" in paragraph(run(made), made)

    def test_a_failed_model_has_its_cause(self) -> None:
        made = failed("a.x", causes=("new_interval",))
        assert "  cause       new_interval\n" in paragraph(run(made), made)


class TestByCause:
    REPORT = run(
        evaluated("new_interval", "reloaded", name="a.x"),
        evaluated("new_interval", name="a.y"),
        evaluated("restated", name="a.z"),
        skipped("a.late"),
    )

    def test_has_the_names_by_the_primary_cause(self) -> None:
        by_cause = self.REPORT.by_cause
        assert by_cause == {"restated": {"a.z"}, "new_interval": {"a.x", "a.y"}}
        assert list(by_cause) == [Cause.RESTATED, Cause.NEW_INTERVAL]

    def test_a_valid_cause_is_never_missing(self) -> None:
        assert self.REPORT.by_cause["reloaded"] == frozenset()
        assert self.REPORT.by_cause[Cause.FIRST_LOAD] == frozenset()
        assert "reloaded" not in self.REPORT.by_cause

    @pytest.mark.parametrize("typo", ["new_intervall", "cron_not_due", None])
    def test_a_typo_is_a_key_error_with_close_matches(self, typo: Any) -> None:
        with pytest.raises(KeyError) as caught:
            self.REPORT.by_cause[typo]
        valid = "did you mean new_interval" if typo == "new_intervall" else "valid values: restated"
        assert f"{typo!r} is not a cause; {valid}" in str(caught.value.args[0])
        assert caught.value.__cause__ is None


class TestAssertExecuted:
    REPORT = TestByCause.REPORT

    @pytest.mark.parametrize("cause", ["new_interval", "reloaded", Cause.RELOADED])
    def test_passes_for_any_of_the_causes(self, cause: str) -> None:
        self.REPORT.assert_executed("a.x", cause=cause)
        assert_executed(TrackerOf(self.REPORT), "a.x", cause=cause)

    @pytest.mark.parametrize(
        ("made", "instead"),
        [
            (evaluated("new_interval"), "it is new_interval (new interval)"),
            (
                evaluated("new_interval", "reloaded"),
                "they are new_interval, reloaded (new interval, reloaded)",
            ),
            (evaluated(), "it has no cause"),
        ],
    )
    def test_shows_the_actual_cause(self, made: ModelOutcome, instead: str) -> None:
        with pytest.raises(AssertionError) as caught:
            assert_executed(run(made), "sales.daily", cause="restated")
        headline = f"sales.daily was executed, but its cause is not restated: {instead}"
        assert str(caught.value).splitlines()[0] == headline

    def test_fails_for_a_model_that_did_not_execute(self) -> None:
        with pytest.raises(AssertionError, match=r"a\.late was not executed: its cron"):
            self.REPORT.assert_executed("a.late", cause="restated")

    @pytest.mark.parametrize(
        ("typo", "message"),
        [
            ("restate", "'restate' is not a cause; did you mean restated"),
            (
                "cron_not_due",
                "'cron_not_due' is not a cause; valid values: restated, auto_restated",
            ),
        ],
    )
    def test_raises_a_value_error_for_a_typo(self, typo: str, message: str) -> None:
        with pytest.raises(ValueError, match="not a cause") as caught:
            self.REPORT.assert_executed("a.x", cause=typo)
        assert str(caught.value).startswith(message)

    def test_raises_an_error_for_an_unknown_model(self) -> None:
        with pytest.raises(UnknownModelError):
            self.REPORT.assert_executed("a.nonsense", cause="restated")
