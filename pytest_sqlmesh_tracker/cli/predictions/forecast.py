"""The command `forecast`: which models the runs to come will evaluate."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from pytest_sqlmesh_tracker.cli.arguments import MOST_DAYS
from pytest_sqlmesh_tracker.cli.output import Output, errors_of_writing, exit_with
from pytest_sqlmesh_tracker.cli.projects import project_of
from pytest_sqlmesh_tracker.cli.reports import policy_of
from pytest_sqlmesh_tracker.cli.streams import descriptors_redirected
from pytest_sqlmesh_tracker.forecast.aging import judged
from pytest_sqlmesh_tracker.forecast.dry.context import dry_context
from pytest_sqlmesh_tracker.forecast.dry.local import forecast_with_local
from pytest_sqlmesh_tracker.forecast.forecasting import Assumed, forecast_of
from pytest_sqlmesh_tracker.forecast.reading import read_environment
from pytest_sqlmesh_tracker.forecast.results import Forecast, LocalForecast, restricted
from pytest_sqlmesh_tracker.models.index import UnknownModelError
from pytest_sqlmesh_tracker.outcomes.moments import parse_moment
from pytest_sqlmesh_tracker.render.forecasts.files import checked_path, write
from pytest_sqlmesh_tracker.render.forecasts.text import evaluations, overview
from pytest_sqlmesh_tracker.reports.run_times import times_until
from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.project.opening import check_models, in_one_line, open_context
from pytest_sqlmesh_tracker.tracking.queries.read_only import read_only
from pytest_sqlmesh_tracker.wording.formats import minute

_DAYS = 7
_MOST_RUNS = 1_000_000
_MOST_MODELS = 200
"""The number of models that a table shows; others are only counted."""


def look_ahead(ctx: click.Context, models: Sequence[str], options: Mapping[str, Any]) -> int:
    """Print the forecast of an environment, write its files, and return the exit code.

    Raises:
        UsageError: an option is not valid.
        ClickException: the environment is not planned, the state or the gate's policy can't be
            read, a name means no model, or a file can't be written.
    """
    if options["fail_on"] and not options["local"]:
        raise click.UsageError("--fail-on requires --local")
    files = [_checked(path) for path in options["files"]]
    span = _Span.of(options)
    project = project_of(ctx, options)
    policy = policy_of(options["policy"], project.paths[0])
    try:
        # The project's configuration is code, which can print.
        with descriptors_redirected(), redirect_stdout(sys.stderr):
            make = _made_with_local if options["local"] else _made
            made = make(project, options["environment"], span)
        made = judged(made, policy)
        shown = _restricted(made, models) if models else made
    except (ProjectError, UnknownModelError) as error:
        raise click.ClickException(str(error)) from None
    if options["as_json"]:
        click.echo(shown.to_json())
    else:
        style = Output().style
        text = (
            evaluations(shown, width=style.width, color=style.color)
            if models
            else overview(shown, width=style.width, color=style.color, limit=_MOST_MODELS)
        )
        click.echo(text, color=style.color)
    exit_with(errors_of_writing(files, lambda file: write(file, shown)))
    return 1 if shown.local and _fails(shown.local, options["fail_on"]) else 0


def _fails(local: LocalForecast, reasons: Sequence[str]) -> bool:
    """Whether a plan of the project's files would do something that the command rejects."""
    failing = set(local.after.failing) if local.after else set()
    rejected = {
        "less_often": bool(local.less_often),
        "never": bool(local.never),
        "failure": local.plan.fails is not None or bool(failing),
    }
    return any(rejected[reason] for reason in reasons)


@dataclass(frozen=True)
class _Span:
    """The time that is forecast, and when runs take place in it."""

    at: datetime
    until: datetime
    times: Sequence[datetime] | None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> _Span:
        """The span that begins now.

        Raises:
            UsageError: an option is not valid, or no run takes place.
        """
        at = datetime.now(timezone.utc).replace(microsecond=0)
        if options["days"] and options["until"]:
            raise click.UsageError("--days and --until exclude each other")
        until = at + timedelta(days=options["days"] or _DAYS)
        if options["until"]:
            until = _time(options["until"])
            if not at < until <= at + timedelta(days=MOST_DAYS):
                raise click.UsageError(
                    f"--until: {minute(until)} must be after now, {minute(at)}, by at most "
                    f"{MOST_DAYS:,} days"
                )
        return cls(at, until, _times(options["every"], at, until) if options["every"] else None)


def _time(text: str) -> datetime:
    try:
        return parse_moment(text)
    except (ValueError, OverflowError) as wrong:
        raise click.UsageError(f"--until: {wrong}") from None


def _times(every: str, at: datetime, until: datetime) -> Sequence[datetime]:
    try:
        times = list(islice(times_until(until, every, since=at), _MOST_RUNS + 1))
    except ValueError as wrong:
        raise click.UsageError(f"--{wrong}") from None
    if not times:
        raise click.UsageError(f"--every: no run takes place until {minute(until)}")
    if len(times) > _MOST_RUNS:
        raise click.UsageError(f"--every: more than {_MOST_RUNS:,} runs take place")
    return times


def _made(project: ProjectLocation, environment: str | None, span: _Span) -> Forecast:
    with in_one_line(project.paths, "can't be forecast"):
        # While a DuckDB file is open, no other process can write to it.
        with _opened(project) as context:
            name = environment or context.config.default_target_environment
            known = read_environment(context, name, int(span.at.timestamp()) * 1000)
        return forecast_of(known, at=span.at, until=span.until, times=span.times, assumed=Assumed())


def _made_with_local(project: ProjectLocation, environment: str | None, span: _Span) -> Forecast:
    with (
        _opened(project) as context,
        dry_context(context, config=context.configs, gateway=context.gateway) as dry,
    ):
        dry.load()
        check_models(dry, project.paths)
        return forecast_with_local(
            context,
            dry,
            environment or context.config.default_target_environment,
            at=span.at,
            until=span.until,
            times=span.times,
        )


@contextmanager
def _opened(project: ProjectLocation) -> Iterator[Any]:
    """A context that writes nothing, not even into the project's cache.

    SQLMesh's cache remembers what it made of a cron, so that this would last.
    """
    with (
        TemporaryDirectory(prefix="sqlmesh_tracker_") as cache,
        in_one_line(project.paths, "can't be forecast"),
    ):

        def adjusted(config: Any) -> Any:
            return read_only(config).copy(update={"cache_dir": cache})

        context = open_context(project, load=False, adjusted=adjusted)
        with closing(context):
            yield context


def _restricted(made: Forecast, models: Sequence[str]) -> Forecast:
    return restricted(made, {match.name for model in models for match in made.matching(model)})


def _checked(path: str) -> Path:
    try:
        # The project's configuration can change the working directory.
        return checked_path(path).absolute()
    except (OSError, ValueError) as wrong:
        raise click.UsageError(f"--report: {wrong}") from None
