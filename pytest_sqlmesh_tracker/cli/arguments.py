"""Checking arguments before they are used: an empty value comes from an unset variable."""

from __future__ import annotations

from collections.abc import Iterator

import click

MOST_DAYS = 3660
"""The longest time that can be forecast; crons are computed tick by tick."""


class Command(click.Command):
    """A command that rejects empty values for all its options and arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments as click does, unless one is empty."""
        reject_empty(self, ctx, args)
        return super().parse_args(ctx, args)


def reject_empty(command: click.Command, ctx: click.Context, args: list[str]) -> None:
    """Reject empty values, such as in `--report "$UNSET"`, which would be misinterpreted.

    Raises:
        UsageError: a value is empty; the message is one line.
    """
    typed, left, _ = command.make_parser(ctx).parse_args(args=list(args))
    values = {_label(param): typed.get(str(param.name)) for param in command.get_params(ctx)}
    # The name of a command, or a superfluous argument.
    values["an argument"] = left[:1]
    for label, value in values.items():
        if any(not text.strip() for text in _texts(value)):
            raise click.UsageError(f"{label} has an empty value: is a variable unset?")


def finite(_: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Reject infinity, NaN, and numbers too large for a duration; a callback of options.

    Raises:
        BadParameter: the value is such a number.
    """
    if value is not None and not value < 1e9:
        raise click.BadParameter(f"{value} is not below 1e9", param=param)
    return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)


def _label(param: click.Parameter) -> str:
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    return param.human_readable_name.split()[0].strip("[].")
