"""Questions about an environment that SQLMesh answers in a process of its own.

The process that asks neither loads SQLMesh nor keeps the lock of a DuckDB file: a run of the
environment waits for as long as the answer takes, and not longer.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from pydantic import ValidationError

from pytest_sqlmesh_tracker.tracking.errors.types import BusyError, ProjectError
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.wording.formats import one_line
from pytest_sqlmesh_tracker.wording.printable import without_escape_codes

from .questions import Answer, Query, Reply, Request, UnfinishedPlan

_MAIN = f"""
import sys
if sys.path[0] == "":
    sys.path.append(sys.path.pop(0))
from {__package__}.answering import main
main()
"""
"""Python looks first into the current folder, where a `sqlmesh` or a `json.py` can be."""


def _ignore(_: str) -> None:
    """Print nothing."""


def ask(
    project: ProjectLocation,
    query: Query[Answer],
    *,
    timeout: float,
    print_output: Callable[[str], object] = _ignore,
) -> Answer | UnfinishedPlan:
    """What SQLMesh answers in a process that opens the project, and ends.

    Args:
        project: where it is, and how it is opened.
        query: what is asked.
        timeout: seconds after which the process is ended, with those that it has started.
        print_output: is called with what SQLMesh and the project's code printed.

    Raises:
        BusyError: another process has the database.
        ProjectError: the project can't be opened, or does not answer; one line says why.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=project.folder,
        text=True,
        # What the project's code prints can be anything; the answer itself is ASCII.
        errors="backslashreplace",
        # SQLMesh loads models in processes of its own, which end with this one.
        start_new_session=True,
    )
    try:
        request = Request.model_validate({"project": project, "query": query})
        output, errors = process.communicate(request.model_dump_json(), timeout)
    except BaseException as error:
        _kill(process)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise ProjectError(
            f"the SQLMesh project {project.names} did not answer within {timeout:g} s"
        ) from None
    if errors:
        print_output(errors)
    try:
        reply = Reply.model_validate_json(output)
    except ValidationError:
        printed = one_line(without_escape_codes(errors[-600:]), 600)
        why = printed or f"its process ended with {process.returncode}"
        raise ProjectError(f"the SQLMesh project {project.names} did not answer: {why}") from None
    if reply.answer is None:
        raise (BusyError if reply.busy else ProjectError)(reply.error or "")
    return cast("Answer | UnfinishedPlan", reply.answer)


def _kill(process: subprocess.Popen[str]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    # Nothing more is read of its pipes.
    with process:
        pass
