"""Makes the forecast of an environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlmesh.utils.date import to_timestamp

from pytest_sqlmesh_tracker.outcomes.types import Interval
from pytest_sqlmesh_tracker.tracking.intervals.crons import is_undetermined, safe_cron
from pytest_sqlmesh_tracker.tracking.spans import Millis, Span, utc
from pytest_sqlmesh_tracker.wording.formats import listed, minute, on_safe_cron

from .reading import EnvironmentModels, read_environment
from .restating import Restatements
from .results import Forecast, ForecastRun
from .scheduled import ScheduledModel
from .simulating import SimulatedRun, Simulation, with_fates_of_their_own


@dataclass(frozen=True)
class Assumed:
    """What is assumed of models, by fully qualified name."""

    failing: frozenset[str] = frozenset()
    """Each of their batches fails."""
    held: frozenset[str] = frozenset()
    """Signals hold them back entirely."""
    uncertain: Mapping[str, str] = field(default_factory=dict)
    """Whether they fail can't be known beforehand → why."""


_ASSUMED = "the forecast assumes it"
_BEFORE_FIRST_TICK = "it starts after the last tick of its cron, which SQLMesh rejects"


def forecast(
    context: Any,
    environment: str,
    *,
    at: datetime,
    until: datetime,
    times: Sequence[datetime] | None = None,
    assumed: Assumed | None = None,
) -> Forecast:
    """Forecast the runs of an environment. Nothing is run, and nothing is written.

    Args:
        context: a SQLMesh context, which need not have loaded the project: the models come from the
            state.
        at: the moment from which the forecast looks ahead; no run takes place at this moment.
        until: the last moment of a run.
        times: when the environment is run, in order; None for each moment at which something
            becomes due.
        assumed: models that are assumed to fail or to be held back.

    Raises:
        ProjectError: the environment is not planned, or its latest plan is not finished.
    """
    known = read_environment(context, environment, to_timestamp(at))
    return forecast_of(known, at=at, until=until, times=times, assumed=assumed or Assumed())


def forecast_of(
    known: EnvironmentModels,
    *,
    at: datetime,
    until: datetime,
    times: Sequence[datetime] | None,
    assumed: Assumed,
    every_moment: bool = False,
) -> Forecast:
    """Forecast the runs of an environment whose models are known; see `forecast`.

    Args:
        every_moment: whether the times are those at which something becomes due.

    The progress of the models is that at the end of the forecast afterwards.
    """
    begin, end = to_timestamp(at), to_timestamp(until)
    if known.expires is not None:
        end = min(end, known.expires)
    undetermined = _undetermined(known, assumed)
    models = [model for model in known.models if model.fqn not in undetermined]
    restatements = Restatements(models, known.progress) if known.restates else None
    if times is None:
        every_moment = True
        ticks = _moments(models, restatements, begin, end)
    else:
        ticks = [tick for time in times if begin < (tick := to_timestamp(time)) <= end]
    simulation = Simulation(
        models,
        known.progress,
        ticks,
        assumed.failing,
        assumed.held,
        restatements,
        known.without_tables,
    )
    shown = _Shown(known, assumed)
    runs = shown.runs(simulation.runs())
    return Forecast(
        environment=known.name,
        at=at,
        until=utc(end),
        runs=runs,
        undetermined={known.shown[fqn].name: why for fqn, why in undetermined.items()},
        assumptions=_assumptions(
            known, assumed, every_moment=every_moment or times is None, end=end, until=until
        ),
        models=[known.shown[model.fqn] for model in known.models],
        failing=dict(sorted(shown.failing.items())),
    )


def _undetermined(known: EnvironmentModels, assumed: Assumed) -> dict[str, str]:
    """Models whose evaluations can't be known beforehand → why.

    What is downstream of a model is undetermined as well if the model, or one upstream of it, can
    fail, can be held back or can be restated: the others are evaluated whatever happens upstream.
    """
    restated = Restatements(known.models, known.progress).names if known.restates else set[str]()
    exceptional = restated.union(assumed.failing, assumed.held, _unreadable(known))
    apart = with_fates_of_their_own(known.models, known.progress, exceptional)
    undetermined = dict(assumed.uncertain)
    affecting = set(assumed.uncertain)
    for model in known.models:
        upstream = next((parent for parent in model.parents if parent in affecting), None)
        if upstream is not None:
            affecting.add(model.fqn)
            undetermined.setdefault(
                model.fqn, f"it depends on {known.shown[upstream].name}, which is undetermined"
            )
        elif model.fqn not in undetermined and is_undetermined(model.snapshot.node.cron):
            undetermined[model.fqn] = _irregular(model.snapshot.node.cron)
            if model.fqn in apart:
                affecting.add(model.fqn)
    return undetermined


