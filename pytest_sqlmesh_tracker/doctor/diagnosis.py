"""The findings of `doctor`: whether tracking works with the installed SQLMesh. Pure data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warning", "problem"]
"""`problem`: reports can be wrong or incomplete."""


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    level: Level
    detail: str
    """The finding, in one line."""
    concern: str = ""
    """The part of a report, or of the tracker, that depends on it; empty if the check passed."""


@dataclass(frozen=True)
class Diagnosis:
    """All checks, each after those that it depends on."""

    checks: tuple[Check, ...]

    @property
    def degraded(self) -> bool:
        """Whether any check found a problem."""
        return any(check.level == "problem" for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON-ready values."""
        return {"degraded": self.degraded, "checks": [asdict(check) for check in self.checks]}
