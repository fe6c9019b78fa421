"""How models fared, as text for a terminal: all models in a table, or some in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from pytest_sqlmesh_tracker.history.trends.types import (
    EnvironmentTrend,
    Timeline,
    TimelineEntry,
    Trends,
)
from pytest_sqlmesh_tracker.wording.formats import duration, plain_minute, quantity
from pytest_sqlmesh_tracker.wording.printable import name_of, printable
from pytest_sqlmesh_tracker.wording.rows import result
from pytest_sqlmesh_tracker.wording.table import STYLES, new_grid, rendered

from .rows import COUNTS, HEADS, audits_of, facts, headline, left_out, rows_of, title


def overview(
    trends: Trends, *, width: int = 100, color: bool = False, limit: int | None = None
) -> str:
    """A table for each environment, with a row for each model of its last invocation.

    Args:
        limit: the most rows of a table. If there are more, models that do not need attention are
            left out first; a line counts them.
    """
    parts: list[RenderableType] = []
    for environment in trends.environments:
        parts += [*_environment(environment, limit), ""]
    if left_out(trends):
        parts.append(Text(left_out(trends), style="dim"))
    return rendered(parts, width, color).rstrip()


def _environment(environment: EnvironmentTrend, limit: int | None) -> Iterator[RenderableType]:
    yield Text(printable(headline(environment)), style="bold")
    rows = rows_of(environment)
    urgent_first = sorted(rows, key=lambda row: not row.remarks)
    kept = {row.trend.name for row in urgent_first[:limit]}
    grid = new_grid(header=True)
    for head in HEADS:
        right = head in COUNTS
        wraps = head == "model"
        grid.add_column(
            head, justify="right" if right else "left", overflow="fold", no_wrap=not wraps
        )
    grid.add_column("", overflow="fold")
    for row in rows:
        if row.trend.name in kept:
            status = row.trend.last.status
            grid.add_row(
                Text(str(status), style=STYLES[status]),
                name_of(row.trend.name),
                row.last_executed,
                row.loaded_through,
                row.executed,
                Text(row.failed, style="bold red"),
                row.time,
                printable(row.remarks),
            )
    if grid.rows:
        yield grid
    if len(kept) < len(rows):
        yield Text(f"not shown: {quantity(len(rows) - len(kept), 'model')}", style="dim")


def timelines(
    models: Sequence[Timeline], *, width: int = 100, color: bool = False, limit: int | None = None
) -> str:
    """Each model in full: how it fared in all, its audits, and a row for each invocation.

    Args:
        limit: the most rows for a model, its last invocations; a line counts the others.
    """
    parts: list[RenderableType] = []
    for timeline in models:
        parts += [*_timeline(timeline, limit), ""]
    return rendered(parts, width, color).rstrip()


def _timeline(timeline: Timeline, limit: int | None) -> Iterator[RenderableType]:
    yield Text(printable(title(timeline)), style="bold")
    grid = new_grid()
    for head, value in facts(timeline):
        grid.add_row(Text(head, style="dim"), printable(value))
    for audit in audits_of(timeline):
        style = "red" if audit.failing_since else ""
        label = Text(f"audit {name_of(audit.label)}", style="dim")
        grid.add_row(label, Text(printable(audit.words), style=style))
    yield Padding(grid, (0, 0, 0, 2))
    yield _invocations(timeline.entries[:limit])
    more = len(timeline.entries) - len(timeline.entries[:limit])
    if more:
        yield Text(f"and {quantity(more, 'earlier invocation')}", style="dim")


def _invocations(entries: Sequence[TimelineEntry]) -> RenderableType:
    with_rows = any(entry.outcome.rows is not None for entry in entries)
    grid = new_grid(header=True)
    grid.add_column("began (UTC)", no_wrap=True)
    grid.add_column("command", no_wrap=True)
    grid.add_column("status", no_wrap=True)
    grid.add_column("intervals or reason", overflow="fold")
    if with_rows:
        grid.add_column("rows", justify="right", no_wrap=True)
    grid.add_column("time", justify="right", no_wrap=True)
    for entry in entries:
        outcome = entry.outcome
        number = [f"{outcome.rows:,}" if outcome.rows is not None else ""] if with_rows else []
        grid.add_row(
            plain_minute(entry.started_at),
            entry.command,
            Text(str(outcome.status), style=STYLES[outcome.status]),
            printable(result(outcome)),
            *number,
            duration(outcome.duration),
        )
    return grid