def _unreadable(known: EnvironmentModels) -> set[str]:
    """Models that read a table that does not exist."""
    return {
        model.fqn for model in known.models if not known.without_tables.isdisjoint(model.parents)
    }


def _irregular(cron: str) -> str:
    why = f"SQLMesh takes the cron {cron} to be due at different times in different processes"
    safe = safe_cron(cron)
    return f"{why} ({on_safe_cron(safe)})" if safe else why


def moments_of(known: EnvironmentModels, begin: Millis, end: Millis) -> list[Millis]:
    """All moments at which something can become due, after `begin` and up to `end`."""
    undetermined = _undetermined(known, Assumed())
    models = [model for model in known.models if model.fqn not in undetermined]
    restatements = Restatements(models, known.progress) if known.restates else None
    return _moments(models, restatements, begin, end)


def _moments(
    models: Iterable[ScheduledModel], restatements: Restatements | None, begin: Millis, end: Millis
) -> list[Millis]:
    """All moments at which something can become due, after `begin` and up to `end`."""
    models = list(models)
    moments: set[Millis] = set()
    for cron in {model.terms.cron for model in models if model.terms.evaluatable}:
        moments.update(cron.between(begin, end))
    for terms in {model.terms for model in models if model.terms.start.fixed is not None}:
        # The first interval of a model that starts within one is due once its length has passed.
        start = terms.start.fixed
        assert start is not None
        moments.update(
            moment for moment in (start, start + terms.unit.shortest) if begin < moment <= end
        )
    for terms in {model.terms for model in models}:
        if terms.end is not None and terms.end.moves:
            moments.update(terms.end.passing(terms.unit, begin, end))
    if restatements is not None:
        moments.update(restatements.between(begin, end))
    return sorted(moments)


class _Shown:
    """Shows simulated runs with the names and intervals of a forecast."""

    def __init__(self, known: EnvironmentModels, assumed: Assumed) -> None:
        self.failing: dict[str, str] = {}
        """Why models fail for the first time, after `runs`."""
        self._assumed = assumed
        self._names = {fqn: model.name for fqn, model in known.shown.items()}
        self._moments: dict[Millis, datetime] = {}

    def runs(self, runs: Iterable[SimulatedRun]) -> list[ForecastRun]:
        """The runs, in order."""
        return [
            ForecastRun(
                self._moment(run.at),
                self._executed(run),
                self._failed(run),
                {
                    self._names[fqn]: self._moment(through)
                    for fqn, through in run.loaded_through.items()
                    if through is not None
                },
            )
            for run in runs
        ]

    def _failed(self, run: SimulatedRun) -> tuple[str, ...]:
        for fqn, unreadable in run.failed.items():
            why = _BEFORE_FIRST_TICK
            if fqn in self._assumed.failing:
                why = _ASSUMED
            elif unreadable is not None:
                why = f"it reads {self._names[unreadable]}, which has no table until it is loaded"
            self.failing.setdefault(self._names[fqn], why)
        return tuple(sorted(self._names[fqn] for fqn in run.failed))

    def _executed(self, run: SimulatedRun) -> dict[str, tuple[Interval, ...]]:
        # Models that are scheduled alike share their spans.
        shown = {id(spans): self._intervals(spans) for spans in run.executed.values()}
        names = self._names
        return {names[fqn]: shown[id(spans)] for fqn, spans in run.executed.items()}

    def _intervals(self, spans: Sequence[Span]) -> tuple[Interval, ...]:
        return tuple(Interval(self._moment(start), self._moment(end)) for start, end in spans)

    def _moment(self, at: Millis) -> datetime:
        # Most moments are the end of one interval and the start of the next.
        if at not in self._moments:
            self._moments[at] = utc(at)
        return self._moments[at]


def _assumptions(
    known: EnvironmentModels, assumed: Assumed, *, every_moment: bool, end: Millis, until: datetime
) -> list[str]:
    sentences = ["Nobody else runs, plans or restates models of this environment."]
    if every_moment:
        sentences.append("The environment is run at each moment at which something becomes due.")
    sentences.append("Evaluations take no time and succeed, unless a model is forecast to fail.")
    signals = [
        known.shown[model.fqn].name
        for model in known.models
        if model.snapshot.is_model
        and model.snapshot.model.signals
        and model.fqn not in assumed.held
    ]
    if signals:
        sentences.append(f"Signals are ready: those of {listed(signals)}.")
    for verb, names in (("fails", assumed.failing), ("is held back", assumed.held)):
        shown = sorted(known.shown[fqn].name for fqn in names if fqn in known.shown)
        sentences += [f"{name} {verb} in each run." for name in shown]
    if end < to_timestamp(until):
        sentences.append(f"The environment expires at {minute(utc(end))}, where the forecast ends.")
    return sentences
