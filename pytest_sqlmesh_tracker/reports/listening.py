"""Who hears of the assertions that pass: strict mode, of those of a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from pytest_sqlmesh_tracker.outcomes.outcomes import ModelOutcome

if TYPE_CHECKING:
    from .report import RunReport


class Listener(Protocol):
    """What is called when an assertion passes."""

    def __call__(
        self, report: RunReport, outcomes: Iterable[ModelOutcome], /, *, whole: bool
    ) -> None:
        """Hear of the report and the outcomes that were asserted.

        Args:
            report: the one that the helper was given.
            outcomes: those that it named.
            whole: whether it was about everything in the report.
        """


_LISTENERS: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call the listener for each assertion that passes."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


def notify(report: RunReport, outcomes: Iterable[ModelOutcome], *, whole: bool) -> None:
    """Call all listeners."""
    for listener in tuple(_LISTENERS):
        listener(report, outcomes, whole=whole)
