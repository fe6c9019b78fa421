"""Observers of assertions that pass. Strict mode observes those of a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from .outcomes import Assertable, ModelOutcome


class Observer(Protocol):
    """A callback for assertions that pass."""

    def __call__(
        self, report: Assertable, outcomes: Iterable[ModelOutcome], /, *, whole: bool
    ) -> None:
        """Take note of the report and the outcomes that were asserted.

        Args:
            report: the report that the assertion was made on.
            outcomes: the outcomes that were asserted.
            whole: whether the assertion was about everything in the report.
        """


_OBSERVERS: list[Observer] = []


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Call the observer for each assertion that passes."""
    _OBSERVERS.append(observer)
    try:
        yield
    finally:
        _OBSERVERS.remove(observer)


def notify(report: Assertable, outcomes: Iterable[ModelOutcome], *, whole: bool) -> None:
    """Call all observers."""
    for observer in tuple(_OBSERVERS):
        observer(report, outcomes, whole=whole)
