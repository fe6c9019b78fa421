"""Drawing what Dagster runs are requested for the invocations of a history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from graphlib import TopologicalSorter
from typing import Any

from hypothesis import strategies as st

from tests.properties.drawing.dice import Dice
from tests.properties.drawing.histories import histories
from tests.properties.drawing.models import SUBDAILY
from tests.properties.drawing.specs import Brief, Edit, History, Injected, Model, Step, edited

from .changes import draw_change

CHECKS = (*("all",) * 7, "none", "status", "audits")
OFTEN = SUBDAILY | {"@daily", "30 13 * * *"}
CONFIGURED = frozenset({"start", "end", "ignore_cron", "restate_models"})
"""Arguments for which run config has a field."""


@dataclass(frozen=True, repr=False)
class Between(Brief):
    """A plain asset of Dagster's that stands between models, so that one step can't do them all."""

    name: str
    above: tuple[str, ...]
    """Models that it reads."""
    below: tuple[str, ...] = ()
    """Models that wait for it, beside those that read the table of its name."""


@dataclass(frozen=True, repr=False)
class DagsterRequest(Brief):
    """What one Dagster run is requested to do."""

    selection: tuple[str, ...] = ()
    """Names of models and of assets between them; none: all assets."""
    checks: str = "all"
    """Of the selected assets: `all`, `none`, `status` (alone) or `audits` (alone)."""
    configured: bool = False
    """Arguments come by run config, as far as it has them, not from the op's function."""
    retries: bool = False
    """A try that fails is made once more."""
    deployed: bool = True
    """The assets are those of the project as it is then; else they are those of before."""
    between: tuple[Between, ...] = ()
    due: str = ""
    """Only what is due is evaluated: of the models that are `due`, with all that stands between
    them, or of `all`."""


@dataclass(frozen=True, repr=False)
class DagsterHistory(Brief):
    """A history that is played through Dagster."""

    history: History
    requests: tuple[DagsterRequest | None, ...]
    """One for each step; None, where assets can't do it."""

    def __str__(self) -> str:
        lines = [f"request {number}: {request!r}" for number, request in enumerate(self.requests)]
        return "\n".join([str(self.history), *lines])


@st.composite
def dagster_histories(draw: st.DrawFn) -> DagsterHistory:
    """A drawn history, with audits that are called twice, retries, runs after what failed, and
    models that come, go or are renamed for a while, often behind the back of the assets."""
    dice = Dice(draw)
    history = draw(histories())
    models = tuple(_called_twice(dice, model) for model in history.models)
    line = _Line(dice, models, history.began)
    place = dice.one_of(range(1, len(history.steps) + 1))
    restored: tuple[Edit, ...] = ()
    for number, step in enumerate(history.steps, 1):
        line.add(replace(step, edits=(*restored, *step.edits)))
        restored = ()
        if (step.switches or step.injected) and line.steps[1:] and dice.chance(35):
            line.add_another_run(step.environment)
        if number == place:
            restored = line.add_change() if dice.chance(65) else line.add_split_run()
    return DagsterHistory(
        replace(history, models=models, steps=tuple(line.steps)), tuple(line.requests)
    )


class _Line:
    """The steps so far, and what they have made of the project and of its assets."""

    def __init__(self, dice: Dice, models: tuple[Model, ...], began: datetime) -> None:
        self._dice, self._now = dice, began
        self._models = models
        self._deployed: tuple[Model, ...] = ()
        """Those that have assets."""
        self.steps: list[Step] = []
        self.requests: list[DagsterRequest | None] = []

    def add(
        self, step: Step, stale: int = 30, split: int | None = None, about: str | None = None
    ) -> None:
        """One more step.

        Args:
            stale: how probably the assets are those of before.
            split: how probably something stands between them.
            about: a model that is selected, if some are.
        """
        self._now += step.wait
        self._models = edited(self._models, step.edits)
        deployed = bool(_tables(self._models)) and not (self._deployed and self._dice.chance(stale))
        if step.command not in ("run", "plan") or not (deployed or self._deployed):
            self._append(step, None)
            return
        self._deployed = tuple(self._models) if deployed else self._deployed
        request = _request(self._dice, step, self._deployed, first=not self.steps, split=split)
        request = replace(request, deployed=deployed)
        if request.selection and about in {model.name for model in _tables(self._deployed)}:
            request = replace(request, selection=tuple(dict.fromkeys((about, *request.selection))))
        if request.retries and self._dice.chance(60):
            step = replace(step, injected=(*step.injected, *_once(self._dice, self._models)))
        self._append(step, request)

    def _append(self, step: Step, request: DagsterRequest | None) -> None:
        self.steps.append(_with_switches(self._dice, step, self._models))
        self.requests.append(request)

    def add_another_run(self, environment: str) -> None:
        now = self._now + timedelta(minutes=10)
        self.add(_another_run(self._dice, environment, self._models, now))

    def add_change(self) -> tuple[Edit, ...]:
        """Models come, go or are renamed, in the files alone or in the environment as well, and a
        run meets them; the edits that undo it."""
        dice = self._dice
        change = draw_change(dice, self._models)
        planned = dice.chance(70)
        stale = 15 if change.added and not planned else 90
        environment = dice.one_of(("prod", "prod", "prod", "dev"))
        edits = change.edits
        if planned:
            self.add(Step(timedelta(minutes=10), "plan", environment, edits=edits), stale=90)
            edits = ()
        run = _plain_run(dice, environment, edits)
        self.add(run, stale=stale, split=40, about=change.model)
        return change.undone

    def add_split_run(self) -> tuple[Edit, ...]:
        """A run with much due, and something between the models."""
        self.add(_plain_run(self._dice, "prod", ()), split=100)
        return ()


