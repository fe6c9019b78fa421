"""How old the data of a model may be. Does not import SQLMesh."""

from __future__ import annotations

from datetime import timedelta

from pytest_sqlmesh_tracker.outcomes.vocabulary import ONLY_AUDITED_KINDS, Reason, Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.formats import length_beyond, minute

_NOTHING_TO_LOAD = frozenset({Reason.ENDED, Reason.NOT_STARTED, Reason.NOT_IN_ENVIRONMENT})
_NOT_LOADED_BY_PLAN = frozenset(
    {
        Reason.SIGNAL_NOT_READY,
        Reason.UPSTREAM_NOT_READY,
        Reason.DEPENDS_ON_PAST_GAP,
        Reason.UPSTREAM_FAILED,
    }
)
"""Why a plan does not load what it was to load. All else it leaves to the next run on purpose."""


def staleness(report: RunReport, outcome: ModelOutcome, limit: timedelta) -> str:
    """What is wrong if the model's data is older than the limit, phrased to follow its name.

    It is empty if the data is recent enough, or if nothing of the model was to be loaded.
    """
    if not _is_to_be_loaded(report, outcome):
        return ""
    through = outcome.loaded_through
    if through is None:
        # If SQLMesh did not get that far, nothing is known of what is loaded.
        known = outcome.status not in (Status.INTERRUPTED, Status.UNKNOWN)
        return "has nothing loaded" if known else ""
    age = report.execution_time - through
    if age <= limit:
        return ""
    return f"is loaded up to {minute(through)}, which is {length_beyond(limit, age)} old"


def _is_to_be_loaded(report: RunReport, outcome: ModelOutcome) -> bool:
    if outcome.kind in ONLY_AUDITED_KINDS or outcome.kind == "seed":
        return False
    if _NOTHING_TO_LOAD.intersection(outcome.reasons):
        return False
    if report.command == "plan":
        failed = outcome.status is Status.FAILED
        return failed or bool(_NOT_LOADED_BY_PLAN.intersection(outcome.reasons))
    return report.command == "run"
