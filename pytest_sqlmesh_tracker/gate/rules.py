"""The rules of a gate policy: what each allows and denies, and which of them decides.

Does not import SQLMesh.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import date, datetime
from itertools import combinations
from typing import Any, Literal, get_args

from pydantic import BaseModel

from pytest_sqlmesh_tracker.outcomes.expected import unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.types import Frozen
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.reports.parsing import parse_member
from pytest_sqlmesh_tracker.wording.formats import one_line, short_repr
from pytest_sqlmesh_tracker.wording.remarks import Fact

RuleWord = Status | Reason | Fact
"""What a rule can allow or deny."""
_WORDS: tuple[RuleWord, ...] = (*Status, *Reason, *Fact)

Severity = Literal["error", "warning"]
"""An error fails the gate; a warning is only reported."""
_SEVERITIES = get_args(Severity)


class GatePolicyError(ValueError):
    """A gate policy can't be read or is not valid. The message is one line, with valid or close
    words."""


class GateRule(Frozen):
    """One rule of a gate policy: what is expected of some models, or required of them.

    Raises:
        GatePolicyError: a field has an invalid value; the message says in one line which one, and
            what is valid.
    """

    models: tuple[str, ...]
    """Names and globs. Globs leave out external and embedded models and standalone audits; exact
    names do not. Case matters only where names differ in nothing else."""
    allow: tuple[RuleWord, ...] = ()
    """Statuses, reasons and facts that are expected of these models."""
    deny: tuple[RuleWord, ...] = ()
    """Statuses, reasons and facts that are unexpected of these models; it takes precedence over
    `allow`."""
    require: Literal["executed"] | None = None
    """Each of these models must execute in at least one of the run reports."""
    severity: Severity = "error"
    """Whether what the rule denies or requires is a finding (`error`) or a `warning`."""
    until: date | None = None
    """The last day on which the rule holds, in UTC. Afterwards it has no effect and is a
    finding."""
    why: str | None = None
    """An explanation, which is shown with what the rule decides."""

    def __init__(
        self,
        models: str | Iterable[str],
        *,
        allow: str | Iterable[str] = (),
        deny: str | Iterable[str] = (),
        require: str | None = None,
        severity: str = "error",
        until: date | None = None,
        why: str | None = None,
    ) -> None:
        is_day = isinstance(until, date) and not isinstance(until, datetime)
        BaseModel.__init__(
            self,
            models=_models(models),
            allow=_words("allow", allow),
            deny=_words("deny", deny),
            require=_fitting("require", require, require == "executed", '"executed"'),
            severity=_severity(severity),
            until=_fitting("until", until, is_day, "a date without quotes, such as 2026-12-31"),
            why=_fitting("why", why, isinstance(why, str), "a string"),
        )
        if not (self.allow or self.deny or self.require):
            raise GatePolicyError("a rule must have allow, deny or require")
        if self.severity == "warning" and not (self.deny or self.require):
            raise GatePolicyError("severity has no effect without deny or require")

    @property
    def accepted(self) -> dict[RuleWord, str]:
        """The words that a `deny` would contradict, each with `allows` or `requires`."""
        accepted: dict[RuleWord, str] = dict.fromkeys(self.allow, "allows")
        return {**accepted, Status.EXECUTED: "requires"} if self.require else accepted

    def lists(self, word: RuleWord) -> bool:
        """Whether the rule allows or denies this word itself."""
        return word in self.deny or word in self.allow

    @property
    def label(self) -> str:
        """The first three of its models, as text."""
        more = f" and {len(self.models) - 3} more" if len(self.models) > 3 else ""
        return ", ".join(self.models[:3]) + more


def verdict(
    rules: Sequence[GateRule], status: Status, reason: Reason | None, reasons: Sequence[Reason]
) -> tuple[bool, int | None]:
    """Whether an outcome is expected, and the position of the deciding rule; None is the default.

    Args:
        rules: the rules that match the model, the last one first.
        reason: the first of `reasons`, the primary one.
    """
    if status is Status.EXECUTED:
        return _verdict_on_executed(rules, reasons)
    words = (status,) if status is Status.UNKNOWN or reason is None else (reason, status)
    for place, rule in enumerate(rules):
        for word in words:
            if word in rule.deny:
                return False, place
            if word in rule.allow:
                return True, place
    return not unexpected_by_default(status, reason), None


def _verdict_on_executed(
    rules: Sequence[GateRule], reasons: Sequence[Reason]
) -> tuple[bool, int | None]:
    """Unexpected if a rule denies `executed` or a reason, and no later rule allows the same."""
    allowed: set[RuleWord] = set()
    for place, rule in enumerate(rules):
        if any(word in rule.deny and word not in allowed for word in (Status.EXECUTED, *reasons)):
            return False, place
        if Status.EXECUTED in rule.allow:
            break
        allowed.update(rule.allow)
    return True, None


def contradictions(rules: Mapping[int, GateRule]) -> Iterator[tuple[int, str]]:
    """Contradictions, which need no report: the rule's index, from 0, and what is wrong."""
    for rule_index, rule in rules.items():
        for word in rule.deny:
            if word in rule.accepted:
                yield rule_index, f"both {rule.accepted[word]} and denies {word}"
    for (first, earlier), (second, later) in combinations(rules.items(), 2):
        if set(earlier.models) == set(later.models) and later.until is None:
            same = f"which rule {first + 1} {{}} for the same models"
            for word in later.deny:
                if word in earlier.accepted:
                    yield second, f"denies {word}, {same.format(earlier.accepted[word])}"
            for word, accepts in later.accepted.items():
                if word in earlier.deny:
                    yield second, f"{accepts} {word}, {same.format('denies')}"


def _models(value: object) -> tuple[str, ...]:
    names = _listed("models", value, "a name, a glob, or a list of them")
    for name in names:
        if not (isinstance(name, str) and name.strip()):
            raise GatePolicyError(f"models: {short_repr(name)} is neither a name nor a glob")
    if not names:
        raise GatePolicyError("models is empty: it must be a name, a glob, or a list of them")
    return tuple(dict.fromkeys(names))


def _words(key: str, value: object) -> tuple[RuleWord, ...]:
    words = _listed(key, value, "a list of statuses, reasons and facts")
    not_valid = "not a status, a reason or a fact"
    try:
        return tuple(dict.fromkeys(parse_member(word, _WORDS, not_valid) for word in words))
    except ValueError as error:
        raise GatePolicyError(f"{key}: {one_line(str(error), 800)}") from None


def _severity(value: object) -> object:
    if value in _SEVERITIES:
        return value
    raise GatePolicyError(f'severity must be "error" or "warning", not {short_repr(value)}')


def _listed(key: str, value: object, what: str) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise _unfitting(key, value, what)
    return sorted(value, key=str) if isinstance(value, Set) else list(value)


def _fitting(key: str, value: object, fits: bool, what: str) -> object:
    if value is None or fits:
        return value
    raise _unfitting(key, value, what)


def _unfitting(key: str, value: object, what: str) -> GatePolicyError:
    return GatePolicyError(f"{key} must be {what}, not {short_repr(value)}")
