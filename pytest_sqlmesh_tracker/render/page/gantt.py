"""When the models of an invocation were evaluated, and its critical path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from pytest_sqlmesh_tracker.outcomes.outcome import Outcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.report import RunReport

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Bar:
    """The time from the start of a model's first batch to the end of its last one."""

    model: str
    """The name that is shown."""
    status: Status
    start: int
    """Milliseconds since the first model started."""
    length: int
    """Milliseconds."""
    is_critical: bool
    """Whether it is on the critical path: the model that ended last, before it the one of its
    upstream models that ended last, and so on up to a model that waited for none."""


@dataclass(frozen=True)
class Gantt:
    """The bars of an invocation, in the order in which the models started."""

    bars: Sequence[Bar]
    length: int
    """Milliseconds from the start of the first model to the end of the last one."""


def gantt(report: RunReport) -> Gantt | None:
    """The bars of a report; None if no model was evaluated, or its times are not known."""
    timed = {
        each.name: _Timed(each, each.started_at, each.finished_at)
        for each in report.outcomes.values()
        if each.started_at is not None and each.finished_at is not None
    }
    if not timed:
        return None
    first = min(each.start for each in timed.values())
    critical = _critical_path(timed)
    bars = [
        Bar(
            model=name,
            status=each.outcome.status,
            start=(each.start - first) // _MILLISECOND,
            length=(each.end - each.start) // _MILLISECOND,
            is_critical=name in critical,
        )
        for name, each in sorted(timed.items(), key=lambda item: item[1].order)
    ]
    return Gantt(bars, (max(each.end for each in timed.values()) - first) // _MILLISECOND)


class _Timed(NamedTuple):
    outcome: Outcome
    start: datetime
    end: datetime

    @property
    def order(self) -> tuple[datetime, int]:
        """Models that start at the same time are in the order in which they did."""
        return self.start, self.outcome.start_order or 0


def _critical_path(timed: Mapping[str, _Timed]) -> set[str]:
    path: set[str] = set()
    candidates = list(timed)
    while candidates:
        last = max(candidates, key=lambda name: timed[name].end)
        path.add(last)
        upstream = timed[last].outcome.upstream
        candidates = [name for name in upstream if name in timed and name not in path]
    return path
