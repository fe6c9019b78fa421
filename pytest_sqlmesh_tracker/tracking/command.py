"""SQLMesh's own command line, tracked: in this process, with the options that it has itself."""

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
    """What came of a command: its invocations, and how it ended."""

    reports: tuple[RunReport, ...]
    error: str | None = None
    """What it failed of, if no report tells."""
    code: int = 0
    """SQLMesh's own exit code; 128 and the signal's number where one stopped it."""
    signalled: bool = False
    """Whether it was stopped, by Ctrl-C or by SIGTERM."""


class _Terminated(Stopped, KeyboardInterrupt):
    """SIGTERM, by which CI cancels: it ends an invocation as Ctrl-C does."""

    def __init__(self) -> None:
        super().__init__("terminated by SIGTERM")


class SelectionError(click.UsageError):
    """A selector matches no model of the environment."""


class Signals:
    """Ctrl-C and SIGTERM: they stop SQLMesh, and are ignored while the report is made."""

    def __init__(self) -> None:
        self._handles = True
        self.received: int | None = None
        """The signal that came last, if one did."""
        self.stop: Callable[[], None] = lambda: None
        """Is called when one comes. What is raised then can be lost: in a database's driver."""

    @contextmanager
    def handled(self) -> Iterator[Signals]:
        """Hear them; those that the process was started to ignore stay ignored."""
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
        """From now on: CI sends SIGTERM after SIGINT, and people are impatient."""
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
    """Run `sqlmesh` with these arguments, tracked; it never raises.

    What stops it before SQLMesh is there, which takes seconds to import, leaves no report.

    Args:
        signals: are ignored once they have stopped it.
        debug: print the traceback of an exception that SQLMesh did not handle itself.
        longest_wait: as of `track_all`, and so is `on_waiting`.
        read_files: reads the project's files after a run, which SQLMesh makes without them.
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
        except SelectionError as wrong:
            code, error = 2, wrong.format_message()
        except click.UsageError as wrong:
            code, error = 2, f"sqlmesh: {wrong.format_message()}"
        except click.ClickException as wrong:
            code, error = 1, wrong.format_message()
        except (click.Abort, KeyboardInterrupt) as ended:
            if isinstance(ended.__cause__ or ended.__context__, EOFError):
                code, error = 1, "SQLMesh asked, and there is nobody to answer: use --auto-apply"
            elif signals.received is None:
                # Project code, or SQLMesh's own prompt, raised it.
                signals.received = signal.SIGINT
        except BaseException as raised:
            # Also what is no Exception: some libraries' panics are not.
            if debug:
                traceback.print_exc()
            code, error = 1, described(raised)
    number = signals.received
    if number is not None:
        signals.ignore()
    tracker.complete(read_files if number is None else lambda: ProjectFiles({}, "it was stopped"))
    reports = tuple(tracker.reports)
    if number is not None:
        return Ended(reports, code=128 + number, signalled=True)
    error = one_line(redacted(error))
    errors = {one_line(report.error) for report in reports if report.error}
    if error in errors or any(report.completion == "failure" for report in reports):
        error = ""
    return Ended(reports, error or None, code)


def _exited(ended: SystemExit) -> tuple[int, str]:
    """SQLMesh exits with 1 once it has printed why (sqlmesh/cli, `_default_exception_handler`)."""
    if ended.code == 1:
        return 1, ""
    if isinstance(ended.code, str):
        return 1, ended.code
    return int(ended.code or 1), f"SQLMesh was ended by sys.exit({ended.code!r}) before it was done"


def _commands() -> click.Group:
    """SQLMesh's, and `run` with the `--execution-time` that `Context.run` takes."""
    # Importing it warns of what is not the user's.
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
    """SQLMesh's `run`, which is content with selectors that match no model (`Context.run`)."""

    def checked(*args: Any, **options: Any) -> Any:
        from pytest_sqlmesh_tracker.tracking.project.selecting import unmatched_selector

        context = click.get_current_context().obj
        complaint = unmatched_selector(context, options["environment"], options["select_model"])
        if complaint:
            raise SelectionError(complaint)
        return run(*args, **options)

    return checked
