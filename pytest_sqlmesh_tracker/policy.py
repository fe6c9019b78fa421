"""The rules of a gate policy: how they are written, and which of them judges a model.

Knows no SQLMesh.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from datetime import date, datetime
from fnmatch import translate
from functools import lru_cache
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from .expectations import status_or_reason_named
from .explanation import one_line
from .matching import UnknownModelError, close_matches, find_models, unquoted
from .outcomes import Frozen, ModelOutcome, Reason, Status

TABLE = "tool.sqlmesh_tracker.gate"
"""Where a TOML document holds its policy."""
_MISSPELT = ("sqlmesh-tracker", "pytest-sqlmesh-tracker", "pytest_sqlmesh_tracker")
_KEYS = ("models", "allow", "deny", "require", "until", "why")

UNEXPECTED_STATUSES = frozenset({Status.FAILED, Status.INTERRUPTED, Status.UNKNOWN})
"""Unexpected by default, whatever the reason."""
UNEXPECTED_SKIPS = frozenset(
    {
        Reason.UPSTREAM_FAILED,
        Reason.SIGNAL_NOT_READY,
        Reason.UPSTREAM_NOT_READY,
        Reason.DEPENDS_ON_PAST_GAP,
        Reason.NOT_IN_ENVIRONMENT,
        Reason.NOT_APPLIED,
        Reason.BACKFILL_EMPTIED,
        Reason.RESTATEMENT_REFUSED,
    }
)
"""Primary reasons for which a skipped model is unexpected by default."""


class GatePolicyError(ValueError):
    """A policy can't be read, or can't be meant; one line, with the valid words or close ones."""


class GateRule(Frozen):
    """One rule of a policy: what is accepted of some models, or demanded of them.

    Raises:
        GatePolicyError: a field holds what it can't; one line says which, and what is valid.
    """

    models: tuple[str, ...]
    """Names and globs, as everywhere: globs leave out external and embedded models and standalone
    audits, an exact name does not. Capitals count only where names differ in nothing else."""
    allow: tuple[Status | Reason, ...] = ()
    """Statuses and reasons that are expected of these models."""
    deny: tuple[Status | Reason, ...] = ()
    """Statuses and reasons that are unexpected of them; of a word in both lists, too."""
    require: Literal["executed"] | None = None
    """Each of these models must execute in at least one of the run reports."""
    until: date | None = None
    """The last day on which the rule holds, in UTC; later it has no effect and is a finding."""
    why: str | None = None

    def __init__(
        self,
        models: str | Iterable[str],
        *,
        allow: str | Iterable[str] = (),
        deny: str | Iterable[str] = (),
        require: str | None = None,
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
            until=_fitting("until", until, is_day, "a date, as 2026-12-31 without quotes"),
            why=_fitting("why", why, isinstance(why, str), "a text"),
        )
        if not (self.allow or self.deny or self.require):
            raise GatePolicyError("it says nothing of its models: it needs allow, deny or require")

    @property
    def accepted(self) -> dict[Status | Reason, str]:
        """Statuses and reasons of which a `deny` contradicts it, and whether it allows them."""
        accepted = dict.fromkeys(self.allow, "allows")
        return {**accepted, Status.EXECUTED: "requires"} if self.require else accepted

    @property
    def label(self) -> str:
        """Its models, the first three of them."""
        more = f" and {len(self.models) - 3} more" if len(self.models) > 3 else ""
        return ", ".join(self.models[:3]) + more


def unexpected_by_default(status: Status, reason: Reason | None) -> bool:
    """Whether an outcome with this status and primary reason is unexpected where no rule tells."""
    if status is Status.SKIPPED:
        return reason in UNEXPECTED_SKIPS
    return status in UNEXPECTED_STATUSES


def rules_from(tables: object) -> tuple[GateRule, ...]:
    """The rules that these are, each a `GateRule` or a table with its fields.

    Raises:
        GatePolicyError: one of them is neither; the line begins with its number, from 1.
    """
    if isinstance(tables, str | Mapping) or not isinstance(tables, Iterable):
        raise GatePolicyError(f"rules is a list of tables, in TOML each below [[{TABLE}.rules]]")
    return tuple(_rule(number, table) for number, table in enumerate(tables, start=1))


def _rule(number: int, table: object) -> GateRule:
    if isinstance(table, GateRule):
        return table
    if not isinstance(table, Mapping):
        raise GatePolicyError(f"rule {number}: it is a table, not {_shown(table)}")
    try:
        check_keys(table, _KEYS)
        if "models" not in table:
            raise GatePolicyError("it has no models: a name, a glob, or a list of them")
        return GateRule(**table)
    except GatePolicyError as error:
        raise GatePolicyError(f"rule {number}: {error}") from None


def check_keys(table: Mapping[Any, object], valid: Iterable[str]) -> None:
    """Demand that a table has no other keys than these.

    Raises:
        GatePolicyError: it has; the line has close matches, or else the valid ones.
    """
    keys = list(valid)
    for key in table:
        if key not in keys:
            close = close_matches(str(key), keys)
            hint = f"did you mean {' or '.join(close)}?" if close else f"valid: {', '.join(keys)}"
            raise GatePolicyError(f"unknown key {_shown(key)}; {hint}")


def rules_in(document: Mapping[str, Any]) -> tuple[GateRule, ...]:
    """The rules of a TOML document that has to have some: below `TABLE`, or `rules` by itself.

    Raises:
        GatePolicyError: there are none, or they can't be meant.
    """
    gate = gate_table(document)
    if gate is None:
        if document and ("tool" in document or "rules" not in document):
            raise GatePolicyError(f"there is no [[{TABLE}.rules]] in it")
        gate = document
    check_keys(gate, ["rules"])
    return rules_from(gate.get("rules", ()))


def gate_table(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The policy's table in a document such as `pyproject.toml`; None if it has none.

    Raises:
        GatePolicyError: it is no table, or its name is misspelt.
    """
    tools = _table(document, "tool", "tool")
    for name in _MISSPELT:
        if name in tools:
            raise GatePolicyError(
                f"unknown table [tool.{name}]; did you mean tool.sqlmesh_tracker?"
            )
    ours = _table(tools, "sqlmesh_tracker", "tool.sqlmesh_tracker")
    check_keys(ours, ["gate"])
    return _table(ours, "gate", TABLE) if "gate" in ours else None


