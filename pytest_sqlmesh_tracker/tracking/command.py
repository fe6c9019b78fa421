"""Runs SQLMesh's own command line, tracked, in this process and with its own options."""

from __future__ import annotations

import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import click

from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.tracking.errors.exceptions import described
from pytest_sqlmesh_tracker.tracking.errors.secrets import redacted
from pytest_sqlmesh_tracker.tracking.errors.types import Stopped
from pytest_sqlmesh_tracker.tracking.events.live import OnWaiting
from pytest_sqlmesh_tracker.tracking.queries.project_files import ProjectFiles
from pytest_sqlmesh_tracker.wording.formats import one_line

from .tracker import track_all


@dataclass(frozen=True)
class Ended:
    """The result of a command: its invocations, and how it ended."""

    reports: tuple[RunReport, ...]
    error: str | None = None
    """Why it failed, if no report explains that."""
    code: int = 0
    """SQLMesh's own exit code, or 128 plus the signal's number if a signal stopped it."""
    signalled: bool = False
    """Whether Ctrl-C or SIGTERM stopped it."""


class _Terminated(Stopped, KeyboardInterrupt):
    """SIGTERM, with which CI cancels jobs; it ends an invocation as Ctrl-C does."""

    def __init__(self) -> None:
        super().__init__("terminated by SIGTERM")


class SelectionError(click.UsageError):
    """A selector matches no model of the environment."""


class Signals:
    """Handles Ctrl-C and SIGTERM, which stop SQLMesh and are ignored while the report is made."""

    def __init__(self) -> None:
        self._handles = True
        self.received: int | None = None
        """The number of the latest signal; None if none was received."""
        self.stop: Callable[[], None] = lambda: None
        """Called when a signal is received, since a database driver can swallow the exception."""

    @contextmanager
    def handled(self) -> Iterator[Signals]:
        """Handle the signals, except those that the process was started to ignore."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, self._stop)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def ignore(self) -> None:
        """Ignore signals from now on: CI sends SIGTERM after SIGINT, and users repeat Ctrl-C."""
        self._handles = False

    def _stop(self, number: int, _: object) -> None:
        if self._handles:
            self.received = number
            self.stop()
            raise _Terminated if number == signal.SIGTERM else KeyboardInterrupt


def run_sqlmesh(
    arguments: Sequence[str],
    signals: Signals,
    *,
    debug: bool = False,
    longest_wait: float | None = None,
    on_waiting: OnWaiting | None = None,
    read_files: Callable[[], ProjectFiles | None] = lambda: None,
) -> Ended:
    """Run and track `sqlmesh` with these arguments; it never raises.

    A signal during SQLMesh's import, which takes seconds, leaves no report.

    Args:
        signals: the handler of signals, which are ignored once one has stopped the command.
        debug: whether to print the traceback of an exception that SQLMesh does not handle.
        longest_wait: as for `track_all`.
        on_waiting: as for `track_all`.
        read_files: reads the project's files after a run, since SQLMesh runs without them.
    """
    try:
        commands = _commands()
    except KeyboardInterrupt:
        signals.ignore()
        return Ended((), code=128 + (signals.received or signal.SIGINT), signalled=True)
    code, error = 0, ""
    with track_all(on_waiting=on_waiting, longest_wait=longest_wait) as tracker:
        signals.stop = tracker.cancel
        try:
            commands.main(list(arguments), "sqlmesh", standalone_mode=False)
        except SystemExit as ended:
            code, error = _exited(ended)
        except SelectionError as usage_error:
            code, error = 2, usage_error.format_message()
        except click.UsageError as usage_error:
            code, error = 2, f"sqlmesh: {usage_error.format_message()}"
        except click.ClickException as click_error:
            code, error = 1, click_error.format_message()
        except (click.Abort, KeyboardInterrupt) as ended:
            if isinstance(ended.__cause__ or ended.__context__, EOFError):
                code = 1
                error = "SQLMesh asked for input, but no terminal is attached: use --auto-apply"
            elif signals.received is None:
                # The project's code or SQLMesh's prompt raised it.
                signals.received = signal.SIGINT
        except BaseException as raised:
            # BaseException, since some libraries' panics are not subclasses of Exception.
            if debug:
                traceback.print_exc()
            code, error = 1, described(raised)
    number = signals.received
    if number is not None:
        signals.ignore()
    stopped = ProjectFiles({}, unread="the command was stopped")
    tracker.complete(read_files if number is None else lambda: stopped)
    reports = tuple(tracker.reports)
    if number is not None:
        return Ended(reports, code=128 + number, signalled=True)
    error = one_line(redacted(error))
    errors = {one_line(report.error) for report in reports if report.error}
    if error in errors or any(report.completion == "failure" for report in reports):
        error = ""
    return Ended(reports, error or None, code)


def _exited(ended: SystemExit) -> tuple[int, str]:
    """Exit code and error; SQLMesh exits with 1 after printing the error itself (sqlmesh/cli,
    `_default_exception_handler`)."""
    if ended.code == 1:
        return 1, ""
    if isinstance(ended.code, str):
        return 1, ended.code
    return int(ended.code or 1), f"sys.exit({ended.code!r}) ended SQLMesh before it was finished"


def _commands() -> click.Group:
    """SQLMesh's commands, with the `--execution-time` of `Context.run` added to `run`."""
    # The import issues warnings that do not concern the user.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sqlmesh.cli.main import cli

    run: Any = copy(cli.commands["run"])
    if "execution_time" not in {parameter.name for parameter in run.params}:
        run.params = [*run.params, click.Option(["--execution-time"])]
    run.callback = _checking(run.callback)
    commands: click.Group = copy(cli)
    commands.commands = {**cli.commands, "run": run}
    return commands


def _checking(run: Callable[..., Any]) -> Callable[..., Any]:
    """SQLMesh's `run`, but rejecting selectors without a match, which `Context.run` accepts."""

    def checked(*args: Any, **options: Any) -> Any:
        from pytest_sqlmesh_tracker.tracking.project.selecting import unmatched_selector

        context = click.get_current_context().obj
        complaint = unmatched_selector(context, options["environment"], options["select_model"])
        if complaint:
            raise SelectionError(complaint)
        return run(*args, **options)

    return checked
