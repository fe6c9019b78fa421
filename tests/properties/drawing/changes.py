"""Drawing changes of a project that are to be planned after a history, and when it is run then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hypothesis import strategies as st

from .dice import Dice
from .histories import draw_some_edits, histories
from .models import SUBDAILY, draw_edit
from .specs import Brief, Edit, History, Model, Step, edited

WEEK = timedelta(days=7)
OFTEN = SUBDAILY - {"0 */6 * * *", "0 8-18 * * *"}
"""Crons that tick so often that most weeks must have fewer runs."""
SELDOM = {"@hourly": "0 */6 * * *", "*/30 * * * *": "30 4 * * *", "17 * * * *": "17 9 * * *"}
"""Crons in place of these, so that weeks can have all runs."""
EVERY = (timedelta(days=1), timedelta(hours=6), timedelta(hours=25))


@dataclass(frozen=True, repr=False)
class Change(Brief):
    """A history, the edits that are planned after it, and the runs of the week after the plan."""

    history: History
    edits: tuple[Edit, ...] = ()
    environment: str = "prod"
    every: timedelta | None = None
    """The time between runs; None if they take place whenever something becomes due."""
    between: tuple[timedelta, ...] = ()
    """How long after the plan further runs take place, in which nothing is due."""

    def edited(self, models: tuple[Model, ...]) -> tuple[Model, ...]:
        """The models after the edits."""
        return edited(models, self.edits)

    def times(self, planned: datetime) -> list[datetime] | None:
        """When runs take place in the week after the plan, if not whenever something is due."""
        if self.every is None:
            return None
        first = planned.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return [first + number * self.every for number in range(WEEK // self.every)]

    def __str__(self) -> str:
        runs = f"run every {self.every}, and after {[str(wait) for wait in self.between]}"
        return f"{self.history}\nplan {self.environment} of {self.edits}; {runs}"


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """A short history as other properties draw it, then a plan of some edits, and a week."""
    history = draw(histories(invocations=(1, 0, 2)))
    dice = Dice(draw)
    if dice.chance(60):
        history = _run_seldom(history)
    environment = "dev" if dice.chance(35) else "prod"
    if environment == "dev":
        history = _planned_in_dev(dice, history)
    models = history.models_at_end
    edits = draw_some_edits(dice, models)
    if dice.chance(45):
        edits += _too_late(dice, edited(models, edits), history.ended)
    often = any(model.cron in OFTEN for model in edited(models, edits))
    every = dice.one_of(EVERY) if dice.chance(95 if often else 20) else None
    waits = [timedelta(hours=hours, minutes=29) for hours in range(1, 24 * WEEK.days, 5)]
    between = dice.some_of(waits, 3, at_least=1) if every is None else ()
    return Change(history, edits, environment, every, between)


def _run_seldom(history: History) -> History:
    """A history without crons that tick often."""

    def seldom(model: Model) -> Model:
        return replace(model, cron=SELDOM.get(model.cron, model.cron))

    steps = [
        replace(step, edits=tuple(replace(edit, model=seldom(edit.model)) for edit in step.edits))
        for step in history.steps
    ]
    return replace(history, models=tuple(map(seldom, history.models)), steps=tuple(steps))


def _planned_in_dev(dice: Dice, history: History) -> History:
    """A history whose last step plans dev."""
    models = history.models_at_end
    edits = [draw_edit(dice, model, models) for model in dice.some_of(models, 1)]
    arguments = {"include_unmodified": dice.chance(60)}
    step = Step(timedelta(minutes=31), "plan", "dev", arguments=arguments, edits=tuple(edits))
    return replace(history, steps=(*history.steps, step))


def _too_late(dice: Dice, models: tuple[Model, ...], now: datetime) -> tuple[Edit, ...]:
    """A model that starts near or after the last tick of its cron, and often one that reads it."""
    number = 1 + max(int(model.name[3:]) for model in models if model.name.startswith("m.a"))
    days = (now - timedelta(days=back) for back in (1, 0, 2))
    start = dice.one_of((*(str(day.date()) for day in days), *("4 days ago",) * 2))
    cron = dice.one_of(("@weekly", "@weekly", "@monthly", "@daily"))
    late = Model(f"m.a{number}", dice.one_of(("full", "incremental", "view")), (), cron, start)
    reader = Model(f"m.a{number + 1}", dice.one_of(("full", "view")), parents=(late.name,))
    return tuple(Edit("added", model) for model in (late, reader)[: 1 + dice.chance(60)])
