"""The gate: which outcomes CI accepts."""

from .findings import KINDS, GateFinding, GateResult
from .policy import GatePolicy
from .rules import GatePolicyError, GateRule

__all__ = ["KINDS", "GateFinding", "GatePolicy", "GatePolicyError", "GateResult", "GateRule"]
