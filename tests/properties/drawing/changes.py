"""Drawing changes of a project that are to be planned after a history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from .dice import Dice
from .histories import draw_some_edits, histories
from .specs import Brief, Edit, History, Model, edited


@dataclass(frozen=True, repr=False)
class Change(Brief):
    """A history, and the edits and the plan after it."""

    history: History
    edits: tuple[Edit, ...] = ()
    environment: str = "prod"
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def edited(self, models: tuple[Model, ...]) -> tuple[Model, ...]:
        """The models after the edits."""
        return edited(models, self.edits)

    def __str__(self) -> str:
        return f"{self.history}\nplan {self.environment} {dict(self.arguments)} of {self.edits}"


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """A history as other properties draw it, then a plan of some edits."""
    history = draw(histories())
    dice = Dice(draw)
    arguments: dict[str, Any] = {}
    environment = "dev" if dice.chance(35) else "prod"
    if dice.chance(20):
        arguments["forward_only"] = True
    if dice.chance(15):
        arguments["run"] = True
    if environment == "dev" and dice.chance(40):
        arguments["include_unmodified"] = True
    edits = draw_some_edits(dice, history.models_at_end)
    return Change(history, edits, environment, arguments)
