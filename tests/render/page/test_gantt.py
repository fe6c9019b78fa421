"""When models were evaluated, and the critical path."""

from __future__ import annotations

from datetime import timedelta

from pytest_sqlmesh_tracker import ModelOutcome
from pytest_sqlmesh_tracker.render.page.gantt import Gantt, gantt
from tests.builders import NOW, executed, failed, run, skipped


def second(number: float) -> timedelta:
    return timedelta(seconds=number)


def from_to(name: str, start: float, end: float, *upstream: str) -> ModelOutcome:
    times = {"started_at": NOW + second(start), "finished_at": NOW + second(end)}
    return executed(name, upstream=upstream, **times)


def chart(*outcomes: ModelOutcome) -> Gantt:
    made = gantt(run(*outcomes))
    assert made is not None
    return made


def critical(*outcomes: ModelOutcome) -> list[str]:
    return [bar.model for bar in chart(*outcomes).bars if bar.is_critical]


def test_bars_are_in_the_order_in_which_models_started() -> None:
    made = chart(from_to("a.y", 3, 5.5, "a.x"), from_to("a.x", 1, 3), skipped("a.z"))
    assert [(bar.model, bar.start, bar.length) for bar in made.bars] == [
        ("a.x", 0, 2000),
        ("a.y", 2000, 2500),
    ]
    assert made.length == 4500


def test_models_that_start_at_the_same_time_are_in_their_order() -> None:
    first = from_to("a.x", 1, 3).model_copy(update={"start_order": 1})
    second_one = from_to("a.y", 1, 2).model_copy(update={"start_order": 0})
    assert [bar.model for bar in chart(first, second_one).bars] == ["a.y", "a.x"]


def test_the_critical_path_leads_from_the_last_model_through_those_it_waited_for_longest() -> None:
    assert critical(
        from_to("a.quick", 0, 1),
        from_to("a.slow", 0, 4),
        from_to("a.between", 4, 6, "a.slow", "a.quick"),
        from_to("a.aside", 4, 5, "a.slow"),
        from_to("a.last", 6, 9, "a.between", "a.aside", "a.quick"),
    ) == ["a.slow", "a.between", "a.last"]


def test_models_that_were_not_evaluated_are_not_on_it() -> None:
    assert critical(skipped("a.x"), from_to("a.y", 0, 1, "a.x"), from_to("a.z", 1, 2, "a.y")) == [
        "a.y",
        "a.z",
    ]


def test_models_that_read_themselves_or_each_other_end_it() -> None:
    assert critical(from_to("a.x", 0, 2, "a.x", "a.y"), from_to("a.y", 0, 1, "a.x")) == [
        "a.x",
        "a.y",
    ]


def test_without_times_there_is_no_chart() -> None:
    assert gantt(run(skipped("a.x"), failed("a.y"))) is None
