"""Facts that a gate warns about, whatever the status of a model, and the remarks on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

from pytest_sqlmesh_tracker.outcomes.outcome import AuditOutcome, Outcome

from .formats import (
    listed,
    one_line,
    quantity,
    spans,
)


def ahead_of_upstream(outcome: Outcome) -> str:
    """`evaluated ahead of s.orders, which had not loaded 2024-01-07`; empty if it was not."""
    behind = outcome.upstream_behind
    if len(behind) > 1:
        names = [f"{name} ({spans(lacking, limit=1)})" for name, lacking in behind.items()]
        return f"evaluated ahead of {len(behind)} models that were not loaded: {listed(names)}"
    return "".join(
        f"evaluated ahead of {name}, which had not loaded {spans(lacking)}"
        for name, lacking in behind.items()
    )


def nonblocking_failures(outcome: Outcome) -> str:
    """`a non-blocking audit failed: positive (3 rows)`; empty if none did."""
    failed = failed_audits(outcome, blocking=False)
    if not failed:
        return ""
    what = "a non-blocking audit" if len(failed) == 1 else f"{len(failed)} non-blocking audits"
    names = [audit_in_words(outcome, audit) for audit in failed]
    return f"{what} failed: {listed(names)}"


def failed_audits(outcome: Outcome, *, blocking: bool) -> list[AuditOutcome]:
    """The blocking or the non-blocking audits that found rows."""
    return [
        a for a in outcome.audits if a.blocking is blocking and not a.passed and a.error is None
    ]


def audit_in_words(outcome: Outcome, audit: AuditOutcome) -> str:
    """`positive (3 rows)`; with arguments if another audit of the model has the same name."""
    rows = f" ({quantity(audit.rows_failed, 'row')})" if audit.rows_failed else ""
    return audit_label(outcome, audit) + rows


def audit_label(outcome: Outcome, audit: AuditOutcome) -> str:
    """The audit's name; with arguments if another audit of the model has the same name."""
    label = audit.name
    if sum(other.name == audit.name for other in outcome.audits) > 1:
        label += f"({', '.join(f'{name} := {sql}' for name, sql in audit.arguments.items())})"
    return one_line(label, 120)


class Occurrence(NamedTuple):
    """One occurrence of a fact in an outcome."""

    predicate: str
    """What is true of the model, phrased to follow its name."""
    audit: str | None = None
    """The audit's name, if the fact is about an audit."""
    upstream: str | None = None
    """The upstream model's name, if the fact is about one."""

    @property
    def subject(self) -> str | None:
        """What the fact is about besides the model: an audit or an upstream model."""
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
    """What rules can allow and deny besides statuses and reasons; a warning by default.

    A member equals its value, and is formatted as its value. It is defined by its word, the noun
    for counts in summaries, a function that returns its occurrences in an outcome, and one that
    returns the remark on all of them, which is empty without any.
    """

    NONBLOCKING_AUDIT_FAILED = (
        "nonblocking_audit_failed",
        "failed non-blocking audit",
        _nonblocking_audits,
        nonblocking_failures,
    )
    UPSTREAM_BEHIND = (
        "upstream_behind",
        "lagging upstream model",
        _upstream_behind,
        ahead_of_upstream,
    )

    noun: str
    occurrences: Callable[[Outcome], Iterator[Occurrence]]
    remark: Callable[[Outcome], str]

    def __new__(
        cls,
        word: str,
        noun: str,
        occurrences: Callable[[Outcome], Iterator[Occurrence]],
        remark: Callable[[Outcome], str],
    ) -> Fact:
        """Create a member whose value is its word."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.noun = noun
        member.occurrences = occurrences
        member.remark = remark
        return member

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)


def has_facts(outcome: Outcome) -> bool:
    """Whether any fact is true of the outcome."""
    return any(True for fact in Fact for _ in fact.occurrences(outcome))


def remarks(outcome: Outcome) -> str:
    """The remarks on all facts that are true of the outcome; empty if none is."""
    return "; ".join(filter(None, (fact.remark(outcome) for fact in Fact)))
