"""The tries of a test. Plugins that repeat a test set it up again; the last try counts.

Imports neither pytest nor SQLMesh.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from pytest_sqlmesh_tracker.reports.report import RunReport
    from pytest_sqlmesh_tracker.tracking.tracker import Tracker

    from .strict import StrictTest

_OUTCOMES = ("passed", "failed", "skipped")
"""The outcomes that pytest itself reports."""


@dataclass
class Try:
    """One try of a test, from its set-up to its teardown."""

    number: int
    """The try's number, from 1."""
    tracker: Tracker | None = None
    """The test's tracker; None if the test has not requested it (yet)."""
    strict: StrictTest | None = None
    passed: bool = False
    hints: list[Callable[[Sequence[RunReport]], Sequence[str]]] = field(default_factory=list)
    """What makes hints on the failures in reports, a paragraph each."""
    runs: list[str] = field(default_factory=list)
    """The invocations noted so far, as JSON."""

    @property
    def reports(self) -> list[RunReport]:
        """The reports so far."""
        return self.tracker.reports if self.tracker else []

    def note_runs(self) -> list[str]:
        """Note the invocations since the last call, and return all that were noted, as JSON."""
        self.runs += [report.to_json() for report in self.reports[len(self.runs) :]]
        return self.runs


class Tries:
    """The tries of a test in this process, from the first one that was tracked.

    Not every phase of every try is reported: pytest-retry reports only the last teardown, and flaky
    does not report calls that it repeats. So each report hands over everything since the last
    report of a teardown, some of it repeatedly.
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
        """Each try since the last teardown: its number, and its invocations so far as JSON."""
        self.current.note_runs()
        return [(tried.number, [*tried.runs]) for tried in self._reported_next]

    def end(self) -> None:
        """Forget the current try, whose teardown was reported."""
        self.current = Try(self.current.number)
        self._reported_next.clear()


@dataclass(frozen=True)
class HandedOver:
    """What the report of a phase hands over to the session, which may be in another process."""

    tries: Sequence[tuple[int, Sequence[str]]]
    """As `Tries.hand_over` returns them."""
    item: str
    """The item's place among those with its node id."""
    ended_strictly: bool = False
    """Whether the phase is the teardown of a strict test."""
    deselected: bool = False
    """Whether tests of the session were deselected."""

    def attach_to(self, report: pytest.TestReport) -> None:
        """Attach it to the report. xdist sends attributes on, if they are plain data."""
        report.sqlmesh_handed_over = asdict(self)  # type: ignore[attr-defined]

    @classmethod
    def attached_to(cls, report: pytest.TestReport) -> HandedOver | None:
        """What is attached to the report; None for a test that is not tracked."""
        data = getattr(report, "sqlmesh_handed_over", None)
        return None if data is None else cls(**data)


class Repeated:
    """Recognizes tries that will be repeated by the outcomes of their reports."""

    def __init__(self) -> None:
        self._tests: set[Hashable] = set()

    def ends_with(self, report: pytest.TestReport) -> bool:
        """Whether the report ends a try that will be repeated. It must be called with every report.

        Such a try has a report with an outcome that pytest itself does not use, such as `rerun`
        from pytest-rerunfailures.
        """
        test = report.nodeid, getattr(report, "worker_id", "")
        if report.outcome not in _OUTCOMES:
            self._tests.add(test)
        elif report.when != "teardown":
            # pytest-retry reports a call twice: first as repeated, then with the final outcome.
            self._tests.discard(test)
        if report.when != "teardown" or test not in self._tests:
            return False
        self._tests.remove(test)
        return True


def place_of(item: pytest.Item) -> str:
    """The item's place among those with its node id: `--keep-duplicates` allows several."""
    alike = [other for other in item.session.items if other.nodeid == item.nodeid]
    return str(alike.index(item)) if item in alike else ""
