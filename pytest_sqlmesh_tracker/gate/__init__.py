"""The gate: what CI accepts of reports. Rules, judging by them, and what was found."""

from .facts import has_facts
from .findings import KINDS, GateFinding, GateResult
from .policy import GatePolicy
from .rules import (
    UNEXPECTED_SKIPS,
    UNEXPECTED_STATUSES,
    GatePolicyError,
    GateRule,
    unexpected_by_default,
)

__all__ = [
    "KINDS",
    "UNEXPECTED_SKIPS",
    "UNEXPECTED_STATUSES",
    "GateFinding",
    "GatePolicy",
    "GatePolicyError",
    "GateResult",
    "GateRule",
    "has_facts",
    "unexpected_by_default",
]
