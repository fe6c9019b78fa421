"""How long a model may wait, and how long it has waited. Does not import SQLMesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, model_serializer

from pytest_sqlmesh_tracker.outcomes.expected import NO_REASONS_FOR_SKIPS
from pytest_sqlmesh_tracker.outcomes.types import Frozen
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.parsing import parse_reason
from pytest_sqlmesh_tracker.reports.report import RunReport, is_of_version_1
from pytest_sqlmesh_tracker.wording.formats import length, minute, one_line

from .values import GatePolicyError, check_keys, checked_duration, duration_as_text, unfitting

_KEYS = ("reason", "for")
_EXAMPLE = '{ reason = "signal_not_ready", for = "2 days" }'


class GateTolerance(Frozen):
    """How long models may wait for a reason: in TOML, `{ reason = "signal_not_ready", for = "2
    days" }`.

    Raises:
        GatePolicyError: a value is not valid; the message says in one line which one, and what is
            valid.
    """

    reason: Reason
    """A reason for which models are skipped, or executed only in part."""
    limit: timedelta
    """How long a model may wait: the key `for` in TOML and JSON."""

    def __init__(self, reason: str, limit: str | timedelta) -> None:
        try:
            parsed = parse_reason(reason)
        except ValueError as error:
            raise GatePolicyError(f"reason: {one_line(str(error), 800)}") from None
        if parsed in NO_REASONS_FOR_SKIPS:
            raise GatePolicyError(
                f"reason: {parsed} is not a reason for a skip; failures can't be tolerated for a "
                "time"
            )
        BaseModel.__init__(self, reason=parsed, limit=checked_duration("for", limit))

    @model_serializer
    def _as_table(self) -> dict[str, str]:
        return {"reason": str(self.reason), "for": duration_as_text(self.limit)}


def checked_tolerance(value: object) -> GateTolerance | None:
    """A tolerance, or the one that a table describes.

    Raises:
        GatePolicyError: the value is something else, or a key or value of the table is not valid.
    """
    if value is None or isinstance(value, GateTolerance):
        return value
    if not isinstance(value, Mapping):
        raise unfitting("tolerate", value, f"a table such as {_EXAMPLE}")
    try:
        check_keys(value, _KEYS)
        for key in _KEYS:
            if key not in value:
                raise GatePolicyError(f"{key} is missing, as in {_EXAMPLE}")
        return GateTolerance(value["reason"], value["for"])
    except GatePolicyError as error:
        raise GatePolicyError(f"tolerate: {error}") from None


@dataclass(frozen=True)
class Wait:
    """How long a model had been waiting at the execution time of an invocation. Times are in UTC.

    Without `since`, no complete interval of the model was missing, unless that is not known.
    """

    execution_time: datetime
    since: datetime | None
    is_known: bool = True

    @classmethod
    def of(cls, report: RunReport, outcome: ModelOutcome) -> Wait:
        """The wait of a model in a report."""
        since = outcome.waiting_since
        is_known = since is not None or not is_of_version_1(report)
        return cls(report.execution_time, since, is_known)

    def exceeds(self, limit: timedelta) -> bool:
        """Whether the model has waited for longer; True if that is not known."""
        if self.since is None:
            return not self.is_known
        return self.execution_time - self.since > limit

    def until(self, limit: timedelta) -> datetime | None:
        """The moment at which the model will have waited for this long, if it waits."""
        try:
            return None if self.since is None else self.since + limit
        except OverflowError:
            # A report file can contain any time.
            return None

    def against(self, limit: timedelta) -> str:
        """`held back since 2026-01-03 00:00 UTC, tolerated for 2 days, until 2026-01-05 00:00
        UTC`."""
        tolerated, until = f"tolerated for {length(limit)}", self.until(limit)
        if not self.is_known:
            return f"held back for an unknown time, {tolerated}"
        if self.since is None or until is None:
            return tolerated
        return f"held back since {minute(self.since)}, {tolerated}, until {minute(until)}"
