"""Differences between two invocations, in words."""

from __future__ import annotations

from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.diff import Change, Comparison, Invocations
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.wording.causes import causes_in_short
from pytest_sqlmesh_tracker.wording.formats import (
    duration,
    minute,
    one_line,
    quantity,
)
from pytest_sqlmesh_tracker.wording.printable import name_of, printable
from pytest_sqlmesh_tracker.wording.rows import (
    reason_in_short,
)


def change_of(change: Change) -> str:
    """How the model differs: `now skipped, signal_not_ready: partner_feed`, `1.20 s → 4.50 s`."""
    old, new = change.old, change.new
    if old is None or change.kind == "no_longer_executed":
        return f"now {_state(new)}" if new else ""
    if new is None or change.kind == "newly_executed":
        return f"before: {_state(old)}"
    if change.kind in ("slower", "faster"):
        return f"{_pace(old)} → {_pace(new)}"
    if change.kind == "changed_cause":
        return f"{causes_in_short(old)} → {causes_in_short(new)}"
    if change.kind == "changed_rows":
        return f"{old.rows:,} → {new.rows:,}"
    return f"{_state(old)} → {_state(new)}"


def _state(outcome: ModelOutcome) -> str:
    separator = ", " if outcome.reason else " " if outcome.status is Status.EXECUTED else ": "
    return f"{outcome.status}{separator}{reason_in_short(outcome)}".rstrip(" ,:")


def _pace(outcome: ModelOutcome) -> str:
    return f"{duration(outcome.duration)} in {quantity(len(outcome.recorded_batches), 'batch')}"


def compared(comparison: Comparison) -> str:
    """The compared invocations in one line, with their times and how each ended."""
    old, new = comparison.old, comparison.new
    what = _either(invocations(old), invocations(new))
    at = _either(minute(old.execution_time), minute(new.execution_time))
    return name_of(f"{what}, {at}: {_end(old)} → {_end(new)}")


def invocations(one: Invocations) -> str:
    """`run of prod`, `24 runs of prod`, `run of dev, in test_shop.py::test_night (number 2)`."""
    many = f"{one.reports:,} {one.command}s" if one.reports > 1 else one.command
    number = f" (number {one.number})" if one.number and one.number > 1 else ""
    test = f", in {one_line(one.test, 150)}{number}" if one.test else ""
    return printable(f"{many} of {one_line(one.environment, 80)}{test}")


def _end(one: Invocations) -> str:
    completion, took = one.completion.replace("_", " "), duration(one.duration)
    return f"last: {completion}; {took} in total" if one.reports > 1 else f"{completion} in {took}"


def _either(old: str, new: str) -> str:
    return old if old == new else f"{old} → {new}"
