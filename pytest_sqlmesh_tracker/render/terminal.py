"""Reports on a terminal: a table of what happened to each model."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..explanation import spans
from ..outcomes import Status
from ..report import RunReport
from .words import duration, headline, printable, reason_of

_STYLES = {
    Status.EXECUTED: "green",
    Status.FAILED: "bold red",
    Status.SKIPPED: "yellow",
    Status.AUDITED: "cyan",
    Status.INTERRUPTED: "red",
    Status.UNKNOWN: "magenta",
}


def table(report: RunReport, *, width: int = 100, color: bool = False) -> str:
    """The headline and a row a model: status, model, recorded intervals, duration and why."""
    grid = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    grid.add_column("status", no_wrap=True)
    grid.add_column("model", no_wrap=True)
    grid.add_column("intervals", overflow="fold")
    grid.add_column("time", justify="right", no_wrap=True)
    grid.add_column("why", overflow="fold")
    for outcome in report.outcomes.values():
        grid.add_row(
            Text(str(outcome.status), style=_STYLES[outcome.status]),
            printable(outcome.name),
            spans(outcome.executed_intervals, limit=2),
            duration(outcome.duration),
            printable(reason_of(outcome)),
        )
    for name in report.removed:
        grid.add_row("removed", printable(name), "", "", "the plan removes it")
    lines = [headline(report)]
    if report.error:
        lines.append(printable(f"raised {' '.join(report.error.split())}"))
    if grid.rows:
        lines.append(_rendered(grid, width, color))
    return "\n".join(lines)


def tables(reports: Iterable[RunReport], *, width: int = 100, color: bool = False) -> str:
    """One table an invocation."""
    return "\n\n".join(table(report, width=width, color=color) for report in reports)


def _rendered(grid: Table, width: int, color: bool) -> str:
    out = StringIO()
    console = Console(
        file=out,
        width=width,
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
    )
    console.print(grid)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
