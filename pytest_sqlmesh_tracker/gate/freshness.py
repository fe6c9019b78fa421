"""How old the data of a model may be. Does not import SQLMesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone

from pytest_sqlmesh_tracker.models.index import Named
from pytest_sqlmesh_tracker.outcomes.vocabulary import ONLY_AUDITED_KINDS, Reason, Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.formats import length_beyond, minute

from .listing import Listing
from .rules import GateRule

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


@dataclass(frozen=True)
class AgeLimit:
    """How old the data of a model may be in a span of time."""

    within: timedelta
    since: datetime
    until: datetime | None
    """When the rule expires, in UTC; None if it does not."""


def age_limits(
    rules: Sequence[GateRule], models: Sequence[Named], at: datetime
) -> Mapping[str, Sequence[AgeLimit]]:
    """The shown name of each model with a limit → its limits from a moment on, in order.

    The last rule with `fresh_within` that matches a model decides, until it expires.
    """
    limiting = {n: rule for n, rule in enumerate(rules) if rule.fresh_within is not None}
    limits: dict[str, list[AgeLimit]] = {}
    for name, rule_indexes in Listing(models, limiting).rules.items():
        since: datetime | None = at
        for rule in (limiting[index] for index in rule_indexes):
            until = None
            if rule.until is not None:
                # Its last day counts.
                midnight = datetime.combine(rule.until, time(), timezone.utc)
                until = midnight + timedelta(days=1)
            if since is None or (until is not None and until <= since):
                continue
            assert rule.fresh_within is not None
            limits.setdefault(name, []).append(AgeLimit(rule.fresh_within, since, until))
            since = until
    return limits
