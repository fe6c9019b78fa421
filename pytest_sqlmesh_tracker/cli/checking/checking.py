"""The command `check`: its options, also from `pyproject.toml`, and what they lead to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pytest_sqlmesh_tracker.cli.arguments import Command
from pytest_sqlmesh_tracker.extras import is_installed, required

_TABLE = "tool.sqlmesh_tracker.check"


class CheckCommand(Command):
    """A command whose options have defaults in `pyproject.toml`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; what they lack is taken from the nearest `pyproject.toml`."""
        ctx.default_map = _defaults(self)
        return super().parse_args(ctx, args)


def _defaults(command: click.Command) -> dict[str, Any]:
    """The options in the nearest `pyproject.toml` that has some, by the names of parameters.

    Raises:
        ClickException: the file can't be read, or has a key that is not an option.
    """
    from pytest_sqlmesh_tracker.gate import GatePolicyError
    from pytest_sqlmesh_tracker.gate.reading import document_in, own_table
    from pytest_sqlmesh_tracker.gate.values import check_keys

    folder = Path.cwd()
    names = {
        max(param.opts, key=len).lstrip("-"): str(param.name)
        for param in command.params
        if param.name in _KEYS
    }
    for file in (above / "pyproject.toml" for above in (folder, *folder.parents)):
        try:
            table = own_table(document_in(file)).get("check") if file.is_file() else None
            if table is not None:
                if not isinstance(table, Mapping):
                    raise GatePolicyError(f"{_TABLE} must be a table")
                check_keys(table, names)
                defaults = {names[key]: _default(value) for key, value in table.items()}
                if "setup" in defaults:
                    # Wherever in the repository the command is called.
                    defaults["setup"] = [str(file.parent / path) for path in defaults["setup"]]
                return defaults
        except GatePolicyError as error:
            raise click.ClickException(f"{file}: {_TABLE}: {error}") from None
    return {}


_KEYS = {
    *("models", "exclude", "start", "days", "examples", "gateway", "setup", "arrivals", "ignore"),
    "seed",
}


def _default(value: Any) -> Any:
    """A value of TOML as click expects it; `{"a.b" = ["c"]}` as `["a.b=c"]`."""
    if isinstance(value, Mapping):
        return [
            f"{key}={each}"
            for key, values in value.items()
            for each in ([values] if isinstance(values, str) else values)
        ]
    return [str(each) for each in value] if isinstance(value, list) else str(value)


def pairs(
    _: click.Context, param: click.Parameter, values: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The values of an option such as `--ignore MODEL=COLUMN`: model → columns.

    Raises:
        BadParameter: a value has no equals sign.
    """
    parsed: dict[str, tuple[str, ...]] = {}
    for value in values:
        name, sign, column = value.rpartition("=")
        if not (sign and name and column):
            raise click.BadParameter(f"{value!r} must be {param.metavar}", param=param)
        parsed[name] = (*parsed.get(name, ()), column)
    return parsed


def check_models(ctx: click.Context, options: Mapping[str, Any]) -> int:
    """Check the models of a project, and return the exit code.

    Raises:
        UsageError: an option is not valid.
        ClickException: Hypothesis is not installed, or the project can't be planned.
    """
    from .output import CheckOutput

    output = CheckOutput.checked(options)
    if not is_installed("hypothesis"):
        raise click.ClickException(required("check", "Hypothesis", "hypothesis"))
    from pytest_sqlmesh_tracker.models.index import UnknownModelError
    from pytest_sqlmesh_tracker.sandbox.options import SandboxError
    from pytest_sqlmesh_tracker.strategies.project_check import CheckOptions, check_project

    sandbox = {name: options[name] for name in ("gateway", "setup") if options[name]}
    if options["arrivals"]:
        sandbox["arrivals"] = {table: columns[-1] for table, columns in options["arrivals"].items()}
    chosen = CheckOptions(
        models=options["models"] or tuple((ctx.default_map or {}).get("models", ())),
        exclude=options["exclude"],
        start=options["start"],
        days=options["days"],
        examples=options["examples"],
        ignore=options["ignore"],
        seed=options["seed"],
        sandbox=sandbox,
    )
    try:
        project = check_project(options["paths"] or ["."], chosen, output.found)
    except (SandboxError, UnknownModelError) as error:
        raise click.ClickException(str(error)) from None
    output.show(project)
    if all(each.is_untried for each in project.models):
        raise click.ClickException(
            "nothing was tried: no model had any rows; load some with --setup FILE"
        )
    return 1 if project.differs else 0
