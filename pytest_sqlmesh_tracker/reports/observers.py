"""Who is notified of assertions that pass: strict mode, of those of a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from .outcomes import Assertable, ModelOutcome


class Observer(Protocol):
    """What is called when an assertion passes."""

    def __call__(
        self, report: Assertable, outcomes: Iterable[ModelOutcome], /, *, whole: bool
    ) -> None:
        """Take note of the report and the outcomes that were asserted.

        Args:
            report: the one that the assertion was given.
            outcomes: those that it named.
            whole: whether it was about everything in the report.
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
