"""Text for a terminal: tables of reports, a gate's findings, differences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pytest_sqlmesh_tracker.gate import GateFinding, GateResult
from pytest_sqlmesh_tracker.reports.diff import Comparison, Difference
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.invocations import before_error, error_headline
from pytest_sqlmesh_tracker.wording.printable import name_of, printable
from pytest_sqlmesh_tracker.wording.table import new_grid, rendered, table

from .alike import in_groups
from .comparisons import change_of, compared, invocations

_SEVERITIES = {"warning": "yellow", "tolerated": "cyan"}
"""The style of each severity that is named."""


def tables(
    reports: Iterable[RunReport],
    *,
    width: int = 100,
    color: bool = False,
    limit: int | None = None,
) -> str:
    """One table per invocation."""
    return "\n\n".join(table(report, width=width, color=color, limit=limit) for report in reports)


def findings(result: GateResult, *, width: int = 100, color: bool = False, limit: int = 50) -> str:
    """The gate's findings by invocation, then its warnings, what it tolerates, and its summary.

    Args:
        limit: the most findings, warnings and tolerated models to list; a line counts the others.
    """
    parts = [
        part
        for listed in (result.findings, result.warnings, result.tolerated)
        for part in _by_invocation(listed, limit)
    ]
    parts.append(Text(printable(result.summary), style="green" if result.passed else "bold red"))
    return rendered(parts, width, color)


def _by_invocation(findings: Sequence[GateFinding], limit: int) -> Iterator[RenderableType]:
    """Findings, warnings or tolerated models. All but findings are labeled as such."""
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
    return Text.assemble((finding.severity, _SEVERITIES[finding.severity]), ": ", message)


def difference(diff: Difference, *, width: int = 100, color: bool = False, limit: int = 50) -> str:
    """The differences by comparison and kind, and a summary; empty comparisons are omitted.

    Args:
        limit: the most models to list per kind; a line counts the others.
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
    return rendered(parts, width, color)


def _comparison(comparison: Comparison, limit: int) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(compared(comparison), style="bold")]
    if comparison.ended_differently and comparison.new.error:
        new = comparison.new
        line = f"{before_error(new.completion)} {error_headline(comparison.new.error)}"
        parts.append(Text(printable(line), style="red"))
    for kind, changes in groupby(comparison.changes, key=lambda change: change.kind):
        of_kind = list(changes)
        grid = new_grid()
        for change in of_kind[:limit]:
            grid.add_row(name_of(change.model), printable(change_of(change)))
        parts += [_indented(kind.replace("_", " ")), _indented(grid, 4)]
        parts += [_indented(line, 4) for line in _more(len(of_kind) - limit)]
    return parts


def _more(number: int) -> list[RenderableType]:
    return [Text(f"and {number:,} more", style="dim")] if number > 0 else []


def _listed(lines: Iterable[str | Text]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    for line in lines:
        grid.add_row("-", line)
    return _indented(grid)


def _indented(part: RenderableType, by: int = 2) -> Padding:
    return Padding(part, (0, 0, 0, by))
