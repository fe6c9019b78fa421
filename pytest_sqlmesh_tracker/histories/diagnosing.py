"""What is wrong with a model whose rows depend on the history."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pytest_sqlmesh_tracker.sandbox.data.comparing import Difference
from pytest_sqlmesh_tracker.sandbox.data.sources import Source

from .checking import Checker
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
        error: why the last run fails to load the model; None if it does not.
        source: the compared rows.
    """

    model: str
    sort: Sort
    history: History
    difference: Difference | None
    error: str | None
    source: Source


def diagnosed(checker: Checker, model: str, history: History) -> Finding:
    """What is wrong with a model whose rows differ after a history."""
    __tracebackhide__ = True
    load = checker.load(history)
    rows = checker.models.rows(load.project, model)
    with checker.at_the_end_of(history) as project:
        source = checker.models.source(project, model)
        difference = checker.models.difference(project, model, rows)
        error = checker.ended(history).errors.get(model)
        if checker.loaded_again(history).rows[model] != load.ended.rows[model]:
            sort = Sort.NOT_DETERMINISTIC
        else:
            restate_everything(project, checker.end)
            settle(project, checker.end)
            mended = checker.models.digests(project)[model] == load.ended.rows[model]
            sort = Sort.DEPENDS_ON_HISTORY if mended else Sort.NOT_MENDED
    return Finding(model, sort, history, difference, error, source)
