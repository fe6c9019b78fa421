"""Searches histories after which models have other rows than after one load of everything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

from pytest_sqlmesh_tracker.histories.checking import Checker
from pytest_sqlmesh_tracker.histories.diagnosing import Finding, diagnosed
from pytest_sqlmesh_tracker.histories.first import first_histories, levels_of
from pytest_sqlmesh_tracker.histories.simplifying import simplified
from pytest_sqlmesh_tracker.histories.steps import EvaluatedModels, History


@dataclass(frozen=True)
class Search:
    """Plays first the histories that find most faults, and then those that are drawn.

    Attributes:
        models: the models of the project.
        histories: what draws histories.
        examples: how many are drawn.
        seed: what makes other histories be drawn.
    """

    checker: Checker
    models: EvaluatedModels
    histories: SearchStrategy[History]
    examples: int
    seed: int

    def findings(self) -> Iterator[Finding]:
        """The models whose rows depend on the history, each once, with the simplest history.

        Models that read one of them are left out from then on: their rows differ with its rows.
        """
        __tracebackhide__ = True
        pending = list(self.checker.models.names)
        days = (self.checker.end - self.checker.begin).days
        for history in first_histories(levels_of(self.models.parents), days):
            yield from self._of(history, pending)
        drawn = 0
        while pending and drawn < self.examples:
            example = self._drawn(pending, self.examples - drawn, self.seed + drawn)
            drawn += example.position
            if example.history is not None:
                yield from self._of(example.history, pending)

    def _of(self, history: History, pending: list[str]) -> Iterator[Finding]:
        """The findings of one history, among the models that are pending."""
        __tracebackhide__ = True
        for model in self.checker.differing(history):
            if model in pending:
                for each in [model, *self.models.downstream(model)]:
                    if each in pending:
                        pending.remove(each)
                simplest = simplified(history, lambda each: self._differs(model, each))  # noqa: B023
                yield diagnosed(self.checker, model, simplest)

    def _differs(self, model: str, history: History) -> bool:
        """Whether a model differs after a history, and none upstream does."""
        __tracebackhide__ = True
        differing = self.checker.differing(history)
        return model in differing and not self.models.upstream(model).intersection(differing)

    def _drawn(self, pending: list[str], examples: int, seed: int) -> _Example:
        """The first drawn history after which a pending model differs."""
        __tracebackhide__ = True
        errors: list[Exception] = []
        played: list[History] = []

        def differs(history: History) -> bool:
            named = self.models.named(history)
            played.append(named)
            try:
                return not set(pending).isdisjoint(self.checker.differing(named))
            except Exception as error:
                errors.append(error)
                return True

        drawing = settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        try:
            find(self.histories, differs, settings=drawing, random=Random(seed))
        except NoSuchExample:
            return _Example(None, examples)
        if errors:
            raise errors[0]
        return _Example(played[-1], len(played))


@dataclass(frozen=True)
class _Example:
    """A drawn history, if any, and how many were drawn up to it."""

    history: History | None
    position: int
