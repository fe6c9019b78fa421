"""How old the data of models may be by the rules of a policy. Does not import SQLMesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone

from pytest_sqlmesh_tracker.models.index import Named

from .listing import Listing
from .policy import GatePolicy


@dataclass(frozen=True)
class AgeLimit:
    """How old the data of a model may be in a span of time."""

    within: timedelta
    since: datetime
    until: datetime | None
    """When the rule expires, in UTC; None if it does not."""


def age_limits(
    policy: GatePolicy, models: Sequence[Named], at: datetime
) -> Mapping[str, Sequence[AgeLimit]]:
    """The shown name of each model with a limit → its limits from a moment on, in order.

    The last rule with `fresh_within` that matches a model decides, until it expires.
    """
    rules = {n: rule for n, rule in enumerate(policy.rules) if rule.fresh_within is not None}
    limits: dict[str, list[AgeLimit]] = {}
    for name, rule_indexes in Listing(models, rules).rules.items():
        since: datetime | None = at
        for rule in (rules[index] for index in rule_indexes):
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
