"""The outcomes in reports, and the protocol that assertions require of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pytest_sqlmesh_tracker.outcomes.invocation import Invocation
from pytest_sqlmesh_tracker.outcomes.outcome import Outcome
from pytest_sqlmesh_tracker.wording.paragraphs import paragraph


class ModelOutcome(Outcome):
    """What is known about one model (or standalone audit) in one invocation.

    Datetimes are timezone-aware and in UTC, intervals are half-open, durations are measured with
    `perf_counter`.
    """

    def __str__(self) -> str:
        """The explanation of the outcome: a headline and the facts below it."""
        return paragraph(None, self)


class Assertable(Invocation, Protocol):
    """A report on which assertions can be made. `RunReport` implements it."""

    @property
    def outcomes(self) -> Mapping[str, ModelOutcome]:
        """Name → outcome, in topological order."""

    @property
    def counted(self) -> tuple[ModelOutcome, ...]:
        """The outcomes that sets, totals and tables count."""

    def matching(self, model: object) -> list[ModelOutcome]:
        """The outcomes that a name, an object or a glob matches; at least one."""
