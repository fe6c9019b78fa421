"""Reports on a terminal: what happened to each model, what the gate found, what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from itertools import groupby

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pytest_sqlmesh_tracker.gate import GateFinding, GateResult
from pytest_sqlmesh_tracker.outcomes.outcomes import ModelOutcome, Status
from pytest_sqlmesh_tracker.reports.diff import Comparison, Difference
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.explanation import failure, notes

from .alike import in_groups
from .words import (
    before_error,
    change_of,
    compared,
    duration,
    error_headline,
    has_own_error,
    headline,
    invocations,
    name_of,
    needs_attention,
    printable,
    result,
)

_NARROWEST = 60
"""Below this, lines are left to the terminal to fold: columns would lose letters."""
_STYLES = {
    Status.EXECUTED: "green",
    Status.FAILED: "bold red",
    Status.SKIPPED: "yellow",
    Status.AUDITED: "cyan",
    Status.INTERRUPTED: "red",
    Status.UNKNOWN: "magenta",
}


def table(
    report: RunReport,
    *,
    width: int = 100,
    color: bool = False,
    limit: int | None = None,
    everything: bool = False,
) -> str:
    """The headline and a row a model: status, model, recorded intervals or why not, rows, duration.

    There is a column for rows where they are known of a model.

    Args:
        everything: whether the models that are not evaluatable have rows as well.
        limit: of more models than this, those skipped for a reason that is expected by default are
            left out, and of the others as many as are too much, last of all what needs attention. A
            last line counts what is left out.
    """
    listed = [o for o in report.outcomes.values() if everything or o.is_counted]
    shown = _most_telling(listed, limit)
    with_rows = any(outcome.rows is not None for outcome in shown)
    grid = _grid(header=True)
    grid.add_column("status", no_wrap=True)
    grid.add_column("model", overflow="fold")
    # Few models have both: side by side they would leave no room for either.
    grid.add_column("intervals or reason", overflow="fold")
    if with_rows:
        grid.add_column("rows", justify="right", no_wrap=True)
    grid.add_column("time", justify="right", no_wrap=True)
    for outcome in shown:
        rows = [f"{outcome.rows:,}" if outcome.rows is not None else ""] if with_rows else []
        status = Text(str(outcome.status), style=_STYLES[outcome.status])
        told = printable(result(outcome))
        grid.add_row(status, name_of(outcome.name), told, *rows, duration(outcome.duration))
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
        told = f"{name_of(outcome.name)}{printable(failure(outcome))}"
        parts.append(Text(told, style="red"))
    left_out = _left_out(report, listed, shown, limit)
    if left_out:
        parts.append(Text(f"not shown: {left_out}", style="dim"))
    return _rendered(parts, width, color)


def tables(
    reports: Iterable[RunReport],
    *,
    width: int = 100,
    color: bool = False,
    limit: int | None = None,
) -> str:
    """One table an invocation."""
    return "\n\n".join(table(report, width=width, color=color, limit=limit) for report in reports)


def findings(result: GateResult, *, width: int = 100, color: bool = False, limit: int = 50) -> str:
    """What the gate found, by invocation, below it what it warns of, and its summary.

    Args:
        limit: the most findings that are listed, and the most warnings; a line counts the others.
    """
    parts = [*_by_invocation(result.findings, limit), *_by_invocation(result.warnings, limit)]
    parts.append(Text(printable(result.summary), style="green" if result.passed else "bold red"))
    return _rendered(parts, width, color)


def _by_invocation(findings: Sequence[GateFinding], limit: int) -> Iterator[RenderableType]:
    """Findings, or warnings, each of which is called one."""
    findings = in_groups(findings)
    for where, group in groupby(findings[:limit], key=lambda finding: finding.where):
        yield Text(printable(where) or "the policy", style="bold")
        yield _listed(map(_finding, group))
        yield ""
    for line in _more(len(findings) - limit):
        yield line
        yield ""


def _finding(finding: GateFinding) -> Text:
    message = Text(printable(finding.message))
    if finding.severity == "error":
        return message
    return Text.assemble(("warning", "yellow"), ": ", message)


def difference(diff: Difference, *, width: int = 100, color: bool = False, limit: int = 50) -> str:
    """What differs, by comparison and kind, and a summary; nothing of comparisons without any.

    Args:
        limit: the most models that are listed of a kind; a line counts the others.
    """
    parts: list[RenderableType] = []
    for comparison in diff.comparisons:
        if not comparison.empty:
            parts += [*_comparison(comparison, limit), ""]
    for side, alone in (("old", diff.only_old), ("new", diff.only_new)):
        if alone:
            parts.append(Text(f"only in the {side} reports", style="bold"))
            parts += [_listed(map(invocations, alone[:limit])), *_more(len(alone) - limit), ""]
    parts.append(Text(diff.summary, style="bold"))
    return _rendered(parts, width, color)


def _comparison(comparison: Comparison, limit: int) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(compared(comparison), style="bold")]
    if comparison.ended_differently and comparison.new.error:
        new = comparison.new
        told = f"{before_error(new.completion)} {error_headline(comparison.new.error)}"
        parts.append(Text(printable(told), style="red"))
    for kind, changes in groupby(comparison.changes, key=lambda change: change.kind):
        of_kind = list(changes)
        grid = _grid()
        for change in of_kind[:limit]:
            grid.add_row(name_of(change.model), printable(change_of(change)))
        parts += [_indented(kind.replace("_", " ")), _indented(grid, 4)]
        parts += [_indented(line, 4) for line in _more(len(of_kind) - limit)]
    return parts


def _more(number: int) -> list[RenderableType]:
    return [Text(f"and {number:,} more", style="dim")] if number > 0 else []


def _most_telling(outcomes: list[ModelOutcome], limit: int | None) -> list[ModelOutcome]:
    """The outcomes to show, in the report's order."""
    if limit is None or len(outcomes) <= limit:
        return outcomes
    unexpected = {o.name: needs_attention(o) for o in outcomes}
    telling = [o.name for o in outcomes if unexpected[o.name] or o.status is not Status.SKIPPED]
    kept = set(sorted(telling, key=lambda name: not unexpected[name])[:limit])
    return [outcome for outcome in outcomes if outcome.name in kept]


def _left_out(
    report: RunReport,
    listed: Iterable[ModelOutcome],
    shown: Iterable[ModelOutcome],
    limit: int | None,
) -> str:
    """How many models are not shown: of those that were skipped by reason, else by status."""
    names = {outcome.name for outcome in shown}
    left = (outcome for outcome in listed if outcome.name not in names)
    counts = Counter(
        str(outcome.reason if outcome.status is Status.SKIPPED else outcome.status)
        for outcome in left
    )
    counts["removed"] = len(report.removed[limit:]) if limit is not None else 0
    return ", ".join(f"{count:,} {what}" for what, count in counts.most_common() if count)


def _grid(header: bool = False) -> Table:
    return Table(box=None, pad_edge=False, show_edge=False, show_header=header, header_style="dim")


def _listed(lines: Iterable[str | Text]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    for line in lines:
        grid.add_row("-", line)
    return _indented(grid)


def _indented(part: RenderableType, by: int = 2) -> Padding:
    return Padding(part, (0, 0, 0, by))


def _rendered(parts: Iterable[RenderableType], width: int, color: bool) -> str:
    out = StringIO()
    console = Console(
        file=out,
        width=max(width, _NARROWEST),
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=color,
        color_system="standard" if color else None,
        # Who calls has looked at NO_COLOR.
        no_color=not color,
        legacy_windows=False,
    )
    for part in parts:
        console.print(part, overflow="fold")
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
