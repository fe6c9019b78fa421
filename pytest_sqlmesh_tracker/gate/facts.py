"""Facts on an outcome that a gate warns of, whatever its status: further words for rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

from pytest_sqlmesh_tracker.outcomes.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.wording.explanation import audit_in_words, failed_audits
from pytest_sqlmesh_tracker.wording.formats import spans


class Occurrence(NamedTuple):
    """One time that a fact holds of an outcome."""

    predicate: str
    """What is true of the model, to follow its name."""
    audit: str | None = None
    """The audit's name, where it is about one."""
    upstream: str | None = None
    """The name of the model upstream, where it is about one."""

    @property
    def subject(self) -> str | None:
        """What it is about beside the model."""
        return self.audit or self.upstream


def _nonblocking_audits(outcome: ModelOutcome) -> Iterator[Occurrence]:
    for audit in failed_audits(outcome, blocking=False):
        words = audit_in_words(outcome, audit)
        yield Occurrence(f"has a failed non-blocking audit: {words}", audit.name)


def _upstream_behind(outcome: ModelOutcome) -> Iterator[Occurrence]:
    for name, lacking in outcome.upstream_behind.items():
        words = f"was evaluated ahead of {name}, which had not loaded {spans(lacking)}"
        yield Occurrence(words, upstream=name)


class Fact(str, Enum):
    """What rules can allow and deny beside statuses and reasons; by default it is a warning.

    Equal to, and formatted as, its value. A member is its word, the noun that a summary counts it
    by, and what finds its occurrences in an outcome: to add a fact, add a member.
    """

    NONBLOCKING_AUDIT_FAILED = (
        "nonblocking_audit_failed",
        "failed non-blocking audit",
        _nonblocking_audits,
    )
    UPSTREAM_BEHIND = ("upstream_behind", "lagging upstream model", _upstream_behind)

    noun: str
    occurrences: Callable[[ModelOutcome], Iterator[Occurrence]]

    def __new__(
        cls, word: str, noun: str, occurrences: Callable[[ModelOutcome], Iterator[Occurrence]]
    ) -> Fact:
        """A member that is its word."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.noun = noun
        member.occurrences = occurrences
        return member

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)


def has_facts(outcome: ModelOutcome) -> bool:
    """Whether any fact holds of the outcome."""
    return any(True for fact in Fact for _ in fact.occurrences(outcome))
