"""The gate: which outcomes CI accepts."""

from .findings import KINDS, GateFinding, GateResult
from .policy import GatePolicy
from .rules import GateRule
from .tolerance import GateTolerance
from .values import GatePolicyError

__all__ = [
    "KINDS",
    "GateFinding",
    "GatePolicy",
    "GatePolicyError",
    "GateResult",
    "GateRule",
    "GateTolerance",
]
