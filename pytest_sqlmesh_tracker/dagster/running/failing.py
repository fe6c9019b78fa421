"""How a Dagster step fails of what SQLMesh could not do: once, at the end, naming the models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.metadata import environment_metadata
from pytest_sqlmesh_tracker.models.index import UnknownModelError
from pytest_sqlmesh_tracker.outcomes.invocation import SUCCESSFUL
from pytest_sqlmesh_tracker.outcomes.vocabulary import UNREADY_ENVIRONMENT, Reason, Status
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.tracking.errors.exceptions import described
from pytest_sqlmesh_tracker.tracking.errors.secrets import redacted
from pytest_sqlmesh_tracker.wording.formats import counted, one_line
from pytest_sqlmesh_tracker.wording.invocations import environment_words

_SHOWN = 20
_KNOWN = "ProjectError", "SelectorError"
"""Errors that say in their line all that there is to say."""


def failure_of(report: RunReport, *, fail_on_unknown: bool) -> dg.Failure | None:
    """Of a model that failed or was interrupted, or of the whole invocation; None if of nothing.

    Args:
        fail_on_unknown: also of a model of which the tracker can't tell.
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
        wrong, said, problem = [], problem, ""
    elif report.completion == "raised" and not failed:
        # Nothing came of any model: they all say the same.
        wrong, said = [], one_line(report.error or "it failed", 600)
    else:
        said = _counts(report, wrong) or report.completion
    lines = [f"SQLMesh {report.command} of {report.environment}: {said}", *_listed(wrong)]
    if problem:
        lines.append(problem)
    facts = {
        **{f"sqlmesh/{status}": _names(found) for status, found in by_status.items() if found},
        "sqlmesh/completion": report.completion,
        **({"sqlmesh/error": report.error} if report.error else {}),
        **environment_metadata(report),
    }
    return dg.Failure(
        "\n".join(lines), metadata=facts, allow_retries=not _only_audits(failed, interrupted)
    )


def _counts(report: RunReport, wrong: Sequence[ModelOutcome]) -> str:
    counts = Counter(str(outcome.status) for outcome in wrong)
    said = [f"{counted(number, 'model')} {status}" for status, number in counts.items()]
    blocked = len(report.by_reason[Reason.UPSTREAM_FAILED])
    return ", ".join([*said, *([f"{blocked} skipped for it"] if blocked else [])])


def _listed(wrong: Sequence[ModelOutcome]) -> list[str]:
    shown, more = wrong[:_SHOWN], len(wrong) - _SHOWN
    width = max((len(outcome.name) for outcome in shown), default=0)
    lines = [f"  {one.name:<{width}}  {one_line(one.message, 300)}" for one in shown]
    return [*lines, *([f"  and {more} more"] if more > 0 else [])]


def failure_before(error: BaseException) -> dg.Failure:
    """Of a project that could not be opened, or a call that SQLMesh did not take: one line."""
    # Nobody mends these between two tries.
    known = isinstance(error, UnknownModelError) or type(error).__name__ in _KNOWN
    said = str(error) or type(error).__name__ if known else described(error)
    return dg.Failure(redacted(one_line(said, 600)), allow_retries=not known)


def _names(outcomes: Sequence[ModelOutcome]) -> str:
    return ", ".join(outcome.name for outcome in outcomes)


def _only_audits(failed: Sequence[ModelOutcome], interrupted: Sequence[ModelOutcome]) -> bool:
    """Whether a second try would find the same rows again."""
    return (
        bool(failed)
        and all(set(outcome.reasons) == {Reason.AUDIT_FAILED} for outcome in failed)
        # A later stage of a plan, which ends with the first failure, is not come to again either.
        and all(outcome.reason is Reason.COMMAND_FAILED for outcome in interrupted)
    )
