"""Starts and ends that move with the clock."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
import time_machine
from sqlmesh.utils.date import make_exclusive, to_datetime, to_timestamp

from pytest_sqlmesh_tracker.forecast.lifetimes import End, Start, relative_to

MOMENTS = ("2024-02-29T23:59:59.999", "2024-03-31T00:00", "2025-01-01T12:34:56")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    "expression", ["1 week ago", "36 hours ago", "yesterday", "1 month ago", "90 minutes ago"]
)
def test_an_expression_is_relative_to_the_clock(expression: str, moment: str) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=timezone.utc)
    with time_machine.travel(at, tick=False):
        expected = to_timestamp(to_datetime(expression))
    assert relative_to(expression, to_timestamp(at)) == expected


def test_the_earliest_start_counts() -> None:
    fixed = to_timestamp("2024-01-05")
    start = Start(fixed, relative=frozenset({"3 days ago"}))
    assert start.moves
    assert start.at(to_timestamp("2024-01-07 06:00")) == to_timestamp("2024-01-04")
    assert start.at(to_timestamp("2024-02-07")) == fixed


@pytest.mark.parametrize("value", ["2024-01-05", "2024-01-05 06:00:00", "20240105"])
def test_a_day_that_is_the_end_is_included(value: str) -> None:
    end = End(value)
    assert not end.moves
    assert end.at(0) == to_timestamp(value)
    assert end.exclusive_at(0) == to_timestamp(make_exclusive(value))
