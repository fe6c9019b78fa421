"""An invocation as a whole, in words: how it ended, its totals, its environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pytest_sqlmesh_tracker.outcomes.invocation import Completion, EnvironmentState, Invocation
from pytest_sqlmesh_tracker.outcomes.outcome import Outcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import Status

from .formats import (
    duration,
    listed,
    moment,
    one_line,
    quantity,
)
from .printable import name_of


def notes(report: Invocation) -> list[str]:
    """Facts about the invocation as a whole that its error does not mention, one per line."""
    lines = []
    if report.environment_state:
        # The error of an older report can have the same problem with another remedy.
        problem = environment_problem(report.environment, report.environment_state)
        if problem not in (report.error or ""):
            lines.append(environment_words(report.environment, report.environment_state))
    if report.project_files == "not_read":
        lines.append(files_not_read(report))
    return lines


def files_not_read(report: Invocation) -> str:
    """Why the project's files were not read, in one line."""
    why = report.project_files_note or "unknown reason"
    return f"the project's files were not read: {one_line(why)}"


def environment_words(environment: str, state: EnvironmentState) -> str:
    """Why the environment can't be run, the remedy, and the existing environments, in one line."""
    return (
        f"{environment_problem(environment, state)}; {environment_remedy(environment, state)} "
        f"(environments: {existing_environments(state)})"
    )


def environment_problem(environment: str, state: EnvironmentState) -> str:
    """Why the environment can't be run."""
    if state.unfinished_plan is None:
        return f"environment {environment} does not exist"
    return f"plan {state.unfinished_plan[:8]} of {environment} is not finished"


def environment_remedy(environment: str, state: EnvironmentState) -> str:
    """What to do so that the environment can be run."""
    if state.unfinished_plan is None:
        return f"create it by applying a plan to {environment}"
    return f"if it failed or was stopped, apply a plan to {environment}: until then, runs wait"


def existing_environments(state: EnvironmentState) -> str:
    """The names of the environments that exist."""
    return listed(state.environments, 10) or "none"


def totals(report: Invocation) -> str:
    """How many models have each status; executed models are named if they are few."""
    parts = []
    for status in Status:
        names = [outcome.name for outcome in report.counted if outcome.status is status]
        if names:
            with_names = status in (Status.EXECUTED, Status.FAILED) and len(names) <= 3
            parts.append(
                f"{len(names)} {status}" + (f" ({', '.join(names)})" if with_names else "")
            )
    return ", ".join(parts) or "no models"


def totals_line(reports: Sequence[Invocation], tests: int | None = None) -> str:
    """How many invocations there were, and how many models had each status in them.

    Invocations of repeated tries are left out, and counted at the end.
    """
    last = [report for report in reports if not report.superseded]
    totals = statuses(outcome for report in last for outcome in report.outcomes.values())
    where = "" if tests is None else f" in {quantity(tests, 'test')}"
    left_out = superseded(reports)
    more = f"; left out: {left_out}" if left_out else ""
    return f"{quantity(len(last), 'invocation')}{where}: {totals}{more}"


def superseded(reports: Iterable[Invocation]) -> str:
    """`2 invocations superseded by reruns`; empty if there are none."""
    number = sum(report.superseded for report in reports)
    return f"{quantity(number, 'invocation')} superseded by reruns" if number else ""


def statuses(outcomes: Iterable[Outcome]) -> str:
    """How many of the counted outcomes have each status: `9 executed, 1 failed`."""
    counts = Counter(outcome.status for outcome in outcomes if outcome.is_counted)
    counted_statuses = ", ".join(
        f"{counts[status]:,} {status}" for status in Status if counts[status]
    )
    return counted_statuses or "no models"


def headline(report: Invocation) -> str:
    """The invocation in one line: command, environment, time and how it ended."""
    at = moment(report.execution_time)
    repeated = ", superseded by a rerun" if report.superseded else ""
    return name_of(
        f"{report.command} {report.environment}, execution_time {at}: {ended(report)}{repeated}"
    )


def ended(report: Invocation) -> str:
    """How the invocation ended: `success in 2.31 s`."""
    took = duration(report.finished_at - report.started_at)
    return f"{report.completion.replace('_', ' ')} in {took}"


def before_error(completion: Completion) -> str:
    """The prefix of the error: `raised SQLMeshError: …`, `interrupted: terminated by …`."""
    return "interrupted:" if completion == "interrupted" else "raised"


def error_headline(error: str) -> str:
    """The first paragraph of an error in one line, with the second if that is all it introduces.

    What follows may be a table drawn by SQLMesh, which would be unreadable in one line.
    """
    first, *others = [part for part in error.split("\n\n") if part.strip()] or [error]
    introduces = first.rstrip().endswith(":")
    return one_line("\n".join([first, *others[:1]]) if introduces else first)
