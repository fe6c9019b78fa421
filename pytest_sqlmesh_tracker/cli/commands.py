"""The commands and their options. Whatever a command needs is imported when it is called."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from pytest_sqlmesh_tracker.render.files import SUFFIXES_IN_WORDS
from pytest_sqlmesh_tracker.version import __version__

from . import options as sqlmesh_options
from .arguments import MOST_DAYS, finite
from .checking.checking import CheckCommand, pairs
from .group import CommandGroup
from .options import SqlmeshCommand, all_of


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
@sqlmesh_options.general
def main(**_: Any) -> None:
    """Show what SQLMesh decided: which models were executed, failed or were skipped, and why.

    run and plan take SQLMesh's own options, before or after the command. Arguments after "--" are
    passed to SQLMesh unchanged.

    Exit codes: 0 for success; 1 if the gate rejects something; 2 for wrong usage, unreadable input
    or a command that itself failed; 130 after Ctrl-C; 143 after SIGTERM.
    """


@contextmanager
def _without_collection() -> Iterator[None]:
    """Pause garbage collection: a hundred large reports are a million objects, all in use."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; everything else goes to stderr."
)
_quiet = click.option("-q", "--quiet", is_flag=True, help="Print findings and errors only.")
_report = click.option(
    "--report",
    "files",
    multiple=True,
    metavar="PATH",
    help=f"Write a report: {SUFFIXES_IN_WORDS}; repeatable.",
)
_github = click.option(
    "--github-summary", is_flag=True, help="Add the report to the page of a GitHub Actions job."
)
_policy = click.option(
    "--policy",
    metavar="FILE",
    help="The gate's policy; by default, that of the nearest pyproject.toml with one.",
)
_gate = click.option(
    "--gate/--no-gate",
    "gated",
    default=True,
    help="Exit with 1 if the gate has findings, or (--no-gate) if a model failed or was "
    "interrupted.",
)
_arguments = click.argument("arguments", nargs=-1, metavar="[ENVIRONMENT] [-- ...]")
_models_and_environment = all_of(
    click.argument("models", nargs=-1, metavar="[MODEL]..."),
    click.option(
        "-E",
        "--environment",
        metavar="NAME",
        help="Environment. [default: the project's default_target_environment]",
    ),
)
_inputs = click.argument("inputs", nargs=-1, required=True, metavar="REPORT...")
_since = click.option(
    "--since",
    metavar="TIME",
    help="Read all invocations of a history that began at this time or later, in UTC. [default: "
    "the latest one of each environment]",
)


_wait = click.option(
    "--wait",
    type=click.FloatRange(min=0),
    callback=finite,
    metavar="SECONDS",
    help="Longest wait for an unfinished plan of the environment; 0 fails at once. "
    "[default: SQLMesh's run.environment_check_max_wait]",
)
_load = all_of(
    click.option(
        "--load-timeout",
        type=click.FloatRange(min=0, min_open=True),
        callback=finite,
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="Longest time for reading the project's files after the run.",
    ),
    click.option(
        "--no-load",
        is_flag=True,
        help="Do not read the project's files; models that were never planned are then not listed.",
    ),
)


_outputs = all_of(_report, _github, _as_json, _quiet)
_run_and_plan_options = all_of(_arguments, _gate, _policy, _outputs, sqlmesh_options.general)


@main.command(cls=SqlmeshCommand)
@_run_and_plan_options
@_wait
@_load
@sqlmesh_options.for_run
@click.pass_context
def run(ctx: click.Context, /, **options: Any) -> int:
    """Run what is due, as sqlmesh run does, then report and judge it."""
    from .run_and_plan import track

    return track(ctx, options)


@main.command(cls=SqlmeshCommand)
@_run_and_plan_options
@sqlmesh_options.for_plan
@click.pass_context
def plan(ctx: click.Context, /, **options: Any) -> int:
    """Plan and apply, as sqlmesh plan does, then report and judge it."""
    from .run_and_plan import track

    asks = options["no_auto_categorization"] and not options["no_prompts"]
    if options["quiet"] and (asks or not options["auto_apply"]):
        option = "--no-prompts" if options["auto_apply"] else "--auto-apply"
        raise click.UsageError(f"plan --quiet would hide SQLMesh's prompts: add {option}")
    return track(ctx, options)


