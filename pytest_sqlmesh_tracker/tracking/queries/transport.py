"""Sends queries about an environment to a separate process, in which SQLMesh answers them.

The querying process neither loads SQLMesh nor holds the lock of a DuckDB file, so a run of the
environment is blocked only until the answer is complete.
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

from .messages import Answer, AnswerMessage, Query, QueryMessage, UnfinishedPlan

_MAIN = f"""
import sys
if sys.path[0] == "":
    sys.path.append(sys.path.pop(0))
from {__package__}.answering import main
main()
"""
"""Moves the current folder, which can contain a `sqlmesh` or `json.py`, to the end of the path."""


def _ignore(_: str) -> None:
    """Print nothing."""


def ask(
    project: ProjectLocation,
    query: Query[Answer],
    *,
    timeout: float | None,
    print_output: Callable[[str], object] = _ignore,
) -> Answer | UnfinishedPlan:
    """SQLMesh's answer, from a process that opens the project and then exits.

    Args:
        project: the location of the project, and how to open it.
        query: the query to answer.
        timeout: the number of seconds after which the process and its children are killed; None
            for as long as it takes.
        print_output: called with what SQLMesh and the project's code printed.

    Raises:
        BusyError: another process has locked the database.
        ProjectError: the project can't be opened or does not answer; the message is one line.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=project.folder,
        text=True,
        # The project's code can print any bytes; the answer itself is ASCII.
        errors="backslashreplace",
        # SQLMesh loads models in child processes, which must be killed with this one.
        start_new_session=True,
    )
    try:
        message = QueryMessage.model_validate({"project": project, "query": query})
        output, errors = process.communicate(message.model_dump_json(), timeout)
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
        received = AnswerMessage.model_validate_json(output)
    except ValidationError:
        printed = one_line(without_escape_codes(errors[-600:]), 600)
        why = printed or f"its process exited with {process.returncode}"
        raise ProjectError(f"the SQLMesh project {project.names} did not answer: {why}") from None
    if received.answer is None:
        raise (BusyError if received.busy else ProjectError)(received.error or "")
    return cast("Answer | UnfinishedPlan", received.answer)


def _kill(process: subprocess.Popen[str]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    # Closes its pipes and waits for it.
    with process:
        pass
