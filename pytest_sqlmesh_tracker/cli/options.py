"""The options of SQLMesh that `run` and `plan` accept and pass on to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from .arguments import Command

F = TypeVar("F", bound=Callable[..., Any])


class Forwarded(click.Option):
    """An option of SQLMesh, passed on unchanged. SQLMesh validates its value."""

    def words(self, ctx: click.Context) -> list[str]:
        """The option as it was typed; empty if it was not."""
        name = str(self.name)
        if ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            return []
        value, option = ctx.params[name], max(self.opts, key=len)
        if self.is_flag:
            return [option]
        if self.count:
            return [option] * int(value)
        return [f"{option}={one}" for one in (value if self.multiple else [value])]


class General(Forwarded):
    """An option of `sqlmesh` itself, which accepts it before the command."""


class SqlmeshCommand(Command):
    """A command whose help lists SQLMesh's options separately."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options to the help text, this package's own first."""
        own: list[tuple[str, str]] = []
        of_sqlmesh: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record and isinstance(param, click.Option):
                (of_sqlmesh if isinstance(param, Forwarded) else own).append(record)
        for heading, rows in (("Options", own), ("Options of SQLMesh", of_sqlmesh)):
            with formatter.section(heading):
                formatter.write_dl(rows)


def words_for_sqlmesh(ctx: click.Context) -> list[str]:
    """The arguments for SQLMesh's command line, in the order that it requires."""
    general: list[str] = []
    own: list[str] = []
    for context in (ctx.find_root(), ctx):
        for option in context.command.params:
            if isinstance(option, Forwarded):
                (general if isinstance(option, General) else own).extend(option.words(context))
    # SQLMesh's own default is the folder in which it was imported.
    if not any(context.params["paths"] for context in (ctx.find_root(), ctx)):
        general.append(f"--paths={Path.cwd()}")
    return [*general, str(ctx.command.name), *own, *ctx.params["arguments"]]


def all_of(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Combine several decorators into one."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _options(
    *table: tuple[str, str, dict[str, Any]], cls: type[Forwarded] = Forwarded
) -> Callable[[F], F]:
    """Options from their spellings, help texts and any other settings."""

    return all_of(
        *(
            click.option(*spellings.split(), cls=cls, help=text, **rest)
            for spellings, text, rest in table
        )
    )


_FLAG: dict[str, Any] = {"is_flag": True}
_MANY: dict[str, Any] = {"multiple": True}
_ONE: dict[str, Any] = {}

location = _options(
    ("-p --paths", "Folder of a SQLMesh project; repeatable.", _MANY),
    ("--config", "Name of the configuration in config.py.", _ONE),
    ("--gateway", "Name of the gateway.", _ONE),
    ("--dotenv", "File with environment variables.", _ONE),
    cls=General,
)
"""The options of `sqlmesh` that determine the project."""

_printing = _options(
    ("--ignore-warnings", "Hide SQLMesh's warnings.", _FLAG),
    ("--log-to-stdout", "Show SQLMesh's log.", _FLAG),
    ("--log-file-dir", "Folder for SQLMesh's log files.", _ONE),
    ("--debug", "SQLMesh's debug mode; show tracebacks.", _FLAG),
    cls=General,
)
general = all_of(location, _printing)
"""The options of `sqlmesh` itself."""

_window = _options(
    ("-s --start", "Start of the interval to load.", _ONE),
    ("-e --end", "End of the interval to load.", _ONE),
    ("--execution-time", "The time to treat as the present.", _ONE),
)
_selection = _options(
    ("--select-model", "Select models; repeatable.", _MANY),
    ("--ignore-cron", "Load everything that is missing, whether due or not.", _FLAG),
)
_run = _options(
    ("--no-auto-upstream", "Leave out models upstream of the selected ones.", _FLAG),
    ("--skip-janitor", "Skip SQLMesh's cleanup.", _FLAG),
    ("--exit-on-env-update", "Exit with this code if the environment changes.", _ONE),
)
_plan = _options(
    ("--create-from", "Environment to create the new one from.", _ONE),
    ("--skip-tests", "Skip SQLMesh's unit tests.", _FLAG),
    ("--test-changed-only", "Run only the unit tests of the plan's models.", _FLAG),
    ("--skip-linter", "Skip SQLMesh's linter.", _FLAG),
    ("-r --restate-model", "Restate models and everything downstream; repeatable.", _MANY),
    ("--no-gaps", "Require that new versions have no data gaps.", _FLAG),
    ("--skip-backfill --dry-run", "Do not load any data.", _FLAG),
    ("--empty-backfill", "Record intervals as loaded without loading them.", _FLAG),
    ("--forward-only", "Make changes forward-only.", _FLAG),
    ("--allow-destructive-model", "Allow destructive changes to these models; repeatable.", _MANY),
    ("--allow-additive-model", "Allow additive changes to these models; repeatable.", _MANY),
    ("--effective-from", "Date from which forward-only changes take effect.", _ONE),
    ("--no-prompts", "Do not prompt.", _FLAG),
    ("--auto-apply", "Apply the plan without asking.", _FLAG),
    ("--no-auto-categorization", "Do not categorize changes.", _FLAG),
    ("--include-unmodified", "Include unmodified models.", _FLAG),
    ("--backfill-model", "Load only these models; repeatable.", _MANY),
    ("--no-diff", "Hide text diffs of models.", _FLAG),
    ("--run", "Also load the latest due intervals (prod only).", _FLAG),
    ("--enable-preview", "Preview forward-only changes.", _FLAG),
    ("--diff-rendered", "Show diffs of rendered models.", _FLAG),
    ("--explain", "Explain the plan instead of applying it.", _FLAG),
    ("--min-intervals", "Load at least this many intervals of each model.", _ONE),
    ("-v --verbose", "SQLMesh's verbose output; -vv for more.", {"count": True}),
)


for_run = all_of(_window, _selection, _run)
"""The options of `sqlmesh run`."""
for_plan = all_of(_window, _selection, _plan)
"""The options of `sqlmesh plan`."""
