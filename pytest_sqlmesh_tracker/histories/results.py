"""What a check of a project's models results in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from .diagnosing import Finding


class Verdict(Enum):
    """What is known about a model after all histories."""

    PASSED = "passed"
    """It had the same rows after each."""
    NOT_TRIED = "not tried"
    """It had no rows after any of them, so that nothing is known."""
    DIFFERS = "differs"
    """It had other rows after one of them."""
    READS = "not judged"
    """It reads a model that differs."""


@dataclass(frozen=True)
class CheckedModel:
    """A model that was checked.

    Attributes:
        rows: the most rows that it had.
        finding: what is wrong, if it differs.
        upstream: the model that differs, and that it reads.
    """

    name: str
    rows: int
    finding: Finding | None = None
    upstream: str | None = None

    @property
    def verdict(self) -> Verdict:
        """What is known about it."""
        if self.finding is not None:
            return Verdict.DIFFERS
        if self.upstream is not None:
            return Verdict.READS
        return Verdict.PASSED if self.rows else Verdict.NOT_TRIED

    @property
    def is_untried(self) -> bool:
        """Whether it had no rows."""
        return self.verdict is Verdict.NOT_TRIED

    @property
    def words(self) -> str:
        """The verdict in words."""
        if self.finding is not None:
            return self.finding.sort.value
        return (
            f"not judged, because it reads {self.upstream}" if self.upstream else self.verdict.value
        )


@dataclass(frozen=True)
class CheckedProject:
    """The models of a project that were checked.

    Attributes:
        begin: when the histories began, in UTC.
        days: the length of the histories.
        histories: how many were compared.
    """

    begin: datetime
    days: int
    histories: int
    models: tuple[CheckedModel, ...]

    @property
    def differs(self) -> bool:
        """Whether the rows of a model depend on the history."""
        return any(each.finding is not None for each in self.models)
