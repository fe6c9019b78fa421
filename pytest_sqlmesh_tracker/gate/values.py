"""The values of the fields of rules, as they are written in Python and in TOML.

Does not import SQLMesh.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import PlainSerializer

from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.reports.parsing import parse_duration, parse_member
from pytest_sqlmesh_tracker.suggestions import did_you_mean
from pytest_sqlmesh_tracker.wording.formats import one_line, short_repr
from pytest_sqlmesh_tracker.wording.remarks import Fact

RuleWord = Status | Reason | Fact
"""What a rule can allow or deny."""
_WORDS: tuple[RuleWord, ...] = (*Status, *Reason, *Fact)

Severity = Literal["error", "warning"]
"""An error fails the gate; a warning is only reported."""
_SEVERITIES = get_args(Severity)

_UNITS = ("minutes", "hours", "days", "weeks")
_LONGEST = timedelta(days=36525)


class GatePolicyError(ValueError):
    """A gate policy can't be read or is not valid. The message is one line, with valid or close
    words."""


def duration_as_text(duration: timedelta) -> str:
    """The duration as a rule has it in TOML: `26 hours`."""
    for unit, size in (
        ("days", timedelta(days=1)),
        ("hours", timedelta(hours=1)),
        ("minutes", timedelta(minutes=1)),
    ):
        if not duration % size:
            return f"{duration // size} {unit}"
    return f"{duration / timedelta(minutes=1):.9f}".rstrip("0") + " minutes"


RuleDuration = Annotated[timedelta, PlainSerializer(duration_as_text, str, when_used="json")]
"""A positive duration, which JSON holds as the text that a rule has in TOML."""


def checked_duration(key: str, value: object) -> timedelta:
    """A duration, or the duration that a text means.

    Raises:
        GatePolicyError: the value is not a positive duration of 100 years at most.
    """
    duration = value if isinstance(value, timedelta) else None
    try:
        if isinstance(value, str):
            duration = parse_duration(value, _UNITS)
    except ValueError as error:
        raise GatePolicyError(f"{key}: {one_line(str(error))}") from None
    if duration is None or duration <= timedelta(0):
        number = "a positive number of minutes, hours, days or weeks"
        raise unfitting(key, value, f'{number}, such as "26 hours"')
    if duration > _LONGEST:
        raise unfitting(key, value, "100 years at most")
    return duration


def checked_models(value: object) -> tuple[str, ...]:
    """Names and globs, each once.

    Raises:
        GatePolicyError: there are none, or the value is something else.
    """
    names = _listed("models", value, "a name, a glob, or a list of them")
    for name in names:
        if not (isinstance(name, str) and name.strip()):
            raise GatePolicyError(f"models: {short_repr(name)} is neither a name nor a glob")
    if not names:
        raise GatePolicyError("models is empty: it must be a name, a glob, or a list of them")
    return tuple(dict.fromkeys(names))


def checked_words(key: str, value: object) -> tuple[RuleWord, ...]:
    """Statuses, reasons and facts, each once.

    Raises:
        GatePolicyError: a word is not valid; the message has close matches, or else all words.
    """
    words = _listed(key, value, "a list of statuses, reasons and facts")
    not_valid = "not a status, a reason or a fact"
    try:
        return tuple(dict.fromkeys(parse_member(word, _WORDS, not_valid) for word in words))
    except ValueError as error:
        raise GatePolicyError(f"{key}: {one_line(str(error), 800)}") from None


def checked_severity(value: object) -> object:
    """A severity.

    Raises:
        GatePolicyError: the value is something else.
    """
    if value in _SEVERITIES:
        return value
    raise GatePolicyError(f'severity must be "error" or "warning", not {short_repr(value)}')


def check_keys(table: Mapping[Any, object], valid: Iterable[str]) -> None:
    """Reject keys that are not valid in a table.

    Raises:
        GatePolicyError: a key is not valid; the message has close matches, or else all valid keys.
    """
    keys = list(valid)
    for key in table:
        if key not in keys:
            hint = did_you_mean(str(key), keys, f"valid keys: {', '.join(keys)}")
            raise GatePolicyError(f"unknown key {short_repr(key)}; {hint}")


def fitting(key: str, value: object, fits: bool, what: str) -> object:
    """The value, if it is None or fits.

    Raises:
        GatePolicyError: it does not fit.
    """
    if value is None or fits:
        return value
    raise unfitting(key, value, what)


def unfitting(key: str, value: object, what: str) -> GatePolicyError:
    """The error for a value that does not fit: `why must be a string, not 7`."""
    return GatePolicyError(f"{key} must be {what}, not {short_repr(value)}")


def _listed(key: str, value: object, what: str) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise unfitting(key, value, what)
    return sorted(value, key=str) if isinstance(value, Set) else list(value)
