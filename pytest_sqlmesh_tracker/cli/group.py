"""The group of all commands, which maps errors to exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from .arguments import Command, reject_empty
from .streams import dependable


class CommandGroup(click.Group):
    """Maps errors to the documented exit codes: click would exit with 1 on Ctrl-C and bad input."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; empty ones are rejected."""
        reject_empty(self, ctx, args)
        return super().parse_args(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command, and exit with the documented code."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        with dependable() as failure:
            code = self._exit_code(args, prog_name, complete_var, **extra)
            error = failure()
            if error:
                click.echo(f"Error: the output is incomplete: {error.strerror}", err=True)
                code = 2
        sys.exit(code)

    def _exit_code(
        self,
        args: Sequence[str] | None,
        prog_name: str | None,
        complete_var: str | None,
        **extra: Any,
    ) -> int:
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.UsageError as wrong:
            wrong.show()
            return 2
        except click.ClickException as wrong:
            from pytest_sqlmesh_tracker.wording.printable import printable

            # The names and contents of files must not control the terminal.
            click.echo(printable(f"Error: {wrong.format_message()}"), err=True)
            return 2
        except OSError as error:
            # An input can't be read.
            click.echo(f"Error: {error.strerror or error}", err=True)
            return 2
        except click.Abort:
            return 130
        return code if isinstance(code, int) else 0
