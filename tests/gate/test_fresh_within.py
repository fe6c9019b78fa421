"""Rules that limit how old the data of models may be."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sqlmesh_tracker import GatePolicy, ModelOutcome, Reason, Status
from pytest_sqlmesh_tracker.gate import GateRule
from tests.builders import (
    NOW,
    audited,
    executed,
    failed,
    interrupted,
    outcome,
    run,
    skipped,
    unknown,
    utc,
)
from tests.drawing import unhurried

from .test_gate import evaluate, kinds_and_models, messages

RULE = {"models": "*", "fresh_within": "26 hours"}
LIMIT = NOW - timedelta(hours=26)
SECOND = timedelta(seconds=1)
OLD = {"loaded_through": utc("2024-01-01")}
STALE = [("stale_model", "a.x")]


def stale_models(*made: ModelOutcome, **facts: Any) -> list[str | None]:
    result = evaluate([RULE], run(*made, **facts))
    return [finding.model for finding in result.findings if finding.kind == "stale_model"]


class TestTheLimit:
    @pytest.mark.parametrize("made", [executed, skipped])
    def test_data_may_be_as_old_as_the_rule_says(self, made: Any) -> None:
        for through in (NOW, LIMIT + SECOND, LIMIT):
            assert evaluate([RULE], run(made("a.x", loaded_through=through))), through
        late = run(made("a.x", loaded_through=LIMIT - SECOND))
        assert kinds_and_models(evaluate([RULE], late)) == STALE

    def test_data_of_the_future_is_recent(self) -> None:
        assert evaluate([RULE], run(executed("a.x", loaded_through=utc("2099-01-01"))))

    def test_each_report_is_judged_at_its_own_execution_time(self) -> None:
        made = skipped("a.x", loaded_through=LIMIT)
        reports = [run(made, execution_time=at) for at in (NOW, NOW + SECOND)]
        result = evaluate([RULE], *reports)
        assert [finding.report_index for finding in result.findings] == [1]
        assert evaluate([RULE], reports[0], reports[1].model_copy(update={"superseded": True}))

    def test_the_reports_of_each_environment_are_judged(self) -> None:
        result = evaluate(
            [RULE],
            run(executed("a.x", loaded_through=NOW)),
            run(executed("a.x", **OLD), environment="dev"),
        )
        assert [finding.environment for finding in result.findings] == ["dev"]


class TestWords:
    def test_a_finding_says_how_old_the_data_is_in_the_unit_of_the_rule(self) -> None:
        def words(limit: str, through: str) -> str:
            rule = {"models": "a.*", "fresh_within": limit, "why": "books close at six"}
            [message] = messages(
                evaluate([rule], run(executed("a.x", loaded_through=utc(through))))
            )
            return message

        assert words("26 hours", "2024-01-12") == (
            "a.x is loaded up to 2024-01-12 00:00 UTC, which is 54 hours 30 minutes old: rule 1 "
            "(a.*, books close at six) allows at most 26 hours"
        )
        assert "which is 2 days 6 hours old: rule 1" in words("2 days", "2024-01-12 00:30")
        assert "which is 91 minutes old: rule 1" in words("90 minutes", "2024-01-14 04:59")

    def test_nothing_loaded_is_a_finding(self) -> None:
        held = skipped("a.x", "signal_not_ready")
        result = evaluate([RULE, {"models": "*", "allow": "signal_not_ready"}], run(held))
        assert kinds_and_models(result) == STALE
        assert messages(result) == ["a.x has nothing loaded: rule 1 (*) allows at most 26 hours"]
        assert result.summary == (
            "gate failed: 1 stale model (1 outcome in 1 report, 1 allowed by rules)"
        )

    def test_a_fraction_of_a_second_beyond_the_limit_is_rounded_up(self) -> None:
        through = LIMIT - timedelta(microseconds=1)
        [message] = messages(evaluate([RULE], run(executed("a.x", loaded_through=through))))
        assert "which is 26 hours 1 second old" in message


class TestWhichModels:
    """What nothing is to be loaded of is passed over."""

    @pytest.mark.parametrize(
        "made",
        [
            skipped("a.x", "no_changes", kind="seed", **OLD),
            executed("a.x", kind="seed", **OLD),
            skipped("a.x", "not_evaluatable", kind="external"),
            skipped("a.x", "not_evaluatable", kind="embedded"),
            audited("a.x", kind="audit"),
            skipped("a.x", "ended", **OLD),
            skipped("a.x", "not_started"),
        ],
        ids=str,
    )
    def test_passed_over(self, made: ModelOutcome) -> None:
        assert evaluate([{**RULE, "models": "a.x"}], run(made))

    @pytest.mark.parametrize(
        "made",
        [
            skipped("a.x", "cron_not_due", **OLD),
            skipped("a.x", "not_selected", **OLD),
            skipped("a.x", "upstream_failed", **OLD),
            audited("a.x", **OLD),
            failed("a.x", **OLD),
            failed("a.x"),
            interrupted("a.x", **OLD),
            executed("a.x", kind="view", **OLD),
        ],
        ids=str,
    )
    def test_judged_whatever_became_of_it(self, made: ModelOutcome) -> None:
        assert stale_models(made, skipped("other.x", loaded_through=NOW)) == ["a.x"]

    @pytest.mark.parametrize(
        "made",
        [
            interrupted("a.x", "environment_missing"),
            unknown("a.x"),
            skipped("a.x", "not_in_environment"),
        ],
        ids=str,
    )
    def test_what_is_loaded_must_be_known(self, made: ModelOutcome) -> None:
        assert stale_models(made) == []

    @pytest.mark.parametrize(
        "made",
        [
            skipped("a.x", "no_changes", **OLD),
            executed("a.x", reasons=("plan_limit",), **OLD),
            executed("a.x", **OLD),
            skipped("a.x", "backfill_skipped"),
            skipped("a.x", "reused", **OLD),
            skipped("a.x", "not_selected", **OLD),
            skipped("a.x", "not_applied"),
        ],
        ids=str,
    )
    def test_a_plan_leaves_loading_to_the_next_run(self, made: ModelOutcome) -> None:
        assert stale_models(made, command="plan") == []

    @pytest.mark.parametrize(
        "made",
        [
            skipped("a.x", "signal_not_ready"),
            executed("a.x", reasons=("plan_limit", "signal_not_ready"), **OLD),
            skipped("a.x", "upstream_not_ready", **OLD),
            skipped("a.x", "depends_on_past_gap", **OLD),
            skipped("a.x", "upstream_failed"),
            failed("a.x", **OLD),
        ],
        ids=str,
    )
    def test_a_plan_is_judged_on_what_it_could_not_load(self, made: ModelOutcome) -> None:
        assert stale_models(made, command="plan") == ["a.x"]

    def test_context_audit_loads_nothing(self) -> None:
        assert stale_models(audited("a.x", **OLD), command="audit") == []


class TestWhichRuleDecides:
    @pytest.mark.parametrize(
        ("limits", "stale"),
        [
            ([("a.*", "1 hour"), ("a.x", "1 week")], False),
            ([("a.x", "1 week"), ("a.*", "1 hour")], True),
            ([("a.*", "1 hour"), ("b.*", "1 week")], True),
        ],
    )
    def test_the_last_rule_on_the_age_of_the_model_does(
        self, limits: list[tuple[str, str]], stale: bool
    ) -> None:
        rules = [GateRule(models, fresh_within=limit) for models, limit in limits]
        rules.append(GateRule("a.*", allow="skipped"))
        loaded = {"loaded_through": utc("2024-01-14")}
        result = evaluate(rules, run(skipped("a.x", **loaded), skipped("b.x", **loaded)))
        assert result.passed is not stale

    def test_allowing_the_outcome_does_not_allow_old_data(self) -> None:
        rules = [RULE, {"models": "*", "allow": ["executed", "skipped", "cron_not_due"]}]
        assert not evaluate(rules, run(skipped("a.x", **OLD)))

    def test_a_model_that_is_tolerated_may_be_too_old(self) -> None:
        tolerant = {"models": "*", "tolerate": {"reason": "signal_not_ready", "for": "100 days"}}
        made = skipped("a.x", "signal_not_ready", waiting_since=utc("2024-01-02"), **OLD)
        result = evaluate([RULE, tolerant], run(made))
        assert kinds_and_models(result) == STALE
        assert [finding.model for finding in result.tolerated] == ["a.x"]

    def test_a_model_can_be_unexpected_and_old(self) -> None:
        assert kinds_and_models(evaluate([RULE], run(failed("a.x", **OLD)))) == [
            ("failure", "a.x"),
            ("stale_model", "a.x"),
        ]

    def test_a_warning_does_not_fail_the_gate(self) -> None:
        result = evaluate([{**RULE, "severity": "warning"}], run(executed("a.x", **OLD)))
        assert result
        assert [(w.kind, w.model) for w in result.warnings] == STALE

    def test_an_expired_rule_limits_nothing(self) -> None:
        rule = {**RULE, "until": date(2026, 1, 1)}
        result = evaluate([rule], run(executed("a.x", **OLD)), today=date(2026, 1, 2))
        assert kinds_and_models(result) == [("expired_rule", None)]

    def test_different_limits_for_the_same_models_contradict_each_other(self) -> None:
        rules = [{**RULE, "models": "a.x"}, {"models": "a.x", "fresh_within": "1 day"}]
        fresh = run(executed("a.x", loaded_through=NOW))
        assert messages(evaluate(rules, fresh)) == [
            "rule 2 (a.x): sets fresh_within to 1 day, which rule 1 sets to 26 hours for the same "
            "models"
        ]
        assert evaluate([rules[0], rules[0]], fresh)
        assert evaluate([rules[0], {**rules[1], "until": date(2099, 1, 1)}], fresh)


@unhurried
@given(
    st.sampled_from(Status),
    st.lists(st.sampled_from(Reason), max_size=2, unique=True),
    st.sampled_from(["run", "plan", "audit"]),
    st.integers(0, 10**6),
    st.integers(1, 10**6),
)
def test_data_within_the_limit_is_never_stale(
    status: Status, reasons: list[Reason], command: str, age: int, limit: int
) -> None:
    made = outcome(
        "a.x", status, *reasons, loaded_through=NOW - timedelta(seconds=age), message="m"
    )
    rule = GateRule("*", fresh_within=timedelta(seconds=limit))
    result = GatePolicy([rule]).evaluate(run(made, command=command))
    stale = [finding for finding in result.findings if finding.kind == "stale_model"]
    assert not (stale and age <= limit)
    if command == "run" and status is Status.EXECUTED and not reasons:
        assert bool(stale) is (age > limit)
