"""The explanation of one model's status: the reasons that hold, and the facts they carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.outcomes.vocabulary import Evidence, Reason, Status


class UnexplainedError(Exception):
    """The tracker cannot tell what happened to a model; the message says why.

    The model's status is then `unknown`.
    """


@dataclass(frozen=True)
class Finding:
    """The status of a model, the reasons that hold for it, and the facts they carry."""

    status: Status
    reasons: Mapping[Reason, Evidence] = field(default_factory=dict)
    """In no particular order."""
    blocked_by: tuple[str, ...] = ()
    """Fully qualified names."""
    signals: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    held_back: tuple[Interval, ...] = ()
    next_due: datetime | None = None
    """In UTC."""
    change_category: str | None = None
    failed_step: str | None = None

    def because(self, reason: Reason, evidence: Evidence) -> Finding:
        """The finding with an additional reason."""
        return replace(self, reasons={**self.reasons, reason: evidence})

    @property
    def ordered_reasons(self) -> tuple[Reason, ...]:
        """The reasons in order of precedence."""
        return tuple(sorted(self.reasons, key=lambda reason: reason.rank))