def _called_twice(dice: Dice, model: Model) -> Model:
    return replace(model, twice=bool(model.audits) and dice.chance(40))


def _with_switches(dice: Dice, step: Step, models: Sequence[Model]) -> Step:
    """Without counterfactuals, and with faults of audits that are called the second time."""
    called = [(audit, model.again) for model in models if model.twice for audit in model.audits]
    more = tuple(switch for switch in called if dice.chance(30))
    return replace(step, checks=(), switches=(*step.switches, *more))


def _once(dice: Dice, models: Sequence[Model]) -> tuple[Injected, ...]:
    able = [model.name for model in models if not model.only_audited]
    return tuple(Injected(name, times=1) for name in dice.some_of(able, 2, at_least=1))


def _another_run(dice: Dice, environment: str, models: Sequence[Model], now: datetime) -> Step:
    """A run soon afterwards: of what failed something is missing, and it may come to it or not."""
    names = [model.name for model in models if not model.only_audited]
    shape = dice.one_of(("all", "selected", "end", "past", "eager"))
    arguments: dict[str, Any] = {}
    if shape == "selected":
        arguments = {"select_models": list(dice.some_of(names, 1, at_least=1))}
    elif shape == "end":
        arguments = {"end": str((now - timedelta(days=1)).date())}
    elif shape == "past":
        arguments = {"execution_time": str(now - timedelta(hours=9))}
    elif shape == "eager":
        arguments = {"ignore_cron": True}
    return Step(timedelta(minutes=10), "run", environment, arguments)


def _plain_run(dice: Dice, environment: str, edits: tuple[Edit, ...]) -> Step:
    wait = timedelta(days=dice.one_of((1, 2)), minutes=40)
    arguments = {"ignore_cron": True} if dice.chance(40) else {}
    return Step(wait, "run", environment, arguments, edits)


def _request(
    dice: Dice, step: Step, models: Sequence[Model], *, first: bool, split: int | None = None
) -> DagsterRequest:
    """What is requested of the assets of these models."""
    names = [model.name for model in _tables(models)]
    often = 40 if step.command == "run" else 20
    selection = dice.some_of(names, 3, at_least=1) if dice.chance(8 if first else often) else ()
    if split is None:
        split = 15 if first else often
    between = _between(dice, models) if dice.chance(split) else ()
    if selection and between and dice.chance(75):
        # It splits the step only if models on both of its sides are selected.
        more = [name for each in between for name in (each.name, each.above[0], *each.below[:1])]
        selection = tuple(dict.fromkeys((*selection, *more)))
    return DagsterRequest(
        selection=selection,
        checks=dice.one_of(CHECKS),
        configured=_can_be_configured(step, names) and dice.chance(60),
        retries=dice.chance(40 if step.switches or step.injected else 15),
        between=between,
        due=dice.one_of(("due", "all")) if _can_be_due(step) and dice.chance(35) else "",
    )


def _between(dice: Dice, models: Sequence[Model]) -> tuple[Between, ...]:
    """One or two assets, each below some models and above later ones; or one that writes what the
    project declares as an external model."""
    order = _in_order(models)
    tables = _tables(order)
    between: list[Between] = []
    for number in range(dice.one_of((1, 1, 2)) if len(tables) > 1 else 0):
        place = dice.one_of(range(1, len(tables)))
        above = _often_due(dice, tables[:place])
        below = dice.some_of([model.name for model in tables[place:]], 2, at_least=1)
        between.append(Between(f"x.f{number}", above, below))
    for external in [model.name for model in order if model.kind == "external"]:
        readers = [number for number, model in enumerate(order) if external in model.parents]
        before = [model for model in order[: min(readers, default=0)] if not model.only_audited]
        if before and dice.chance(60):
            between.append(Between(external, _often_due(dice, before)))
    return tuple(between)


def _often_due(dice: Dice, models: Sequence[Model]) -> tuple[str, ...]:
    """One or two of the models, rather of those without which most runs do not go on."""
    often = [model for model in models if model.cron in OFTEN and model.kind != "seed"]
    names = [model.name for model in (often if dice.chance(85) else ()) or models]
    return dice.some_of(names, dice.one_of((1, 1, 2)), at_least=1)


def _tables(models: Sequence[Model]) -> list[Model]:
    """Those that are assets."""
    return [model for model in models if not model.only_audited]


def _in_order(models: Sequence[Model]) -> list[Model]:
    """Each after what it reads."""
    by_name = {model.name: model for model in models}
    parents = {model.name: [n for n in model.parents if n in by_name] for model in models}
    return [by_name[name] for name in TopologicalSorter(parents).static_order()]


def _can_be_due(step: Step) -> bool:
    """As a schedule requests a run: it restates nothing, and selects nothing by itself."""
    own = {"select_models", "no_auto_upstream", "restate_models"} & step.arguments.keys()
    return step.command == "run" and not own


def _can_be_configured(step: Step, names: Sequence[str]) -> bool:
    """A run; and a restatement, which is a plan that a run's config can request."""
    if step.command == "run":
        return bool(CONFIGURED & step.arguments.keys())
    configurable = CONFIGURED >= step.arguments.keys() >= {"restate_models"}
    # The config names models that the assets have.
    return (
        step.command == "plan"
        and configurable
        and set(step.arguments["restate_models"]) <= {*names}
    )
