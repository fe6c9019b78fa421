"""The strategy that draws histories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

from pytest_sqlmesh_tracker.histories.steps import Change, Failure, History, Restate, Run, Step

_Element = TypeVar("_Element")

_NUMBERS = st.integers(0, 999)
"""Models by number, whatever project the history is played on."""


_MOST_STEPS = 3
"""Faults show after a few steps. More would take longer, and differ less from each other."""


def histories(
    days: int = 7, *, changes: Sequence[tuple[str, str]] = ()
) -> st.SearchStrategy[History]:
    """Histories of a project: what can happen to it within some days.

    The environment is run late, early, and for several days at once. Models fail before or after
    their rows are written, or in an audit, and are evaluated again by the next step. Models are
    held back. Single models, and all of them, are restated.

    Args:
        days: the length of the histories.
        changes: changes of the project that are planned at some time: the path of a file below the
            project's folder, and its new text.

    Raises:
        ValueError: the history would be shorter than a day.
    """
    if days < 1:
        raise ValueError(f"histories(): days must be at least 1, not {days}")
    return _histories(days, tuple(changes))


@st.composite
def _histories(draw: st.DrawFn, days: int, changes: Sequence[tuple[str, str]]) -> History:
    steps: list[Step] = []
    day = 0
    for _ in range(draw(st.integers(1, _MOST_STEPS))):
        day += draw(st.sampled_from((1, 1, 0, 2, 3)))
        if day > days:
            break
        steps.append(draw(_steps(day, changes, at_end=day == days)))
    return History(steps, days)


@st.composite
def _steps(draw: st.DrawFn, day: int, changes: Sequence[tuple[str, str]], *, at_end: bool) -> Step:
    kinds = [Run, Run, Run, Restate, *([Change] if changes else [])]
    kind = draw(st.sampled_from(kinds))
    # A history ends with the midnight of its last day.
    hour = 0 if at_end else draw(st.sampled_from((0, 0, 0, 23)))
    failures = draw(_rarely(_failures()))
    held = draw(_rarely(_NUMBERS))
    if kind is Restate:
        model = draw(st.none() | _NUMBERS)
        first = draw(st.integers(-1, day - 1))
        last = draw(st.integers(first, day - 1))
        return Restate(model, first, last, day, hour, failures, held)
    if kind is Change:
        path, text = draw(st.sampled_from(changes))
        return Change(path, text, day, hour, failures, held)
    ignore_cron = draw(st.sampled_from((False, False, True)))
    return Run(day, hour, ignore_cron, failures, held)


def _rarely(elements: st.SearchStrategy[_Element]) -> st.SearchStrategy[tuple[_Element, ...]]:
    """Mostly nothing, else one element, seldom two."""
    one = st.tuples(elements)
    return st.one_of(st.just(()), st.just(()), one, one, st.tuples(elements, elements))


@st.composite
def _failures(draw: st.DrawFn) -> Failure:
    audit = draw(st.none() | st.none() | st.integers(0, 2))
    after_write = audit is None and draw(st.booleans())
    return Failure(draw(_NUMBERS), after_write, draw(st.none() | st.integers(0, 2)), audit)
