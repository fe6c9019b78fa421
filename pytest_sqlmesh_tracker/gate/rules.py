"""The rules of a gate policy: what each accepts and demands. Does not import SQLMesh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Literal

from pydantic import BaseModel

from pytest_sqlmesh_tracker.outcomes.types import Frozen
from pytest_sqlmesh_tracker.suggestions import either

from .tolerance import GateTolerance, checked_tolerance
from .values import (
    GatePolicyError,
    RuleDuration,
    RuleWord,
    Severity,
    checked_duration,
    checked_models,
    checked_severity,
    checked_words,
    fitting,
)

_DEMANDS = ("deny", "require", "fresh_within", "tolerate")
"""The keys of what a rule can find wrong."""


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
    fresh_within: RuleDuration | None = None
    """How old the data of each of these models may be: at the execution time, it must be loaded
    without a gap up to that long ago, or further."""
    tolerate: GateTolerance | None = None
    """How long each of these models may wait for a reason."""
    severity: Severity = "error"
    """Whether what the rule finds wrong is a finding (`error`) or a `warning`."""
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
        fresh_within: str | timedelta | None = None,
        tolerate: GateTolerance | Mapping[str, object] | None = None,
        severity: str = "error",
        until: date | None = None,
        why: str | None = None,
    ) -> None:
        is_day = isinstance(until, date) and not isinstance(until, datetime)
        BaseModel.__init__(
            self,
            models=checked_models(models),
            allow=checked_words("allow", allow),
            deny=checked_words("deny", deny),
            require=fitting("require", require, require == "executed", '"executed"'),
            fresh_within=None
            if fresh_within is None
            else checked_duration("fresh_within", fresh_within),
            tolerate=checked_tolerance(tolerate),
            severity=checked_severity(severity),
            until=fitting("until", until, is_day, "a date without quotes, such as 2026-12-31"),
            why=fitting("why", why, isinstance(why, str), "a string"),
        )
        demands = self.deny or self.require or self.fresh_within or self.tolerate
        if not (self.allow or demands):
            raise GatePolicyError(f"a rule must have allow, {either(_DEMANDS)}")
        if self.severity == "warning" and not demands:
            raise GatePolicyError(f"severity has no effect without {either(_DEMANDS)}")

    def lists(self, word: RuleWord) -> bool:
        """Whether the rule allows or denies this word itself."""
        return word in self.deny or word in self.allow

    @property
    def label(self) -> str:
        """The first three of its models, as text."""
        more = f" and {len(self.models) - 3} more" if len(self.models) > 3 else ""
        return ", ".join(self.models[:3]) + more
