"""SQLMesh's own command line, tracked: in this process, with the options that it has itself."""

from __future__ import annotations

import signal
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import click

from ..report import RunReport
from .secrets import redacted
from .tracker import track_all


@dataclass(frozen=True)
class Ended:
    """What came of a command: its invocations, and how it ended."""

    reports: tuple[RunReport, ...]
    error: str | None = None
    """What it failed of, if no report tells."""
    code: int = 0
    """SQLMesh's own exit code; 128 and the signal's number where one stopped it."""
    signalled: bool = False
    """Whether it was stopped, by Ctrl-C or by SIGTERM."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM, by which CI cancels: it ends an invocation as Ctrl-C does."""


def run_sqlmesh(arguments: Sequence[str], *, debug: bool = False) -> Ended:
    """Run `sqlmesh` with these arguments, tracked; it never raises.

    Args:
        debug: print the traceback of an exception that SQLMesh did not handle itself.
    """
    code, error, stopped = 0, None, None
    with track_all() as tracker:
        try:
            with _terminable():
                code = _commands().main(list(arguments), "sqlmesh", standalone_mode=False) or 0
        except SystemExit as ended:
            # SQLMesh has printed why: sqlmesh/cli/__init__.py, `_default_exception_handler`.
            code = ended.code if isinstance(ended.code, int) else 1
        except click.UsageError as wrong:
            code, error = 2, f"sqlmesh: {wrong.format_message()}"
        except click.ClickException as wrong:
            code, error = 1, wrong.format_message()
        except (click.Abort, KeyboardInterrupt) as ended:
            stopped = ended.__cause__ or ended.__context__ or ended
            if isinstance(stopped, EOFError):
                code, error = 1, "SQLMesh asked, and there is nobody to answer: use --auto-apply"
        except Exception as raised:
            if debug:
                traceback.print_exc()
            code, error = 1, f"{type(raised).__name__}: {raised}"
    if isinstance(stopped, KeyboardInterrupt):
        number = signal.SIGTERM if isinstance(stopped, _Terminated) else signal.SIGINT
        return Ended(tuple(tracker.reports), code=128 + number, signalled=True)
    error = redacted(error) if error else None
    if any(report.completion == "failure" or report.error == error for report in tracker.reports):
        error = None
    return Ended(tuple(tracker.reports), error, code)


def _commands() -> click.Group:
    """SQLMesh's, and `run` with the `--execution-time` that `Context.run` takes."""
    # Importing it warns of what is not the user's.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sqlmesh.cli.main import cli

    run: Any = copy(cli.commands["run"])
    if "execution_time" not in {parameter.name for parameter in run.params}:
        run.params = [*run.params, click.Option(["--execution-time"])]
    commands: click.Group = copy(cli)
    commands.commands = {**cli.commands, "run": run}
    return commands


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM raises here, as SIGINT does, so that what happened until then is reported."""

    def terminate(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
