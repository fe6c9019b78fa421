"""An invocation as a few lines of plain text, or one line: what printing a report shows."""

from __future__ import annotations

from pytest_sqlmesh_tracker.outcomes.invocation import Invocation
from pytest_sqlmesh_tracker.outcomes.outcome import Outcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status

from .formats import minute, one_line, quantity
from .invocations import before_error, error_headline, headline, notes, statuses
from .printable import name_of, printable
from .rows import has_own_error, needs_attention, reason_of, result

_MOST = 20


def text(report: Invocation) -> str:
    """The headline, the models that were evaluated or need attention, and one line of totals."""
    lines = [headline(report)]
    if report.error:
        lines.append(f"{before_error(report.completion)} {error_headline(report.error)}")
    lines += notes(report)
    telling = [o for o in report.counted if o.status is not Status.SKIPPED or needs_attention(o)]
    shown = _most_urgent(telling)
    width = max((len(name_of(outcome.name)) for outcome in shown), default=0)
    status_width = max((len(outcome.status) for outcome in shown), default=0)
    for outcome in shown:
        name = name_of(outcome.name)
        lines.append(f"  {outcome.status:<{status_width}}  {name:<{width}}  {_result(outcome)}")
    if len(shown) < len(telling):
        names = {outcome.name for outcome in shown}
        left = [outcome for outcome in telling if outcome.name not in names]
        lines.append(f"  … and {statuses(left)}")
    if report.removed:
        lines.append(f"  the plan removes {quantity(len(report.removed), 'model')}")
    lines.append(statuses(report.counted))
    return printable("\n".join(line.rstrip() for line in lines))


def line(report: Invocation) -> str:
    """`run of prod at 2024-01-14 06:30 UTC, success: 9 executed, 3 skipped`."""
    at, ended = minute(report.execution_time), report.completion.replace("_", " ")
    where = f"{report.command} of {report.environment} at {at}, {ended}"
    return name_of(f"{where}: {statuses(report.counted)}")


def _most_urgent(outcomes: list[Outcome]) -> list[Outcome]:
    """The outcomes to show, in their order; those that need attention are preferred."""
    by_urgency = sorted(outcomes, key=lambda outcome: not needs_attention(outcome))
    kept = {outcome.name for outcome in by_urgency[:_MOST]}
    return [outcome for outcome in outcomes if outcome.name in kept]


def _result(outcome: Outcome) -> str:
    return one_line(reason_of(outcome) if has_own_error(outcome) else result(outcome), 200)
