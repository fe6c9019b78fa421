"""What a history shows of each model, in the words of every format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pytest_sqlmesh_tracker.history.trends.types import (
    Durations,
    EnvironmentTrend,
    ModelTrend,
    Timeline,
    Trends,
)
from pytest_sqlmesh_tracker.outcomes.expected import unexpected_by_default
from pytest_sqlmesh_tracker.outcomes.outcome import AuditOutcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.wording.formats import duration, midnight, plain_minute, quantity
from pytest_sqlmesh_tracker.wording.invocations import error_headline
from pytest_sqlmesh_tracker.wording.remarks import remarks
from pytest_sqlmesh_tracker.wording.sentences import is_waiting

HEADS = ("status", "model", "last executed", "loaded through", "executed", "failed", "time")
"""The heads of the columns before the remarks."""
COUNTS = ("executed", "failed", "time")
"""The heads of those with numbers."""


@dataclass(frozen=True)
class TrendRow:
    """One model of an environment."""

    trend: ModelTrend

    @property
    def last_executed(self) -> str:
        """`2024-01-14 00:05`, or `not recorded`."""
        at = self.trend.last_executed
        return "not recorded" if at is None else plain_minute(at)

    @property
    def loaded_through(self) -> str:
        """The last day that is loaded, `2024-01-13`, or a time; empty if it is not known."""
        through = self.trend.last.loaded_through
        if through is None:
            return ""
        if midnight(through):
            return f"{through - timedelta(days=1):%Y-%m-%d}"
        return plain_minute(through)

    @property
    def executed(self) -> str:
        """In how many of its invocations it was executed: `40 of 42`."""
        return f"{self.trend.executed:,} of {self.trend.invocations:,}"

    @property
    def failed(self) -> str:
        """In how many invocations it failed; empty if in none."""
        return f"{self.trend.failed:,}" if self.trend.failed else ""

    @property
    def time(self) -> str:
        """How long it usually takes."""
        return duration(self.trend.durations.median) if self.trend.durations else ""

    @property
    def remarks(self) -> str:
        """Since when it fails or waits, and takes longer or less long: what needs attention."""
        return "; ".join(_remarks(self.trend))


def _remarks(trend: ModelTrend) -> Iterator[str]:
    if trend.failing_since is not None:
        yield f"failing since {plain_minute(trend.failing_since)}, {_times(trend.failures)}"
    last = trend.last
    if last.waiting_since is not None and is_waiting(last) and last.status is not Status.FAILED:
        reason = f", {last.reason}" if last.reason else ""
        invocations = quantity(trend.waits, "invocation")
        yield f"waiting since {plain_minute(last.waiting_since)}, {invocations}{reason}"
    elif unexpected_by_default(last.status, last.reason) and trend.failing_since is None:
        yield ": ".join(map(str, filter(None, (last.status, last.reason))))
    if remarks(last):
        yield remarks(last)
    if trend.durations:
        yield from _speed(trend.durations)


def _speed(durations: Durations) -> Iterator[str]:
    change = durations.change
    if change is not None:
        word = "slower" if change.slower else "faster"
        before = duration(change.before)
        yield f"{word} since {plain_minute(change.since)}, {before} before"
    if durations.is_slowest:
        before = quantity(durations.executions - 1, "execution")
        yield f"took {duration(durations.last)}, longer than in {before} before"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def rows_of(environment: EnvironmentTrend) -> list[TrendRow]:
    """A row for each model that the last invocation of an environment has."""
    return [TrendRow(trend) for trend in environment.current]


def headline(environment: EnvironmentTrend) -> str:
    """`prod: 42 invocations from 2024-01-01 00:05 to 2024-02-12 00:05 UTC`."""
    first, last = plain_minute(environment.first), plain_minute(environment.last)
    count = quantity(environment.invocations, "invocation")
    when = f"at {first}" if environment.invocations == 1 else f"from {first} to {last}"
    return f"{environment.environment}: {count} {when} UTC"


def left_out(trends: Trends) -> str:
    """What is not counted; empty if everything is."""
    if not trends.tests_left_out:
        return ""
    return f"without {quantity(trends.tests_left_out, 'invocation')} of tests"


def title(timeline: Timeline) -> str:
    """`sales.orders in prod: executed in 40 of 42 invocations, failed in 2`."""
    trend = timeline.trend
    failed = f", failed in {trend.failed:,}" if trend.failed else ""
    count = quantity(trend.invocations, "invocation")
    return f"{trend.name} in {trend.environment}: executed in {trend.executed:,} of {count}{failed}"


def facts(timeline: Timeline) -> list[tuple[str, str]]:
    """What the model's row has, by its heads."""
    trend, row = timeline.trend, TrendRow(timeline.trend)
    cause = f" ({trend.last_cause})" if trend.last_cause else ""
    pairs = [
        ("last executed", row.last_executed + cause),
        ("loaded through", row.loaded_through),
        ("usual time", row.time),
        ("attention", row.remarks),
        ("error", error_headline(trend.last.error) if trend.last.error else ""),
        ("last invocation", "" if trend.is_current else "the model is not part of it any more"),
    ]
    return [(head, value) for head, value in pairs if value]


def audit_label(audit: AuditOutcome) -> str:
    """The name of an audit with its arguments: a model can have the same one several times."""
    arguments = ", ".join(f"{name} := {sql}" for name, sql in audit.arguments.items())
    return f"{audit.name} ({arguments})" if arguments else audit.name


@dataclass(frozen=True)
class AuditTrend:
    """How one audit of a model fared over the invocations that are shown."""

    audit: AuditOutcome
    """Its last outcome."""
    runs: int
    """In how many invocations it ran."""
    failed: int
    """In how many it failed."""
    failing_since: datetime | None
    """When the first invocation began since which it has always failed, in UTC."""

    @property
    def label(self) -> str:
        """The name of the audit with its arguments."""
        return audit_label(self.audit)

    @property
    def words(self) -> str:
        """`failed in 3 of 40 invocations; failing since 2024-01-10 00:05, 12 rows in the
        latest one`."""
        count = quantity(self.runs, "invocation")
        words = f"failed in {self.failed:,} of {count}" if self.failed else f"passed in {count}"
        if self.failing_since is None:
            return words
        rows = quantity(self.audit.rows_failed, "row")
        last = self.audit.error or f"{rows} in the latest one"
        return f"{words}; failing since {plain_minute(self.failing_since)}, {last}"


def audits_of(timeline: Timeline) -> list[AuditTrend]:
    """The audits of a model, by name and arguments."""
    seen: dict[str, list[tuple[datetime, AuditOutcome]]] = {}
    for entry in timeline.entries:
        for audit in entry.outcome.audits:
            seen.setdefault(audit_label(audit), []).append((entry.started_at, audit))
    return [_audit_trend(outcomes) for outcomes in seen.values()]


def _audit_trend(latest_first: Sequence[tuple[datetime, AuditOutcome]]) -> AuditTrend:
    since = None
    for at, audit in latest_first:
        if audit.passed:
            break
        since = at
    failed = sum(not audit.passed for _, audit in latest_first)
    return AuditTrend(latest_first[0][1], len(latest_first), failed, since)