@main.command()
@_inputs
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Explain a model, or every model that a glob matches; repeatable.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also show invocations that were superseded by reruns of their tests, and external and "
    "embedded models without audits.",
)
@_since
@_outputs
@_without_collection()
def show(
    inputs: tuple[str, ...],
    models: tuple[str, ...],
    everything: bool,
    since: str | None,
    **options: Any,
) -> None:
    """Show reports, or write them in another format.

    REPORT is a file, also a history (.duckdb), a folder of .json files, or "-" for standard input.
    Invocations that a rerun of their test superseded are left out, except in JSON, where they are
    marked.
    """
    from .output import Output
    from .reports import read, since_of

    if models and options["as_json"]:
        raise click.UsageError("--model can't be combined with --json")
    output = Output.checked(options)
    [entries] = read(inputs, since=since_of(since, *inputs))
    if models:
        output.explain(entries, models, everything=everything)
    else:
        output.show(entries, everything=everything)
    output.write(entries)


@main.command()
@_inputs
@_policy
@_since
@_outputs
@_without_collection()
def gate(inputs: tuple[str, ...], policy: str | None, since: str | None, **options: Any) -> int:
    """Judge reports, and exit with 1 if models failed or were skipped unexpectedly.

    By default, a skip is unexpected if, for example, an upstream model failed or a signal was not
    ready, but not if the model's cron was not due. REPORT is a file, also a history (.duckdb), a
    folder of .json files, or "-" for standard input.
    """
    from .output import Output
    from .reports import policy_of, read, since_of

    output = Output.checked(options)
    judge = policy_of(policy, ".")
    [entries] = read(inputs, since=since_of(since, *inputs))
    result = judge.evaluate(*entries)
    if not result.reports:
        raise click.ClickException(
            "no invocation to check: reruns superseded all invocations in the given reports"
            if entries
            else "no invocation to check in the given reports"
        )
    output.judge(result)
    output.write(entries, result)
    return 0 if result else 1


@main.command()
@click.argument("old")
@click.argument("new")
@click.option(
    "--slower-by",
    type=click.FloatRange(min=1, min_open=True),
    default=1.5,
    show_default=True,
    metavar="FACTOR",
    callback=finite,
    help="List models that became slower or faster by this factor ...",
)
@click.option(
    "--slower-than",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    callback=finite,
    help="... and by at least this many seconds.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs.")
@_since
@all_of(_github, _as_json, _quiet)
@_without_collection()
def diff(
    old: str,
    new: str,
    slower_by: float,
    slower_than: float,
    exit_code: bool,
    since: str | None,
    **options: Any,
) -> int:
    """Show which models ran before but not now, and all other differences.

    OLD and NEW are files, also histories (.duckdb), folders of .json files, or "-" for standard
    input. The exit code is 0 even if the reports differ, unless --exit-code is passed.
    """
    from datetime import timedelta

    from pytest_sqlmesh_tracker.reports.diff import compare

    from .output import Output
    from .reports import read, since_of

    output = Output.checked(options)
    before, now = read([old], [new], since=since_of(since, old, new))
    difference = compare(
        before, now, slower_by=slower_by, slower_than=timedelta(seconds=slower_than)
    )
    output.compare(difference)
    return 1 if exit_code and difference else 0


@main.command()
@click.argument("file", metavar="HISTORY")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "-E", "--environment", metavar="NAME", help="Show this environment only. [default: all]"
)
@click.option(
    "--since", metavar="TIME", help="Leave out invocations that began before this time, in UTC."
)
@click.option(
    "--import",
    "imported",
    multiple=True,
    metavar="REPORT",
    help="First append these reports: files, folders or other histories; repeatable.",
)
@click.option(
    "--prune",
    metavar="DURATION",
    help='First remove the reports of invocations that began longer ago, such as "90 days".',
)
@_as_json
@click.option(
    "--report",
    "files",
    multiple=True,
    metavar="PATH",
    help="Write what is shown: .json, .md or .html, a grid; repeatable.",
)
@_without_collection()
def history(file: str, models: tuple[str, ...], **options: Any) -> None:
    """Show how models fared over time, from the reports in a history (.duckdb).

    For each model: when and how often it was executed, since when it fails or waits, how long it
    usually takes, and since when it takes longer. MODEL is a name or a glob, and shows its
    invocations and audits.
    """
    from .history import look_back

    look_back(file, models, options)


