"""How long a model usually takes, and since when that has changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from pytest_sqlmesh_tracker.history.trends.durations import Execution, durations_of
from pytest_sqlmesh_tracker.history.trends.types import Durations
from tests.builders import NOW

DAY = timedelta(days=1)


def nights(*seconds: float, evaluated: Sequence[timedelta] = ()) -> Durations | None:
    """What is known of a model that took so many seconds in successive nights."""
    return durations_of(
        [
            Execution(NOW + number * DAY, timedelta(seconds=each), length)
            for number, (each, length) in enumerate(
                zip(seconds, evaluated or [DAY] * len(seconds), strict=True)
            )
        ]
    )


def test_without_executions_nothing_is_known() -> None:
    assert nights() is None


def test_the_median_is_what_is_usual() -> None:
    durations = nights(2, 2.4, 9, 2.2, 2.6)
    assert durations is not None
    assert (durations.last, durations.median) == (timedelta(seconds=2.6), timedelta(seconds=2.4))
    assert (durations.executions, durations.change) == (5, None)
    assert not durations.is_slowest


def test_a_model_is_slower_since_the_first_of_the_executions_that_all_take_longer() -> None:
    durations = nights(2, 2, 3, 2, 2, 2, 8, 9, 7)
    assert durations is not None
    change = durations.change
    assert change is not None
    assert change.slower
    assert change.since == NOW + 6 * DAY
    assert (change.before, change.after) == (timedelta(seconds=2), timedelta(seconds=8))
    # What is usual now, not what it was.
    assert (durations.median, durations.executions) == (timedelta(seconds=8), 3)


def test_a_model_is_faster_in_the_same_way() -> None:
    durations = nights(8, 8, 8, 8, 9, 2, 3, 2)
    assert durations is not None
    change = durations.change
    assert change is not None
    assert not change.slower
    assert (change.since, change.before) == (NOW + 5 * DAY, timedelta(seconds=8))


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param((2, 2, 2, 2, 2, 9, 9), id="two executions are not a change"),
        pytest.param((2, 2, 2, 2, 9, 9, 9), id="four executions show too little of what is usual"),
        pytest.param((2, 2, 2, 2, 2, 9, 2, 9, 9), id="it was fast once since then"),
        pytest.param((4, 4, 4, 4, 4, 5.9, 5.9, 5.9), id="less than half as long again"),
        pytest.param((2, 9, 2, 2, 2, 8, 8, 8), id="it took as long before"),
        pytest.param((8, 2, 8, 8, 8, 3, 3, 3), id="it took as little before"),
        pytest.param((0.1, 0.1, 0.1, 0.1, 0.1, 1, 1, 1), id="less than a second longer"),
    ],
)
def test_it_takes_as_long_as_before(seconds: Sequence[float]) -> None:
    durations = nights(*seconds)
    assert durations is not None
    assert durations.change is None


@pytest.mark.parametrize(
    ("seconds", "is_slowest"),
    [
        pytest.param((2, 3, 2, 2, 2, 9), True, id="much longer than all others"),
        pytest.param((2, 9, 2, 2, 2, 9), False, id="as long as once before"),
        pytest.param((2, 2, 2, 2, 9), False, id="four executions show too little"),
        pytest.param((4, 4, 4, 4, 4, 5.9), False, id="less than half as long again"),
    ],
)
def test_a_single_slow_execution_is_noted(seconds: Sequence[float], is_slowest: bool) -> None:
    durations = nights(*seconds)
    assert durations is not None
    assert durations.is_slowest is is_slowest
    assert durations.change is None


def test_only_executions_of_as_much_data_as_usual_are_compared() -> None:
    """A year at once takes longer, which does not make the model slower."""
    year, days = timedelta(days=365), [DAY] * 8
    assert nights(*[2] * 8, 7200, evaluated=[*days, year]) == Durations(
        last=timedelta(hours=2), median=timedelta(seconds=2), executions=8
    )
    assert nights(2, 2, 2, 14, 2, 2, 2, evaluated=[*days[:3], year, *days[:3]]) == Durations(
        last=timedelta(seconds=2), median=timedelta(seconds=2), executions=6
    )


def test_of_equally_frequent_lengths_the_latest_counts() -> None:
    durations = nights(2, 2, 14, 14, evaluated=[DAY, DAY, 7 * DAY, 7 * DAY])
    assert durations is not None
    assert durations.median == timedelta(seconds=14)


def test_a_change_stays_one_when_most_executions_are_after_it() -> None:
    durations = nights(*[2] * 10, *[8] * 50)
    assert durations is not None
    assert durations.change is not None
    assert durations.change.since == NOW + 10 * DAY
    assert durations.change.before == timedelta(seconds=2)
