"""What `doctor` finds: whether tracking works with the SQLMesh that is installed. Pure data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warning", "problem"]
"""`problem`: what the tracker would say of an invocation can be wrong or missing."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    level: Level
    detail: str
    """What was found, in one line."""
    concern: str = ""
    """What of a report, or of the tracker, rests on it, unless it is as it should be."""


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was looked at, in the order in which one thing rests on another."""

    checks: tuple[Check, ...]

    @property
    def degraded(self) -> bool:
        """Whether anything is a problem."""
        return any(check.level == "problem" for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON-ready values."""
        return {"degraded": self.degraded, "checks": [asdict(check) for check in self.checks]}
