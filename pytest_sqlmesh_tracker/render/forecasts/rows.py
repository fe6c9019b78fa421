"""What a forecast has on each model, in the words of every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pytest_sqlmesh_tracker.forecast.results import Forecast, ForecastModel, StaleSpan
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.wording.formats import length, plain_minute, quantity

_MOST_STALE = 3
"""The number of times that text shows at which the data of a model is too old."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a model."""

    at: datetime
    """When the run takes place, in UTC."""
    intervals: Sequence[Interval]


@dataclass(frozen=True)
class ForecastRow:
    """What a forecast has on one model."""

    model: ForecastModel
    evaluations: tuple[Evaluation, ...]
    """In order."""
    failures: tuple[datetime, ...]
    """When runs take place in which it fails, in order."""
    undetermined: str | None
    """Why its evaluations can't be known beforehand."""
    why_failing: str | None
    stale: tuple[StaleSpan, ...] = ()
    """When its data is older than a policy allows, in order."""

    @property
    def cron(self) -> str:
        """`@daily`; `0 9 * * * in Europe/Berlin` with a time zone; `seed`, which is loaded once."""
        if self.model.kind == "seed":
            return self.model.kind
        zone = self.model.time_zone
        return f"{self.model.cron} in {zone}" if zone else self.model.cron

    @property
    def number(self) -> str:
        """How often it is evaluated: `24`, `never`, `undetermined`."""
        if self.undetermined is not None:
            return "undetermined"
        return f"{len(self.evaluations):,}" if self.evaluations else "never"

    @property
    def first(self) -> str:
        """When it is first evaluated: `2024-01-14 00:00`; empty if it never is."""
        return plain_minute(self.evaluations[0].at) if self.evaluations else ""

    @property
    def last(self) -> str:
        """When it is last evaluated, if not only once."""
        return plain_minute(self.evaluations[-1].at) if len(self.evaluations) > 1 else ""

    @property
    def failed(self) -> str:
        """In how many runs it fails; empty if in none."""
        return f"{len(self.failures):,}" if self.failures else ""

    @property
    def failure(self) -> str:
        """In how many runs a failing model fails, from when on, and why."""
        first = plain_minute(self.failures[0])
        when = f"from {first} on" if len(self.failures) > 1 else f"at {first}"
        return f"fails in {quantity(len(self.failures), 'run')} {when}, because {self.why_failing}"

    @property
    def staleness(self) -> str:
        """When the data of a model is too old: at first, and how often after that."""
        shown, words = self.stale[:_MOST_STALE], []
        for span, previous in zip(shown, (None, *shown), strict=False):
            repeated = previous is not None and previous.limit == span.limit
            words.append(_when(span) if repeated else stale_words(span))
        more = len(self.stale) - len(shown)
        return ", ".join([*words, *([f"and {quantity(more, 'more time')}"] if more else [])])


def stale_words(span: StaleSpan) -> str:
    """`older than 26 hours from 2024-01-14 02:00 to 2024-01-14 06:00`."""
    return f"older than {length(span.limit)} {_when(span)}"


def _when(span: StaleSpan) -> str:
    until = "on" if span.until is None else f"to {plain_minute(span.until)}"
    return f"from {plain_minute(span.since)} {until}"


def rows_of(forecast: Forecast) -> list[ForecastRow]:
    """A row for each model that is evaluated in runs, in topological order."""
    evaluations: dict[str, list[Evaluation]] = {}
    failures: dict[str, list[datetime]] = {}
    for run in forecast.runs:
        for name, intervals in run.executed.items():
            evaluations.setdefault(name, []).append(Evaluation(run.at, intervals))
        for name in run.failed:
            failures.setdefault(name, []).append(run.at)
    return [
        ForecastRow(
            model=model,
            evaluations=tuple(evaluations.get(model.name, ())),
            failures=tuple(failures.get(model.name, ())),
            undetermined=forecast.undetermined.get(model.name),
            why_failing=forecast.failing.get(model.name),
            stale=tuple(forecast.stale.get(model.name, ())),
        )
        for model in forecast.models
        if model.is_evaluated
    ]


def headline(forecast: Forecast) -> str:
    """The environment, the span of time, and how many runs evaluate something."""
    # Seconds of the present say nothing.
    at, until = (plain_minute(time.replace(second=0)) for time in (forecast.at, forecast.until))
    if forecast.until <= forecast.at:
        return f"{forecast.environment} expired at {until} UTC: nothing can be forecast"
    executing = sum(bool(run.executed) for run in forecast.runs)
    failing = sum(bool(run.failed) for run in forecast.runs)
    something = "evaluates something" if executing == 1 else "evaluate something"
    fails = f", models fail in {quantity(failing, 'run')}" if failing else ""
    span = f"{forecast.environment} from {at} to {until} UTC"
    return f"{span}: {quantity(executing, 'run')} {something}{fails}"


class Totals(NamedTuple):
    """How many models have which future. Models can be evaluated, failing and too old."""

    evaluated: int
    failing: int
    never: int
    undetermined: int
    stale: int

    def __str__(self) -> str:
        others = {
            "failing": self.failing,
            "older than allowed": self.stale,
            "never evaluated": self.never,
            "undetermined": self.undetermined,
        }
        words = [f"{number:,} {what}" for what, number in others.items() if number]
        return ", ".join([f"{quantity(self.evaluated, 'model')} evaluated", *words])


def totals_of(rows: Sequence[ForecastRow]) -> Totals:
    """How many of the models have which future."""
    determined = [row for row in rows if row.undetermined is None]
    return Totals(
        evaluated=sum(bool(row.evaluations) for row in determined),
        failing=sum(bool(row.failures) for row in determined),
        never=sum(not row.evaluations and not row.failures for row in determined),
        undetermined=len(rows) - len(determined),
        stale=sum(bool(row.stale) for row in rows),
    )


def failures_of(rows: Sequence[ForecastRow]) -> list[tuple[str, str]]:
    """The names of models that fail, each with when and why."""
    return [(row.model.name, row.failure) for row in rows if row.failures]


def staleness_of(rows: Sequence[ForecastRow]) -> list[tuple[str, str]]:
    """The names of models whose data will be older than a policy allows, each with when."""
    return [(row.model.name, row.staleness) for row in rows if row.stale]


def why_undetermined(rows: Sequence[ForecastRow]) -> list[tuple[str, str]]:
    """The names of models that are undetermined, each with why."""
    return [(row.model.name, row.undetermined) for row in rows if row.undetermined is not None]
