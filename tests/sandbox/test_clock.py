"""The clock of a sandbox: in UTC, moving forward, never standing still."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone

import pytest

from pytest_sqlmesh_tracker import SandboxError
from pytest_sqlmesh_tracker.sandbox.clock import Clock, Moment

NOON = datetime(2024, 1, 8, 12, tzinfo=timezone.utc)


@pytest.fixture
def clock() -> Iterator[Clock]:
    """A clock that advances only with statements."""
    clock = Clock(NOON, tick=False)
    clock.start()
    yield clock
    clock.stop()


def test_the_process_sees_the_time_of_the_clock(clock: Clock) -> None:
    assert clock.now == NOON == datetime.now(timezone.utc)
    assert time.time() == NOON.timestamp()


def test_the_real_time_returns_when_the_clock_stops() -> None:
    before = datetime.now(timezone.utc)
    clock = Clock(NOON, tick=True)
    clock.start()
    clock.stop()
    clock.stop()
    assert timedelta(0) <= datetime.now(timezone.utc) - before < timedelta(minutes=1)
    assert NOON <= clock.now < NOON + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("to", "shown"),
    [
        ("2024-01-09", "2024-01-09 00:00"),
        ("2024-01-09 01:00", "2024-01-09 01:00"),
        ("2024-01-09T01:00Z", "2024-01-09 01:00"),
        ("2024-01-09 01:00+02:00", "2024-01-08 23:00"),
        (date(2024, 1, 9), "2024-01-09 00:00"),
        (datetime(2024, 1, 9, 1), "2024-01-09 01:00"),
        (timedelta(minutes=5), "2024-01-08 12:05"),
        ("+1h", "2024-01-08 13:00"),
        ("+ 90 minutes", "2024-01-08 13:30"),
        ("+1 day", "2024-01-09 12:00"),
        ("1 day", "2024-01-09 12:00"),
        ("+2 Weeks", "2024-01-22 12:00"),
        ("+30s", "2024-01-08 12:00"),
    ],
)
def test_the_clock_travels_to_a_time(clock: Clock, to: Moment, shown: str) -> None:
    clock.travel(to)
    assert f"{clock.now:%Y-%m-%d %H:%M}" == shown


def test_the_clock_does_not_go_back(clock: Clock) -> None:
    with pytest.raises(SandboxError, match=r"is before the sandbox's time.*backwards=True"):
        clock.travel("2024-01-08 11:59")
    assert clock.now == NOON


def test_the_clock_goes_back_on_request(clock: Clock) -> None:
    clock.travel("2024-01-08 11:59", backwards=True)
    assert clock.now == NOON - timedelta(minutes=1)
    clock.travel("2024-01-08 12:00")
    assert clock.now == NOON


def test_time_that_has_passed_is_not_undone(clock: Clock) -> None:
    clock.travel("2024-01-08 13:00")
    clock.executing()
    clock.travel("2024-01-08 13:00")
    assert clock.now == NOON + timedelta(hours=1, milliseconds=1)


@pytest.mark.parametrize("to", ["tomorrow", "+1 month", "-1h", "+h", "2024-13-01", ""])
def test_invalid_times_are_rejected(clock: Clock, to: str) -> None:
    with pytest.raises(SandboxError, match=r"is not a time|a relative time must be"):
        clock.travel(to)


def test_each_statement_takes_a_millisecond_on_a_stopped_clock(clock: Clock) -> None:
    for _ in range(3):
        clock.executing()
    assert clock.now == NOON + timedelta(milliseconds=3)


def test_a_clock_that_is_not_shown_can_be_set_and_stands_still() -> None:
    clock = Clock(NOON, tick=True)
    clock.travel("+1h")
    assert clock.now == NOON + timedelta(hours=1)
    clock = Clock(NOON, tick=False)
    clock.executing()
    assert clock.now == NOON + timedelta(milliseconds=1)


def test_the_clock_ticks() -> None:
    clock = Clock(NOON, tick=True)
    clock.start()
    try:
        first = clock.now
        time.sleep(0.002)
        clock.executing()
        assert NOON <= first < clock.now
    finally:
        clock.stop()
