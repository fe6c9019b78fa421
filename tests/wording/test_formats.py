"""How lengths of time and quantities are written."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pytest_sqlmesh_tracker.wording.formats import length, length_beyond, quantity

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (2 * DAY, "2 days"),
        (26 * HOUR, "26 hours"),
        (timedelta(weeks=1), "7 days"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(seconds=90), "90 seconds"),
        (timedelta(seconds=200), "0:03:20"),
        (DAY + timedelta(seconds=1), "1 day 0:00:01"),
        (timedelta(milliseconds=1), "less than a second"),
    ],
)
def test_a_length_is_in_the_largest_unit_that_fits(time: timedelta, words: str) -> None:
    assert length(time) == words


@pytest.mark.parametrize(
    ("limit", "time", "words"),
    [
        (26 * HOUR, 54 * HOUR, "54 hours"),
        (26 * HOUR, timedelta(hours=54, minutes=30, seconds=5), "54 hours 30 minutes"),
        (26 * HOUR, timedelta(hours=26, milliseconds=1), "26 hours 1 second"),
        (2 * DAY, 54 * HOUR, "2 days 6 hours"),
        (timedelta(minutes=90), 2 * HOUR, "120 minutes"),
        (timedelta(seconds=90), timedelta(seconds=91), "91 seconds"),
    ],
)
def test_a_length_beyond_a_limit_is_in_the_unit_of_the_limit(
    limit: timedelta, time: timedelta, words: str
) -> None:
    assert length_beyond(limit, time) == words


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (1, "batch", "1 batch"),
        (2, "batch", "2 batches"),
        (0, "model", "0 models"),
        (2, "history", "2 histories"),
        (2, "day", "2 days"),
        (1_000, "pass", "1,000 passes"),
    ],
)
def test_a_quantity_has_its_plural(number: int, noun: str, words: str) -> None:
    assert quantity(number, noun) == words
