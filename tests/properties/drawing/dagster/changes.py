"""Drawing how models come, go and are renamed while the assets stay those of before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.properties.drawing.dice import Dice
from tests.properties.drawing.models import draw_model
from tests.properties.drawing.specs import Edit, Model

NEW = "m.b0"
"""The name of what is new: no drawn history has it."""


@dataclass(frozen=True)
class Change:
    """A change of the project, and what undoes it."""

    edits: tuple[Edit, ...]
    undone: tuple[Edit, ...]

    @property
    def added(self) -> bool:
        return [edit.what for edit in self.edits] == ["added"]

    @property
    def model(self) -> str:
        """The name of what comes or goes."""
        return self.edits[0].model.name


def draw_change(dice: Dice, models: Sequence[Model]) -> Change:
    """One model is removed, renamed or added."""
    tables = [model for model in models if not model.only_audited]
    what = dice.one_of(("renamed", "removed", "added", "removed", "renamed"))
    if what == "added" or len(tables) < 2:
        model = draw_model(dice, NEW, models)
        # An embedded model has no asset.
        model = replace(model, kind="full") if model.only_audited else model
        return Change((Edit("added", model),), (Edit("removed", model, removed=True),))
    return (
        renamed(models, dice.one_of(tables))
        if what == "renamed"
        else removed(models, dice.one_of(tables))
    )


def removed(models: Sequence[Model], model: Model) -> Change:
    """It goes, and so do standalone audits of it; what read it no longer does."""
    readers = [other for other in models if model.name in other.parents]
    edits = [Edit("removed", model, removed=True)]
    for reader in readers:
        gone = reader.kind == "audit"
        fewer = tuple(name for name in reader.parents if name != model.name)
        edits.append(Edit("removed" if gone else "breaking", replace(reader, parents=fewer), gone))
    return Change(tuple(edits), _restored(model, *readers))


def renamed(models: Sequence[Model], model: Model, name: str = NEW) -> Change:
    """It has another name, and everything that reads it uses that name."""
    readers = [other for other in models if model.name in other.parents]
    new = replace(model, name=name)
    edits = [Edit("removed", model, removed=True), Edit("renamed", new)]
    for reader in readers:
        parents = tuple(name if parent == model.name else parent for parent in reader.parents)
        edits.append(Edit("breaking", replace(reader, parents=parents)))
    back = _restored(model, *readers)
    return Change(tuple(edits), (Edit("removed", new, removed=True), *back))


def _restored(*models: Model) -> tuple[Edit, ...]:
    return tuple(Edit("restored", model) for model in models)
