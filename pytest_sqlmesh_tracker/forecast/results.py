"""A forecast: which models the coming runs of an environment will evaluate."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from pytest_sqlmesh_tracker.models.index import ModelIndex
from pytest_sqlmesh_tracker.outcomes.moments import Moment, parse_moment
from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.outcomes.vocabulary import ONLY_AUDITED_KINDS
from pytest_sqlmesh_tracker.wording.formats import length, minute, quantity

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class LoadedSpan:
    """The time from which a model loads data, and what is loaded of it before the forecast.

    All times are in UTC. A start or an end that moves with the clock is that at the beginning.
    """

    start: datetime
    end: datetime | None
    """The first moment that is not loaded any more; None if there is none."""
    through: datetime | None
    """The end of what is loaded without a gap from the start on; None if nothing is."""


@dataclass(frozen=True)
class ForecastModel:
    """A model of a forecast."""

    name: str
    """The name that is shown."""
    fqn: str
    """The fully qualified name."""
    kind: str
    """SQLMesh's kind, in lower case."""
    cron: str
    """When it is due, as the model defines it."""
    loads: LoadedSpan
    """From when on it loads data, and what is loaded of it before the forecast."""
    time_zone: str | None = None
    """The name of the time zone of the cron; None for UTC."""
    upstream: tuple[str, ...] = ()
    """The shown names of the models of the environment that it reads."""

    @property
    def is_evaluated(self) -> bool:
        """Whether runs evaluate it; external and embedded models and audits are only audited."""
        return self.kind not in ONLY_AUDITED_KINDS


@dataclass(frozen=True)
class ForecastRun:
    """What a run will evaluate, and which models will fail in it."""

    at: datetime
    """When the run takes place, in UTC."""
    executed: Mapping[str, Sequence[Interval]]
    """The shown name of each model that will be evaluated → its intervals, merged."""
    failed: tuple[str, ...]
    """The shown names of the models that will fail, sorted."""
    loaded_through: Mapping[str, datetime] = field(default_factory=dict)
    """The shown name of each model that will be evaluated → the end of what is then loaded of it
    without a gap, in UTC."""


@dataclass(frozen=True)
class StaleSpan:
    """A time in which the data of a model will be older than a rule of the gate allows."""

    limit: timedelta
    """The age that the rule allows."""
    since: datetime
    """The first moment, in UTC; it can be before the forecast begins."""
    until: datetime | None
    """When a run loads what is lacking, or the rule expires, in UTC; None if neither happens in the
    time that is forecast."""


@dataclass(frozen=True)
class LocalPlan:
    """The plan of the project's files."""

    fails: str | None
    """Why applying it would fail; None if it would not."""
    backfills: Mapping[str, Sequence[Interval]]
    """The shown name of each model that it would evaluate → its intervals, merged."""
    categories: Mapping[str, str]
    """The shown name of each changed model → SQLMesh's category of the change, in lower case."""


@dataclass(frozen=True)
class LocalForecast:
    """What a plan of the project's files would do to the schedule."""

    plan: LocalPlan
    after: Forecast | None
    """The forecast as the plan would leave the environment; None if applying it would fail."""
    per_week: Mapping[str, tuple[int | None, int | None]]
    """The shown name of each model → its evaluations a week before and after the plan, rounded,
    without what was overdue at the beginning; None where the environment does not have the model,
    or its evaluations are undetermined."""
    ticks_lost: Mapping[str, Sequence[datetime]]
    """The shown names of models → times of runs that would no longer evaluate them, in UTC."""
    ticks_new: Mapping[str, Sequence[datetime]]
    """The shown names of models → times of runs that would evaluate them only after the plan, in
    UTC."""
    never: Sequence[str]
    """The shown names of models that no later run would ever evaluate."""
    added: Sequence[str] = ()
    """The shown names of models that the environment does not have yet."""
    removed: Sequence[str] = ()
    """The shown names of models that the environment would no longer have."""

    @property
    def less_often(self) -> list[str]:
        """The shown names of the models that would be evaluated less often, or never again."""
        rarer = {
            name
            for name, (before, after) in self.per_week.items()
            if before is not None and after is not None and after < before
        }
        return [name for name in self.per_week if name in rarer or name in self.never]

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain data, as in the forecast's JSON."""
        return {
            "plan": {
                "fails": self.plan.fails,
                "backfills": {
                    name: _bounds(intervals) for name, intervals in self.plan.backfills.items()
                },
                "categories": dict(self.plan.categories),
            },
            "per_week": {name: list(rates) for name, rates in self.per_week.items()},
            "ticks_lost": _times(self.ticks_lost),
            "ticks_new": _times(self.ticks_new),
            "never": list(self.never),
        }


def _bounds(intervals: Sequence[Interval]) -> list[list[str]]:
    return [[start.isoformat(), end.isoformat()] for start, end in intervals]


def _times(ticks: Mapping[str, Sequence[datetime]]) -> dict[str, list[str]]:
    return {name: [time.isoformat() for time in times] for name, times in ticks.items()}


