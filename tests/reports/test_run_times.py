"""When an environment is run again and again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pytest_sqlmesh_tracker.reports.run_times import times_until
from tests.builders import utc

NOW = utc("2024-01-05 08:15")


@pytest.mark.parametrize(
    ("every", "times"),
    [
        ("0 6,9 * * *", ["2024-01-05 09:00", "2024-01-06 06:00"]),
        ("15 8 * * *", ["2024-01-06 08:15"]),
        ("12h", ["2024-01-05 20:15", "2024-01-06 08:15"]),
        ("+1 day", ["2024-01-06 08:15"]),
        (timedelta(hours=18), ["2024-01-06 02:15"]),
        ("2 days", []),
    ],
)
def test_the_first_time_is_after_now_and_the_last_not_after_the_end(
    every: str | timedelta, times: list[str]
) -> None:
    until = times_until(utc("2024-01-06 08:15"), every, since=NOW)
    assert list(until) == list(map(utc, times))


@pytest.mark.parametrize(
    ("every", "message"),
    [
        ("daily", "^every must be a duration, such as '1 day', or a cron"),
        ("61 * * * *", "^every must be a duration"),
        ("0 days", "^every must be longer than 0, not '0 days'"),
        ("2 fortnights", "^every: unknown unit 'fortnights'"),
        ("0 0 30 2 *", r"^every: the cron '0 0 30 2 \*' never ticks"),
    ],
)
def test_what_is_neither_a_duration_nor_a_cron_that_ticks(every: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(times_until(utc("2024-01-06"), every, since=NOW))
