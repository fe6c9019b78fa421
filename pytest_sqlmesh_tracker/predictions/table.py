"""What a run would do, as a table with a row for each model."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from pytest_sqlmesh_tracker.outcomes.outcome import Outcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.wording.printable import name_of, printable
from pytest_sqlmesh_tracker.wording.table import STYLES, new_grid, rendered

from .predicted_run import PredictedRun
from .wording import predicted_headline, predicted_notes, predicted_result


def prediction(run: PredictedRun, *, width: int = 100, color: bool = False) -> str:
    """A headline, facts about the environment, and a row for each model that can be evaluated.

    The rows have the status that the model would have, its name, and the intervals or the reason.
    """
    parts: list[RenderableType] = [Text(printable(predicted_headline(run)), style="bold")]
    parts += [Text(printable(note), style="yellow") for note in predicted_notes(run)]
    rows = list(_rows(run, run.report.counted))
    if rows:
        grid = new_grid(header=True)
        grid.add_column("would be", no_wrap=True)
        grid.add_column("model", overflow="fold")
        grid.add_column("intervals or reason", overflow="fold")
        for status, name, words in rows:
            grid.add_row(Text(str(status), style=STYLES[status]), name, words)
        parts.append(grid)
    return rendered(parts, width, color)


def _rows(run: PredictedRun, outcomes: Iterable[Outcome]) -> Iterable[tuple[Status, str, str]]:
    for outcome in outcomes:
        words = printable(predicted_result(outcome, run.now.get(outcome.name)))
        yield outcome.status, name_of(outcome.name), words
