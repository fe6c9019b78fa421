"""Drawing how Dagster is asked for the invocations of a history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from .drawing import Dice
from .histories import histories
from .specs import Brief, History, Injected, Model, Step, edited

CHECKS = (*("all",) * 7, "none", "status", "audits")
CONFIGURED = frozenset({"start", "end", "ignore_cron", "restate_models"})
"""Arguments for which run config has a field."""


@dataclass(frozen=True, repr=False)
class Asking(Brief):
    """What one Dagster run is asked for."""

    selection: tuple[str, ...] = ()
    """Names of models; none: all assets."""
    checks: str = "all"
    """Of the selected assets: `all`, `none`, `status` (alone) or `audits` (alone)."""
    configured: bool = False
    """Arguments come by run config, as far as it has them, not from the op's function."""
    retries: bool = False
    """A try that fails is made once more."""


@dataclass(frozen=True, repr=False)
class Told(Brief):
    """A history that is played through Dagster."""

    history: History
    askings: tuple[Asking, ...]
    """One for each step."""

    def __str__(self) -> str:
        lines = [f"asking {number}: {asking!r}" for number, asking in enumerate(self.askings)]
        return "\n".join([str(self.history), *lines])


@st.composite
def told_histories(draw: st.DrawFn) -> Told:
    """A drawn history, with runs after what failed, audits that are called twice, and retries."""
    dice = Dice(draw)
    history = draw(histories())
    models = tuple(_called_twice(dice, model) for model in history.models)
    current, now = models, history.began
    steps: list[Step] = []
    askings: list[Asking] = []
    for step in history.steps:
        now += step.wait
        current = edited(current, step.edits)
        asking = _asking(dice, step, current, first=not steps)
        if asking.retries and dice.chance(60):
            step = replace(step, injected=(*step.injected, *_once(dice, current)))
        steps.append(_with_switches(dice, step, current))
        askings.append(asking)
        if (step.switches or step.injected) and steps[1:] and dice.chance(35):
            now += timedelta(minutes=10)
            steps.append(_another_run(dice, step.environment, current, now))
            askings.append(_asking(dice, steps[-1], current, first=False))
    return Told(replace(history, models=models, steps=tuple(steps)), tuple(askings))


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


def _asking(dice: Dice, step: Step, models: Sequence[Model], *, first: bool) -> Asking:
    names = [model.name for model in models if not model.only_audited]
    often = 40 if step.command == "run" else 20
    return Asking(
        selection=dice.some_of(names, 3, at_least=1) if dice.chance(8 if first else often) else (),
        checks=dice.one_of(CHECKS),
        configured=_can_be_configured(step) and dice.chance(60),
        retries=dice.chance(40 if step.switches or step.injected else 15),
    )


def _can_be_configured(step: Step) -> bool:
    """A run; and a restatement, which is a plan that run config can ask a run for."""
    if step.command == "run":
        return bool(CONFIGURED & step.arguments.keys())
    return step.command == "plan" and CONFIGURED >= step.arguments.keys() >= {"restate_models"}
