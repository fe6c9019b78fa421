"""The message on a template's plan in which models failed, by error, with root causes first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from textwrap import fill

from pytest_sqlmesh_tracker.models.graph import reachable
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.wording.formats import minute, one_line, quantity
from pytest_sqlmesh_tracker.wording.paragraphs import paragraph_below_headline
from pytest_sqlmesh_tracker.wording.remarks import audit_in_words, failed_audits
from pytest_sqlmesh_tracker.wording.sentences import in_short, why

_VERSION = re.compile(r"\w+__\d{5,}\w*")
"""The name of a physical table, which differs from model to model."""


@dataclass(frozen=True)
class _Group:
    """Models that failed with the same error.

    Attributes:
        failed: the models, in topological order.
        below: the names of the models whose evaluation they prevented.
    """

    failed: tuple[ModelOutcome, ...]
    below: frozenset[str]

    @property
    def error(self) -> str:
        return _error(self.failed[0])


@dataclass(frozen=True)
class Help:
    """A paragraph that helps with an error, and the missing table that it concerns, if any."""

    paragraph: str
    missing_table: str | None = None


def failed_plan(
    report: RunReport,
    *,
    help_with: Callable[[str], list[Help]],
    missing: Callable[[Iterable[ModelOutcome]], list[str]],
    first_due: Callable[[ModelOutcome], datetime],
) -> str:
    """A headline, the errors with their models, and how to fix them.

    Args:
        help_with: returns the help for an error's text.
        missing: returns the names of missing tables that the models read.
        first_due: returns when the first interval of a model that has not started is complete.
    """
    groups = _grouped(report)
    blocks = [_headline(groups)]
    for group in groups:
        block = _block(report, group, alone=len(groups) == 1)
        lines = [f"  reads       {name}, which does not exist" for name in missing(group.failed)]
        blocks.append("\n".join([block, *lines]))
    failed = [outcome for group in groups for outcome in group.failed]
    helps = dict.fromkeys(each for outcome in failed for each in help_with(outcome.error or ""))
    blocks += [each.paragraph for each in helps]
    blocks += _not_started(report, failed, first_due)
    explained = {each.missing_table for each in helps}
    unexplained = [name for name in missing(failed) if name not in explained]
    blocks += _remedies(report, unexplained)
    return "\n\n".join(blocks)


def _grouped(report: RunReport) -> list[_Group]:
    """The groups, starting with those that have the most models, failed or below."""
    alike: dict[str, list[ModelOutcome]] = {}
    for outcome in report.outcomes.values():
        if outcome.status is Status.FAILED:
            alike.setdefault(_key(outcome), []).append(outcome)
    groups = [_Group(tuple(failed), _below(report, failed)) for failed in alike.values()]
    return sorted(groups, key=lambda group: -len(group.failed) - len(group.below))


def _below(report: RunReport, failed: list[ModelOutcome]) -> frozenset[str]:
    roots = {outcome.name for outcome in failed}
    waiting = (o for o in report.outcomes.values() if o.reason is Reason.UPSTREAM_FAILED)
    return frozenset(o.name for o in waiting if roots.intersection(o.blocked_by))


def _key(outcome: ModelOutcome) -> str:
    """The key that equal failures share: the error without the model's own names, and without the
    database's suggestions, which depend on what exists at that moment."""
    error = _error(outcome).partition(" Did you mean")[0]
    schema, _, name = outcome.name.rpartition(".")
    for own in (outcome.name, f'"{schema}"."{name}"'):
        error = error.replace(own, "…")
    return _VERSION.sub("…", error)


def _error(outcome: ModelOutcome) -> str:
    """The failure, in one line."""
    audits = failed_audits(outcome, blocking=True)
    if outcome.reason is Reason.AUDIT_FAILED and audits:
        return f"a blocking audit failed: {', '.join(audit_in_words(outcome, a) for a in audits)}"
    error = in_short(outcome.error or "")
    if outcome.reason is Reason.ERROR and error:
        return error
    if outcome.reason is Reason.CREATION_FAILED and error:
        # The table's name is left out, since it differs from model to model.
        return f"its table or view could not be created: {error}"
    return ": ".join(filter(None, (why(outcome), error))) or one_line(outcome.message)


def _headline(groups: list[_Group]) -> str:
    failed = [outcome for group in groups for outcome in group.failed]
    if len(failed) == 1:
        (outcome,) = failed
        return f"{outcome.name} {one_line(outcome.message, 160)}"
    count, first = len(groups[0].failed), one_line(groups[0].error, 120)
    if len(groups) == 1:
        return f"{len(failed)} models failed with the same error: {first}"
    return f"{len(failed)} models failed with {len(groups)} errors, {count} with {first}"


def _block(report: RunReport, group: _Group, *, alone: bool) -> str:
    if len(group.failed) == 1 and alone:
        # The group's headline is the headline of the message.
        return "\n".join(paragraph_below_headline(report, group.failed[0]))
    names = ", ".join(outcome.name for outcome in group.failed)
    lines = [
        f"{quantity(len(group.failed), 'model')} failed: {group.error}",
        fill(names, 100, initial_indent="  models      ", subsequent_indent=" " * 14),
    ]
    if group.below:
        lines.append(f"  downstream  {quantity(len(group.below), 'model')}, not evaluated")
    return "\n".join(lines)


def _not_started(
    report: RunReport,
    failed: Iterable[ModelOutcome],
    first_due: Callable[[ModelOutcome], datetime],
) -> list[str]:
    """Names the models upstream of failed ones that start later, and the time that loads them."""
    upstream = {outcome.name: outcome.upstream for outcome in report.outcomes.values()}
    above = reachable((outcome.name for outcome in failed), lambda name: upstream.get(name, ()))
    later = [
        outcome
        for outcome in report.outcomes.values()
        if outcome.name in above and outcome.reason is Reason.NOT_STARTED
    ]
    if not later:
        return []
    names = ", ".join(outcome.name for outcome in later)
    was = "was not loaded: it starts" if len(later) == 1 else "were not loaded: they start"
    time = minute(max(map(first_due, later))).removesuffix(" UTC")
    return [f'{names} {was} after the plan\'s execution time.\nPlan with at="{time}" or later.']


def _remedies(report: RunReport, missing: list[str]) -> list[str]:
    lines = []
    if missing:
        tables, their = ("table", "its") if len(missing) == 1 else ("tables", "their")
        lines.append(
            f"Create the missing {tables} with setup=, or declare {their} columns in "
            "external_models.yaml."
        )
    left = _left(report)
    if left:
        loaded = len(left & (report.executed | report.audited))
        rest = (
            f"{quantity(loaded, 'model')} loaded"
            if loaded
            else f"{quantity(len(left), 'model')} can still be planned"
        )
        lines.append(f'plan="partial" leaves out failed models and everything downstream: {rest}.')
    return ["\n".join(lines)] if lines else []


def _left(report: RunReport) -> set[str]:
    """The names of the models that neither failed nor are below a failed model."""
    out: set[str] = set()
    for outcome in report.outcomes.values():
        if outcome.status is Status.FAILED or out.intersection(outcome.upstream):
            out.add(outcome.name)
    return {outcome.name for outcome in report.counted} - out
