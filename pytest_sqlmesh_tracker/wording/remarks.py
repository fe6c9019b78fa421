"""Facts that a gate warns of, whatever the status of a model, and the remarks on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

from pytest_sqlmesh_tracker.outcomes.outcome import AuditOutcome, Outcome

from .formats import (
    counted,
    listed,
    one_line,
    spans,
)


def remarks(outcome: Outcome) -> str:
    """What a gate warns of, whatever the status: failed non-blocking audits, upstream behind."""
    return "; ".join(filter(None, (nonblocking_failures(outcome), ahead_of_upstream(outcome))))


def ahead_of_upstream(outcome: Outcome) -> str:
    """`evaluated ahead of s.orders, which had not loaded 2024-01-07`; empty where nothing is."""
    behind = outcome.upstream_behind
    if len(behind) > 1:
        names = [f"{name} ({spans(lacking, limit=1)})" for name, lacking in behind.items()]
        return f"evaluated ahead of {len(behind)} models that were not loaded: {listed(names)}"
    return "".join(
        f"evaluated ahead of {name}, which had not loaded {spans(lacking)}"
        for name, lacking in behind.items()
    )


def nonblocking_failures(outcome: Outcome) -> str:
    """`a non-blocking audit failed: positive (3 rows)`; empty where none did."""
    failed = failed_audits(outcome, blocking=False)
    if not failed:
        return ""
    what = "a non-blocking audit" if len(failed) == 1 else f"{len(failed)} non-blocking audits"
    names = [audit_in_words(outcome, audit) for audit in failed]
    return f"{what} failed: {listed(names)}"


def failed_audits(outcome: Outcome, *, blocking: bool) -> list[AuditOutcome]:
    """Its audits that found rows, of those that block or of those that do not."""
    return [
        a for a in outcome.audits if a.blocking is blocking and not a.passed and a.error is None
    ]


def audit_in_words(outcome: Outcome, audit: AuditOutcome) -> str:
    """`positive (3 rows)`; with its arguments where another audit of the model has its name."""
    rows = f" ({counted(audit.rows_failed, 'row')})" if audit.rows_failed else ""
    return audit_label(outcome, audit) + rows


def audit_label(outcome: Outcome, audit: AuditOutcome) -> str:
    """Its name; with its arguments where another audit of the model has the same one."""
    label = audit.name
    if sum(other.name == audit.name for other in outcome.audits) > 1:
        label += f"({', '.join(f'{name} := {sql}' for name, sql in audit.arguments.items())})"
    return one_line(label, 120)


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


def _nonblocking_audits(outcome: Outcome) -> Iterator[Occurrence]:
    for audit in failed_audits(outcome, blocking=False):
        words = audit_in_words(outcome, audit)
        yield Occurrence(f"has a failed non-blocking audit: {words}", audit.name)


def _upstream_behind(outcome: Outcome) -> Iterator[Occurrence]:
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
    occurrences: Callable[[Outcome], Iterator[Occurrence]]

    def __new__(
        cls, word: str, noun: str, occurrences: Callable[[Outcome], Iterator[Occurrence]]
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


def has_facts(outcome: Outcome) -> bool:
    """Whether any fact holds of the outcome."""
    return any(True for fact in Fact for _ in fact.occurrences(outcome))
