"""Differences between two reports, or two sets of them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sqlmesh_tracker import ModelOutcome, RunReport
from pytest_sqlmesh_tracker.reports.diff import Difference, Invocations, compare
from tests.builders import (
    audited,
    executed,
    failed,
    interrupted,
    partly_failed,
    run,
    skipped,
    unknown,
    utc,
)
from tests.drawing import reports, texts, unhurried


def changes(diff: Difference) -> list[tuple[str, str]]:
    return [(change.kind, change.model) for change in diff.changes]


def changed(old: ModelOutcome | None, new: ModelOutcome | None, **limits: Any) -> list[str]:
    """The kinds of what differs between two runs with at most this model."""
    diff = compare([run(*filter(None, [old]))], [run(*filter(None, [new]))], **limits)
    assert all(change.old == old and change.new == new for change in diff.changes)
    return [kind for kind, _ in changes(diff)]


def at(hour: int, *outcomes: ModelOutcome, **facts: Any) -> RunReport:
    """A run of prod at an hour of one day, of a minute."""
    start = utc(f"2024-01-14 {hour:02}:00")
    times = {"execution_time": start, "started_at": start}
    return run(*outcomes, **times, finished_at=start + timedelta(minutes=1), **facts)


def took(seconds: float, **facts: Any) -> ModelOutcome:
    return executed("a.x", duration=timedelta(seconds=seconds), **facts)


def caused(*causes: str, **facts: Any) -> ModelOutcome:
    return executed("a.x", causes=causes, **facts)


class TestModels:
    @pytest.mark.parametrize(
        ("old", "new", "kinds"),
        [
            (executed("a.x"), executed("a.x"), []),
            (executed("a.x"), skipped("a.x"), ["no_longer_executed"]),
            (executed("a.x"), partly_failed("a.x"), ["no_longer_executed"]),
            (executed("a.x"), audited("a.x"), ["no_longer_executed"]),
            (skipped("a.x"), executed("a.x"), ["newly_executed"]),
            (failed("a.x"), executed("a.x"), ["newly_executed"]),
            (skipped("a.x"), failed("a.x"), ["changed_status"]),
            (failed("a.x"), interrupted("a.x"), ["changed_status"]),
            (unknown("a.x"), skipped("a.x"), ["changed_status"]),
            (skipped("a.x"), skipped("a.x", "signal_not_ready"), ["changed_reason"]),
            (failed("a.x"), failed("a.x", "audit_failed"), ["changed_reason"]),
            (executed("a.x"), executed("a.x", reasons=["signal_not_ready"]), ["changed_reason"]),
            (caused("new_interval"), caused("new_interval", "reloaded"), []),
            (caused("new_interval"), caused("restated", "new_interval"), ["changed_cause"]),
            (executed("a.x"), caused("restated"), []),
            (caused("restated"), executed("a.x"), []),
            (failed("a.x"), caused("restated"), ["newly_executed"]),
            (
                caused("restated"),
                caused("new_interval", reasons=["signal_not_ready"]),
                ["changed_reason", "changed_cause"],
            ),
            (skipped("a.x"), skipped("a.x", "cron_not_due", "not_selected"), []),
            (skipped("a.x"), skipped("a.x", next_due=utc("2024-01-21")), []),
            (executed("a.x"), None, ["no_longer_listed"]),
            (None, skipped("a.x"), ["newly_listed"]),
        ],
    )
    def test_a_model_differs_by_execution_status_or_primary_reason(
        self, old: ModelOutcome | None, new: ModelOutcome | None, kinds: list[str]
    ) -> None:
        assert changed(old, new) == kinds

    def test_changes_are_by_kind_and_then_in_the_order_of_the_new_report(self) -> None:
        old = run(executed("a.1"), skipped("a.2"), executed("a.3"), executed("a.gone"))
        new = run(executed("a.new"), skipped("a.3"), executed("a.2"), skipped("a.1"))
        assert changes(compare([old], [new])) == [
            ("no_longer_executed", "a.3"),
            ("no_longer_executed", "a.1"),
            ("newly_executed", "a.2"),
            ("no_longer_listed", "a.gone"),
            ("newly_listed", "a.new"),
        ]

    def test_a_model_is_identified_by_its_qualified_name(self) -> None:
        old = executed("a.x")
        new = skipped("wh.a.x", fqn=old.fqn)
        assert changes(compare([run(old)], [run(new)])) == [("no_longer_executed", "wh.a.x")]

    def test_a_model_is_identified_by_its_name_if_the_catalog_differs(self) -> None:
        old = executed("a.x", fqn='"laptop"."a"."x"')
        new = skipped("a.x", fqn='"ci"."a"."x"')
        assert changes(compare([run(old)], [run(new)])) == [("no_longer_executed", "a.x")]

    def test_the_qualified_name_takes_precedence(self) -> None:
        old = run(executed("a.x"), skipped("wh2.a.x", fqn='"wh2"."a"."x"'))
        new = run(executed("wh.a.x", fqn='"wh"."a"."x"'), skipped("a.x", fqn='"wh2"."a"."x"'))
        assert compare([old], [new]).empty


class TestDurationsAndRows:
    @pytest.mark.parametrize(
        ("old", "new", "kinds"),
        [
            (2, 3, ["slower"]),
            (2, 2.99, []),
            (1, 1.9, []),
            (3, 2, ["faster"]),
            (0, 1, ["slower"]),
            (100, 149, []),
        ],
    )
    def test_slower_means_by_the_factor_and_by_at_least_a_second(
        self, old: float, new: float, kinds: list[str]
    ) -> None:
        assert changed(took(old), took(new)) == kinds

    def test_both_limits_can_be_set(self) -> None:
        least = timedelta(seconds=0.1)
        assert changed(took(1), took(1.2), slower_by=1.1, slower_than=least) == ["slower"]
        assert changed(took(10), took(19), slower_by=2) == []
        assert changed(took(1), took(1), slower_by=1, slower_than=timedelta(0)) == []

    @pytest.mark.parametrize("factor", [0.99, 0, -1, float("nan")])
    def test_a_factor_below_one_is_rejected(self, factor: float) -> None:
        with pytest.raises(ValueError, match=r"slower_by must be a factor of at least 1, not"):
            compare([], [], slower_by=factor)

    @pytest.mark.parametrize(
        ("old", "new", "kinds"),
        [
            (100, 0, ["changed_rows"]),
            (0, 1, ["changed_rows"]),
            (100, 149, []),
            (100, 150, ["changed_rows"]),
            (150, 100, ["changed_rows"]),
            (0, 0, []),
            (None, 7, []),
            (7, None, []),
        ],
    )
    def test_rows_differ_by_the_same_factor_if_they_are_known(
        self, old: int | None, new: int | None, kinds: list[str]
    ) -> None:
        assert changed(executed("a.x", rows=old), executed("a.x", rows=new)) == kinds

    def test_one_model_may_differ_in_several_ways(self) -> None:
        new = took(9, rows=0, reasons=["signal_not_ready"])
        assert changed(took(1, rows=10), new) == ["changed_reason", "slower", "changed_rows"]

    def test_only_models_executed_on_both_sides_are_compared(self) -> None:
        slow = failed("a.x", duration=timedelta(hours=1), rows=0)
        assert changed(took(1, rows=9), slow) == ["no_longer_executed"]
        assert changed(failed("a.x", duration=timedelta(0)), slow) == []


class TestPairs:
    def test_two_single_reports_are_always_compared(self) -> None:
        old, new = run(executed("a.x")), run(skipped("a.x"), command="plan", environment="dev")
        diff = compare([old], [("t.py::a", new)])
        assert changes(diff) == [("no_longer_executed", "a.x")]
        assert (diff.comparisons[0].old.command, diff.comparisons[0].new.command) == ("run", "plan")

    def test_invocations_of_a_test_one_by_one(self) -> None:
        first, second = run(executed("a.x")), run(skipped("a.x"))
        diff = compare([("t", first), ("t", second)], [("t", first), ("t", first)])
        assert [(c.new.number, len(c.changes)) for c in diff.comparisons] == [(1, 0), (2, 1)]
        assert changes(diff) == [("newly_executed", "a.x")]

    def test_the_last_try_of_a_repeated_test(self) -> None:
        repeated = run(failed("a.x"), superseded=True)
        old = [("test_it", run(executed("a.x")))]
        assert not compare(old, [("test_it", repeated), ("test_it", run(executed("a.x")))])
        assert compare(old, [("test_it", repeated)]).summary == (
            "1 invocation only in the old reports (0 models in 0 comparisons)"
        )

    def test_each_test_for_itself(self) -> None:
        one, other = run(executed("a.x")), run(skipped("a.x"))
        assert compare([("t.1", one), ("t.2", other)], [("t.2", other), ("t.1", one)]).empty

    def test_invocations_without_a_counterpart_are_listed(self) -> None:
        old = [("t.1", run(executed("a.x"))), ("t.gone", run(executed("a.x")))]
        new = [("t.1", run(executed("a.x"))), ("t.1", run(executed("a.x"))), ("t.new", run())]
        diff = compare(old, new)
        assert [alone.test for alone in diff.only_old] == ["t.gone"]
        assert [(alone.test, alone.number) for alone in diff.only_new] == [("t.1", 2), ("t.new", 1)]
        assert changes(diff) == []
        assert diff

    def test_another_environment_if_it_is_the_only_one(self) -> None:
        old = [run(executed("a.x"), environment="ci_main"), run(command="plan")]
        new = [run(skipped("a.x"), environment="ci_branch"), run(command="plan")]
        assert changes(compare(old, new)) == [("no_longer_executed", "a.x")]

    def test_no_other_environment_if_there_are_several(self) -> None:
        old = [run(environment="a"), run(environment="same")]
        new = [run(environment="b"), run(environment="c"), run(environment="same")]
        diff = compare(old, new)
        assert [alone.environment for alone in diff.only_old] == ["a"]
        assert [alone.environment for alone in diff.only_new] == ["b", "c"]

    def test_nothing_with_nothing(self) -> None:
        assert compare([], []).empty
        assert compare([], []).summary == "no differences (0 models in 0 comparisons)"
        assert compare([], [run()]).summary == (
            "1 invocation only in the new reports (0 models in 0 comparisons)"
        )

    def test_other_arguments_are_rejected(self) -> None:
        with pytest.raises(TypeError, match="compare takes RunReports, not str"):
            compare([run()], ["report.json"])  # type: ignore[list-item]


class TestCombined:
    """Invocations of one command and environment that no test made are one history."""

    def test_a_model_that_executed_once_counts_as_executed(self) -> None:
        day = [at(0, executed("a.daily")), *(at(hour, skipped("a.daily")) for hour in (1, 2, 3))]
        assert changes(compare([*day, at(4)], [at(0, executed("a.daily")), at(1)])) == []
        assert compare(day, day).comparisons[0].new == Invocations(
            command="run",
            environment="prod",
            reports=4,
            execution_time=utc("2024-01-14 03:00"),
            completion="success",
            duration=timedelta(minutes=4),
        )

    @pytest.mark.parametrize("bad", [failed("a.x"), skipped("a.x", "upstream_failed")])
    def test_a_later_failure_counts(self, bad: ModelOutcome) -> None:
        day = [at(0, executed("a.x")), at(2, skipped("a.x")), at(1, bad)]
        diff = compare([at(0, executed("a.x")), at(1, executed("a.x"))], day)
        assert changes(diff) == [("no_longer_executed", "a.x")]
        assert diff.changes[0].new == bad

    def test_a_failure_that_was_resolved_later_does_not_count(self) -> None:
        good = [at(0, executed("a.x")), at(1)]
        assert compare(good, [at(0, failed("a.x")), at(1, executed("a.x"))]).empty

    def test_the_latest_of_several_skips_counts(self) -> None:
        before, after = [at(0, skipped("a.x")), at(1)], [at(0, skipped("a.x")), at(1)]
        after.append(at(2, skipped("a.x", "not_selected")))
        assert changes(compare(before, after)) == [("changed_reason", "a.x")]


class TestEnds:
    def test_an_invocation_that_ended_differently_is_a_difference(self) -> None:
        raised = run(executed("a.x"), completion="raised", error="OSError: disk full")
        diff = compare([run(executed("a.x"))], [raised])
        assert diff.comparisons[0].ended_differently
        assert not diff.empty
        assert diff.comparisons[0].new.error == "OSError: disk full"
        assert diff.summary == "1 invocation ended differently (1 model in 1 comparison)"


class TestSummary:
    def test_counts_each_kind(self) -> None:
        old = [("t", run(executed("a.x"), skipped("a.y"))), ("t.old", run())]
        new = [("t", run(failed("a.x"), executed("a.y"), skipped("a.z"))), ("t.new", run())]
        assert compare(old, new).summary == (
            "1 no longer executed, 1 newly executed, 1 newly listed, "
            "1 invocation only in the old reports, 1 invocation only in the new reports "
            "(3 models in 1 comparison)"
        )

    def test_is_in_the_json_with_the_facts(self) -> None:
        diff = compare([run(took(1))], [run(failed("a.x"))])
        data = json.loads(json.dumps(diff.to_dict()))
        assert data["empty"] is False
        assert data["summary"] == diff.summary
        [change] = data["comparisons"][0]["changes"]
        assert (change["kind"], change["model"]) == ("no_longer_executed", "a.x")
        assert change["old"]["duration"] == 1.0
        assert change["new"]["error"] == "ValueError: no luck"


entries = st.lists(st.tuples(st.none() | texts, reports()), max_size=3)


class TestAnyReports:
    @unhurried
    @given(entries)
    def test_do_not_differ_from_themselves(self, made: list[tuple[str | None, RunReport]]) -> None:
        assert compare(made, made).empty

    @unhurried
    @given(entries, entries)
    def test_differ_the_other_way_round_by_the_opposite(
        self, old: list[tuple[str | None, RunReport]], new: list[tuple[str | None, RunReport]]
    ) -> None:
        opposite = {
            "no_longer_executed": "newly_executed",
            "no_longer_listed": "newly_listed",
            "slower": "faster",
        }
        opposite |= {there: here for here, there in opposite.items()}
        there, back = compare(old, new), compare(new, old)
        assert len(there.comparisons) == len(back.comparisons)
        assert there.only_old == back.only_new
        assert sorted((opposite.get(c.kind, c.kind), repr(c.new)) for c in there.changes) == (
            sorted((c.kind, repr(c.old)) for c in back.changes)
        )
