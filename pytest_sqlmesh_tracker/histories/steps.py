"""Histories: runs, restatements and changes in turn, and what goes wrong during each of them.

Histories are data. Their representation is the code that makes them, without what is the default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from datetime import datetime, timedelta

ModelReference = str | int
"""A model's name; or a number, which counts the models that SQLMesh evaluates in the order of
evaluation, and starts again after the last one."""


class _ShownAsCode:
    """Shows the arguments that differ from their defaults; the first ones without their names."""

    def __repr__(self) -> str:
        arguments = []
        by_position = True
        for each in fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            if each.default is MISSING and by_position:
                arguments.append(repr(value))
            elif value != each.default:
                arguments.append(f"{each.name}={value!r}")
            by_position = by_position and each.default is MISSING
        return f"{type(self).__name__}({', '.join(arguments)})"


@dataclass(frozen=True, repr=False)
class Failure(_ShownAsCode):
    """One batch of a model that fails during a step; the next step evaluates it again."""

    model: ModelReference
    """The model, by name or number."""
    after_write: bool = False
    """Whether it fails after its rows were written, so that its interval is not recorded.
    Otherwise, it fails before."""
    batch: int | None = None
    """The batch that fails, counted from 0; None for the first that is evaluated."""
    audit: int | None = None
    """The number of the model's audit that fails instead, counted from 0. Without audits, the model
    fails before its rows are written."""


@dataclass(frozen=True, repr=False)
class Run(_ShownAsCode):
    """A run of the environment."""

    day: int = 1
    """When it is played, in days from the beginning of the history."""
    hour: int = 0
    """The hours in addition."""
    ignore_cron: bool = False
    """Whether it evaluates models before they are due."""
    failures: tuple[Failure, ...] = ()
    """What fails during this step."""
    held: tuple[ModelReference, ...] = ()
    """The models that are not ready during this step, by name or number."""


@dataclass(frozen=True, repr=False)
class Restate(_ShownAsCode):
    """A plan that restates a model for a range of days, and with it the models downstream."""

    model: ModelReference | None = None
    """The model, by name or number; None for all models."""
    first: int | None = None
    """The first restated day, counted from the beginning of the history, which is day 0; None for
    the start of the models."""
    last: int | None = None
    """The last restated day; None for the present."""
    day: int = 1
    """When it is played, in days from the beginning of the history."""
    hour: int = 0
    """The hours in addition."""
    failures: tuple[Failure, ...] = ()
    """What fails during this step."""
    held: tuple[ModelReference, ...] = ()
    """The models that are not ready during this step, by name or number."""


@dataclass(frozen=True, repr=False)
class Change(_ShownAsCode):
    """A change of a file of the project, and the plan that applies it."""

    path: str
    """The file, below the project's folder."""
    text: str
    """Its new content."""
    day: int = 1
    """When it is played, in days from the beginning of the history."""
    hour: int = 0
    """The hours in addition."""
    failures: tuple[Failure, ...] = ()
    """What fails during this step."""
    held: tuple[ModelReference, ...] = ()
    """The models that are not ready during this step, by name or number."""


Step = Run | Restate | Change


@dataclass(frozen=True, repr=False)
class History:
    """What happens to a project, from the time of its sandbox until some days later."""

    steps: Sequence[Step] = ()
    """The steps, in order. A step whose time has passed is played at once."""
    days: int = 7
    """The length of the history. At its end, everything that was not loaded is loaded."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        for step in self.steps:
            if step.day + step.hour / 24 > self.days:
                raise ValueError(f"{step} is after the end of the history, on day {self.days}")

    def __repr__(self) -> str:
        return f"History({[*self.steps]}, days={self.days})"


def time_of(step: Step, begin: datetime) -> datetime:
    """When a step is played, in a history that begins at this time."""
    return begin + timedelta(days=step.day, hours=step.hour)


@dataclass(frozen=True)
class EvaluatedModels:
    """The models that numbers in steps mean.

    Attributes:
        names: the models that SQLMesh evaluates, in the order of evaluation.
        audits: the names of the audits of each of them.
        parents: the models that each of them reads, external ones included.
    """

    names: tuple[str, ...]
    audits: Mapping[str, Sequence[str]]
    parents: Mapping[str, Sequence[str]]

    def name(self, model: ModelReference) -> str:
        """The name of a model."""
        return self.names[model % len(self.names)] if isinstance(model, int) else model

    def upstream(self, model: str) -> set[str]:
        """All models on which a model depends."""
        parents = set(self.parents.get(model, ()))
        return parents.union(*map(self.upstream, parents))

    def downstream(self, model: str) -> list[str]:
        """All models that depend on a model, in the order of evaluation."""
        return [name for name in self.names if model in self.upstream(name)]

    def named(self, history: History) -> History:
        """The same history with names instead of numbers."""
        return replace(history, steps=[self._named(step) for step in history.steps])

    def _named(self, step: Step) -> Step:
        failures = tuple(replace(each, model=self.name(each.model)) for each in step.failures)
        held = tuple(self.name(each) for each in step.held)
        if isinstance(step, Restate) and step.model is not None:
            step = replace(step, model=self.name(step.model))
        return replace(step, failures=failures, held=held)
