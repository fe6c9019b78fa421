"""What models share in an explanation changes nothing: each explained apart is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from pytest_sqlmesh_tracker.tracking.intervals import searches
from pytest_sqlmesh_tracker.tracking.intervals.schedules import Schedule, Schedules
from pytest_sqlmesh_tracker.tracking.reasons import reporting

from .late_reading import differences

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker import RunReport

    from .tally import Ledger


@contextmanager
def explained_twice(ledger: Ledger) -> Iterator[None]:
    """Every report that is made meanwhile is made once more, with nothing computed only once."""
    report_of = reporting.report_of

    def twice(recording: Any) -> RunReport:
        report = report_of(recording)
        with nothing_shared():
            apart = report_of(recording)
        different = differences(report, apart)
        ledger.demand(apart == report, "shared", f"made apart as if late: {different}")
        return report

    with patch.object(reporting, "report_of", twice):
        yield


@contextmanager
def nothing_shared() -> Iterator[None]:
    """Each model has a schedule and ticks of its own, nothing that was computed is kept, and
    SQLMesh searches from the model's start on."""
    schedule_of = Schedules.of

    def its_own(_: Schedules, *args: Any) -> Schedule:
        return schedule_of(Schedules(), *args)

    def anew(schedule: Schedule, compute: Callable[..., Any], *args: Any) -> Any:
        return compute(schedule, *args)

    with (
        patch.object(Schedules, "of", its_own),
        patch.object(Schedule, "once", anew),
        patch.object(searches, "shortened", lambda search: search),
    ):
        yield
