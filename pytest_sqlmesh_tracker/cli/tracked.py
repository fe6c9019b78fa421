"""`run` and `plan`: SQLMesh's own commands, tracked, told and judged."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from glob import glob
from io import StringIO
from pathlib import Path
from typing import Any

import click

from ..gate import GateResult
from ..render import words
from ..tracking.command import Ended, run_sqlmesh
from .options import words_for_sqlmesh
from .output import Output
from .reports import policy_of

FAILED = 2
"""The exit code of a command that itself failed: what the gate finds then is not the reason."""


def track(ctx: click.Context, options: dict[str, Any]) -> int:
    """Run SQLMesh's command, tell what happened to the models, and say the exit code.

    Raises:
        ClickException: wrong usage or policy, before SQLMesh starts; a report can't be written.
    """
    everywhere = ctx.find_root().params
    paths = (*everywhere["paths"], *options["paths"])
    output = Output.checked(options)
    policy = policy_of(options["policy"], _folder(*paths)) if options["gated"] else None
    # SQLMesh's own default is the folder in which it was imported.
    project = () if paths else (f"--paths={Path.cwd()}",)
    hidden = StringIO()
    with _redirected(output, hidden):
        debug = everywhere["debug"] or options["debug"]
        ended = run_sqlmesh([*project, *words_for_sqlmesh(ctx)], debug=debug)
    if not ended.reports:
        # What SQLMesh said last is then why there is none.
        click.echo(hidden.getvalue(), nl=False, err=True)
    result = policy.evaluate(*ended.reports) if policy and ended.reports else None
    code = _exit_code(ended, result, options.get("exit_on_env_update"))
    _tell(ended, None if code == FAILED else result, output)
    output.write([(None, report) for report in ended.reports], result)
    if ended.error:
        raise click.ClickException(ended.error)
    return code


def _tell(ended: Ended, result: GateResult | None, output: Output) -> None:
    """Print what happened, and what the gate made of it, if it is that which decides."""
    if ended.reports or output.as_json:
        output.show([(None, report) for report in ended.reports], below=True)
    if result is not None:
        output.judge(result, beside_reports=True)
    elif output.quiet:
        for error in filter(None, (report.error for report in ended.reports)):
            click.echo(words.printable(f"Error: {error}"), err=True)


def _folder(*paths: str) -> str:
    """The first project's; SQLMesh takes patterns (`load_configs` in sqlmesh/core/config)."""
    for path in paths:
        if not glob(path):  # noqa: PTH207
            raise click.UsageError(f"--paths {path}: there is no such folder")
    return glob(paths[0])[0] if paths else "."  # noqa: PTH207


@contextmanager
def _redirected(output: Output, hidden: StringIO) -> Iterator[None]:
    """What SQLMesh prints goes to standard error beside JSON, and nowhere when quiet."""
    if not (output.as_json or output.quiet):
        yield
        return
    with redirect_stdout(hidden if output.quiet else sys.stderr):
        yield


def _exit_code(ended: Ended, result: GateResult | None, on_env_update: str | None) -> int:
    reports = ended.reports
    if ended.signalled:
        return ended.code
    if on_env_update and any(report.by_reason["environment_changed"] for report in reports):
        return ended.code
    if any(report.completion == "raised" for report in reports) or (ended.code and not reports):
        return FAILED
    if result is not None:
        return 0 if result else 1
    return 1 if any(report.failed or report.interrupted for report in reports) else 0
