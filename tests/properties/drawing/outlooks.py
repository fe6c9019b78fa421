"""Drawing what is to be forecast after a history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hypothesis import strategies as st

from .dice import Dice
from .histories import histories
from .scenes import DAY, FIRST_PLAN, HOUR, NINE, RESTATED_BY_ITSELF
from .specs import Brief, Edit, History, Model, Step

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
        first = self.history.ended.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
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
        environment="dev" if history.plans_dev and dice.chance(70) else "prod",
        every=dice.one_of(EVERY),
        failing=dice.some_of(names, 1) if dice.chance(35) else (),
        held=dice.some_of(names, 1) if dice.chance(20) else (),
    )


_FORWARD = Model("m.a0", "incremental", forward_only=True)
_ALIKE = (Model("m.a0", "incremental"), Model("m.a1", "incremental"))
_PREVIEWED = (
    FIRST_PLAN,
    Step(
        HOUR,
        "plan",
        "dev",
        {"enable_preview": True},
        (Edit("breaking", replace(_FORWARD, version=2)),),
    ),
)
SCENES = {
    # Prod loads what dev has in its preview only.
    "a_preview_that_is_ahead": Outlook(
        History(
            (_FORWARD, Model("m.a1", "view", parents=("m.a0",))),
            NINE,
            (*_PREVIEWED, Step(3 * DAY, "run", "dev"), Step(HOUR, "plan")),
        ),
        every=DAY,
    ),
    # Dev loads into its preview what prod has already.
    "a_preview_that_is_behind": Outlook(
        History((_FORWARD,), NINE, (*_PREVIEWED, Step(3 * DAY, "run"))),
        environment="dev",
        every=DAY,
    ),
    "restatements": Outlook(RESTATED_BY_ITSELF, every=DAY),
    "two_models_alike_of_which_one_is_behind": Outlook(
        History(
            _ALIKE,
            NINE,
            (FIRST_PLAN, Step(DAY, "run", arguments={"select_models": ["m.a0"]})),
        ),
        every=DAY,
    ),
    "a_gap_that_a_signal_keeps_open": Outlook(
        History(
            _ALIKE,
            NINE,
            (FIRST_PLAN, Step(3 * DAY, "run", arguments={"start": "2024-01-12"})),
        ),
        every=DAY,
        held=("m.a0",),
    ),
    # The start has moved past the last tick: the model fails until the next one.
    "a_start_after_the_last_tick": Outlook(
        History(
            (
                Model("m.a0", "incremental", cron="@weekly", start="4 days ago"),
                Model("m.a1", "full", parents=("m.a0",)),
                Model("m.a2", "full"),
            ),
            NINE,
            (FIRST_PLAN, Step(9 * DAY, "run", arguments={"select_models": ["m.a2"]})),
        ),
        every=DAY,
    ),
    # What is not loaded by the first plan has no table before a run loads it.
    "a_table_that_does_not_exist": Outlook(
        History(
            (
                Model("m.a0", "incremental", start="2024-01-14"),
                Model("m.a1", "full", parents=("m.a0",)),
                Model("m.a2", "full", parents=("m.a1",)),
                Model("m.a3", "full"),
                Model("m.a4", "full", parents=("m.a3",)),
                Model("m.a5", "full"),
            ),
            NINE,
            (Step(timedelta(), "plan", "dev", {"backfill_models": ["m.a5"]}),),
        ),
        environment="dev",
        every=DAY,
    ),
}
"""Outlooks that are drawn too rarely."""
