"""The `Failure` of a Dagster step: one, raised at its end, that names the models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import dagster as dg

from pytest_sqlmesh_tracker.dagster.events.metadata import environment_metadata
from pytest_sqlmesh_tracker.gate import GatePolicyError
from pytest_sqlmesh_tracker.models.index import UnknownModelError
from pytest_sqlmesh_tracker.outcomes.invocation import SUCCESSFUL
from pytest_sqlmesh_tracker.outcomes.vocabulary import UNREADY_ENVIRONMENT, Reason, Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.tracking.errors.exceptions import described
from pytest_sqlmesh_tracker.tracking.errors.secrets import redacted
from pytest_sqlmesh_tracker.tracking.errors.types import BusyError, ProjectError, SelectorError
from pytest_sqlmesh_tracker.wording.formats import one_line, quantity
from pytest_sqlmesh_tracker.wording.invocations import environment_words

_SHOWN = 20
_SELF_EXPLANATORY = ProjectError, SelectorError, UnknownModelError, GatePolicyError
"""Errors whose message states everything; a second try would raise them again."""


def failure_of(report: RunReport, *, fail_on_unknown: bool) -> dg.Failure | None:
    """The failure of a step whose invocation ended with a report; None if nothing failed.

    Args:
        fail_on_unknown: whether models with the status `unknown` fail the step as well.
    """
    by_status = {
        status: [outcome for outcome in report.outcomes.values() if outcome.status is status]
        for status in (Status.FAILED, Status.INTERRUPTED, Status.UNKNOWN)
    }
    failed, interrupted, unknown = by_status.values()
    wrong = [*failed, *interrupted, *(unknown if fail_on_unknown else ())]
    if not wrong and report.completion in SUCCESSFUL:
        return None
    state = report.environment_state
    problem = environment_words(report.environment, state) if state else ""
    if problem and interrupted and all(one.reason in UNREADY_ENVIRONMENT for one in interrupted):
        wrong, summary, problem = [], problem, ""
    elif report.completion == "raised" and not failed:
        # The invocation failed before any model did: all models would repeat its error.
        wrong, summary = [], one_line(report.error or "it failed", 600)
    else:
        summary = _counts(report, wrong) or report.completion
    lines = [f"SQLMesh {report.command} of {report.environment}: {summary}", *_listed(wrong)]
    if problem:
        lines.append(problem)
    facts = {
        **{f"sqlmesh/{status}": _names(models) for status, models in by_status.items() if models},
        "sqlmesh/completion": report.completion,
        **({"sqlmesh/error": report.error} if report.error else {}),
        **environment_metadata(report.environment, state),
    }
    return dg.Failure(
        "\n".join(lines), metadata=facts, allow_retries=not _only_audits(failed, interrupted)
    )


def _counts(report: RunReport, wrong: Sequence[ModelOutcome]) -> str:
    counts = Counter(str(outcome.status) for outcome in wrong)
    parts = [f"{quantity(number, 'model')} {status}" for status, number in counts.items()]
    blocked = len(report.by_reason[Reason.UPSTREAM_FAILED])
    return ", ".join([*parts, *([f"{blocked} skipped as a result"] if blocked else [])])


def _listed(wrong: Sequence[ModelOutcome]) -> list[str]:
    shown, more = wrong[:_SHOWN], len(wrong) - _SHOWN
    width = max((len(outcome.name) for outcome in shown), default=0)
    lines = [f"  {one.name:<{width}}  {one_line(one.message, 300)}" for one in shown]
    return [*lines, *([f"  and {more} more"] if more > 0 else [])]


def failure_before(error: BaseException) -> dg.Failure:
    """The failure of a step without a report: the project could not be opened, SQLMesh rejected the
    call, or the gate's policy is not valid."""
    explained = isinstance(error, _SELF_EXPLANATORY) and not isinstance(error, BusyError)
    message = str(error) or type(error).__name__ if explained else described(error)
    return dg.Failure(redacted(one_line(message, 600)), allow_retries=not explained)


def _names(outcomes: Sequence[ModelOutcome]) -> str:
    return ", ".join(outcome.name for outcome in outcomes)


def _only_audits(failed: Sequence[ModelOutcome], interrupted: Sequence[ModelOutcome]) -> bool:
    """Whether only audits failed, which a second try would fail again."""
    return (
        bool(failed)
        and all(set(outcome.reasons) == {Reason.AUDIT_FAILED} for outcome in failed)
        # A plan ends with the first failure: a second try would not reach its later stages either.
        and all(outcome.reason is Reason.COMMAND_FAILED for outcome in interrupted)
    )
