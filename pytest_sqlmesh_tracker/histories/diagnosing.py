"""What is wrong with a model whose rows depend on the history."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.sandbox.data.comparing import Difference

from .checking import Checker
from .comparing import IncomparableError
from .replaying import restate_everything, settle
from .steps import History


class Sort(Enum):
    """The sorts of differences."""

    DEPENDS_ON_HISTORY = "depends on history"
    """A restatement of everything mends it."""
    NOT_DETERMINISTIC = "not deterministic"
    """A second load gives other rows, too."""
    NOT_MENDED = "not mended by a restatement"
    """It depends on the history, and a restatement of everything does not mend it."""


@dataclass(frozen=True)
class Finding:
    """A model whose rows depend on the history.

    Attributes:
        history: a history after which they differ.
        difference: how the rows differ from one load of everything; None if they are the same, but
            the last run fails.
        error: why the last run fails to load the model, or why its rows can't be compared; None if
            it does not, and they can.
    """

    model: str
    sort: Sort
    history: History
    difference: Difference | None
    error: str | None


def diagnosed(checker: Checker, model: str, history: History) -> Finding:
    """What is wrong with a model whose rows differ after a history."""
    __tracebackhide__ = True
    load = checker.load(history)
    error = checker.ended(history).errors.get(model)
    difference = None
    with checker.at_the_end_of(history) as (project, _):
        try:
            difference = checker.models.difference(project, model, load.project)
        except IncomparableError as incomparable:
            error = error or str(incomparable)
        with checker.loaded_again(history) as again:
            if not checker.same_rows(again, model, load):
                return Finding(model, Sort.NOT_DETERMINISTIC, history, difference, error)
        restate_everything(project, checker.end)
        last_run = settle(project, checker.end)
        fails = last_run.outcomes[model].status is Status.FAILED
        mended = checker.same_rows(project, model, load) and not fails
    sort = Sort.DEPENDS_ON_HISTORY if mended else Sort.NOT_MENDED
    return Finding(model, sort, history, difference, error)
