"""One day of the due-only schedule; `make week` plays seven of them."""

from __future__ import annotations

from datetime import datetime

from .week import weeks


def test_a_night_that_fails_and_a_signal_that_comes_late() -> None:
    with weeks() as week:
        # The weekly models are due, a table is missing; both still; it is back, and the signal has
        # come; it is midnight in Tokyo.
        for time in ("00:05", "01:05", "09:05", "15:05"):
            week.tick(datetime.fromisoformat(f"2024-01-07 {time}"))
        week.tick(datetime.fromisoformat("2024-01-07 15:35"))
    tally = week.tally
    assert tally.wrong == []
    assert (tally.requests, tally.failed_runs) == (4, 2)
    assert dict(tally.skips) == {"nothing is due in prod": 1}
    assert set(tally.shown_failed) == {
        "w.payments was failed",
        "w.ledger was upstream_failed",
        "w.balance was upstream_failed",
    }
