"""Histories as data: their code, names in place of numbers, fewer and simpler steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given

from pytest_sqlmesh_tracker import strategies
from pytest_sqlmesh_tracker.histories.first import first_histories, levels_of
from pytest_sqlmesh_tracker.histories.simplifying import simplified
from pytest_sqlmesh_tracker.histories.steps import EvaluatedModels
from pytest_sqlmesh_tracker.strategies import (
    Change,
    Failure,
    History,
    Restate,
    Run,
    histories,
)

MODELS = EvaluatedModels(
    names=("a", "b", "c", "d"),
    audits={},
    parents={"a": ["raw"], "b": ["a"], "c": ["a"], "d": ["b", "c"]},
)


@given(histories(days=5, changes=[("models/a.sql", "SELECT 1")]))
def test_the_representation_of_a_history_is_its_code(history: History) -> None:
    assert eval(repr(history), vars(strategies)) == history


@pytest.mark.parametrize(
    "code",
    [
        "History([Run()], days=7)",
        "History([Run(day=2, hour=6, ignore_cron=True, held=('a',))], days=7)",
        "History([Run(failures=(Failure('a', after_write=True, batch=1),))], days=3)",
        "History([Restate(), Restate(model='a', first=0, last=1, day=2)], days=7)",
        "History([Change('a.sql', 'SELECT 1', day=2)], days=7)",
    ],
)
def test_what_is_the_default_is_left_out(code: str) -> None:
    assert repr(eval(code, vars(strategies))) == code


def test_numbers_mean_the_evaluated_models_in_turn() -> None:
    history = History([Restate(5, held=(0,)), Run(failures=(Failure(3), Failure("a")))])
    assert MODELS.named(history) == History(
        [Restate("b", held=("a",)), Run(failures=(Failure("d"), Failure("a")))]
    )
    assert MODELS.named(History([Restate()])) == History([Restate()])


def test_models_are_downstream_of_those_that_they_read() -> None:
    assert MODELS.upstream("d") == {"raw", "a", "b", "c"}
    assert MODELS.downstream("b") == ["d"]
    assert levels_of(MODELS.parents) == [["a"], ["b", "c"], ["d"]]


def test_the_first_histories_let_each_model_fail_and_wait_and_restate_it() -> None:
    played = list(first_histories([["a"], ["b"]], days=3))
    assert played[:2] == [History([], 3), History([Run(1), Run(2), Run(3)], 3)]
    assert (
        History([Run(failures=(Failure("a", True),)), Run(failures=(Failure("b", True),))], 3)
        in played
    )
    assert History([Run(held=("a",)), Run(held=("b",))], 3) in played
    restated = [Restate("b", 0, 0, 3), Restate("a", 0, 0, 3)]
    assert played[-2:] == [History([Run(3), *restated], 3), History([Run(3), Restate(day=3)], 3)]


FAILS = Run(2, 6, True, (Failure("a"), Failure("b", after_write=True, batch=1)), ("c",))
WITHOUT_MODELS: list[list[str]] = []


@pytest.mark.parametrize(
    ("differs", "simplest"),
    [
        (lambda _: True, []),
        (lambda steps: Run(1) in steps, [Run(1)]),
        (lambda steps: len(steps) > 2, [Run(1), Restate("a"), Change("a.sql", "")]),
        (lambda steps: any(step.held for step in steps), [Run(2, held=("c",))]),
        (
            lambda steps: any(f.model == "b" for step in steps for f in step.failures),
            [Run(2, failures=(Failure("b"),))],
        ),
        (
            lambda steps: any(f.after_write for step in steps for f in step.failures),
            [Run(2, failures=(Failure("b", after_write=True),))],
        ),
        (
            lambda steps: any(len(step.failures) == 2 for step in steps),
            [Run(2, failures=(Failure("a"), Failure("b")))],
        ),
        (lambda steps: any(step.hour for step in steps), [Run(2, 6)]),
        (lambda steps: Run(1) in steps and len(steps) > 1, [Run(1), Restate("a")]),
    ],
)
def test_the_simplest_history_is_searched(
    differs: Callable[[object], bool], simplest: list[object]
) -> None:
    history = History([Run(1), Restate("a"), Change("a.sql", ""), FAILS])
    assert list(simplified(history, lambda each: differs(each.steps)).steps) == simplest


def test_a_project_without_models_has_no_levels() -> None:
    assert levels_of({}) == WITHOUT_MODELS


def test_a_history_must_have_a_day() -> None:
    with pytest.raises(ValueError, match="days must be at least 1, not 0"):
        histories(days=0)


@pytest.mark.parametrize("step", [Run(day=3), Restate(day=2, hour=1)])
def test_a_step_must_not_be_after_the_end(step: Run | Restate) -> None:
    with pytest.raises(ValueError, match="is after the end of the history, on day 2"):
        History([step], days=2)
