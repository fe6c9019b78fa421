"""Reports on a terminal: a line of totals, and a table of what happened to each model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from io import StringIO
from unicodedata import category

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..explanation import moment, spans
from ..outcomes import ModelOutcome, Status
from ..report import RunReport

_STYLES = {
    Status.EXECUTED: "green",
    Status.FAILED: "bold red",
    Status.SKIPPED: "yellow",
    Status.AUDITED: "cyan",
    Status.INTERRUPTED: "red",
    Status.UNKNOWN: "magenta",
}


def totals_line(reports: Sequence[RunReport], tests: int | None = None) -> str:
    """How many invocations there were, and how many models had each status in them."""
    counts = dict.fromkeys(Status, 0)
    for report in reports:
        for outcome in report.outcomes.values():
            counts[outcome.status] += 1
    statuses = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    where = "" if tests is None else f" in {_count(tests, 'test')}"
    return f"{_count(len(reports), 'invocation')}{where}: {statuses or 'no models'}"


def headline(report: RunReport) -> str:
    """The invocation in one line: command, environment, time and how it ended."""
    took = (report.finished_at - report.started_at).total_seconds()
    ended = report.completion.replace("_", " ")
    line = f"{report.command} {report.environment}, execution_time {moment(report.execution_time)}"
    return printable(f"{line}: {ended} in {took:.1f} s")


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
            _duration(outcome.duration),
            printable(_why(outcome)),
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


def printable(text: str) -> str:
    """The text without control characters: what models are called must not steer a terminal."""
    return "".join(c if c in "\n\t" or category(c) != "Cc" else "�" for c in text)


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


def _why(outcome: ModelOutcome) -> str:
    """The message without the status, which has a column of its own."""
    message = outcome.message.removeprefix(str(outcome.status)).lstrip(": ")
    return message if len(message) <= 200 else f"{message[:199]}…"


def _duration(duration: timedelta | None) -> str:
    if duration is None:
        return ""
    seconds = duration.total_seconds()
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
