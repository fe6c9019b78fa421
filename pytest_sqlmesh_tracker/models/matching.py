"""How a model is named by users: display name, fully qualified name, object or glob."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Protocol, TypeVar


class Named(Protocol):
    """What has the names and the kind of a model: an outcome, above all."""

    @property
    def name(self) -> str:
        """As it is shown."""

    @property
    def fqn(self) -> str:
        """Fully qualified."""

    @property
    def kind(self) -> str:
        """SQLMesh's kind, in lower case."""


Model = TypeVar("Model", bound=Named)

_GLOB = frozenset("*?[")
_NOT_IN_GLOBS = frozenset({"external", "embedded", "audit"})


class UnknownModelError(LookupError):
    """A name matches no model, or is ambiguous. The message lists close matches.

    Everything that takes a model raises it, so that nothing passes on a typo.
    """


def unquoted(name: str) -> str:
    """The name without the quotes around its parts: `"wh"."sales"."orders"` → `wh.sales.orders`."""
    return name.replace('"', "").replace("`", "")


def close_matches(word: str, valid: Iterable[str]) -> list[str]:
    """Up to three of the valid words that resemble the given one, best first."""
    by_folded = {candidate.casefold(): candidate for candidate in valid}
    close = get_close_matches(word.casefold(), by_folded, n=3, cutoff=0.6)
    return [by_folded[match] for match in close]


def find_model(outcomes: Sequence[Model], model: object, among: str = "the report") -> Model:
    """The one outcome that `model` names: by display or fully qualified name, or by an object.

    Raises:
        UnknownModelError: none or several match; the message has close matches.
        TypeError: it is neither a name nor a SQLMesh `Model` or `Snapshot`.
    """
    __tracebackhide__ = True
    name = _name_of(model)
    candidates = [outcome for outcome in outcomes if name in (outcome.name, outcome.fqn)]
    if not candidates:
        wanted = unquoted(name)
        candidates = [o for o in outcomes if wanted in (unquoted(o.name), unquoted(o.fqn))]
    if not candidates:
        wanted = unquoted(name).casefold()
        candidates = [
            o
            for o in outcomes
            if wanted in (unquoted(o.name).casefold(), unquoted(o.fqn).casefold())
        ]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        names = ", ".join(sorted(f"{o.name} ({o.fqn})" for o in candidates))
        raise UnknownModelError(f"{name!r} means several models: {names}")
    raise UnknownModelError(_unknown(name, outcomes, among))


def find_models(outcomes: Sequence[Model], model: object, among: str = "the report") -> list[Model]:
    """All outcomes that `model` names, where a name with `*`, `?` or `[` is a glob.

    A glob leaves out external and embedded models and standalone audits; it must match something.

    Raises:
        UnknownModelError: nothing matches, or a name is ambiguous.
    """
    __tracebackhide__ = True
    if not (isinstance(model, str) and _GLOB & set(model)):
        return [find_model(outcomes, model, among)]
    literal = [outcome for outcome in outcomes if model in (outcome.name, outcome.fqn)]
    if literal:
        return literal
    candidates = [outcome for outcome in outcomes if outcome.kind not in _NOT_IN_GLOBS]
    matches = _matching(candidates, unquoted(model))
    if not matches:
        raise UnknownModelError(_no_match(model, outcomes, among))
    return matches


def _matching(outcomes: Sequence[Model], pattern: str) -> list[Model]:
    """What the glob matches: by shown names, else by qualified ones.

    Capitals count only between models whose names differ in nothing else.
    """
    for attribute in ("name", "fqn"):
        names = [unquoted(getattr(outcome, attribute)) for outcome in outcomes]
        alike = Counter(name.casefold() for name in names)
        matches = [
            outcome
            for name, outcome in zip(names, outcomes, strict=True)
            if fnmatchcase(name, pattern)
            or (alike[name.casefold()] == 1 and fnmatchcase(name.casefold(), pattern.casefold()))
        ]
        if matches:
            return matches
    return []


def _name_of(model: object) -> str:
    if isinstance(model, str):
        return model
    # A Model has `fqn`; a Snapshot has its fully qualified name in `name`.
    for attribute in ("fqn", "name"):
        name: Any = getattr(model, attribute, None)
        if isinstance(name, str):
            return name
    raise TypeError(
        f"a model is given by name, glob, Model or Snapshot, not by {type(model).__name__}"
    )


def _unknown(name: str, outcomes: Sequence[Named], among: str) -> str:
    if not outcomes:
        return f"no model {name!r}: {among} has no models"
    close = close_matches(name, [o.name for o in outcomes])
    if not close:
        # A name that forgot its schema resembles only the last part.
        last_parts = {unquoted(o.name).rsplit(".", 1)[-1]: o.name for o in outcomes}
        close = [last_parts[part] for part in close_matches(name.rsplit(".", 1)[-1], last_parts)]
    if close:
        return f"no model {name!r} in {among}; did you mean {' or '.join(close)}?"
    return f"no model {name!r} in {among}; it has {_some([o.name for o in outcomes])}"


def _no_match(pattern: str, outcomes: Sequence[Named], among: str) -> str:
    names = [o.name for o in outcomes if o.kind not in _NOT_IN_GLOBS]
    left_out = _matching([o for o in outcomes if o.kind in _NOT_IN_GLOBS], unquoted(pattern))
    close = close_matches(pattern, names)
    if close:
        known = f"close to it are {', '.join(close)}"
    else:
        known = f"it has {_some(names)}" if names else "it has no models that a glob could match"
    if left_out and names:
        known += f"; globs leave out {_some([o.name for o in left_out])}"
    return f"no model matches {pattern!r} in {among}; {known}"


def _some(names: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(sorted(names)[:limit])
    more = len(names) - limit
    return f"{shown} and {more} more" if more > 0 else shown
