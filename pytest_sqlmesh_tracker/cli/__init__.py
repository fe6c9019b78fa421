"""The command line, `sqlmesh-tracker`. Nothing but click is imported before a command needs it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import click

from .. import __version__
from . import options as sqlmesh_options
from .options import Forwarded, all_of


class _Commands(click.Group):
    """Gives errors the exit codes of the contract: click would say 1 of Ctrl-C and of bad input."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                # Names can hold what the terminal's encoding does not.
                stream.reconfigure(errors="backslashreplace")
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.UsageError as wrong:
            wrong.show()
            code = 2
        except click.ClickException as wrong:
            from ..render.words import printable

            # What files are called, and what is in them, must not steer the terminal.
            click.echo(printable(f"Error: {wrong.format_message()}"), err=True)
            code = 2
        except OSError as error:
            # What is printed can't be written, or what is read is no file.
            with suppress(OSError):
                click.echo(f"Error: {error.strerror or error}", err=True)
            code = 2
        except SystemExit:
            # Click's own, of a pipe that nobody reads.
            code = 2
        except click.Abort:
            code = 130
        sys.exit(code if isinstance(code, int) else 0)


class _Tracked(click.Command):
    """A command whose help tells SQLMesh's options from those of its own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        of_sqlmesh: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            told = param.get_help_record(ctx)
            if told:
                (of_sqlmesh if isinstance(param, Forwarded) else own).append(told)
        for heading, rows in (("Options", own), ("Options of SQLMesh", of_sqlmesh)):
            with formatter.section(heading):
                formatter.write_dl(rows)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
@sqlmesh_options.general
def main(**_: Any) -> None:
    """What SQLMesh decided: every model executed, failed or was skipped - and why.

    run and plan take SQLMesh's own options, before the command or after it; what follows "--" is
    handed to SQLMesh as it is.

    Exit codes: 0; 1 if the gate found something; 2 for wrong usage, for input that can't be read,
    and for a command that failed itself; 130 after Ctrl-C.
    """


@contextmanager
def _without_collection() -> Iterator[None]:
    """A hundred large reports are a million objects, none of which is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON; all else to stderr.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="Print findings and errors only.")
_report = click.option(
    "--report",
    "files",
    multiple=True,
    metavar="PATH",
    help="Write a report: .json, .md or .html; repeatable.",
)
_github = click.option(
    "--github-summary", is_flag=True, help="Add the report to the page of a GitHub Actions job."
)
_policy = click.option(
    "--policy",
    metavar="FILE",
    help="The gate's policy; else the nearest pyproject.toml that has one.",
)
_gate = click.option(
    "--gate/--no-gate",
    "gated",
    default=True,
    help="Whether the gate decides on exit code 1, or each model that failed or was interrupted.",
)
_arguments = click.argument("arguments", nargs=-1, metavar="[ENVIRONMENT] [-- ...]")
_inputs = click.argument("inputs", nargs=-1, required=True, metavar="REPORT...")


_outputs = all_of(_report, _github, _as_json, _quiet)
_tracked = all_of(_arguments, _gate, _policy, _outputs, sqlmesh_options.general)


@main.command(cls=_Tracked)
@_tracked
@sqlmesh_options.for_run
@click.pass_context
def run(ctx: click.Context, /, **options: Any) -> int:
    """Run what is due, as sqlmesh run; tell and judge."""
    from .tracked import track

    return track(ctx, options)


@main.command(cls=_Tracked)
@_tracked
@sqlmesh_options.for_plan
@click.pass_context
def plan(ctx: click.Context, /, **options: Any) -> int:
    """Plan and apply, as sqlmesh plan; tell and judge."""
    from .tracked import track

    asks = options["no_auto_categorization"] and not options["no_prompts"]
    if options["quiet"] and (asks or not options["auto_apply"]):
        wanted = "--no-prompts" if options["auto_apply"] else "--auto-apply"
        raise click.UsageError(f"plan --quiet would hide what SQLMesh asks: add {wanted}")
    return track(ctx, options)


@main.command()
@_inputs
@click.option("--model", "models", multiple=True, metavar="NAME", help="Explain it; also a glob.")
@_outputs
@_without_collection()
def show(inputs: tuple[str, ...], models: tuple[str, ...], **options: Any) -> None:
    """Show reports, or write them in another form.

    REPORT is a file, a folder of .json files, or "-" for the standard input.
    """
    from .output import Output
    from .reports import read

    if models and options["as_json"]:
        raise click.UsageError("--model explains in words, which --json has none of")
    output = Output.checked(options)
    [entries] = read(inputs)
    if models:
        output.explain(entries, models)
    else:
        output.show(entries)
    output.write(entries)


@main.command()
@_inputs
@_policy
@_outputs
@_without_collection()
def gate(inputs: tuple[str, ...], policy: str | None, **options: Any) -> int:
    """Judge reports: 1 if models failed or did not run.

    Not run counts if it is unexpected: by default for a failure upstream, a signal and the like,
    not for a cron that was not due. REPORT is a file, a folder of .json files, or "-".
    """
    from .output import Output
    from .reports import policy_of, read

    output = Output.checked(options)
    judge = policy_of(policy, ".")
    [entries] = read(inputs)
    if not entries:
        raise click.ClickException("no invocation is in what was given: nothing was judged")
    result = judge.evaluate(*entries)
    output.judge(result)
    output.write(entries, result)
    return 0 if result else 1


def _finite(_: click.Context, param: click.Parameter, value: float) -> float:
    """Neither infinite nor no number, nor more than any duration."""
    if not value < 1e9:
        raise click.BadParameter(f"{value} is not below 1e9", param=param)
    return value


@main.command()
@click.argument("old")
@click.argument("new")
@click.option(
    "--slower-by",
    type=click.FloatRange(min=1, min_open=True),
    default=1.5,
    show_default=True,
    metavar="FACTOR",
    callback=_finite,
    help="Tell of models that took this many times as long, or the other way round ...",
)
@click.option(
    "--slower-than",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    callback=_finite,
    help="... if the difference is at least this.",
)
@all_of(_github, _as_json, _quiet)
@_without_collection()
def diff(old: str, new: str, slower_by: float, slower_than: float, **options: Any) -> None:
    """What ran before and not now, and what else differs.

    OLD and NEW are files, folders of .json files, or "-". Exit code 0, whatever differs.
    """
    from datetime import timedelta

    from ..diff import compare
    from .output import Output
    from .reports import read

    output = Output.checked(options)
    before, now = read([old], [new])
    difference = compare(
        before, now, slower_by=slower_by, slower_than=timedelta(seconds=slower_than)
    )
    output.compare(difference)


@main.command()
@_as_json
def doctor(as_json: bool) -> int:
    """Whether the tracker understands the SQLMesh that is installed; 1 if not."""
    from ..tracking.doctor import diagnosis
    from .output import Output

    found = diagnosis()
    Output(as_json).diagnose(found)
    return 1 if found.degraded else 0
