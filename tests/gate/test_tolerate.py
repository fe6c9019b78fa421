"""Rules by which models may wait for some time, and no longer."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sqlmesh_tracker import ModelOutcome, RunReport, Status
from pytest_sqlmesh_tracker.gate import GatePolicy, GateResult, GateRule, GateTolerance
from tests.builders import NOW, executed, failed, interrupted, outcome, run, skipped, utc
from tests.drawing import unhurried

from .test_gate import evaluate, kinds_and_models, messages

TWO_DAYS: dict[str, Any] = {
    "models": "bank.*",
    "tolerate": {"reason": "signal_not_ready", "for": "2 days"},
}
ALLOW = {"models": "bank.x", "allow": ["signal_not_ready"]}
DENY = {"models": "bank.x", "deny": ["signal_not_ready"]}
WEEK = {"models": "bank.x", "tolerate": {"reason": "signal_not_ready", "for": "1 week"}}
HOUR = {"models": "bank.x", "tolerate": {"reason": "signal_not_ready", "for": "1h"}}
LIMIT = NOW - timedelta(days=2)
"""A model that waits since then has waited for two days at the execution time."""
SECOND = timedelta(seconds=1)
FEED: dict[str, Any] = {"signals": {"feed": ()}}
"""The facts of a model that waits for its signal `feed`."""


def waiting(name: str, since: Any = LIMIT, **facts: Any) -> ModelOutcome:
    """A model that is skipped because its signal was not ready."""
    return skipped(name, "signal_not_ready", waiting_since=since, **FEED, **facts)


def held_in_part(name: str, since: Any = LIMIT, *reasons: str) -> ModelOutcome:
    """A model that is executed, but not for all of its intervals."""
    return executed(name, reasons=("signal_not_ready", *reasons), waiting_since=since)


def below(name: str, *roots: str, reason: str = "upstream_not_ready", **facts: Any) -> ModelOutcome:
    """A model that is skipped because of models upstream."""
    return skipped(name, reason, blocked_by=roots, **{"waiting_since": LIMIT, **facts})


def tolerated(result: GateResult) -> list[str | None]:
    return [finding.model for finding in result.tolerated]


class TestTheLimit:
    @pytest.mark.parametrize("made", [waiting, held_in_part])
    def test_a_model_is_tolerated_up_to_the_limit(self, made: Any) -> None:
        for since in (NOW, LIMIT + SECOND, LIMIT):
            result = evaluate([TWO_DAYS], run(made("bank.x", since)))
            assert result.passed, since
            assert tolerated(result) == ["bank.x"]

    def test_a_skipped_model_is_unexpected_beyond_the_limit(self) -> None:
        result = evaluate([TWO_DAYS], run(waiting("bank.x", LIMIT - SECOND)))
        assert kinds_and_models(result) == [("unexpected_skip", "bank.x")]
        assert not result.tolerated
        assert result.allowed == 0

    def test_a_model_that_is_held_back_in_part_is_unexpected_beyond_the_limit(self) -> None:
        result = evaluate([TWO_DAYS], run(held_in_part("bank.x", LIMIT - SECOND)))
        assert kinds_and_models(result) == [("unexpected_execution", "bank.x")]

    def test_a_model_of_which_nothing_complete_is_missing_has_not_waited(self) -> None:
        assert evaluate([TWO_DAYS], run(waiting("bank.x", None)))

    def test_a_skip_that_is_tolerated_counts_as_allowed(self) -> None:
        report = run(waiting("bank.x"), held_in_part("bank.y"), skipped("bank.z"))
        result = evaluate([TWO_DAYS], report)
        assert tolerated(result) == ["bank.x", "bank.y"]
        assert result.summary == "gate passed: 3 outcomes in 1 report, 1 allowed by rules"

    def test_each_report_is_judged_at_its_own_execution_time(self) -> None:
        later = NOW + timedelta(days=1)
        reports = [run(waiting("bank.x"), execution_time=at) for at in (NOW, later)]
        result = evaluate([TWO_DAYS], *reports)
        assert [finding.report_index for finding in result.tolerated] == [0]
        assert [finding.report_index for finding in result.findings] == [1]

    def test_superseded_reports_are_not_judged(self) -> None:
        late = run(waiting("bank.x", LIMIT - SECOND), superseded=True)
        assert evaluate([TWO_DAYS], late, run(waiting("bank.x")))

    @pytest.mark.parametrize("command", ["run", "plan"])
    def test_runs_and_plans_are_judged_alike(self, command: str) -> None:
        assert evaluate([TWO_DAYS], run(waiting("bank.x"), command=command))
        assert not evaluate([TWO_DAYS], run(waiting("bank.x", LIMIT - SECOND), command=command))

    def test_a_report_of_version_1_does_not_say_since_when_a_model_waits(self) -> None:
        new = run(waiting("bank.x"), held_in_part("bank.y")).to_dict()
        outcomes = {
            name: {key: fact for key, fact in made.items() if key != "waiting_since"}
            for name, made in new["outcomes"].items()
        }
        written = {key: fact for key, fact in new.items() if key != "id"}
        old = RunReport.from_dict({**written, "schema_version": 1, "outcomes": outcomes})
        assert messages(evaluate([TWO_DAYS], old)) == [
            "bank.x was skipped: its signal was not ready (feed); held back for an unknown time, "
            "tolerated for 2 days (by rule 1 (bank.*))",
            "bank.y was executed in 1 batch; partly held back: its signal was not ready; held back "
            "for an unknown time, tolerated for 2 days (by rule 1 (bank.*))",
        ]


class TestWords:
    def test_a_finding_says_since_when_and_until_when(self) -> None:
        rule = {**TWO_DAYS, "why": "it closes at weekends"}
        [finding] = evaluate([rule], run(waiting("bank.x", utc("2024-01-11")))).findings
        assert finding.message == (
            "bank.x was skipped: its signal was not ready (feed); held back since 2024-01-11 00:00 "
            "UTC, tolerated for 2 days, until 2024-01-13 00:00 UTC (by rule 1 (bank.*, it closes "
            "at weekends))"
        )
        assert finding.tolerated_until == utc("2024-01-13")
        assert finding.rule == GateRule(**rule)

    def test_what_is_tolerated_is_listed_with_the_same_words(self) -> None:
        [finding] = evaluate([TWO_DAYS], run(held_in_part("bank.x", utc("2024-01-14")))).tolerated
        assert (finding.kind, finding.severity) == ("tolerated_model", "tolerated")
        assert finding.message == (
            "bank.x was executed in 1 batch; partly held back: its signal was not ready; held back "
            "since 2024-01-14 00:00 UTC, tolerated for 2 days, until 2024-01-16 00:00 UTC (by rule "
            "1 (bank.*))"
        )
        assert finding.tolerated_until == utc("2024-01-16")

    def test_without_a_complete_interval_there_is_no_end(self) -> None:
        [finding] = evaluate([TWO_DAYS], run(waiting("bank.x", None))).tolerated
        assert finding.message.endswith("(feed); tolerated for 2 days (by rule 1 (bank.*))")
        assert finding.tolerated_until is None

    def test_a_time_that_no_end_can_be_computed_of_has_none(self) -> None:
        [finding] = evaluate([TWO_DAYS], run(waiting("bank.x", utc("9999-12-31")))).tolerated
        assert finding.message.endswith("(feed); tolerated for 2 days (by rule 1 (bank.*))")

    def test_results_in_json_have_the_rule_as_in_toml(self) -> None:
        rule = GateRule("bank.*", tolerate=GateTolerance("signal_not_ready", timedelta(minutes=90)))
        [finding] = evaluate([rule], run(waiting("bank.x", NOW))).to_dict()["tolerated"]
        assert finding["rule"]["tolerate"] == {"reason": "signal_not_ready", "for": "90 minutes"}
        assert finding["tolerated_until"] == "2024-01-14T08:00:00Z"


class TestWhichRuleDecides:
    LATE = LIMIT - SECOND

    @pytest.mark.parametrize("made", [waiting, held_in_part])
    @pytest.mark.parametrize(
        ("rules", "passes"),
        [
            ([TWO_DAYS, WEEK], True),
            ([WEEK, TWO_DAYS], False),
            ([TWO_DAYS, ALLOW], True),
            ([ALLOW, TWO_DAYS], False),
            ([WEEK, DENY], False),
            ([DENY, WEEK], True),
            ([TWO_DAYS, {"models": "bank.x", "allow": ["skipped", "executed"]}], True),
            ([WEEK, {"models": "bank.x", "deny": ["skipped", "executed"]}], False),
            ([WEEK, {"models": "bank.x", "deny": ["cron_not_due"]}], True),
            ([WEEK, {"models": "other.x", "deny": ["signal_not_ready"]}], True),
            # Within one rule: deny before ALLOW, allow before tolerate.
            ([{**TWO_DAYS, "allow": "signal_not_ready"}], True),
            ([{**WEEK, "deny": "signal_not_ready"}], False),
        ],
    )
    def test_the_last_rule_that_lists_the_reason_does(
        self, made: Any, rules: list[Any], passes: bool
    ) -> None:
        # A contradiction would be a finding of its own.
        result = evaluate(rules, run(made("bank.x", self.LATE), skipped("other.x")))
        assert bool(result.on_reports) is not passes

    def test_a_skip_is_judged_by_its_primary_reason(self) -> None:
        both = skipped("bank.x", "outside_window", "signal_not_ready", waiting_since=self.LATE)
        assert evaluate([TWO_DAYS], run(both))

    def test_an_executed_model_is_judged_by_all_of_its_reasons(self) -> None:
        gap = {"models": "*", "tolerate": {"reason": "depends_on_past_gap", "for": "1 hour"}}
        made = held_in_part("bank.x", LIMIT, "depends_on_past_gap")
        result = evaluate([TWO_DAYS, gap], run(made))
        assert [finding.rule_index for finding in result.findings] == [1]
        patient = {"models": "*", "tolerate": {"reason": "depends_on_past_gap", "for": "1 week"}}
        result = evaluate([TWO_DAYS, patient], run(made))
        assert [finding.rule_index for finding in result.tolerated] == [1]

    def test_an_executed_model_that_is_allowed_is_not_judged_by_earlier_rules(self) -> None:
        allow = {"models": "bank.x", "allow": ["executed"]}
        assert evaluate([HOUR, allow], run(held_in_part("bank.x")))

    def test_a_warning_does_not_fail_the_gate(self) -> None:
        result = evaluate([{**HOUR, "severity": "warning"}], run(waiting("bank.x")))
        assert result
        assert [warning.kind for warning in result.warnings] == ["unexpected_skip"]

    def test_an_expired_rule_tolerates_nothing(self) -> None:
        rule = {**TWO_DAYS, "until": date(2026, 1, 1)}
        report = run(waiting("bank.x", NOW))
        assert evaluate([rule], report, today=date(2026, 1, 1))
        assert kinds_and_models(evaluate([rule], report, today=date(2026, 1, 2))) == [
            ("unexpected_skip", "bank.x"),
            ("expired_rule", None),
        ]

    def test_a_requirement_takes_precedence(self) -> None:
        rules = [{**WEEK, "require": "executed"}]
        assert kinds_and_models(evaluate(rules, run(waiting("bank.x")))) == [
            ("required_not_executed", "bank.x")
        ]

    @pytest.mark.parametrize("made", [failed("bank.x"), interrupted("bank.x")])
    def test_failures_are_not_tolerated(self, made: ModelOutcome) -> None:
        late = made.model_copy(update={"waiting_since": NOW})
        assert [kind for kind, _ in kinds_and_models(evaluate([TWO_DAYS], run(late)))] == [
            "failure" if made.status is Status.FAILED else "interruption"
        ]

    def test_a_reason_that_is_expected_by_default_can_be_limited(self) -> None:
        weekly = {"models": "*", "tolerate": {"reason": "cron_not_due", "for": "1 day"}}
        assert evaluate([weekly], run(skipped("a.x"), skipped("a.y", waiting_since=NOW)))
        assert not evaluate([weekly], run(skipped("a.x", waiting_since=LIMIT)))


class TestModelsBelow:
    def test_they_are_tolerated_as_long_as_each_model_that_they_wait_for(self) -> None:
        roots = (waiting("bank.x", utc("2024-01-13")), waiting("bank.y", utc("2024-01-14")))
        report = run(*roots, below("finance.ledger", "bank.x", "bank.y"))
        result = evaluate([TWO_DAYS], report)
        assert result
        assert result.allowed == 3
        last = result.tolerated[-1]
        assert (last.model, last.rule_index) == ("finance.ledger", 0)
        assert last.message == (
            "finance.ledger was skipped: an upstream signal was not ready (bank.x, bank.y); "
            "tolerated as long as bank.x, bank.y, until 2024-01-15 00:00 UTC"
        )
        assert last.tolerated_until == utc("2024-01-15")

    def test_they_are_unexpected_with_the_first_one_that_is_too_late(self) -> None:
        roots = (waiting("bank.x"), waiting("bank.y", LIMIT - SECOND))
        report = run(*roots, below("a.one", "bank.x"), below("a.both", "bank.x", "bank.y"))
        assert kinds_and_models(evaluate([TWO_DAYS], report)) == [
            ("unexpected_skip", "bank.y"),
            ("unexpected_skip", "a.both"),
        ]

    def test_a_root_can_be_held_back_in_part(self) -> None:
        assert evaluate([TWO_DAYS], run(held_in_part("bank.x"), below("a.x", "bank.x")))

    def test_without_a_complete_interval_there_is_no_end(self) -> None:
        result = evaluate([TWO_DAYS], run(waiting("bank.x", None), below("a.x", "bank.x")))
        assert result.tolerated[-1].message.endswith("(bank.x); tolerated as long as bank.x")

    def test_they_may_have_waited_for_longer_themselves(self) -> None:
        long_ago = utc("2023-01-01")
        report = run(waiting("bank.x"), below("a.x", "bank.x", waiting_since=long_ago))
        assert evaluate([TWO_DAYS], report)

    @pytest.mark.parametrize(
        "root",
        [
            # Accepted, but not tolerated for a time.
            skipped("bank.x"),
            executed("bank.x"),
            failed("bank.x"),
            skipped("bank.x", "upstream_not_ready", blocked_by=("a.x",), waiting_since=NOW),
        ],
    )
    def test_other_roots_are_not_tolerated(self, root: ModelOutcome) -> None:
        result = evaluate([TWO_DAYS], run(root, below("a.x", "bank.x")))
        assert ("unexpected_skip", "a.x") in kinds_and_models(result)

    def test_a_root_that_is_allowed_but_not_tolerated_does_not_suffice(self) -> None:
        tolerant = {**TWO_DAYS, "models": "bank.x"}
        allow = {"models": "bank.y", "allow": "signal_not_ready"}
        report = run(waiting("bank.x"), waiting("bank.y"), below("a.x", "bank.x", "bank.y"))
        assert kinds_and_models(evaluate([tolerant, allow], report)) == [("unexpected_skip", "a.x")]

    def test_allowing_a_root_does_not_end_the_tolerance(self) -> None:
        report = run(waiting("bank.x"), below("a.x", "bank.x"))
        result = evaluate([TWO_DAYS, {**ALLOW, "why": "for good"}], report)
        assert result
        assert tolerated(result) == ["a.x"]
        late = run(waiting("bank.x", LIMIT - SECOND), below("a.x", "bank.x"))
        assert kinds_and_models(evaluate([TWO_DAYS, ALLOW], late)) == [("unexpected_skip", "a.x")]

    @pytest.mark.parametrize("word", ["signal_not_ready", "skipped"])
    def test_denying_a_root_ends_the_tolerance(self, word: str) -> None:
        report = run(waiting("bank.x"), below("a.x", "bank.x"))
        result = evaluate([TWO_DAYS, {"models": "bank.x", "deny": word}], report)
        assert [model for _, model in kinds_and_models(result)] == ["bank.x", "a.x"]

    def test_a_root_must_be_tolerated_for_its_signal(self) -> None:
        gap = {"models": "bank.*", "tolerate": {"reason": "depends_on_past_gap", "for": "1 week"}}
        root = held_in_part("bank.x", LIMIT, "depends_on_past_gap")
        assert not evaluate([gap], run(root, below("a.x", "bank.x")))
        assert evaluate([TWO_DAYS, gap], run(root, below("a.x", "bank.x")))

    def test_nothing_is_tolerated_without_a_root(self) -> None:
        assert not evaluate([TWO_DAYS], run(waiting("bank.x"), below("a.x")))

    def test_other_reasons_are_not_tolerated(self) -> None:
        report = run(waiting("bank.x"), below("a.x", "bank.x", reason="upstream_failed"))
        assert kinds_and_models(evaluate([TWO_DAYS], report)) == [("unexpected_skip", "a.x")]

    @pytest.mark.parametrize(
        ("rule", "passes"),
        [
            ({"deny": "upstream_not_ready"}, False),
            ({"deny": "skipped"}, False),
            ({"tolerate": {"reason": "upstream_not_ready", "for": "1 hour"}}, False),
            ({"tolerate": {"reason": "upstream_not_ready", "for": "1 week"}}, True),
            ({"deny": "cron_not_due"}, True),
        ],
    )
    def test_a_rule_for_the_model_itself_takes_precedence(
        self, rule: dict[str, Any], passes: bool
    ) -> None:
        for rules in ([{"models": "a.x", **rule}, TWO_DAYS], [TWO_DAYS, {"models": "a.x", **rule}]):
            result = evaluate(rules, run(waiting("bank.x"), below("a.x", "bank.x")))
            assert result.passed is passes


class TestContradictions:
    @pytest.mark.parametrize(
        ("rules", "complaints"),
        [
            (
                [
                    {
                        "tolerate": {"reason": "signal_not_ready", "for": "1 day"},
                        "allow": ["skipped"],
                    }
                ],
                [],
            ),
            (
                [{"allow": "signal_not_ready", **TWO_DAYS}],
                ["rule 1 (bank.*): both allows and tolerates signal_not_ready"],
            ),
            (
                [{"deny": "signal_not_ready", **TWO_DAYS}],
                ["rule 1 (bank.*): both tolerates and denies signal_not_ready"],
            ),
            (
                [TWO_DAYS, {"allow": "signal_not_ready"}],
                [
                    "rule 2 (bank.*): allows signal_not_ready, which rule 1 tolerates for the same "
                    "models"
                ],
            ),
            (
                [{"deny": "signal_not_ready"}, TWO_DAYS],
                [
                    "rule 2 (bank.*): tolerates signal_not_ready, which rule 1 denies for the same "
                    "models"
                ],
            ),
            (
                [TWO_DAYS, {"tolerate": {"reason": "signal_not_ready", "for": "26 hours"}}],
                [
                    "rule 2 (bank.*): tolerates signal_not_ready for 26 hours, which rule 1 "
                    "tolerates for 2 days for the same models"
                ],
            ),
            ([TWO_DAYS, TWO_DAYS], []),
            ([TWO_DAYS, {"tolerate": {"reason": "upstream_not_ready", "for": "1 day"}}], []),
            ([TWO_DAYS, {"models": "*", "deny": "signal_not_ready"}], []),
            ([TWO_DAYS, {"deny": "signal_not_ready", "until": date(2099, 1, 1)}], []),
        ],
    )
    def test_are_findings(self, rules: list[dict[str, Any]], complaints: list[str]) -> None:
        result = evaluate([{"models": "bank.*", **rule} for rule in rules], run(skipped("bank.x")))
        assert messages(result) == complaints


@unhurried
@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_the_limit_is_exact_to_the_second(waited: int, limit: int) -> None:
    rule = GateRule("bank.*", tolerate=GateTolerance("signal_not_ready", timedelta(seconds=limit)))
    since = NOW - timedelta(seconds=waited)
    for made in (waiting("bank.x", since), held_in_part("bank.x", since)):
        result = GatePolicy([rule]).evaluate(run(made))
        assert result.passed is (waited <= limit)
        assert len(result.tolerated) + len(result.findings) == 1


MODELS = st.sampled_from(["*", "bank.*", "bank.x", "bank.y", "a.x"])
WORDS = st.sampled_from(["signal_not_ready", "upstream_not_ready", "skipped"])
RULES = st.one_of(
    st.builds(lambda models, word: GateRule(models, allow=word), MODELS, WORDS),
    st.builds(lambda models, word: GateRule(models, deny=word), MODELS, WORDS),
    st.builds(
        lambda models, word, days: GateRule(
            models, tolerate=GateTolerance(word, timedelta(days=days))
        ),
        MODELS,
        st.sampled_from(["signal_not_ready", "upstream_not_ready"]),
        st.integers(1, 3),
    ),
)
ROOTS = st.tuples(st.sampled_from([waiting, held_in_part]), st.integers(0, 4))


@unhurried
@given(st.lists(RULES, max_size=4), RULES, st.integers(0, 4), ROOTS, ROOTS)
def test_allowing_and_tolerating_for_longer_add_nothing_unexpected(
    policy: list[GateRule], rule: GateRule, place: int, one: Any, other: Any
) -> None:
    roots = [
        made(name, NOW - timedelta(days=days))
        for name, (made, days) in (("bank.x", one), ("bank.y", other))
    ]
    report = run(*roots, below("a.x", "bank.x", "bank.y"))

    def unexpected(rules: list[GateRule]) -> set[str | None]:
        return {finding.model for finding in GatePolicy(rules).evaluate(report).on_reports}

    if rule.allow:
        assert unexpected([*policy[:place], rule, *policy[place:]]) <= unexpected(policy)
    if rule.tolerate:
        longer = GateTolerance(rule.tolerate.reason, rule.tolerate.limit + timedelta(days=1))
        patient = GateRule(rule.models, tolerate=longer)
        assert unexpected([*policy, patient]) <= unexpected([*policy, rule])


def test_an_outcome_without_a_reason_is_not_tolerated() -> None:
    assert not evaluate([TWO_DAYS], run(outcome("bank.x", "failed", waiting_since=NOW)))
