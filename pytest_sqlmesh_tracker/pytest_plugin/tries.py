"""The tries of a test: what repeats a test sets it up anew each time, and the last try counts.

Knows neither pytest nor SQLMesh.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from pytest_sqlmesh_tracker.reports.report import RunReport
    from pytest_sqlmesh_tracker.tracking.tracker import Tracker

    from .strict import StrictTest

_OUTCOMES = ("passed", "failed", "skipped")
"""Pytest's own."""


@dataclass
class Try:
    """One try of a test, from its set-up to its teardown."""

    number: int
    """From 1."""
    tracker: Tracker | None = None
    """None where the test has not asked for it (yet)."""
    strict: StrictTest | None = None
    passed: bool = False
    returned: Sequence[RunReport] = ()
    """The reports of invocations that raised nothing as far as the test could see."""
    hints: Callable[[], Sequence[str]] = tuple
    """What helps to understand the failures in the reports; a paragraph each."""
    runs: list[str] = field(default_factory=list)
    """The invocations as JSON, as far as they were noted."""

    @property
    def reports(self) -> list[RunReport]:
        """The invocations so far."""
        return self.tracker.reports if self.tracker else []

    def note_runs(self) -> list[str]:
        """Note the invocations since the last time; all that were noted."""
        self.runs += [report.to_json() for report in self.reports[len(self.runs) :]]
        return self.runs


class Tries:
    """The tries of a test in this process, from the first one that was tracked.

    Not every phase of every try is reported: pytest-retry reports only the last teardown, and flaky
    no call that it repeats. So each report hands over everything since the last report of a
    teardown, some of it again.
    """

    def __init__(self) -> None:
        self.current = Try(1)
        self._reported_next = [self.current]

    def begin(self) -> None:
        """Begin the next try."""
        self.current.note_runs()
        self.current = Try(self.current.number + 1)
        self._reported_next.append(self.current)

    def hand_over(self) -> list[tuple[int, list[str]]]:
        """The number of each try since the last teardown, and its invocations so far, as JSON."""
        self.current.note_runs()
        return [(tried.number, [*tried.runs]) for tried in self._reported_next]

    def end(self) -> None:
        """The current try's teardown was reported: nothing of it is needed any more."""
        self.current = Try(self.current.number)
        self._reported_next.clear()


class Repeated:
    """Which tries will be repeated, as far as the outcomes of their reports show it."""

    def __init__(self) -> None:
        self._tests: set[Hashable] = set()

    def ends_with(self, report: pytest.TestReport) -> bool:
        """Whether the report ends a try that will be repeated. It must be given every report.

        Such a try has a report with an outcome that is not pytest's own, such as `rerun` of
        pytest-rerunfailures.
        """
        test = report.nodeid, getattr(report, "worker_id", "")
        if report.outcome not in _OUTCOMES:
            self._tests.add(test)
        elif report.when != "teardown":
            # pytest-retry reports a call twice: first as repeated, then with the last outcome.
            self._tests.discard(test)
        if report.when != "teardown" or test not in self._tests:
            return False
        self._tests.remove(test)
        return True


def place_of(item: pytest.Item) -> str:
    """Which of the items with its node id it is: with `--keep-duplicates` there are several."""
    alike = [other for other in item.session.items if other.nodeid == item.nodeid]
    return str(alike.index(item)) if item in alike else ""