@main.command(cls=CheckCommand)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("-p", "--paths", multiple=True, help="Folder of a SQLMesh project; repeatable.")
@click.option("--gateway", help="Name of the gateway.")
@click.option("--setup", metavar="FILE", multiple=True, help="SQL that loads raw data; repeatable.")
@click.option(
    "--arrivals",
    metavar="TABLE=COLUMN",
    multiple=True,
    callback=pairs,
    help="Show the rows of a raw table from the time in this column on; repeatable.",
)
@click.option(
    "--start",
    metavar="DATE",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day before histories begin. [default: the latest start of the checked models]",
)
@click.option(
    "--days",
    type=click.IntRange(1),
    default=7,
    show_default=True,
    metavar="N",
    help="The length of histories.",
)
@click.option(
    "--examples",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    metavar="N",
    help="How many histories are drawn, after those that find most faults.",
)
@click.option("--seed", type=int, metavar="N", help="Another number draws other histories.")
@click.option(
    "--ignore",
    metavar="MODEL=COLUMN",
    multiple=True,
    callback=pairs,
    help="Leave out a column, such as the time of loading; repeatable.",
)
@click.option(
    "--exclude", metavar="MODEL", multiple=True, help="Do not check these models; repeatable."
)
@click.option(
    "--report",
    "files",
    multiple=True,
    metavar="PATH",
    help="Write the result: .json or .md; repeatable.",
)
@all_of(_as_json, _quiet)
@click.pass_context
def check(ctx: click.Context, /, **options: Any) -> int:
    """Check that the rows of models do not depend on how the days went by.

    Histories of the project are played on copies of its databases, which must be of DuckDB or
    PostgreSQL: late and early runs, models that fail before and after their rows are written, that
    are held back and restated. After each, a model must have the rows that one load of everything
    gives. The options can also be in [tool.sqlmesh_tracker.check] of pyproject.toml.

    The exit code is 1 if the rows of a model differ, and 2 if no model has any.
    """
    from .checking.checking import check_models

    return check_models(ctx, options)


@main.command(cls=SqlmeshCommand)
@_models_and_environment
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    metavar="N",
    help="How many days to look ahead. [default: 7]",
)
@click.option("--until", metavar="TIME", help="The last time of a run, in UTC, instead of --days.")
@click.option(
    "--every",
    metavar="CRON",
    help="When the environment is run: a cron in UTC, or a duration such as 1h. [default: whenever "
    "something becomes due]",
)
@click.option(
    "--local",
    is_flag=True,
    help="Also forecast the environment as a plan of the project's files would leave it, which is "
    "applied to a copy of the state only.",
)
@click.option(
    "--fail-on",
    "fail_on",
    multiple=True,
    type=click.Choice(["less_often", "never", "failure"]),
    help="With --local, exit with 1 if models would be evaluated less often or never, or if the "
    "plan or a model would fail; repeatable.",
)
@_policy
@_as_json
@click.option(
    "--report",
    "files",
    multiple=True,
    metavar="PATH",
    help="Write the forecast: .json, .md or .html, a calendar; repeatable.",
)
@sqlmesh_options.location
@click.pass_context
def forecast(ctx: click.Context, /, models: tuple[str, ...], **options: Any) -> int:
    """Forecast which models the runs of an environment will evaluate, and which will fail.

    Nothing is run or written: only the state is read. MODEL is a name or a glob, and shows the
    intervals of each evaluation; without one, a table shows all models.
    """
    from .predictions.forecast import look_ahead

    return look_ahead(ctx, models, options)


@main.command(cls=SqlmeshCommand)
@_models_and_environment
@click.option(
    "--signals",
    is_flag=True,
    help="Call signals, as a run does; without it, all models are assumed to be ready.",
)
@_as_json
@sqlmesh_options.location
@click.pass_context
def why(ctx: click.Context, /, models: tuple[str, ...], **options: Any) -> None:
    """Explain what would happen to models if their environment were run now.

    Nothing is run or written: only the state and the project's files are read. MODEL is a name or a
    glob; without one, a table shows all models.
    """
    from .predictions.why import explain

    explain(ctx, models, options)


@main.command()
@_as_json
@sqlmesh_options.location
@click.pass_context
def doctor(ctx: click.Context, /, as_json: bool, **options: Any) -> int:
    """Check that the tracker understands the installed SQLMesh.

    The exit code is 1 if it does not. In a project, warn of crons with irregular gaps as well.
    """
    from pytest_sqlmesh_tracker.doctor.doctor import diagnose

    from .output import Output
    from .projects import project_if_any

    diagnosis = diagnose(project_if_any(ctx, options))
    Output(as_json).diagnose(diagnosis)
    return 1 if diagnosis.degraded else 0
