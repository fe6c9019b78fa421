"""Why something of a model is still missing after the invocation that executed it.

"Missing" is what SQLMesh would find missing at the invocation's execution time, with the state as
it is once the invocation has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.tracking.events.recording import IntervalSearch
from pytest_sqlmesh_tracker.tracking.intervals.missing import complete_and_not_loaded
from pytest_sqlmesh_tracker.tracking.intervals.snapshots import Snapshots
from pytest_sqlmesh_tracker.tracking.spans import Span, as_intervals, within

from .finding import Finding
from .signals import Unscheduled


@dataclass(frozen=True)
class Omission:
    """What an invocation did not look for because of its own limits or the user's."""

    spans: Sequence[Span] = ()
    reasons: Sequence[Reason] = ()


def still_missing_after(search: IntervalSearch, next_run: Snapshots, name: str) -> list[Span]:
    """What was due at the search's execution time and is still missing afterwards.

    Args:
        search: what the invocation looked for; only its execution time and cron matter.
        next_run: the snapshots as the next run finds them.
    """
    if name not in next_run.frozen:
        # The environment may have lost the model by the time SQLMesh restarted the run.
        return []
    schedule = next_run.schedule(name)
    return list(schedule.once(complete_and_not_loaded, search.execution_time, search.ignore_cron))


def why_still_missing(
    unscheduled: Unscheduled, name: str, remaining: Sequence[Span], omission: Omission
) -> Finding:
    """Why these spans of an executed model are still missing."""
    by_signals = within(unscheduled.spans(name), remaining)
    executed = Finding(Status.EXECUTED)
    finding = unscheduled.finding_with_status(name, Status.EXECUTED) if by_signals else executed
    for reason in omission.reasons:
        finding = finding.because(reason, "inferred")
    if not finding.reasons:
        return finding
    return replace(finding, held_back=as_intervals([*by_signals, *omission.spans]))