def _table(parent: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    table = parent.get(key, {})
    if not isinstance(table, Mapping):
        raise GatePolicyError(f"{path} is a table, not {_shown(table)}")
    return table


def parsed(text: str) -> dict[str, Any]:
    """TOML.

    Raises:
        GatePolicyError: it is not; the line says where, and what.
    """
    # Python 3.10 has it under its old name.
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        document: dict[str, Any] = toml.loads(text)
    except (ValueError, RecursionError) as error:
        raise GatePolicyError(f"not TOML: {one_line(str(error))}") from None
    return document


def document_in(file: Path) -> dict[str, Any]:
    """The TOML document in a file.

    Raises:
        GatePolicyError: it can't be read, or is no TOML.
    """
    try:
        return parsed(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise GatePolicyError(f"it can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise GatePolicyError("not TOML: it is not UTF-8") from None


class Listing:
    """The models of a report, as many reports list them, and which rules are for each."""

    def __init__(self, outcomes: Sequence[ModelOutcome], rules: Mapping[int, GateRule]) -> None:
        self.outcomes = outcomes
        self.ambiguous: dict[str, str] = {}
        patterns = dict.fromkeys(pattern for rule in rules.values() for pattern in rule.models)
        texts_of = [_texts(o.name) | _texts(o.fqn) for o in outcomes] if patterns else []
        self._by_text: dict[str, list[int]] = {}
        for place, texts in enumerate(texts_of):
            for text in texts:
                self._by_text.setdefault(text, []).append(place)
        # Most models match no glob at all: one look at each tells.
        globs = _matcher(*filter(_is_glob, patterns))
        self._in_globs = [(n, texts) for n, texts in enumerate(texts_of) if any(map(globs, texts))]
        self.meant = {pattern: self._meant_by(pattern) for pattern in patterns}
        """Name or glob of a rule → names of the models."""
        self.models = {
            number: list(dict.fromkeys(name for one in rule.models for name in self.meant[one]))
            for number, rule in rules.items()
        }
        """Number of a rule → names of its models."""
        self.rules: dict[str, tuple[int, ...]] = {}
        """Name of a model → numbers of its rules, the last one first."""
        for number in sorted(rules, reverse=True):
            for name in self.models[number]:
                self.rules[name] = (*self.rules.get(name, ()), number)

    def _meant_by(self, pattern: str) -> list[str]:
        """What `find_models` finds among those that resemble the pattern; nothing if it raises."""
        places = set(self._by_text.get(unquoted(pattern).casefold(), ()))
        if _is_glob(pattern):
            matches = _matcher(pattern)
            places.update(place for place, texts in self._in_globs if any(map(matches, texts)))
        if not places:
            return []
        try:
            found = find_models([self.outcomes[place] for place in sorted(places)], pattern)
        except UnknownModelError as error:
            if not _is_glob(pattern):
                self.ambiguous[pattern] = str(error)
            return []
        return [outcome.name for outcome in found]

    def complaint(self, pattern: str) -> str:
        """What `find_models` says of a name or glob that none of these models has."""
        said = ""
        try:
            find_models(self.outcomes, pattern, "the reports")
        except UnknownModelError as error:
            said = str(error)
        return said


def _texts(name: str) -> set[str]:
    return {unquoted(name), unquoted(name).casefold()}


def _is_glob(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[")


@lru_cache(maxsize=1024)
def _matcher(*globs: str) -> Callable[[str], object]:
    """Whether a text matches one of the globs, or its form without capitals."""
    texts = sorted({text for glob in globs for text in _texts(glob)})
    return re.compile("|".join(map(translate, texts)) or "(?!)").match


def verdict(
    rules: Sequence[GateRule], status: Status, reason: Reason | None, reasons: Sequence[Reason]
) -> tuple[bool, int | None]:
    """Whether an outcome is expected, and the place of the rule that says so; None: the default.

    Args:
        rules: those that are for the model, the last one first.
        reason: the primary one of `reasons`.
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
    """Unexpected if a rule denies the execution or a reason that no later rule allows."""
    allowed: set[Status | Reason] = set()
    for place, rule in enumerate(rules):
        if any(word in rule.deny and word not in allowed for word in (Status.EXECUTED, *reasons)):
            return False, place
        if Status.EXECUTED in rule.allow:
            break
        allowed.update(rule.allow)
    return True, None


def unmatched(
    rules: Mapping[int, GateRule], listings: Iterable[Listing]
) -> Iterator[tuple[int, str]]:
    """Rules of which a name or a glob means nothing in any listing, or several models in one."""
    known = [listing for listing in dict.fromkeys(listings) if listing.outcomes]
    largest = max(known, key=lambda listing: len(listing.outcomes), default=None)
    for number, rule in rules.items():
        complaints = []
        for pattern in rule.models if largest else ():
            ambiguous = [each.ambiguous[pattern] for each in known if pattern in each.ambiguous]
            if ambiguous:
                complaints.append(ambiguous[0])
            elif largest and not any(listing.meant[pattern] for listing in known):
                complaints.append(largest.complaint(pattern))
        if complaints:
            yield number, "; ".join(complaints)


def contradictions(rules: Mapping[int, GateRule]) -> Iterator[tuple[int, str]]:
    """What no report is needed for: the number of the rule, from 0, and what is wrong."""
    for number, rule in rules.items():
        for word in rule.deny:
            if word in rule.accepted:
                yield number, f"it both {rule.accepted[word]} and denies {word}"
    for (first, earlier), (second, later) in combinations(rules.items(), 2):
        if set(earlier.models) == set(later.models) and later.until is None:
            same = f"which rule {first + 1} {{}} for the same models"
            for word in later.deny:
                if word in earlier.accepted:
                    yield second, f"it denies {word}, {same.format(earlier.accepted[word])}"
            for word, accepts in later.accepted.items():
                if word in earlier.deny:
                    yield second, f"it {accepts} {word}, {same.format('denies')}"


def _models(value: object) -> tuple[str, ...]:
    names = _listed("models", value, "a name, a glob, or a list of them")
    for name in names:
        if not (isinstance(name, str) and name.strip()):
            raise GatePolicyError(f"models: {_shown(name)} is neither a name nor a glob")
    if not names:
        raise GatePolicyError("models is empty: it needs a name, a glob, or a list of them")
    return tuple(dict.fromkeys(names))


def _words(key: str, value: object) -> tuple[Status | Reason, ...]:
    words = _listed(key, value, "a list of statuses and reasons")
    try:
        return tuple(dict.fromkeys(status_or_reason_named(word) for word in words))
    except ValueError as error:
        raise GatePolicyError(f"{key}: {one_line(str(error), 800)}") from None


def _listed(key: str, value: object, what: str) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise GatePolicyError(f"{key} is {what}, not {_shown(value)}")
    return sorted(value, key=str) if isinstance(value, Set) else list(value)


def _fitting(key: str, value: object, fits: bool, what: str) -> object:
    if value is None or fits:
        return value
    raise GatePolicyError(f"{key} is {what}, not {_shown(value)}")


def _shown(value: object) -> str:
    return one_line(repr(value), 80)
