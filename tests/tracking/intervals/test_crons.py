"""Which crons SQLMesh considers due at times that depend on the process."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from croniter import croniter  # type: ignore[import-untyped,unused-ignore]

from pytest_sqlmesh_tracker.tracking.intervals.crons import even_ticks, is_undetermined, safe_cron

EVEN = ["@hourly", "@daily", "@weekly", "*/5 * * * *", "0 */6 * * *", "0 0,12 * * *", "30 7 * * 1"]
EVEN_IN_SECONDS = ["0 5 * * * 30", "* * * * * */20", "10 */6 * * * 7", "0 0 * * 6 59"]
NEVER_EVEN_FOR_LONG = [
    "@monthly",
    "@yearly",
    "0 9 * * 1-5",
    "0 */7 * * *",
    "0 1,2,5 * * *",
    "0 0 29 2 *",
    "0 * * * * */30",
]
EVEN_FOR_A_WHILE = [
    "0 8-18 * * *",
    "*/5 9 * * *",
    "*/30 6-20 * * *",
    "*/7 * * * *",
    "0 0 1-10 * *",
    "0 0 * * 0-5",
    "0 */12 * * 1-6",
    "* * 1-10 * *",
    "*/5 * * * * 0,1,2,3,4,5,6",
]


@pytest.mark.parametrize("cron", [*EVEN, *EVEN_IN_SECONDS, *NEVER_EVEN_FOR_LONG])
def test_one_answer(cron: str) -> None:
    assert not is_undetermined(cron)


@pytest.mark.long
@pytest.mark.parametrize("cron", [*EVEN, *NEVER_EVEN_FOR_LONG, *EVEN_FOR_A_WHILE])
def test_ticks_are_even_if_5000_or_those_of_two_years_are(cron: str) -> None:
    begin = datetime(2026, 3, 1)
    ticks, times = croniter(cron, begin), [begin]
    while times[-1] < begin + timedelta(days=730) and len(times) < 5_000:
        times.append(ticks.get_next(datetime))
    gaps = {following - tick for tick, following in pairwise(times[1:])}
    even = even_ticks(cron)
    assert (even is not None) == (cron in EVEN)
    assert even is None or gaps == {timedelta(milliseconds=even.gap)}


def test_a_cron_of_one_year_has_no_even_ticks() -> None:
    assert even_ticks("0 0 * * * 0 2030") is None


@pytest.mark.parametrize("cron", EVEN_FOR_A_WHILE)
def test_two_answers(cron: str) -> None:
    assert is_undetermined(cron)


@pytest.mark.parametrize("cron", ["@daily", "0 9 * * 1-5", "0 8-18 * * *", "0 0 1-10 * *"])
def test_results_of_sqlmesh_at_different_times(cron: str) -> None:
    """SQLMesh's own function, for a cron first used at many moments of two months."""
    import time_machine
    from sqlmesh.utils.cron import interval_seconds

    answers = set()
    for minute in range(0, 60 * 24 * 40, 307):
        with time_machine.travel(1_704_067_200 + 60 * minute, tick=False):
            answers.add(interval_seconds.__wrapped__(cron))
    assert (len(answers) > 1) is is_undetermined(cron)


@pytest.mark.long
@pytest.mark.parametrize(
    ("cron", "safe"),
    [
        ("0 8-18 * * *", "0 * * * *"),
        ("*/5 9 * * *", "*/5 * * * *"),
        ("0 0 1-10 * *", "0 0 * * *"),
        ("0 */12 * * 1-6", "0 */12 * * *"),
        ("15,45 8-18 * * 1-5", "15,45 * * * *"),
        ("3,8,13,18,23,28 * * * 1-5", "3-59/5 * * * *"),
    ],
)
def test_the_safe_cron_has_equal_gaps_and_includes_all_ticks(cron: str, safe: str) -> None:
    assert safe_cron(cron) == safe
    assert even_ticks(safe) is not None
    ticks = croniter(cron, datetime(2026, 3, 1))
    assert all(croniter.match(safe, ticks.get_next(datetime)) for _ in range(2_000))


@pytest.mark.parametrize("cron", ["@daily", "0 9 * * 1-5", "*/7 * * * *", "0 8-18 * * * 30"])
def test_no_safe_cron_for_one_that_is_determined_or_has_none(cron: str) -> None:
    assert safe_cron(cron) is None
