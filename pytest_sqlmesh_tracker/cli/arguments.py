"""What is typed, before it is taken: a value that is empty is a variable that is not set."""

from __future__ import annotations

from collections.abc import Iterator

import click


class Command(click.Command):
    """A command that rejects empty values of all its options and arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse them as click does, unless one is empty."""
        reject_empty(self, ctx, args)
        return super().parse_args(ctx, args)


def reject_empty(command: click.Command, ctx: click.Context, args: list[str]) -> None:
    """Reject values such as those of `--report "$UNSET"`, which would be taken for something else.

    Raises:
        UsageError: one is empty; in one line.
    """
    typed, left, _ = command.make_parser(ctx).parse_args(args=list(args))
    values = {_label(param): typed.get(str(param.name)) for param in command.get_params(ctx)}
    # The name of a command, or an argument that is one too many.
    values["an argument"] = left[:1]
    for label, value in values.items():
        if any(not text.strip() for text in _texts(value)):
            raise click.UsageError(f"{label} has an empty value: is a variable unset?")


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
