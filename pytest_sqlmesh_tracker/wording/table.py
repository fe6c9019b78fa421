"""An invocation as a table with a row for each model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from io import StringIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from pytest_sqlmesh_tracker.outcomes.invocation import Invocation
from pytest_sqlmesh_tracker.outcomes.outcome import Outcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status

from .formats import duration
from .invocations import before_error, error_headline, headline, notes
from .printable import name_of, printable
from .rows import has_own_error, needs_attention, result
from .sentences import failure

_NARROWEST = 60
"""The minimum width. Below it, columns would lose letters; the terminal wraps the lines instead."""


STYLES = {
    Status.EXECUTED: "green",
    Status.FAILED: "bold red",
    Status.SKIPPED: "yellow",
    Status.AUDITED: "cyan",
    Status.INTERRUPTED: "red",
    Status.UNKNOWN: "magenta",
}
"""The color of each status."""


def table(
    report: Invocation,
    *,
    width: int = 100,
    color: bool = False,
    limit: int | None = None,
    everything: bool = False,
) -> str:
    """The headline and a row per model: status, model, intervals or reason, rows, duration.

    There is a column for rows if they are known for any model.

    Args:
        everything: whether models that are not evaluatable have rows as well.
        limit: the most outcomes. If there are more, those skipped for a reason that is expected by
            default are left out, then others, and last those that need attention. A last line
            counts the models left out.
    """
    listed = [o for o in report.outcomes.values() if everything or o.is_counted]
    shown = _most_telling(listed, limit)
    with_rows = any(outcome.rows is not None for outcome in shown)
    grid = new_grid(header=True)
    grid.add_column("status", no_wrap=True)
    grid.add_column("model", overflow="fold")
    # Few models have both: two columns would be too narrow.
    grid.add_column("intervals or reason", overflow="fold")
    if with_rows:
        grid.add_column("rows", justify="right", no_wrap=True)
    grid.add_column("time", justify="right", no_wrap=True)
    for outcome in shown:
        rows = [f"{outcome.rows:,}" if outcome.rows is not None else ""] if with_rows else []
        status = Text(str(outcome.status), style=STYLES[outcome.status])
        words = printable(result(outcome))
        grid.add_row(status, name_of(outcome.name), words, *rows, duration(outcome.duration))
    for name in report.removed[:limit]:
        grid.add_row("removed", name_of(name), "the plan removes it")
    parts: list[RenderableType] = [Text(headline(report), style="bold")]
    if report.error:
        parts.append(
            Text(
                printable(f"{before_error(report.completion)} {error_headline(report.error)}"),
                style="red",
            )
        )
    parts += [Text(printable(note), style="yellow") for note in notes(report)]
    if grid.rows:
        parts.append(grid)
    for outcome in filter(has_own_error, shown):
        line = f"{name_of(outcome.name)}{printable(failure(outcome))}"
        parts.append(Text(line, style="red"))
    left_out = _left_out(report, listed, shown, limit)
    if left_out:
        parts.append(Text(f"not shown: {left_out}", style="dim"))
    return rendered(parts, width, color)


def _most_telling(outcomes: list[Outcome], limit: int | None) -> list[Outcome]:
    """The outcomes to show, in the report's order."""
    if limit is None or len(outcomes) <= limit:
        return outcomes
    unexpected = {o.name: needs_attention(o) for o in outcomes}
    telling = [o.name for o in outcomes if unexpected[o.name] or o.status is not Status.SKIPPED]
    kept = set(sorted(telling, key=lambda name: not unexpected[name])[:limit])
    return [outcome for outcome in outcomes if outcome.name in kept]


def _left_out(
    report: Invocation,
    listed: Iterable[Outcome],
    shown: Iterable[Outcome],
    limit: int | None,
) -> str:
    """How many models are not shown: skipped ones by reason, others by status."""
    names = {outcome.name for outcome in shown}
    left = (outcome for outcome in listed if outcome.name not in names)
    counts = Counter(
        str(outcome.reason if outcome.status is Status.SKIPPED else outcome.status)
        for outcome in left
    )
    counts["removed"] = len(report.removed[limit:]) if limit is not None else 0
    return ", ".join(f"{count:,} {what}" for what, count in counts.most_common() if count)


def new_grid(header: bool = False) -> Table:
    """A table without lines, whose columns are only aligned."""
    return Table(box=None, pad_edge=False, show_edge=False, show_header=header, header_style="dim")


def rendered(parts: Iterable[RenderableType], width: int, color: bool) -> str:
    """The parts as text, at least 60 columns wide."""
    out = StringIO()
    console = Console(
        file=out,
        width=max(width, _NARROWEST),
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=color,
        color_system="standard" if color else None,
        # The caller has checked NO_COLOR.
        no_color=not color,
        legacy_windows=False,
    )
    for part in parts:
        console.print(part, overflow="fold")
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
