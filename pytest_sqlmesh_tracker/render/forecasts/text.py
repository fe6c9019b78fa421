"""A forecast as text for a terminal: all models in a table, or the evaluations of some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pytest_sqlmesh_tracker.forecast.results import Forecast
from pytest_sqlmesh_tracker.wording.formats import plain_minute, quantity, spans
from pytest_sqlmesh_tracker.wording.printable import name_of, printable
from pytest_sqlmesh_tracker.wording.table import new_grid, rendered

from .local import local_text
from .rows import (
    ForecastRow,
    failures_of,
    headline,
    rows_of,
    staleness_of,
    totals_of,
    why_undetermined,
)

_MOST_EVALUATIONS = 24
_MOST_REMARKS = 50
_YEAR = timedelta(days=365)
_WITHOUT_YEAR = slice(len("2024-"), None)


def overview(
    forecast: Forecast, *, width: int = 100, color: bool = False, limit: int | None = None
) -> str:
    """A headline, a row per model, what fails, is too old or is undetermined, and the assumptions.

    Args:
        limit: the most rows. If there are more models, those that are evaluated, then those that
            never are, are left out first; a line counts them.
    """
    rows = rows_of(forecast)
    shown = _most_telling(rows, limit)
    parts: list[RenderableType] = [_headline(forecast)]
    if shown:
        # The headline has the years.
        short = forecast.until - forecast.at < _YEAR
        parts.append(_grid(shown, _WITHOUT_YEAR if short else slice(None)))
    if len(shown) < len(rows):
        parts.append(Text(f"not shown: {quantity(len(rows) - len(shown), 'model')}", style="dim"))
    parts.append(Text(str(totals_of(rows)), style="bold"))
    return rendered([*parts, *_local(forecast), *_remarks(forecast, rows)], width, color)


def evaluations(forecast: Forecast, *, width: int = 100, color: bool = False) -> str:
    """A headline, the evaluations of each model with their intervals, and the assumptions."""
    parts: list[RenderableType] = [_headline(forecast)]
    rows = rows_of(forecast)
    for row in rows:
        parts += ["", _title(row)]
        for part in _evaluations(row):
            parts.append(_indented(part))
    for model in forecast.models:
        if not model.is_evaluated:
            words = f"{name_of(model.name)} is of kind {model.kind}, which runs never evaluate"
            parts += ["", Text(words, style="dim")]
    return rendered([*parts, *_local(forecast), *_remarks(forecast, [])], width, color)


def _local(forecast: Forecast) -> Iterator[RenderableType]:
    if forecast.local is not None:
        yield ""
        yield from local_text(forecast.local, _MOST_REMARKS)


def _headline(forecast: Forecast) -> Text:
    return Text(printable(headline(forecast)), style="bold")


def _most_telling(rows: list[ForecastRow], limit: int | None) -> list[ForecastRow]:
    """The rows to show, in their order."""
    if limit is None or len(rows) <= limit:
        return rows
    urgent_first = sorted(
        rows, key=lambda row: (not row.failures, not row.stale, row.undetermined is None)
    )
    kept = {row.model.name for row in urgent_first[:limit]}
    return [row for row in rows if row.model.name in kept]


def _grid(rows: Sequence[ForecastRow], shown: slice) -> Table:
    fails = any(row.failures for row in rows)
    grid = new_grid(header=True)
    grid.add_column("model", overflow="fold")
    grid.add_column("cron", overflow="fold")
    grid.add_column("evaluations", justify="right", no_wrap=True)
    grid.add_column("first (UTC)", no_wrap=True)
    grid.add_column("last", no_wrap=True)
    if fails:
        grid.add_column("fails", justify="right", no_wrap=True)
    for row in rows:
        failed = [Text(row.failed, style="bold red")] if fails else []
        style = "yellow" if row.undetermined is not None else ""
        number = Text(row.number, style=style or ("" if row.evaluations else "dim"))
        first, last = row.first[shown], row.last[shown]
        grid.add_row(name_of(row.model.name), printable(row.cron), number, first, last, *failed)
    return grid


def _title(row: ForecastRow) -> Text:
    title = Text(name_of(row.model.name), style="bold")
    return title.append(f"  {printable(row.cron)}", style="dim")


def _evaluations(row: ForecastRow) -> Iterator[RenderableType]:
    """What is forecast of a model, in one or more parts."""
    if row.failures:
        yield Text(printable(row.failure), style="bold red")
    if row.stale:
        yield Text(row.staleness, style="bold red")
    if row.undetermined is not None:
        yield Text(printable(f"undetermined: {row.undetermined}"), style="yellow")
    elif not row.evaluations:
        yield Text("never evaluated in this time", style="dim")
    else:
        grid = new_grid(header=True)
        grid.add_column("evaluated at (UTC)", no_wrap=True)
        grid.add_column("intervals", overflow="fold")
        for each in row.evaluations[:_MOST_EVALUATIONS]:
            grid.add_row(plain_minute(each.at), spans(each.intervals))
        yield grid
        left_out = len(row.evaluations) - _MOST_EVALUATIONS
        if left_out > 0:
            words = f"and {quantity(left_out, 'more evaluation')}, the last at {row.last}"
            yield Text(words, style="dim")


def _remarks(forecast: Forecast, rows: Sequence[ForecastRow]) -> Iterator[RenderableType]:
    """What fails, is too old or is undetermined, with why, and what is assumed."""
    for title, style, remarks in (
        ("failing", "bold red", failures_of(rows)),
        ("older than the gate allows", "bold red", staleness_of(rows)),
        ("undetermined", "yellow", why_undetermined(rows)),
    ):
        if remarks:
            yield ""
            yield Text(title, style=style)
            for name, why in remarks[:_MOST_REMARKS]:
                yield _item(f"{name_of(name)}: {printable(why)}")
            if len(remarks) > _MOST_REMARKS:
                yield _item(f"and {len(remarks) - _MOST_REMARKS:,} more")
    yield ""
    yield Text("assumptions", style="bold")
    for assumption in forecast.assumptions:
        yield _item(printable(assumption))


def _item(words: str) -> Padding:
    grid = Table.grid(padding=(0, 1))
    grid.add_row("-", words)
    return _indented(grid)


def _indented(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2))