@dataclass(frozen=True)
class Forecast:
    """The runs of an environment in a span of time, as far as they can be known beforehand.

    All times are in UTC.
    """

    environment: str
    """The name of the environment that is run."""
    at: datetime
    """The moment from which the forecast looks ahead; no run takes place at this moment itself."""
    until: datetime
    """The last moment of a run."""
    runs: Sequence[ForecastRun]
    """The runs in which something is evaluated or fails, in order."""
    undetermined: Mapping[str, str]
    """The shown names of models whose evaluations can't be known beforehand → why. They are in no
    run."""
    assumptions: Sequence[str]
    """What is assumed, in sentences."""
    models: Sequence[ForecastModel]
    """All models of the environment, in topological order."""
    local: LocalForecast | None = None
    """What a plan of the project's files would change; None unless that was requested."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """The shown names of models that fail in some of the runs → why."""
    stale: Mapping[str, Sequence[StaleSpan]] = field(default_factory=dict)
    """The shown names of models → when their data will be older than a policy's `fresh_within`
    allows, in order. Undetermined models are left out. Empty without a policy."""

    def matching(self, model: object) -> list[ForecastModel]:
        """The models that a name, a SQLMesh model or snapshot, or a glob means, at least one.

        Raises:
            UnknownModelError: the environment does not have this model.
        """
        __tracebackhide__ = True
        return self._index.matching(model)

    def ticks(self, model: object) -> list[datetime]:
        """The times of the runs in which a model will be evaluated, in UTC.

        Args:
            model: a name, a SQLMesh model or snapshot, or a glob, for the runs in which any of the
                models that match will be evaluated.

        Raises:
            UnknownModelError: the environment does not have this model.
            ValueError: the evaluations of the model are undetermined.
        """
        __tracebackhide__ = True
        names = {each.name for each in self.matching(model)}
        for name in sorted(names & self.undetermined.keys()):
            raise ValueError(f"when {name} is evaluated is undetermined: {self.undetermined[name]}")
        return [run.at for run in self.runs if not names.isdisjoint(run.executed)]

    def assert_ticks(self, model: object, times: Iterable[Moment]) -> None:
        """Assert that a model will be evaluated in the runs at just these times.

        Args:
            model: as in `ticks`.
            times: ISO texts, dates or datetimes, in UTC unless they have a time zone.

        Raises:
            AssertionError: it will be evaluated at other times.
            UnknownModelError: the environment does not have this model.
            ValueError: the evaluations of the model are undetermined, or a time is not valid.
        """
        __tracebackhide__ = True
        expected = sorted({parse_moment(time) for time in times})
        actual = self.ticks(model)
        if actual == expected:
            return
        missing = [time for time in expected if time not in set(actual)]
        unexpected = [time for time in actual if time not in set(expected)]
        lines = [f"{model} is not evaluated at the expected times:", ""]
        lines += _listed("not evaluated at", missing)
        lines += _listed("evaluated at", unexpected)
        number = quantity(len(actual), "evaluation")
        lines += ["", f"forecast of {self.environment}: {number} until {minute(self.until)}"]
        raise AssertionError("\n".join(lines))

    def to_dict(self) -> dict[str, Any]:
        """The forecast as plain data, as in its JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "environment": self.environment,
            "at": self.at.isoformat(),
            "until": self.until.isoformat(),
            "runs": [
                {
                    "at": run.at.isoformat(),
                    "executed": {
                        name: _bounds(intervals) for name, intervals in run.executed.items()
                    },
                    "failed": list(run.failed),
                }
                for run in self.runs
            ],
            "undetermined": dict(self.undetermined),
            "stale": {name: _stale(spans) for name, spans in self.stale.items()},
            "assumptions": list(self.assumptions),
            "local": self.local and self.local.to_dict(),
        }

    def to_json(self) -> str:
        """The forecast as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    @cached_property
    def _index(self) -> ModelIndex[ForecastModel]:
        return ModelIndex(self.models, f"the environment {self.environment}")


def _stale(spans: Sequence[StaleSpan]) -> list[dict[str, Any]]:
    return [
        {
            "limit": length(span.limit),
            "since": span.since.isoformat(),
            "until": span.until and span.until.isoformat(),
        }
        for span in spans
    ]


def restricted(forecast: Forecast, names: Collection[str]) -> Forecast:
    """What a forecast has on some models only.

    Args:
        names: the shown names of these models.
    """
    runs = []
    for run in forecast.runs:
        executed = {name: spans for name, spans in run.executed.items() if name in names}
        failed = tuple(name for name in run.failed if name in names)
        if executed or failed:
            through = {name: end for name, end in run.loaded_through.items() if name in names}
            runs.append(ForecastRun(run.at, executed, failed, through))
    return replace(
        forecast,
        runs=runs,
        undetermined={n: why for n, why in forecast.undetermined.items() if n in names},
        models=[model for model in forecast.models if model.name in names],
        local=forecast.local and _restricted_local(forecast.local, names),
        failing={name: why for name, why in forecast.failing.items() if name in names},
        stale={name: spans for name, spans in forecast.stale.items() if name in names},
    )


def _restricted_local(local: LocalForecast, names: Collection[str]) -> LocalForecast:
    return replace(
        local,
        plan=replace(
            local.plan,
            backfills={n: spans for n, spans in local.plan.backfills.items() if n in names},
            categories={n: text for n, text in local.plan.categories.items() if n in names},
        ),
        per_week={name: rates for name, rates in local.per_week.items() if name in names},
        ticks_lost={name: times for name, times in local.ticks_lost.items() if name in names},
        ticks_new={name: times for name, times in local.ticks_new.items() if name in names},
        never=[name for name in local.never if name in names],
    )


def _listed(label: str, times: Sequence[datetime]) -> list[str]:
    if not times:
        return []
    shown = ", ".join(minute(time) for time in times[:5])
    more = f" and {len(times) - 5} more" if len(times) > 5 else ""
    return [f"  {label:<16}  {shown}{more}"]
