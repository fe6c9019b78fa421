"""Which rule decides on an outcome, and rules that contradict each other.

Does not import SQLMesh.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from pytest_sqlmesh_tracker.outcomes.expected import unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.wording.formats import length

from .rules import GateRule
from .tolerance import GateTolerance, Wait
from .values import RuleWord


class Verdict(NamedTuple):
    """Whether an outcome is expected, and which rule decided."""

    expected: bool
    place: int | None
    """The position of the deciding rule; None is the default."""
    tolerance: GateTolerance | None = None
    """The rule's, if it decided by how long the model has waited."""


def verdict(
    rules: Sequence[GateRule],
    status: Status,
    reason: Reason | None,
    reasons: Sequence[Reason],
    wait: Wait,
) -> Verdict:
    """Judge an outcome.

    Args:
        rules: the rules that match the model, the last one first.
        reason: the first of `reasons`, the primary one.
        wait: how long the model has waited.
    """
    if status is Status.EXECUTED:
        return _verdict_on_executed(rules, reasons, wait)
    words = (status,) if status is Status.UNKNOWN or reason is None else (reason, status)
    for place, rule in enumerate(rules):
        for word in words:
            if word in rule.deny:
                return Verdict(False, place)
            if word in rule.allow:
                return Verdict(True, place)
            if rule.tolerate and rule.tolerate.reason is word:
                within = not wait.exceeds(rule.tolerate.limit)
                return Verdict(within, place, rule.tolerate)
    return Verdict(not unexpected_by_default(status, reason), None)


def _verdict_on_executed(
    rules: Sequence[GateRule], reasons: Sequence[Reason], wait: Wait
) -> Verdict:
    """Unexpected if a rule denies `executed` or a reason, or tolerates a reason no longer, and no
    later rule accepts the same."""
    accepted: set[RuleWord] = set()
    tolerated = Verdict(True, None)
    for place, rule in enumerate(rules):
        if any(word in rule.deny and word not in accepted for word in (Status.EXECUTED, *reasons)):
            return Verdict(False, place)
        accepted.update(rule.allow)
        tolerance = rule.tolerate
        if tolerance and tolerance.reason in reasons and tolerance.reason not in accepted:
            if wait.exceeds(tolerance.limit):
                return Verdict(False, place, tolerance)
            accepted.add(tolerance.reason)
            tolerated = tolerated if tolerated.tolerance else Verdict(True, place, tolerance)
        if Status.EXECUTED in rule.allow:
            break
    return tolerated


def tolerating(rules: Sequence[GateRule], reason: Reason, wait: Wait) -> int | None:
    """The position of the rule that still tolerates a reason, whether or not a later rule allows
    it; None if no rule does, or a later one denies it.

    Args:
        rules: the rules that match the model, the last one first.
        wait: how long the model has waited.
    """
    for place, rule in enumerate(rules):
        if reason in rule.deny:
            return None
        if rule.tolerate and rule.tolerate.reason is reason:
            return None if wait.exceeds(rule.tolerate.limit) else place
    return None


def contradictions(rules: Mapping[int, GateRule]) -> Iterator[tuple[int, str]]:
    """Contradictions, which need no report: the rule's index, from 0, and what is wrong."""
    for rule_index, rule in rules.items():
        for (word, verb), (other_word, other_verb) in combinations(_stances(rule), 2):
            if word == other_word and _contradict(verb, other_verb):
                yield rule_index, f"both {verb} and {other_verb} {word}"
    for (first, earlier), (second, later) in combinations(rules.items(), 2):
        if set(earlier.models) == set(later.models) and later.until is None:
            for complaint in _between(earlier, later, f"which rule {first + 1}"):
                yield second, f"{complaint} for the same models"


def _between(earlier: GateRule, later: GateRule, which: str) -> Iterator[str]:
    """The contradictions of two rules for the same models."""
    for word, verb in _stances(later):
        for other_word, other_verb in _stances(earlier):
            if word == other_word and _contradict(verb, other_verb):
                yield f"{verb} {word}, {which} {other_verb}"
    one, other = later.tolerate, earlier.tolerate
    if one and other and one.reason is other.reason and one.limit != other.limit:
        limits = length(one.limit), length(other.limit)
        yield f"tolerates {one.reason} for {limits[0]}, {which} tolerates for {limits[1]}"
    within, before = later.fresh_within, earlier.fresh_within
    if within and before and within != before:
        yield f"sets fresh_within to {length(within)}, {which} sets to {length(before)}"


def _stances(rule: GateRule) -> list[tuple[RuleWord, str]]:
    """What the rule does with each of its words."""
    accepted: dict[RuleWord, str] = dict.fromkeys(rule.allow, "allows")
    if rule.require:
        accepted[Status.EXECUTED] = "requires"
    denied = [(word, "denies") for word in rule.deny]
    tolerated = [(rule.tolerate.reason, "tolerates")] if rule.tolerate else []
    return [*accepted.items(), *tolerated, *denied]


def _contradict(verb: str, other: str) -> bool:
    return verb != other and {verb, other} != {"allows", "requires"}
