"""`run` and `plan`: SQLMesh's own commands, tracked, reported and judged."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from glob import glob
from io import StringIO
from pathlib import Path
from typing import Any

import click

from pytest_sqlmesh_tracker.gate import GateFinding, GateResult
from pytest_sqlmesh_tracker.outcomes.invocation import EnvironmentState
from pytest_sqlmesh_tracker.reports.files import Entry
from pytest_sqlmesh_tracker.tracking.command import Ended, Signals, run_sqlmesh
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.project.nodes import common_folder
from pytest_sqlmesh_tracker.tracking.queries.project_files import ProjectFiles, read_project_files
from pytest_sqlmesh_tracker.wording.formats import one_line
from pytest_sqlmesh_tracker.wording.invocations import environment_words
from pytest_sqlmesh_tracker.wording.printable import printable

from .options import words_for_sqlmesh
from .output import Output
from .projects import project_of
from .reports import Entries, policy_of
from .streams import descriptors_redirected

FAILED = 2
"""The exit code of a command that itself failed, whatever the gate finds."""


def track(ctx: click.Context, options: dict[str, Any]) -> int:
    """Run SQLMesh's command, print what happened to the models, and return the exit code.

    Raises:
        ClickException: the usage or the policy is not valid, which is checked before SQLMesh
            starts; or a report can't be written.
    """
    everywhere = ctx.find_root().params
    paths = (*everywhere["paths"], *options["paths"])
    output = Output.checked(options)
    # With --explain, a plan is deliberately not applied.
    judged = options["gated"] and not options.get("explain")
    folder = _folder(*paths)
    project = project_of(ctx, options)
    policy = policy_of(options["policy"], folder) if judged else None
    hidden = StringIO()
    with Signals().handled() as signals:
        with _redirected(output, hidden):
            debug = everywhere["debug"] or options["debug"]
            ended = run_sqlmesh(
                words_for_sqlmesh(ctx),
                signals,
                debug=debug,
                longest_wait=options.get("wait"),
                on_waiting=_print_waiting,
                read_files=partial(_read_files, project, options),
            )
        if not ended.reports:
            # The last output of SQLMesh then shows why there is none.
            click.echo(hidden.getvalue(), nl=False, err=True)
        result = policy.evaluate(*ended.reports) if policy and ended.reports else None
        code = exit_code(ended, result, options.get("exit_on_env_update"))
        error = ended.error
        try:
            _print_results(ended, None if error or code == FAILED else result, output)
        finally:
            # Even if nobody reads the output.
            written = result if ended.reports or not code else _not_begun(ctx, ended)
            output.write(_entries(ended), written, source="cli", project=_common_folder(project))
    if error:
        raise click.ClickException(error)
    return code


def _common_folder(project: ProjectLocation) -> Path | None:
    folder = common_folder([folder for path in project.paths for folder in _folders(path)])
    return None if folder is None else Path(folder)


def _entries(ended: Ended) -> Entries:
    """The reports of the command; no test made them."""
    return [Entry(None, report) for report in ended.reports]


def _not_begun(ctx: click.Context, ended: Ended) -> GateResult:
    """The result for files of a command without reports, which would otherwise look successful."""
    why = f": {ended.error}" if ended.error else "; see SQLMesh's own messages"
    message = one_line(f"the {ctx.info_name} failed before it reached any model{why}")
    return GateResult(findings=(GateFinding(kind="command_error", message=message),))


def _print_results(ended: Ended, result: GateResult | None, output: Output) -> None:
    """Print what happened, and the gate's result if it decides the exit code."""
    if ended.reports or output.as_json:
        output.show(_entries(ended), below=True)
    if result is not None:
        output.judge(result, beside_reports=True)
    elif output.quiet:
        for error in filter(None, (report.error for report in ended.reports)):
            click.echo(printable(f"Error: {error}"), err=True)


def _print_waiting(environment: str, state: EnvironmentState) -> None:
    line = f"Waiting (limit this with --wait SECONDS): {environment_words(environment, state)}"
    click.echo(printable(line), err=True)


def _read_files(project: ProjectLocation, options: dict[str, Any]) -> ProjectFiles | None:
    if options.get("no_load"):
        return None
    return read_project_files(
        project,
        timeout=options["load_timeout"],
        print_output=lambda text: click.echo("" if options["quiet"] else text, nl=False, err=True),
    )


def _folder(*paths: str) -> str:
    """The first project's."""
    for path in paths:
        if not _folders(path):
            raise click.UsageError(f"--paths {path}: the folder does not exist")
    return _folders(paths[0])[0] if paths else "."


def _folders(path: str) -> list[str]:
    """The folders of a path: SQLMesh accepts patterns (`load_configs` in sqlmesh/core/config)."""
    return glob(path)  # noqa: PTH207


@contextmanager
def _redirected(output: Output, hidden: StringIO) -> Iterator[None]:
    """Redirect SQLMesh's output to standard error with JSON, and hide it when quiet."""
    if not (output.as_json or output.quiet):
        yield
        return
    with (
        descriptors_redirected(output.as_json),
        redirect_stdout(hidden if output.quiet else sys.stderr),
    ):
        yield


def exit_code(ended: Ended, result: GateResult | None, on_env_update: str | None) -> int:
    """The exit code of a tracked command.

    Args:
        ended: how SQLMesh's command ended.
        result: the gate's, or None without a policy.
        on_env_update: the code to exit with if the environment changed while the run waited.
    """
    reports = ended.reports
    if ended.signalled:
        return ended.code
    if on_env_update and any(report.by_reason["environment_changed"] for report in reports):
        # SQLMesh's own code is 1 if it fails instead of exiting (0.236, `Context.run`).
        return int(on_env_update)
    ends = {report.completion for report in reports}
    # Unless a report shows failed models, SQLMesh's failure is that of the command.
    if "raised" in ends or (ended.code and not ends & {"failure", "interrupted"}):
        return FAILED
    if result is not None:
        return 0 if result else 1
    # A failed model may be unknown to the tracker; SQLMesh itself reports that the run failed.
    failed = any(report.failed or report.interrupted for report in reports)
    return 1 if failed or ended.code else 0
