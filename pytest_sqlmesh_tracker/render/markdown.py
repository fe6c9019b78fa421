"""Reports as Markdown for GitHub and GitLab, starting with what needs attention."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pytest_sqlmesh_tracker.gate import GateFinding, GateResult
from pytest_sqlmesh_tracker.gate.findings import summary_of
from pytest_sqlmesh_tracker.outcomes.expected import UNEXPECTED_STATUSES
from pytest_sqlmesh_tracker.outcomes.invocation import SUCCESSFUL
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status
from pytest_sqlmesh_tracker.reports.diff import Comparison, Difference
from pytest_sqlmesh_tracker.reports.files import Entry
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.formats import duration, minute, one_line, quantity
from pytest_sqlmesh_tracker.wording.invocations import (
    before_error,
    ended,
    error_headline,
    notes,
    statuses,
    superseded,
    totals_line,
)
from pytest_sqlmesh_tracker.wording.printable import name_of
from pytest_sqlmesh_tracker.wording.remarks import remarks
from pytest_sqlmesh_tracker.wording.rows import (
    executed_and_why,
    needs_attention,
    reason_in_short,
)

from .alike import in_groups
from .comparisons import change_of, compared, invocations
from .markdown_page import Part, code, page, row, text

_SYMBOLS = {
    Status.EXECUTED: "✅",
    Status.FAILED: "❌",
    Status.SKIPPED: "⏭️",
    Status.AUDITED: "🔍",
    Status.INTERRUPTED: "⛔",
    Status.UNKNOWN: "❓",
}
_WARNING, _TOLERATED = "⚠️", "⏳"
_HEADINGS = {"finding": "", "warning": "Warnings: ", "tolerated model": "Tolerated: "}
_NO_BREAK = "\u00a0"
_MOST_EXPECTED = 20
"""Expected outcomes are folded if they have more rows."""
_MOST_OPEN = 50
"""Further findings or changes are folded."""


def summary(
    reports: Sequence[Entry],
    result: GateResult | None = None,
    *,
    limit: int | None = None,
) -> str:
    """The gate's findings, totals, and a table per invocation, starting with what needs attention.

    Args:
        reports: each with the node id of its test or None. Reports of repeated tries are only
            counted.
        result: the result of a policy for the same reports; its findings need attention. Without
            it, outcomes that are unexpected by default do, and those that a gate warns about by
            default.
        limit: the maximum size of the page in bytes of UTF-8. Expected outcomes are left out first,
            and lines say where and how many. If even that does not fit, the page is empty.
    """
    parts = [Part("## SQLMesh\n\n")] if result is None else _verdict(result)
    every = [report for _, report in reports]
    if len(reports) != 1 or superseded(every):
        parts.append(Part(f"{totals_line(every)}\n\n"))
    models_of = None if result is None else _unexpected_models(result)
    runs = [
        _Run(test, report, _unexpected(report) if models_of is None else models_of.get(index))
        for index, (test, report) in enumerate(reports)
        if not report.superseded
    ]
    attention = [run for run in runs if run.needs_attention]
    expected = [run for run in runs if not run.needs_attention]
    for run in attention:
        parts += run.parts()
    fold = None
    if len(runs) > 1 and sum(len(run.report.counted) for run in expected) > _MOST_EXPECTED:
        other = "other " if attention else ""
        fold = f"{quantity(len(expected), f'{other}invocation')}, as expected"
    for run in expected:
        parts += run.parts(fold)
    return page(parts, limit)


def difference(diff: Difference, *, limit: int | None = None) -> str:
    """The differences between reports, with a table for each comparison that has any.

    Args:
        limit: the maximum size of the page in bytes of UTF-8, as in `summary`.
    """
    parts = [Part(f"## SQLMesh: differences\n\n{diff.summary}\n\n")]
    for comparison in diff.comparisons:
        if not comparison.empty:
            parts += _comparison(comparison)
    for side, alone in (("old", diff.only_old), ("new", diff.only_new)):
        rows = [f"- {text(invocations(one))}\n" for one in alone]
        if rows:
            head = f"### Only in the {side} reports\n\n"
            parts += _opened(head, "", rows, noun="invocation")
    return page(parts, limit)


def _verdict(result: GateResult) -> list[Part]:
    """The gate's verdict, then its findings by invocation, its warnings, and what it tolerates."""
    verdict, counts = summary_of(result)
    symbol = "✅" if result.passed else "❌"
    parts = [Part(f"## {symbol} SQLMesh {verdict}\n\n{counts}\n\n")]
    parts += _by_invocation(result.findings, "finding")
    parts += _by_invocation(result.warnings, "warning")
    return parts + _by_invocation(result.tolerated, "tolerated model")


def _by_invocation(findings: Sequence[GateFinding], noun: str) -> list[Part]:
    """Findings, warnings or tolerated models, all but the first of them in a fold."""
    parts = []
    what = _HEADINGS[noun]
    findings = in_groups(findings)
    open_, folded = findings[:_MOST_OPEN], findings[_MOST_OPEN:]
    for shown, fold in ((open_, None), (folded, f"{quantity(len(folded), noun)} more")):
        for where, group in groupby(shown, key=_place):
            rows = [f"- {_finding(finding)}\n" for finding in group]
            head = f"**{what}{text(where)}**\n\n"
            parts.append(Part(head, rows, noun, fold, late=bool(fold)))
    return parts


def _place(finding: GateFinding) -> str:
    """The invocation that a finding is about, or else the policy or a command without report."""
    return finding.where or ("The command" if finding.kind == "command_error" else "The policy")


