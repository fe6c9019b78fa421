"""The command `why`: what would happen if an environment were run now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import click

from pytest_sqlmesh_tracker.cli.output import Output
from pytest_sqlmesh_tracker.cli.projects import project_of
from pytest_sqlmesh_tracker.models.index import UnknownModelError
from pytest_sqlmesh_tracker.predictions.predicted_run import PredictedRun
from pytest_sqlmesh_tracker.predictions.table import prediction
from pytest_sqlmesh_tracker.reports.report import dumped
from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.queries.messages import UnfinishedPlan, WhyQuery
from pytest_sqlmesh_tracker.tracking.queries.transport import ask
from pytest_sqlmesh_tracker.wording.printable import printable


def explain(ctx: click.Context, models: Sequence[str], options: Mapping[str, Any]) -> None:
    """Print what would happen to some models, or to all.

    Raises:
        ClickException: the environment is not planned, the state can't be read, or a name means no
            model; the message is one line.
    """
    query = WhyQuery(
        environment=options["environment"],
        moment=datetime.now(timezone.utc),
        signals=options["signals"],
    )
    run = _answer(project_of(ctx, options), query)
    try:
        click.echo(_output(run, models, as_json=options["as_json"]), color=Output().style.color)
    except UnknownModelError as error:
        raise click.ClickException(str(error)) from None


def _output(run: PredictedRun, models: Sequence[str], *, as_json: bool) -> str:
    """JSON, the paragraphs of some models, or the table of all."""
    if as_json:
        return dumped(run.to_dict(*models), indent=2)
    if models:
        # Several globs can match a model.
        names = dict.fromkeys(each.name for model in models for each in run.matching(model))
        return printable("\n\n".join(map(run.explain, names)))
    style = Output().style
    return prediction(run, width=style.width, color=style.color)


def _answer(project: ProjectLocation, query: WhyQuery) -> PredictedRun:
    try:
        answer = ask(project, query, timeout=None, print_output=_print)
    except ProjectError as error:
        raise click.ClickException(str(error)) from None
    # A run waits for an unfinished plan, and so its report is part of the answer.
    assert not isinstance(answer, UnfinishedPlan)
    return answer.predicted


def _print(text: str) -> None:
    """Print what SQLMesh and the project's code printed."""
    click.echo(text, nl=False, err=True)
