"""A report that is read late equals the one that was made at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.properties.playing.reports import WEEKS

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker import RunReport
    from tests.properties.playing.invocations import Invocation, Story

    from .tally import Ledger


def read_late(story: Story, invocation: Invocation, ledger: Ledger) -> None:
    """Read a report with the clock elsewhere, and hold it against the one that was made at once;
    from then on the clock stands at the invocation again."""
    clock, step = story.world.clock, invocation.step
    clock.travel(story.now + WEEKS[step.clock], backwards=True)
    report, twin = invocation.report, invocation.reading.twin
    clock.travel(invocation.now, backwards=True)
    if twin is None:
        return
    same = report == twin and report.to_json() == twin.to_json()
    ledger.demand(same, "read-late", f"read {step.clock}: {differences(twin, report)}")


def differences(at_once: RunReport, late: RunReport) -> str:
    """The first few values that are others."""
    return "; ".join(list(_different("", at_once.to_dict(), late.to_dict()))[:4])


def _different(where: str, one: Any, other: Any) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key, value in one.items():
            yield from _different(f"{where}.{key}", value, other[key])
    elif one != other:
        yield f"{where[1:]} is {one!r} at once, {other!r} late"