def _finding(finding: GateFinding) -> str:
    symbol = _WARNING
    if finding.severity == "tolerated":
        symbol = _TOLERATED
    elif finding.severity == "warning":
        pass
    elif finding.status in UNEXPECTED_STATUSES:
        symbol = _SYMBOLS[finding.status]
    elif finding.kind in ("command_error", "command_interruption", "required_not_executed"):
        symbol = "❌"
    if finding.predicate != finding.message:
        model = one_line(finding.model or "", 120)
        return f"{symbol} {code(model)} {text(finding.predicate)}"
    return f"{symbol} {text(finding.message)}"


def _unexpected_models(result: GateResult) -> dict[int, set[str]]:
    """Position of each report with findings or warnings → the models in them."""
    models: dict[int, set[str]] = {}
    for finding in (*result.findings, *result.warnings):
        if finding.report_index is not None:
            models.setdefault(finding.report_index, set()).add(finding.model or "")
    return models


def _unexpected(report: RunReport) -> set[str] | None:
    """The models that need attention by default; None if nothing does."""
    names = {outcome.name for outcome in report.outcomes.values() if needs_attention(outcome)}
    return names if names or report.completion not in SUCCESSFUL else None


class _Run:
    """One invocation, and the models that need attention; None if nothing does."""

    def __init__(self, test: str | None, report: RunReport, models: set[str] | None) -> None:
        self.report = report
        self.needs_attention = models is not None
        self._test = test
        outcomes = report.outcomes.values()
        self._alarming = [o for o in outcomes if models and o.name in models]
        self._expected = [o for o in report.counted if not models or o.name not in models]
        self._with_rows = any(outcome.rows is not None for outcome in outcomes)

    def parts(self, fold: str | None = None) -> list[Part]:
        """A heading and a table; many expected outcomes are folded after it."""
        alarming = [self._row(outcome, alarming=True) for outcome in self._alarming]
        expected = [self._row(outcome) for outcome in self._expected]
        expected += [self._removed(name) for name in self.report.removed]
        if fold or len(expected) <= _MOST_EXPECTED:
            rows = [*alarming, *expected]
            return [self._first(rows, fold)]
        first = self._first(alarming, None)
        totals = [statuses(self._expected)] if self._expected else []
        if self.report.removed:
            totals.append(f"{len(self.report.removed):,} removed")
        if self.needs_attention:
            totals.append("as expected")
        title = ", ".join(totals)
        rest = Part(self._columns, expected, "model", title, late=True, after=first)
        return [first, rest]

    def _first(self, rows: list[str], fold: str | None) -> Part:
        head = self._heading + (self._columns if rows else "")
        return Part(
            head, rows, "model", fold=fold, late=not self.needs_attention, is_invocation=True
        )

    @property
    def _heading(self) -> str:
        report = self.report
        successful = report.completion in SUCCESSFUL
        symbol = "❌" if not successful else _WARNING if self.needs_attention else "✅"
        where = f"{report.command} of {report.environment} at {minute(report.execution_time)}"
        where += f", in {self._test}" if self._test else ""
        raised = ""
        if report.error:
            raised = f"{before_error(report.completion)} {code(error_headline(report.error))}\n\n"
        raised += "".join(f"{text(note)}\n\n" for note in notes(report))
        totals = statuses(report.outcomes.values())
        return f"### {symbol} {text(one_line(where))}: {ended(report)}\n\n{raised}{totals}\n\n"

    @property
    def _columns(self) -> str:
        titles = ["status", "model", "intervals or reason"]
        figures = ["rows", "time"] if self._with_rows else ["time"]
        return row([*titles, *figures]) + row(["---"] * len(titles) + ["---:"] * len(figures))

    def _row(self, outcome: ModelOutcome, alarming: bool = False) -> str:
        symbol = _SYMBOLS[outcome.status]
        if alarming and outcome.status not in UNEXPECTED_STATUSES:
            symbol = _WARNING
        cells = [
            f"{symbol}{_NO_BREAK}{outcome.status}",
            code(name_of(outcome.name)),
            _intervals_or_reason(outcome),
        ]
        if self._with_rows:
            cells.append("" if outcome.rows is None else f"{outcome.rows:,}")
        return row([*cells, duration(outcome.duration).replace(" ", _NO_BREAK)])

    def _removed(self, name: str) -> str:
        cells = [f"🗑️{_NO_BREAK}removed", code(name_of(name)), "the plan removes it"]
        return row([*cells, *[""] * (1 + self._with_rows)])


def _intervals_or_reason(outcome: ModelOutcome) -> str:
    """What was recorded and why, and why no more was, by the names that policies use."""
    short = reason_in_short(outcome)
    if short.reason:
        words = f"{code(short.reason)}{short.separator}{text(short.details)}"
    else:
        words = text(remarks(outcome) if outcome.status is Status.EXECUTED else short.details)
    return "; ".join(filter(None, (text(executed_and_why(outcome)), words)))


def _comparison(comparison: Comparison) -> list[Part]:
    raised = ""
    if comparison.ended_differently and comparison.new.error:
        new = comparison.new
        raised = f"{before_error(new.completion)} {code(error_headline(comparison.new.error))}\n\n"
    rows = [
        row([change.kind.replace("_", " "), code(name_of(change.model)), text(change_of(change))])
        for change in comparison.changes
    ]
    columns = row(["", "model", "old → new"]) + row(["---"] * 3) if rows else ""
    return _opened(f"### {text(compared(comparison))}\n\n{raised}", columns, rows, "change")


def _opened(head: str, columns: str, rows: list[str], noun: str) -> list[Part]:
    """The first rows openly, and the others in a fold."""
    first = Part(head + columns, rows[:_MOST_OPEN], noun)
    folded = rows[_MOST_OPEN:]
    if not folded:
        return [first]
    return [first, Part(columns, folded, noun, f"{len(folded):,} more", after=first)]
