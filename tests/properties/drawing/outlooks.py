"""Drawing what is to be forecast after a history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import strategies as st

from .dice import Dice
from .histories import histories
from .specs import Brief, History

EVERY = (
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(minutes=30),
    timedelta(days=7),
    timedelta(hours=25),
)
RUNS = 7
"""How many runs are forecast, and then take place."""


@dataclass(frozen=True, repr=False)
class Outlook(Brief):
    """A history, and what is assumed of the runs after it."""

    history: History
    environment: str = "prod"
    every: timedelta = EVERY[0]
    failing: tuple[str, ...] = ()
    held: tuple[str, ...] = ()

    @property
    def times(self) -> list[datetime]:
        """When the runs take place: at whole multiples of the gap, after the history."""
        now = self.history.began + sum((step.wait for step in self.history.steps), timedelta())
        first = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return [first + number * self.every for number in range(RUNS)]

    def __str__(self) -> str:
        assumed = f"failing {self.failing}, held {self.held}"
        return f"{self.history}\nforecast {self.environment} every {self.every}: {assumed}"


@st.composite
def outlooks(draw: st.DrawFn) -> Outlook:
    """A history as other properties draw it, then runs at regular intervals."""
    history = draw(histories())
    dice = Dice(draw)
    names = [model.name for model in history.models_at_end if not model.only_audited]
    return Outlook(
        history=history,
        environment="dev" if dice.chance(35) else "prod",
        every=dice.one_of(EVERY),
        failing=dice.some_of(names, 1) if dice.chance(35) else (),
        held=dice.some_of(names, 1) if dice.chance(20) else (),
    )
