"""Which outcomes are unexpected unless a gate rule says otherwise."""

from __future__ import annotations

from .vocabulary import Reason, Status

UNEXPECTED_STATUSES = frozenset({Status.FAILED, Status.INTERRUPTED, Status.UNKNOWN})
"""Statuses that are unexpected by default, whatever the reason."""


UNEXPECTED_SKIPS = frozenset(
    {
        Reason.UPSTREAM_FAILED,
        Reason.SIGNAL_NOT_READY,
        Reason.UPSTREAM_NOT_READY,
        Reason.DEPENDS_ON_PAST_GAP,
        Reason.NOT_IN_ENVIRONMENT,
        Reason.NOT_APPLIED,
        Reason.BACKFILL_EMPTIED,
        Reason.RESTATEMENT_REFUSED,
    }
)
"""Primary reasons for which a skipped model is unexpected by default."""


NO_REASONS_FOR_SKIPS = frozenset(
    {
        Reason.ERROR,
        Reason.AUDIT_FAILED,
        Reason.CREATION_FAILED,
        Reason.ENVIRONMENT_CHANGED,
        Reason.ENVIRONMENT_MISSING,
        Reason.ENVIRONMENT_BUSY,
        Reason.COMMAND_FAILED,
        Reason.ABORTED,
    }
)
"""Reasons that only models have that failed or were interrupted."""


def unexpected_by_default(status: Status, reason: Reason | None) -> bool:
    """Whether an outcome with this status and primary reason is unexpected by default."""
    if status is Status.SKIPPED:
        return reason in UNEXPECTED_SKIPS
    return status in UNEXPECTED_STATUSES
